"""Every command: its name, what it does, its arguments, and which function runs it.

Data only, and imports nothing of ours, so that `--help` and a mistyped argument cost
milliseconds. The function is named as text and its module imported when it runs: the
modules import the runtime, and the runtime imports Lua, HTTP and the database (0.3 s).
The help pages and docs/commands.md are made from this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT = "chat"
"""The command that runs when none is named."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, as `argparse.add_argument` takes it."""

    names: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command, or one verb of a command."""

    name: str
    help: str
    """One line, without a full stop."""
    run: str = ""
    """`module:function` below `micro_agi.commands`; empty for a command that has verbs."""
    arguments: tuple[Argument, ...] = ()
    verbs: tuple["Command", ...] = ()
    more: str = ""
    """What the help page says below its arguments."""


def _arg(*names: str, **options: Any) -> Argument:
    return Argument(names, options)


_ID = _arg("id", metavar="ID", help="entry id, `namespace:name`")
_TOOL = _arg("name", metavar="NAME", help="a tool's name or its entry id")
_TO = _arg("--to", metavar="N", type=int, help="version to go back to")
_FROM = _arg("a", metavar="A", nargs="?", type=int, help="version; default: the one before B")
_UNTIL = _arg("b", metavar="B", nargs="?", type=int, help="version; default: the newest")
_NAMESPACE = _arg("--namespace", metavar="NS", help="only entries of this namespace")
_REASON = _arg("--reason", metavar="TEXT", default="", help="why, kept with the version")
_FILE = _arg("file", metavar="FILE", help="a file, or - for standard input")

_REGISTRY = (
    Command(
        name="list",
        help="list entries",
        run="registry_read:list_entries",
        arguments=(_NAMESPACE, _arg("--kind", metavar="KIND", help="only entries of this kind")),
    ),
    Command(
        name="show",
        help="show one entry",
        run="registry_read:show",
        arguments=(_ID, _arg("--at", metavar="N", type=int, help="as it was at version N")),
    ),
    Command(
        name="find",
        help="find entries by criteria",
        run="registry_read:find",
        arguments=(
            _arg(
                "criteria", metavar="KEY=VALUE", nargs="*", help="all must hold; or one JSON object"
            ),
        ),
        more="Criteria: kind=function.* ns=app.tools meta.type=tool '*meta.tags=time'.",
    ),
    Command(
        name="history",
        help="list versions, of all entries or of one",
        run="registry_read:history",
        arguments=(
            _arg("id", metavar="ID", nargs="?", help="only versions that changed this entry"),
            _arg("--limit", metavar="N", type=int, default=20, help="the newest N; 0 is all"),
        ),
    ),
    Command(
        name="diff",
        help="compare two versions of an entry",
        run="registry_read:diff",
        arguments=(_ID, _FROM, _UNTIL),
    ),
    Command(
        name="rollback",
        help="restore an entry, or all, as at a version",
        run="registry_write:rollback",
        arguments=(
            _arg("id", metavar="ID", nargs="?", help="one entry; default: all of them"),
            _arg("--to", metavar="N", type=int, required=True, help="version to go back to"),
            _REASON,
        ),
        more="A new version that restores older content; policies and grants stay as they are.",
    ),
    Command(
        name="verify",
        help="check that no version was tampered with",
        run="registry_read:verify",
    ),
    Command(
        name="apply",
        help="apply a change set from a file",
        run="registry_write:apply",
        arguments=(_FILE, _REASON),
        more="The file is a YAML or JSON list of {op: create, entry: {id, kind, meta, data}};\n"
        "op is create, update or delete, and an item may add expected_revision.\n"
        "All of them are applied, or none.",
    ),
    Command(
        name="export",
        help="write entries as JSON",
        run="registry_write:export",
        arguments=(
            _arg("file", metavar="FILE", nargs="?", default="-", help="default: standard output"),
            _NAMESPACE,
        ),
    ),
    Command(
        name="import",
        help="create and update entries from an export",
        run="registry_write:import_entries",
        arguments=(_FILE, _REASON),
    ),
)

_TOOLS = (
    Command(name="list", help="list tools", run="tool_read:list_tools"),
    Command(
        name="show",
        help="show a tool: source, schema, origin",
        run="tool_read:show",
        arguments=(_TOOL,),
    ),
    Command(
        name="test",
        help="run a tool's stored tests again",
        run="tool_write:test",
        arguments=(_arg("name", metavar="NAME", nargs="?", help="default: every tool with tests"),),
    ),
    Command(
        name="history", help="list a tool's versions", run="tool_read:history", arguments=(_TOOL,)
    ),
    Command(
        name="diff",
        help="compare two versions of a tool",
        run="tool_read:diff",
        arguments=(_TOOL, _FROM, _UNTIL),
    ),
    Command(
        name="rollback",
        help="restore an older version of a tool",
        run="tool_write:rollback",
        arguments=(_TOOL, _TO, _REASON),
        more="Without --to: the version before the newest. It also brings back a disabled tool.",
    ),
    Command(
        name="disable",
        help="take a tool out of use; its history stays",
        run="tool_write:disable",
        arguments=(_TOOL, _REASON),
    ),
    Command(
        name="create",
        help="take a file through the gate",
        run="tool_write:create",
        arguments=(
            _FILE,
            _arg("--expected-revision", metavar="N", type=int, help="refuse if it is another one"),
        ),
        more="The file is a .json or .yaml draft with name, description, source, modules, hosts,\n"
        "input_schema and tests; or a .lua file whose first comment --[[ … ]] holds these in YAML.",
    ),
)

_SKILL = _arg("name", metavar="NAME", help="a skill's name or its entry id")
_SKILLS = (
    Command(name="list", help="list skills", run="skill:list_skills"),
    Command(
        name="promote",
        help="make a tool of a function in a Python file",
        run="skill:promote",
        arguments=(
            _FILE,
            _arg("function", metavar="FUNCTION", help="a function at top level, with types"),
            _arg("name", metavar="NAME", nargs="?", default="", help="default: the function's"),
            _arg(
                *("--module",),
                metavar="M",
                dest="modules",
                action="append",
                default=[],
                help="a module it imports, as numpy; repeat for more",
            ),
            _arg(
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
        arguments=(_SKILL, _TO, _REASON),
    ),
    Command(
        name="disable",
        help="take a skill out of use; its history stays",
        run="tool_write:disable",
        arguments=(_SKILL, _REASON),
    ),
    Command(
        name="export",
        help="write a skill as an Agent Skills folder",
        run="skill:export",
        arguments=(
            _SKILL,
            _arg("directory", metavar="DIR", nargs="?", default=".", help="default: this one"),
        ),
    ),
    Command(
        name="import",
        help="take an Agent Skills folder through the gate",
        run="skill:import_folder",
        arguments=(_arg("folder", metavar="FOLDER", help="with SKILL.md and scripts in it"),),
        more="What it brings as tests has to pass; without tests the skill is marked untested.",
    ),
)

_MEMORY_ID = _arg("id", metavar="ID", help="as listed: mem_17")
_TAG = _arg(
    "--tag", metavar="TAG", dest="tags", action="append", help="a tag; repeat for more of them"
)
_MEMORY = (
    Command(
        name="add",
        help="remember something",
        run="memory:add",
        arguments=(
            _arg("text", metavar="TEXT", nargs="+", help="what to remember, or - reads it"),
            _TAG,
        ),
    ),
    Command(
        name="search",
        help="find memories by their words",
        run="memory:search",
        arguments=(
            _arg("query", metavar="WORDS", nargs="+", help="none of them is required"),
            _TAG,
            _arg("--limit", metavar="N", type=int, default=10, help="at most N"),
        ),
    ),
    Command(
        name="list",
        help="list memories, newest first",
        run="memory:list_items",
        arguments=(
            _TAG,
            _arg("--session", metavar="ID", default="", help="only what this session stored"),
            _arg("--limit", metavar="N", type=int, default=20, help="at most N"),
            _arg("--after", metavar="ID", default="", help="go on behind this one"),
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
            _arg("text", metavar="TEXT", nargs="*", help="the new text, or - reads it"),
            _TAG,
        ),
    ),
    Command(name="delete", help="forget one", run="memory:delete", arguments=(_MEMORY_ID,)),
)

_TASK = _arg("task", metavar="TASK", help="as listed: task_3")
_PROJECT = (
    Command(
        name="show",
        help="show a project as the agent sees it",
        run="project:show",
        arguments=(_arg("id", metavar="N", nargs="?", type=int, help="an earlier one"),),
    ),
    Command(name="list", help="list projects, newest first", run="project:list_projects"),
    Command(
        name="create",
        help="begin a project",
        run="project:create",
        arguments=(
            _arg("name", metavar="NAME", help="what it is called"),
            _arg("--description", metavar="TEXT", default="", help="what it is to reach"),
            _arg(
                *("--task",),
                metavar="TEXT",
                dest="tasks",
                action="append",
                default=[],
                help="a first task; repeat for more",
            ),
        ),
        more="A project that is under way is put aside, after asking; it can still be shown.",
    ),
    Command(
        name="move",
        help="change its state",
        run="project:move",
        arguments=(
            _arg(
                "state", metavar="STATE", help="planning, executing, reviewing, complete or paused"
            ),
        ),
        more="planning → executing → reviewing → complete, and back from reviewing to executing.\n"
        "A paused project goes back to where it was. Completing with open tasks is asked about.",
    ),
    Command(
        name="add-task",
        help="add a task",
        run="project:add_task",
        arguments=(
            _arg("text", metavar="TEXT", nargs="+", help="what is to be done"),
            _arg("--id", metavar="ID", help="an id of your own; default: the next number"),
        ),
    ),
    Command(
        name="update-task",
        help="change a task",
        run="project:update_task",
        arguments=(
            _TASK,
            _arg("status", metavar="STATUS", nargs="?", help="pending, in_progress, blocked, …"),
            _arg("--text", metavar="TEXT", help="what is to be done"),
            _arg("--note", metavar="TEXT", help='what to know about it; "" clears it'),
        ),
        more="STATUS is one of pending, in_progress, blocked and complete.",
    ),
    Command(
        name="remove-task",
        help="take a task off the list",
        run="project:remove_task",
        arguments=(_TASK,),
    ),
    Command(
        name="note",
        help="write into the lab notebook",
        run="project:note",
        arguments=(_arg("text", metavar="TEXT", nargs="+", help="what to write, or - reads it"),),
    ),
    Command(
        name="notes",
        help="read the lab notebook",
        run="project:notes",
        arguments=(
            _arg("id", metavar="N", nargs="?", type=int, help="of an earlier project"),
            _arg("--limit", metavar="N", type=int, default=20, help="the newest N"),
            _arg("--before", metavar="N", type=int, help="only those before this number"),
        ),
    ),
)

COMMANDS = (
    Command(name="chat", help="talk to the agent (the default)", run="chat:run"),
    Command(
        name="ask",
        help="one question, the answer on standard output",
        run="ask:run",
        arguments=(
            _arg("text", metavar="TEXT", nargs="+", help="the question, or - for standard input"),
        ),
        more="Tool lines go to standard error. With --json: one event a line on standard output.",
    ),
    Command(name="demo", help="watch an agent make a tool, offline", run="demo:run"),
    Command(
        name="run",
        help="run a command of the app; `run list` lists them",
        run="run:run",
        arguments=(
            _arg("command", metavar="COMMAND", nargs="?", help="its name, or `list`"),
            _arg("arguments", metavar="ARGS", nargs="*", help="what the command gets"),
            _arg("-x", dest="entry", metavar="ID", help="by entry id instead of by name"),
        ),
        more="`run agent` starts the terminal agent of this runtime, not the Lua of its entry.\n"
        "Other Lua processes do not run yet. Options of a command come after `--`.",
    ),
    Command(
        name="init",
        help="make a new app, ready to run",
        run="init:run",
        arguments=(_arg("directory", metavar="DIR", help="a new or empty directory"),),
    ),
    Command(
        name="call",
        help="call a function entry",
        run="call:run",
        arguments=(
            _ID,
            _arg("json", metavar="JSON", nargs="?", default="{}", help="its argument; - reads it"),
        ),
    ),
    Command(name="registry", help="inspect and change entries", verbs=_REGISTRY),
    Command(name="tool", help="inspect, test and undo tools", verbs=_TOOLS),
    Command(name="skill", help="Python functions that became tools", verbs=_SKILLS),
    Command(
        name="policy",
        help="what is allowed, and why",
        verbs=(
            Command(name="list", help="list policies", run="policy:list_policies"),
            Command(
                name="check",
                help="explain what the policies answer",
                run="policy:check",
                arguments=(
                    _arg("action", metavar="ACTION", help="such as registry.create"),
                    _arg("resource", metavar="RESOURCE", help="an entry id or a URL"),
                    _arg(
                        "--actor",
                        metavar="A",
                        help="root, or an agent's id or name; default: the app's agent",
                    ),
                ),
            ),
        ),
    ),
    Command(
        name="grants",
        help="what you allowed always",
        verbs=(
            Command(name="list", help="list them", run="grants:list_grants"),
            Command(
                name="revoke",
                help="take one back",
                run="grants:revoke",
                arguments=(_arg("name", metavar="NAME", help="as listed, or `all`"),),
            ),
        ),
    ),
    Command(
        name="agent",
        help="agents, and what they are compiled to",
        verbs=(
            Command(name="list", help="list agents", run="agent:list_agents"),
            Command(
                name="show",
                help="show the exact prompt and tools of one",
                run="agent:show",
                arguments=(_arg("id", metavar="ID", help="an agent's id or name"),),
            ),
        ),
    ),
    Command(
        name="session",
        help="past conversations",
        verbs=(
            Command(name="list", help="list sessions", run="session:list_sessions"),
            Command(
                name="show",
                help="show a conversation",
                run="session:show",
                arguments=(
                    _arg("id", metavar="ID", help="as listed"),
                    _arg(
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
                arguments=(_arg("id", metavar="ID", help="as listed"),),
            ),
            Command(
                name="replay",
                help="rebuild every model request from the journal, and compare",
                run="replay:replay",
                arguments=(
                    _arg("id", metavar="ID", help="as listed"),
                    _arg(
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
                arguments=(_arg("ids", metavar="ID", nargs="+", help="as listed"),),
            ),
            Command(
                name="export",
                help="write its journal, one event a line",
                run="session:export",
                arguments=(
                    _arg("id", metavar="ID", help="as listed"),
                    _arg("file", metavar="FILE", nargs="?", default="-", help="default: stdout"),
                ),
            ),
        ),
        more="To go on with one: micro-agi chat --session ID",
    ),
    Command(
        name="memory",
        help="what the agent remembers for other sessions",
        verbs=_MEMORY,
    ),
    Command(name="project", help="what is worked on over many sessions", verbs=_PROJECT),
    Command(
        name="undo",
        help="take back changes of files by agents",
        run="undo:run",
        arguments=(
            _arg("count", metavar="N", nargs="?", type=int, default=1, help="how many; default 1"),
            _arg("--list", action="store_true", dest="listed", help="only list them, newest first"),
        ),
        more="Of the workspace given by --workspace; without it, of any workspace of this home.\n"
        "A file that changed since stays as it is. What shell commands did is not undone.",
    ),
    Command(
        name="docs",
        help="the documentation that the agent reads",
        verbs=(
            Command(
                name="search",
                help="find pages",
                run="docs:search",
                arguments=(
                    _arg("query", metavar="WORDS", nargs="+", help="a few words"),
                    _arg("--limit", metavar="N", type=int, default=5, help="at most N pages"),
                ),
            ),
            Command(
                name="show",
                help="show a page",
                run="docs:show",
                arguments=(
                    _arg("path", metavar="PATH", help="such as lua/core/time"),
                    _arg("--offset", metavar="N", type=int, default=0, help="begin at byte N"),
                ),
            ),
            Command(name="toc", help="list all pages", run="docs:toc"),
        ),
    ),
    Command(
        name="model-server",
        help="serve a model of this machine (extra `models`)",
        run="model_server:run",
        arguments=(
            _arg("--host", metavar="HOST", default="127.0.0.1", help="default: this machine only"),
            _arg("--port", metavar="N", type=int, default=8000, help="default 8000; 0 is any"),
            _arg("--name", metavar="NAME", default="", help="what clients call the model"),
            _arg("--device", metavar="NAME", default="", help="cpu, cuda or mps; default: best"),
            _arg("--dtype", metavar="NAME", default="", help="default: as the weights are stored"),
            _arg("--threads", metavar="N", type=int, default=0, help="of the processor"),
            _arg("--window", metavar="N", type=int, default=0, help="at most N tokens"),
            _arg("--cache-mb", metavar="N", type=int, default=2048, help="for past prompts"),
            _arg("--at-once", metavar="N", type=int, default=4, help="replies written at a time"),
            _arg("--download", action="store_true", help="fetch the model from the hub"),
        ),
        more="--model is a folder with a Transformers model, or a model's name on the hub. Only\n"
        "weights as safetensors are loaded, and no code that comes with a model runs. Clients\n"
        "need the token that is printed, or the one in MICRO_AGI_MODEL_SERVER_TOKEN.",
    ),
    Command(
        name="doctor",
        help="check that everything works here",
        run="doctor:run",
        arguments=(
            _arg("--prove", action="store_true", help="attack the sandbox, and say what held"),
        ),
        more="--prove takes less than a minute. A level that lets something out is switched off\n"
        "for this home until a later run passes; the exit code is 3.",
    ),
    Command(
        name="config",
        help="settings",
        verbs=(
            Command(
                name="show", help="every setting, its value, unit and source", run="config:show"
            ),
        ),
    ),
)

GLOBAL = (
    _arg("--app", metavar="DIR", help="app directory; default: this one, else the bundled app"),
    _arg("--home", metavar="DIR", help="where state lives"),
    _arg("--model", metavar="NAME", help="model to use, whatever the agent wants"),
    _arg("--base-url", metavar="URL", help="an OpenAI-compatible server, with /v1"),
    _arg("--agent", metavar="ID", help="agent to talk to"),
    _arg("--session", metavar="ID", help="session to go on with"),
    _arg(
        "--user",
        metavar="NAME",
        dest="user",
        help="whose sessions, tools and grants; for several users of one home",
    ),
    _arg(
        "--allow-host",
        metavar="PATTERN",
        action="append",
        dest="allow_hosts",
        help="what tools may request; repeat for more",
    ),
    _arg("--workspace", metavar="DIR", help="what file tools may change; default: in the home"),
    _arg("--yes", action="store_true", default=None, help="grant what is asked"),
    _arg("--no-input", action="store_true", default=None, help="refuse what is asked"),
    _arg("--plain", action="store_true", default=None, help="no colours, no live drawing"),
    _arg("--json", action="store_true", dest="as_json", help="for machines"),
)
"""Flags that stand before or after any command. All but `--json` are settings."""


def find(commands: tuple[Command, ...], name: str) -> Command | None:
    """Return the command of that name, or None."""
    return next((c for c in commands if c.name == name), None)
