"""`undo`: take back changes of files by agents."""

from micro_agi.commands.rows.row import Command, argument

UNDO = Command(
    name="undo",
    help="take back changes of files by agents",
    run="undo:run",
    arguments=(
        argument("count", metavar="N", nargs="?", type=int, default=1, help="how many; default 1"),
        argument("--list", action="store_true", dest="listed", help="only list them, newest first"),
    ),
    more="Of the workspace given by --workspace; without it, of any workspace of this home.\n"
    "A file that changed since stays as it is. What shell commands did is not undone.",
)
