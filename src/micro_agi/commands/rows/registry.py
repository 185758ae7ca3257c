"""`registry`: inspect and change entries."""

from micro_agi.commands.rows.arguments import FILE, FROM, ID, NAMESPACE, REASON, UNTIL
from micro_agi.commands.rows.row import Command, argument

_VERBS = (
    Command(
        name="list",
        help="list entries",
        run="registry_read:list_entries",
        arguments=(NAMESPACE, argument("--kind", metavar="KIND", help="only entries of this kind")),
    ),
    Command(
        name="show",
        help="show one entry",
        run="registry_read:show",
        arguments=(ID, argument("--at", metavar="N", type=int, help="as it was at version N")),
    ),
    Command(
        name="find",
        help="find entries by criteria",
        run="registry_read:find",
        arguments=(
            argument(
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
            argument("id", metavar="ID", nargs="?", help="only versions that changed this entry"),
            argument("--limit", metavar="N", type=int, default=20, help="the newest N; 0 is all"),
        ),
    ),
    Command(
        name="diff",
        help="compare two versions of an entry",
        run="registry_read:diff",
        arguments=(ID, FROM, UNTIL),
    ),
    Command(
        name="rollback",
        help="restore an entry, or all, as at a version",
        run="registry_write:rollback",
        arguments=(
            argument("id", metavar="ID", nargs="?", help="one entry; default: all of them"),
            argument("--to", metavar="N", type=int, required=True, help="version to go back to"),
            REASON,
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
        arguments=(FILE, REASON),
        more="The file is a YAML or JSON list of {op: create, entry: {id, kind, meta, data}};\n"
        "op is create, update or delete, and an item may add expected_revision.\n"
        "All of them are applied, or none.",
    ),
    Command(
        name="export",
        help="write entries as JSON",
        run="registry_write:export",
        arguments=(
            argument(
                "file", metavar="FILE", nargs="?", default="-", help="default: standard output"
            ),
            NAMESPACE,
        ),
    ),
    Command(
        name="import",
        help="create and update entries from an export",
        run="registry_write:import_entries",
        arguments=(FILE, REASON),
    ),
)

REGISTRY = Command(name="registry", help="inspect and change entries", verbs=_VERBS)
