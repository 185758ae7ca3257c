"""Arguments that several commands have."""

from micro_agi.commands.rows.row import argument

ID = argument("id", metavar="ID", help="entry id, `namespace:name`")
TO = argument("--to", metavar="N", type=int, help="version to go back to")
FROM = argument("a", metavar="A", nargs="?", type=int, help="version; default: the one before B")
UNTIL = argument("b", metavar="B", nargs="?", type=int, help="version; default: the newest")
NAMESPACE = argument("--namespace", metavar="NS", help="only entries of this namespace")
REASON = argument("--reason", metavar="TEXT", default="", help="why, kept with the version")
FILE = argument("file", metavar="FILE", help="a file, or - for standard input")
