"""What an app is made of and asked to do: `run`, `init`, `call`."""

from micro_agi.commands.rows.arguments import ID
from micro_agi.commands.rows.row import Command, argument

RUN = Command(
    name="run",
    help="run a command of the app; `run list` lists them",
    run="run:run",
    arguments=(
        argument("command", metavar="COMMAND", nargs="?", help="its name, or `list`"),
        argument("arguments", metavar="ARGS", nargs="*", help="what the command gets"),
        argument("-x", dest="entry", metavar="ID", help="by entry id instead of by name"),
    ),
    more="`run agent` starts the terminal agent of this runtime, not the Lua of its entry.\n"
    "Other Lua processes do not run yet. Options of a command come after `--`.",
)

INIT = Command(
    name="init",
    help="make a new app, ready to run",
    run="init:run",
    arguments=(argument("directory", metavar="DIR", help="a new or empty directory"),),
)

CALL = Command(
    name="call",
    help="call a function entry",
    run="call:run",
    arguments=(
        ID,
        argument("json", metavar="JSON", nargs="?", default="{}", help="its argument; - reads it"),
    ),
)
