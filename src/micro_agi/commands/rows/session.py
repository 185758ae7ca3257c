"""`session`: past conversations."""

from micro_agi.commands.rows.row import Command, argument

SESSION = Command(
    name="session",
    help="past conversations",
    verbs=(
        Command(name="list", help="list sessions", run="session:list_sessions"),
        Command(
            name="show",
            help="show a conversation",
            run="session:show",
            arguments=(
                argument("id", metavar="ID", help="as listed"),
                argument(
                    "--cost",
                    action="store_true",
                    help="what each model and tool took instead: time, tokens, money",
                ),
            ),
        ),
        Command(
            name="resume",
            help="go on with a turn that was cut off",
            run="session:resume",
            arguments=(argument("id", metavar="ID", help="as listed"),),
        ),
        Command(
            name="replay",
            help="rebuild every model request from the journal, and compare",
            run="replay:replay",
            arguments=(
                argument("id", metavar="ID", help="as listed"),
                argument(
                    "--with",
                    dest="other",
                    metavar="TOOL@vN",
                    help="say what another version of a tool would have changed",
                ),
            ),
        ),
        Command(
            name="delete",
            help="remove sessions and what only they stored",
            run="session:delete",
            arguments=(argument("ids", metavar="ID", nargs="+", help="as listed"),),
        ),
        Command(
            name="export",
            help="write its journal, one event a line",
            run="session:export",
            arguments=(
                argument("id", metavar="ID", help="as listed"),
                argument("file", metavar="FILE", nargs="?", default="-", help="default: stdout"),
            ),
        ),
    ),
    more="To go on with one: micro-agi chat --session ID",
)
