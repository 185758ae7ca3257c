"""`docs`: the documentation that the agent reads."""

from micro_agi.commands.rows.row import Command, argument

DOCS = Command(
    name="docs",
    help="the documentation that the agent reads",
    verbs=(
        Command(
            name="search",
            help="find pages",
            run="docs:search",
            arguments=(
                argument("query", metavar="WORDS", nargs="+", help="a few words"),
                argument("--limit", metavar="N", type=int, default=5, help="at most N pages"),
            ),
        ),
        Command(
            name="show",
            help="show a page",
            run="docs:show",
            arguments=(
                argument("path", metavar="PATH", help="such as lua/core/time"),
                argument("--offset", metavar="N", type=int, default=0, help="begin at byte N"),
            ),
        ),
        Command(name="toc", help="list all pages", run="docs:toc"),
    ),
)
