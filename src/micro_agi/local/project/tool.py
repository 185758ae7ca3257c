"""`project`: plan work that takes more than one session, as a tool and as a part of the prompt.

The command `micro-agi project` calls this tool too, so agent, person and prompt see one record.
"""

import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from micro_agi.errors import ArgumentsInvalid, InputInvalid, PolicyDenied
from micro_agi.local.project import rows
from micro_agi.local.project.state import (
    MAX_NAME_CHARS,
    MAX_TASKS,
    Note,
    Project,
    Task,
    parse_state,
    parse_status,
    parse_task_id,
    parse_text,
)
from micro_agi.local.project.text import prompt_section, record
from micro_agi.local.provenance import moment, origin_of, tenant_of
from micro_agi.local.tool import Arguments, LocalTool, parse
from micro_agi.memory.item import Origin
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need
from micro_agi.store.database import Database

T = TypeVar("T")

TOOL = "local:project"
PROMPT = "local:project_prompt"
READS = frozenset({"show", "notes", "list"})
NOTES_AT_MOST = 200

Operation = Literal[
    "show", "create", "move", "add_task", "update_task", "remove_task", "note", "notes", "list"
]


class ProjectArguments(Arguments, frozen=True):
    operation: Operation
    name: str = ""
    description: str | None = None
    tasks: tuple[str, ...] = ()
    replace: bool = False
    state: str = ""
    confirm: bool = False
    task: str | None = None
    status: str | None = None
    note: str | None = None
    text: str | None = None
    project: int | None = None
    limit: int = 20
    before: int | None = None


def project_tool(database: Database, *, clock: Callable[[], float] = time.time) -> LocalTool:
    """Return the tool."""

    def needs(value: Any, _: CallContext) -> list[Need]:
        parse(value, ProjectArguments, TOOL)
        return []

    async def run(value: Any, context: CallContext) -> dict[str, Any]:
        wanted = parse(value, ProjectArguments, TOOL)
        context.forbid_denied(f"project.{wanted.operation}", f"project:{tenant_of(context)}")
        if context.trial is not None and wanted.operation not in READS:
            raise PolicyDenied("no project is changed in a trial", where=TOOL)
        return await _Call(database, wanted, context, clock()).answer()

    return LocalTool(run=run, needs=needs)


def project_prompt(database: Database) -> LocalTool:
    """Return the function that tells an agent's prompt about the project, or nothing."""

    async def run(_value: Any, context: CallContext) -> str | None:
        tenant = tenant_of(context)
        project = await database.read(lambda db: rows.current(db, tenant))
        if project is None or project.state == "complete":
            return None
        return prompt_section(project)

    return LocalTool(run=run, needs=lambda _value, _context: [])


class _Call:
    """One call of the tool."""

    def __init__(
        self, database: Database, wanted: ProjectArguments, context: CallContext, now: float
    ) -> None:
        self._database = database
        self._wanted = wanted
        self._tenant = tenant_of(context)
        self._origin: Origin = origin_of(context)
        self._now = now

    async def answer(self) -> dict[str, Any]:
        match self._wanted.operation:
            case "show":
                return await self._show()
            case "list":
                return await self._list()
            case "notes":
                return await self._notes()
            case "note":
                return await self._note()
            case "create":
                return await self._create()
            case "move":
                return await self._move()
            case "add_task":
                return await self._add_task()
            case "update_task":
                return await self._update_task()
            case "remove_task":
                return await self._remove_task()

    async def _show(self) -> dict[str, Any]:
        number, tenant = self._wanted.project, self._tenant
        if number is None:
            project = await self._database.read(lambda db: rows.current(db, tenant))
            if project is None:
                return {"project": None, "text": "There is no project yet."}
        else:
            project = await self._database.read(lambda db: rows.read(db, tenant, number))
        return {"project": as_data(project), "text": record(project)}

    async def _list(self) -> dict[str, Any]:
        tenant = self._tenant
        found = await self._database.read(lambda db: rows.listed(db, tenant))
        return {"projects": [_summary(project) for project in found]}

    async def _notes(self) -> dict[str, Any]:
        wanted, tenant = self._wanted, self._tenant
        if not 1 <= wanted.limit <= NOTES_AT_MOST:
            raise InputInvalid(
                f"the limit is {wanted.limit}", where=TOOL, fix=f"give 1 to {NOTES_AT_MOST}"
            )

        def read(db: Any) -> list[Note]:
            if wanted.project is None:
                project = rows.require(db, tenant)
            else:
                project = rows.read(db, tenant, wanted.project)
            return rows.notes(db, project.id, before=wanted.before, limit=wanted.limit)

        found = await self._database.read(read)
        more = {"before": found[0].id} if len(found) == wanted.limit else {}
        return {"notes": [_note(note) for note in found], **more}

    async def _note(self) -> dict[str, Any]:
        text = parse_text(self._given("text"), "text")

        def write(db: Any) -> int:
            project = rows.require(db, self._tenant)
            return rows.write_note(db, project.id, "note", text, origin=self._origin, now=self._now)

        return {"noted": text, "id": await self._database.write(write)}

    async def _create(self) -> dict[str, Any]:
        wanted = self._wanted
        name = parse_text(wanted.name, "name", most=MAX_NAME_CHARS)
        description = parse_text(wanted.description, "description") if wanted.description else ""
        if len(wanted.tasks) > MAX_TASKS:
            raise InputInvalid(
                f"{len(wanted.tasks)} tasks are too many", where=TOOL, fix=f"give {MAX_TASKS}"
            )
        tasks = [(None, parse_text(text, "tasks")) for text in wanted.tasks]
        project = await self._database.write(
            lambda db: rows.create(
                *(db, self._tenant),
                name=name,
                description=description,
                tasks=tasks,
                replace=wanted.replace,
                origin=self._origin,
                now=self._now,
            )
        )
        return {"project": as_data(project)}

    async def _move(self) -> dict[str, Any]:
        state = parse_state(self._wanted.state)
        project = await self._database.write(
            lambda db: rows.move(
                *(db, self._tenant, state),
                confirmed=self._wanted.confirm,
                origin=self._origin,
                now=self._now,
            )
        )
        return {"project": _summary(project)}

    async def _add_task(self) -> dict[str, Any]:
        wanted = self._wanted
        description = parse_text(self._given("text"), "text")
        task_id = None if wanted.task is None else parse_task_id(wanted.task)
        task = await self._database.write(
            lambda db: rows.add_task(
                *(db, self._tenant, task_id, description), origin=self._origin, now=self._now
            )
        )
        return {"task": _task(task)}

    async def _update_task(self) -> dict[str, Any]:
        wanted = self._wanted
        if wanted.text is None and wanted.status is None and wanted.note is None:
            raise InputInvalid(
                "nothing to change is given", where=TOOL, fix="give status, text or note"
            )
        task_id = self._given("task")
        text = None if wanted.text is None else parse_text(wanted.text, "text")
        note = parse_text(wanted.note, "note") if wanted.note else wanted.note
        status = None if wanted.status is None else parse_status(wanted.status)
        task = await self._database.write(
            lambda db: rows.update_task(
                *(db, self._tenant, task_id),
                description=text,
                status=status,
                note=note,
                origin=self._origin,
                now=self._now,
            )
        )
        return {"task": _task(task)}

    async def _remove_task(self) -> dict[str, Any]:
        task_id = self._given("task")
        gone = await self._database.write(
            lambda db: rows.remove_task(
                *(db, self._tenant, task_id), origin=self._origin, now=self._now
            )
        )
        return {"removed": _task(gone)}

    def _given(self, name: str) -> str:
        value = getattr(self._wanted, name)
        if not value:
            raise ArgumentsInvalid(
                f"`{self._wanted.operation}` needs `{name}`", where=TOOL, fix=f"give `{name}`"
            )
        return str(value)


def as_data(project: Project) -> dict[str, Any]:
    """Return a project with all its tasks, and the end of its notebook."""
    return {
        **_summary(project),
        "description": project.description,
        "tasks": [_task(task) for task in project.tasks],
        "notes": [_note(note) for note in project.notes],
    }


def _summary(project: Project) -> dict[str, Any]:
    paused = {"paused_from": project.paused_from} if project.paused_from else {}
    return {
        "id": project.id,
        "name": project.name,
        "state": project.state,
        **paused,
        "next": list(project.next),
        "current": project.current,
        "tasks_open": len(project.open_tasks),
        "tasks_complete": len(project.tasks) - len(project.open_tasks),
        "updated": moment(project.updated_at),
    }


def _task(task: Task) -> dict[str, Any]:
    facts = {
        "id": task.id,
        "status": task.status,
        "description": task.description,
        "note": task.note,
        "completed": moment(task.completed_at) if task.completed_at is not None else "",
        "session": task.session,
    }
    return {name: value for name, value in facts.items() if value}


def _note(note: Note) -> dict[str, Any]:
    facts = {
        "id": note.id,
        "at": moment(note.at),
        "kind": note.kind,
        "text": note.text,
        "from": msgspec.to_builtins(note.origin),
    }
    return {name: value for name, value in facts.items() if value}
