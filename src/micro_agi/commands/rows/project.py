"""`project`: what is worked on over many sessions."""

from micro_agi.commands.rows.row import Command, argument

_TASK = argument("task", metavar="TASK", help="as listed: task_3")

_VERBS = (
    Command(
        name="show",
        help="show a project as the agent sees it",
        run="project:show",
        arguments=(argument("id", metavar="N", nargs="?", type=int, help="an earlier one"),),
    ),
    Command(name="list", help="list projects, newest first", run="project:list_projects"),
    Command(
        name="create",
        help="begin a project",
        run="project:create",
        arguments=(
            argument("name", metavar="NAME", help="what it is called"),
            argument("--description", metavar="TEXT", default="", help="what it is to reach"),
            argument(
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
            argument(
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
            argument("text", metavar="TEXT", nargs="+", help="what is to be done"),
            argument("--id", metavar="ID", help="an id of your own; default: the next number"),
        ),
    ),
    Command(
        name="update-task",
        help="change a task",
        run="project:update_task",
        arguments=(
            _TASK,
            argument(
                "status", metavar="STATUS", nargs="?", help="pending, in_progress, blocked, …"
            ),
            argument("--text", metavar="TEXT", help="what is to be done"),
            argument("--note", metavar="TEXT", help='what to know about it; "" clears it'),
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
        arguments=(
            argument("text", metavar="TEXT", nargs="+", help="what to write, or - reads it"),
        ),
    ),
    Command(
        name="notes",
        help="read the lab notebook",
        run="project:notes",
        arguments=(
            argument("id", metavar="N", nargs="?", type=int, help="of an earlier project"),
            argument("--limit", metavar="N", type=int, default=20, help="the newest N"),
            argument("--before", metavar="N", type=int, help="only those before this number"),
        ),
    ),
)

PROJECT = Command(name="project", help="what is worked on over many sessions", verbs=_VERBS)
