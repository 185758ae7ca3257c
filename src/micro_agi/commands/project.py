"""`project …`: what the tool `local:project` does, for a person. What it shows, the agent sees."""

from collections.abc import Sequence
from typing import Any

from micro_agi.app import Runtime
from micro_agi.commands.invocation import Invocation, read_input
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import count, table, wrapped
from micro_agi.local.project.tool import TOOL


async def show(invocation: Invocation) -> int:
    """Show a project as the agent sees it."""
    answer = await _call(invocation, "show", project=invocation.args.id)
    if not invocation.as_json:
        invocation.say(answer["text"])
        if answer["project"] is None:
            invocation.note("note: `micro-agi project create NAME` begins one, or the agent does")
    return 0


async def list_projects(invocation: Invocation) -> int:
    """List projects, newest first."""
    answer = await _call(invocation, "list")
    if not invocation.as_json:
        found = answer["projects"]
        rows = [
            (
                f"{p['id']}{' *' if p['current'] else ''}",
                p["state"],
                f"{p['tasks_complete']}/{p['tasks_open'] + p['tasks_complete']}",
                p["updated"][:10],
                p["name"],
            )
            for p in found
        ]
        heads = ("ID", "STATE", "DONE", "UPDATED", "NAME")
        invocation.say(
            table(heads, rows, width=invocation.width) if rows else "There is no project yet."
        )
    return 0


async def create(invocation: Invocation) -> int:
    """Begin a project; one that is under way is put aside after asking."""
    args = invocation.args
    async with open_runtime(invocation) as rt:
        before = (await _run(rt, "show"))["project"]
        replace = before is not None and before["state"] != "complete"
        if replace:
            invocation.confirm(
                f"`{before['name']}` is {before['state']}. Put it aside and begin another?"
            )
        answer = await _run(
            *(rt, "create"),
            name=args.name,
            description=args.description,
            tasks=args.tasks,
            replace=replace,
        )
        shown = await _run(rt, "show")
    if invocation.as_json:
        invocation.say_json(answer)
    else:
        invocation.say(shown["text"])
    return 0


async def move(invocation: Invocation) -> int:
    """Change the state; completing with open tasks is asked about."""
    state = invocation.args.state
    async with open_runtime(invocation) as rt:
        before = (await _run(rt, "show"))["project"]
        left = before["tasks_open"] if before else 0
        confirm = bool(left) and state == "complete" and state in before["next"]
        if confirm:
            invocation.confirm(
                f"{count(left, 'task')} of `{before['name']}` still open. Complete it?"
            )
        answer = await _run(rt, "move", state=state, confirm=confirm)
    if invocation.as_json:
        invocation.say_json(answer)
    else:
        project = answer["project"]
        more = f"; it may become {', '.join(project['next'])}" if project["next"] else ""
        invocation.say(f"`{project['name']}` is {project['state']}{more}")
    return 0


async def add_task(invocation: Invocation) -> int:
    """Add a task."""
    args = invocation.args
    answer = await _call(invocation, "add_task", text=" ".join(args.text), task=args.id)
    return _show_task(invocation, answer["task"])


async def update_task(invocation: Invocation) -> int:
    """Change a task."""
    args = invocation.args
    answer = await _call(
        *(invocation, "update_task"),
        task=args.task,
        status=args.status,
        text=args.text,
        note=args.note,
    )
    return _show_task(invocation, answer["task"])


async def remove_task(invocation: Invocation) -> int:
    """Take a task off the list."""
    answer = await _call(invocation, "remove_task", task=invocation.args.task)
    return _show_task(invocation, answer["removed"], before="removed: ")


async def note(invocation: Invocation) -> int:
    """Write into the lab notebook."""
    words = invocation.args.text
    text = read_input("-") if list(words) == ["-"] else " ".join(words)
    answer = await _call(invocation, "note", text=text)
    if not invocation.as_json:
        invocation.say(wrapped("noted: ", answer["noted"], width=invocation.width))
    return 0


async def notes(invocation: Invocation) -> int:
    """Read the lab notebook, oldest first."""
    args = invocation.args
    answer = await _call(invocation, "notes", project=args.id, limit=args.limit, before=args.before)
    if not invocation.as_json:
        for entry in answer["notes"]:
            session = entry["from"].get("session", "")
            who = f" [{session}]" if session else ""
            mark = "·" if entry["kind"] == "change" else "-"
            head = f"{mark} {entry['at']}{who} "
            invocation.say(wrapped(head, entry["text"], width=invocation.width))
        if "before" in answer and answer["before"] > 1:
            invocation.note(f"--before {answer['before']} shows what was before")
    return 0


async def _call(invocation: Invocation, operation: str, **given: Any) -> dict[str, Any]:
    """Call the tool as the person; with `--json`, its answer is the output."""
    async with open_runtime(invocation) as rt:
        answer = await _run(rt, operation, **given)
    if invocation.as_json:
        invocation.say_json(answer)
    return answer


async def _run(rt: Runtime, operation: str, **given: Any) -> dict[str, Any]:
    arguments = {name: value for name, value in given.items() if value is not None}
    call: Sequence[Any] = [{"operation": operation, **arguments}]
    answer: dict[str, Any] = await rt.functions.call(TOOL, call, rt.root())
    return answer


def _show_task(invocation: Invocation, task: dict[str, Any], *, before: str = "") -> int:
    if not invocation.as_json:
        more = f" ({task['note']})" if "note" in task else ""
        head = f"{before}{task['status']} {task['id']}: "
        invocation.say(wrapped(head, task["description"] + more, width=invocation.width))
    return 0
