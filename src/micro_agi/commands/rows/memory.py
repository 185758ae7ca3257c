"""`memory`: what the agent remembers for other sessions."""

from micro_agi.commands.rows.row import Command, argument

_MEMORY_ID = argument("id", metavar="ID", help="as listed: mem_17")
_TAG = argument(
    "--tag", metavar="TAG", dest="tags", action="append", help="a tag; repeat for more of them"
)

_VERBS = (
    Command(
        name="add",
        help="remember something",
        run="memory:add",
        arguments=(
            argument("text", metavar="TEXT", nargs="+", help="what to remember, or - reads it"),
            _TAG,
        ),
    ),
    Command(
        name="search",
        help="find memories by their words",
        run="memory:search",
        arguments=(
            argument("query", metavar="WORDS", nargs="+", help="none of them is required"),
            _TAG,
            argument("--limit", metavar="N", type=int, default=10, help="at most N"),
        ),
    ),
    Command(
        name="list",
        help="list memories, newest first",
        run="memory:list_items",
        arguments=(
            _TAG,
            argument("--session", metavar="ID", default="", help="only what this session stored"),
            argument("--limit", metavar="N", type=int, default=20, help="at most N"),
            argument("--after", metavar="ID", default="", help="go on behind this one"),
        ),
    ),
    Command(
        name="get", help="show one, with its origin", run="memory:get", arguments=(_MEMORY_ID,)
    ),
    Command(
        name="update",
        help="replace the text, the tags, or both",
        run="memory:update",
        arguments=(
            _MEMORY_ID,
            argument("text", metavar="TEXT", nargs="*", help="the new text, or - reads it"),
            _TAG,
        ),
    ),
    Command(name="delete", help="forget one", run="memory:delete", arguments=(_MEMORY_ID,)),
)

MEMORY = Command(
    name="memory",
    help="what the agent remembers for other sessions",
    verbs=_VERBS,
)
