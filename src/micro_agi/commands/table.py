"""Every command: its name, what it does, its arguments, and which function runs it.

The rows are in `commands/rows/`, here is their order. Data only, and imports nothing else
of ours, so that `--help` and a mistyped argument cost milliseconds. The function is named
as text and its module imported when it runs: the modules import the runtime, and the
runtime imports Lua, HTTP and the database (0.3 s). The help pages and docs/commands.md are
made from this table.
"""

from micro_agi.commands.rows.agent import AGENT
from micro_agi.commands.rows.app import CALL, INIT, RUN
from micro_agi.commands.rows.docs import DOCS
from micro_agi.commands.rows.machine import CONFIG, DOCTOR, MODEL_SERVER
from micro_agi.commands.rows.memory import MEMORY
from micro_agi.commands.rows.project import PROJECT
from micro_agi.commands.rows.registry import REGISTRY
from micro_agi.commands.rows.rights import GRANTS, POLICY
from micro_agi.commands.rows.row import argument
from micro_agi.commands.rows.session import SESSION
from micro_agi.commands.rows.skill import SKILL
from micro_agi.commands.rows.talk import ASK, CHAT, DEMO
from micro_agi.commands.rows.tool import TOOL
from micro_agi.commands.rows.undo import UNDO

DEFAULT = "chat"
"""The command that runs when none is named."""

COMMANDS = (
    CHAT,
    ASK,
    DEMO,
    RUN,
    INIT,
    CALL,
    REGISTRY,
    TOOL,
    SKILL,
    POLICY,
    GRANTS,
    AGENT,
    SESSION,
    MEMORY,
    PROJECT,
    UNDO,
    DOCS,
    MODEL_SERVER,
    DOCTOR,
    CONFIG,
)

GLOBAL = (
    argument("--app", metavar="DIR", help="app directory; default: this one, else the bundled app"),
    argument("--home", metavar="DIR", help="where state lives"),
    argument("--model", metavar="NAME", help="model to use, whatever the agent wants"),
    argument("--base-url", metavar="URL", help="an OpenAI-compatible server, with /v1"),
    argument("--agent", metavar="ID", help="agent to talk to"),
    argument("--session", metavar="ID", help="session to go on with"),
    argument(
        "--user",
        metavar="NAME",
        dest="user",
        help="whose sessions, tools and grants; for several users of one home",
    ),
    argument(
        "--allow-host",
        metavar="PATTERN",
        action="append",
        dest="allow_hosts",
        help="what tools may request; repeat for more",
    ),
    argument("--workspace", metavar="DIR", help="what file tools may change; default: in the home"),
    argument("--yes", action="store_true", default=None, help="grant what is asked"),
    argument("--no-input", action="store_true", default=None, help="refuse what is asked"),
    argument("--plain", action="store_true", default=None, help="no colours, no live drawing"),
    argument("--json", action="store_true", dest="as_json", help="for machines"),
)
"""Flags that stand before or after any command. All but `--json` are settings."""
