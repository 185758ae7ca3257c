"""`tool`: inspect, test and undo tools."""

from micro_agi.commands.rows.arguments import FILE, FROM, REASON, TO, UNTIL
from micro_agi.commands.rows.row import Command, argument

_NAME = argument("name", metavar="NAME", help="a tool's name or its entry id")

_VERBS = (
    Command(name="list", help="list tools", run="tool_read:list_tools"),
    Command(
        name="show",
        help="show a tool: source, schema, origin",
        run="tool_read:show",
        arguments=(_NAME,),
    ),
    Command(
        name="test",
        help="run a tool's stored tests again",
        run="tool_write:test",
        arguments=(
            argument("name", metavar="NAME", nargs="?", help="default: every tool with tests"),
        ),
    ),
    Command(
        name="history", help="list a tool's versions", run="tool_read:history", arguments=(_NAME,)
    ),
    Command(
        name="diff",
        help="compare two versions of a tool",
        run="tool_read:diff",
        arguments=(_NAME, FROM, UNTIL),
    ),
    Command(
        name="rollback",
        help="restore an older version of a tool",
        run="tool_write:rollback",
        arguments=(_NAME, TO, REASON),
        more="Without --to: the version before the newest. It also brings back a disabled tool.",
    ),
    Command(
        name="disable",
        help="take a tool out of use; its history stays",
        run="tool_write:disable",
        arguments=(_NAME, REASON),
    ),
    Command(
        name="create",
        help="take a file through the gate",
        run="tool_write:create",
        arguments=(
            FILE,
            argument(
                "--expected-revision", metavar="N", type=int, help="refuse if it is another one"
            ),
        ),
        more="The file is a .json or .yaml draft with name, description, source, modules, hosts,\n"
        "input_schema and tests; or a .lua file whose first comment --[[ … ]] holds these in YAML.",
    ),
)

TOOL = Command(name="tool", help="inspect, test and undo tools", verbs=_VERBS)
