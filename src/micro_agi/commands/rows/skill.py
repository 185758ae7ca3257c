"""`skill`: Python functions that became tools."""

from micro_agi.commands.rows.arguments import FILE, REASON, TO
from micro_agi.commands.rows.row import Command, argument

_SKILL = argument("name", metavar="NAME", help="a skill's name or its entry id")

_VERBS = (
    Command(name="list", help="list skills", run="skill:list_skills"),
    Command(
        name="promote",
        help="make a tool of a function in a Python file",
        run="skill:promote",
        arguments=(
            FILE,
            argument("function", metavar="FUNCTION", help="a function at top level, with types"),
            argument("name", metavar="NAME", nargs="?", default="", help="default: the function's"),
            argument(
                *("--module",),
                metavar="M",
                dest="modules",
                action="append",
                default=[],
                help="a module it imports, as numpy; repeat for more",
            ),
            argument(
                *("--host",),
                metavar="URL",
                dest="hosts",
                action="append",
                default=[],
                help="a URL pattern it asks for",
            ),
        ),
        more="It goes through the same gate as the agents' own tools.",
    ),
    Command(
        name="show",
        help="show a skill: source, schema, origin",
        run="tool_read:show",
        arguments=(_SKILL,),
    ),
    Command(
        name="rollback",
        help="restore an older version of a skill",
        run="tool_write:rollback",
        arguments=(_SKILL, TO, REASON),
    ),
    Command(
        name="disable",
        help="take a skill out of use; its history stays",
        run="tool_write:disable",
        arguments=(_SKILL, REASON),
    ),
    Command(
        name="export",
        help="write a skill as an Agent Skills folder",
        run="skill:export",
        arguments=(
            _SKILL,
            argument("directory", metavar="DIR", nargs="?", default=".", help="default: this one"),
        ),
    ),
    Command(
        name="import",
        help="take an Agent Skills folder through the gate",
        run="skill:import_folder",
        arguments=(argument("folder", metavar="FOLDER", help="with SKILL.md and scripts in it"),),
        more="What it brings as tests has to pass; without tests the skill is marked untested.",
    ),
)

SKILL = Command(name="skill", help="Python functions that became tools", verbs=_VERBS)
