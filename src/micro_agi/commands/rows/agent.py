"""`agent`: agents, and what they are compiled to."""

from micro_agi.commands.rows.row import Command, argument

AGENT = Command(
    name="agent",
    help="agents, and what they are compiled to",
    verbs=(
        Command(name="list", help="list agents", run="agent:list_agents"),
        Command(
            name="show",
            help="show the exact prompt and tools of one",
            run="agent:show",
            arguments=(argument("id", metavar="ID", help="an agent's id or name"),),
        ),
    ),
)
