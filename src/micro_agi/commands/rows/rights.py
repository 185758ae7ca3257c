"""What is allowed, and by whom: `policy`, `grants`."""

from micro_agi.commands.rows.row import Command, argument

POLICY = Command(
    name="policy",
    help="what is allowed, and why",
    verbs=(
        Command(name="list", help="list policies", run="policy:list_policies"),
        Command(
            name="check",
            help="explain what the policies answer",
            run="policy:check",
            arguments=(
                argument("action", metavar="ACTION", help="such as registry.create"),
                argument("resource", metavar="RESOURCE", help="an entry id or a URL"),
                argument(
                    "--actor",
                    metavar="A",
                    help="root, or an agent's id or name; default: the app's agent",
                ),
            ),
        ),
    ),
)

GRANTS = Command(
    name="grants",
    help="what you allowed always",
    verbs=(
        Command(name="list", help="list them", run="grants:list_grants"),
        Command(
            name="revoke",
            help="take one back",
            run="grants:revoke",
            arguments=(argument("name", metavar="NAME", help="as listed, or `all`"),),
        ),
    ),
)
