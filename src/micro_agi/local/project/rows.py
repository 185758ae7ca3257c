"""The SQL of projects. Each function runs inside one transaction of `store`.

So two sessions that change one project do it one after the other, and what is refused
leaves nothing behind.
"""

import itertools
import sqlite3
from collections.abc import Sequence

import msgspec

from micro_agi.errors import EntryConflict, EntryNotFound, InputInvalid
from micro_agi.local.project.state import MAX_TASKS, Note, Project, State, Status, Task, check_move
from micro_agi.memory.item import Origin
from micro_agi.values import canonical_json, nearest

NOTES = 5
CHANGES = 3
"""Of the notebook that come with a project: what was written down matters longer."""
PREFIX = "task_"


def current(db: sqlite3.Connection, tenant: str) -> Project | None:
    """Return the project that is worked on, or None."""
    row = db.execute(
        "SELECT id FROM projects WHERE tenant = ? AND current = 1", (tenant,)
    ).fetchone()
    return read(db, tenant, row[0]) if row else None


def require(db: sqlite3.Connection, tenant: str) -> Project:
    """Return the project that is worked on.

    Raises: EntryNotFound when there is none.
    """
    found = current(db, tenant)
    if found is None:
        raise EntryNotFound(
            "there is no project yet", where="project", fix="create one, with a name"
        )
    return found


def read(db: sqlite3.Connection, tenant: str, project: int) -> Project:
    """Return any project, also one that was replaced.

    Raises: EntryNotFound.
    """
    row = db.execute(
        "SELECT id, name, description, state, paused_from, current, created_at, updated_at"
        " FROM projects WHERE tenant = ? AND id = ?",
        (tenant, project),
    ).fetchone()
    if row is None:
        raise EntryNotFound(
            f"there is no project {project}", where="project", fix="`list` lists them"
        )
    number, name, description, state, paused_from, is_current, created, updated = row
    return Project(
        id=number,
        name=name,
        description=description,
        state=state,
        paused_from=paused_from or None,
        current=bool(is_current),
        created_at=created,
        updated_at=updated,
        tasks=tuple(_tasks(db, number)),
        notes=tuple(_newest(db, number)),
    )


def listed(db: sqlite3.Connection, tenant: str) -> list[Project]:
    """Return all projects, newest first."""
    rows = db.execute("SELECT id FROM projects WHERE tenant = ? ORDER BY id DESC", (tenant,))
    return [read(db, tenant, number) for (number,) in rows.fetchall()]


def create(
    db: sqlite3.Connection,
    tenant: str,
    *,
    name: str,
    description: str,
    tasks: Sequence[tuple[str | None, str]],
    replace: bool,
    origin: Origin,
    now: float,
) -> Project:
    """Begin a project with its first tasks; the one before it stays to be read.

    Raises: EntryConflict when a project is under way and `replace` is not given.
    """
    before = current(db, tenant)
    if before is not None and before.state != "complete" and not replace:
        raise EntryConflict(
            f"the project `{before.name}` is {before.state}",
            where="project",
            fix="complete it first; or ask the person, and then replace it",
        )
    db.execute("UPDATE projects SET current = 0 WHERE tenant = ? AND current = 1", (tenant,))
    made = db.execute(
        "INSERT INTO projects(tenant, name, description, state, paused_from, current,"
        " created_at, updated_at) VALUES (?, ?, ?, 'planning', '', 1, ?, ?)",
        (tenant, name, description, now, now),
    )
    number = int(made.lastrowid or 0)
    write_note(db, number, "change", f"created: {name}", origin=origin, now=now)
    for task_id, text in tasks:
        _insert_task(db, number, task_id, text, origin=origin, now=now)
    return read(db, tenant, number)


def move(
    db: sqlite3.Connection,
    tenant: str,
    wanted: State,
    *,
    confirmed: bool,
    origin: Origin,
    now: float,
) -> Project:
    """Change the state.

    Raises: EntryNotFound; InputInvalid for a state that may not follow.
    """
    project = require(db, tenant)
    check_move(project, wanted, confirmed=confirmed)
    paused_from = project.state if wanted == "paused" else ""
    db.execute(
        "UPDATE projects SET state = ?, paused_from = ?, updated_at = ? WHERE id = ?",
        (wanted, paused_from, now, project.id),
    )
    left = len(project.open_tasks)
    rest = f", with {left} tasks open" if wanted == "complete" and left else ""
    write_note(
        *(db, project.id, "change", f"{project.state} → {wanted}{rest}"), origin=origin, now=now
    )
    return read(db, tenant, project.id)


def add_task(
    db: sqlite3.Connection,
    tenant: str,
    task_id: str | None,
    description: str,
    *,
    origin: Origin,
    now: float,
) -> Task:
    """Add a task at the end.

    Raises: EntryNotFound; EntryConflict for an id that is taken; InputInvalid when the
        project is complete or full.
    """
    project = _open_project(db, tenant)
    if len(project.tasks) >= MAX_TASKS:
        raise InputInvalid(
            f"the project has {MAX_TASKS} tasks already",
            where="project",
            fix="remove some, or begin another project",
        )
    added = _insert_task(db, project.id, task_id, description, origin=origin, now=now)
    _touch(db, project.id, now)
    return _task(db, project.id, added)


def update_task(
    db: sqlite3.Connection,
    tenant: str,
    task_id: str,
    *,
    description: str | None,
    status: Status | None,
    note: str | None,
    origin: Origin,
    now: float,
) -> Task:
    """Change what is given of a task and leave the rest; an empty note clears it.

    Raises: EntryNotFound; InputInvalid when the project is complete.
    """
    project = _open_project(db, tenant)
    before = _task(db, project.id, task_id)
    new = status or before.status
    completed = before.completed_at if before.status == "complete" else now
    db.execute(
        "UPDATE project_tasks SET description = ?, status = ?, note = ?, completed_at = ?,"
        " session = ? WHERE project = ? AND id = ?",
        (
            before.description if description is None else description,
            new,
            before.note if note is None else note,
            completed if new == "complete" else None,
            *(origin.session, project.id, task_id),
        ),
    )
    if new != before.status:
        said = f"{task_id}: {before.status} → {new}"
        write_note(db, project.id, "change", said, origin=origin, now=now)
    _touch(db, project.id, now)
    return _task(db, project.id, task_id)


def remove_task(
    db: sqlite3.Connection, tenant: str, task_id: str, *, origin: Origin, now: float
) -> Task:
    """Take a task off the list; the notebook keeps that it was there.

    Raises: EntryNotFound; InputInvalid when the project is complete.
    """
    project = _open_project(db, tenant)
    gone = _task(db, project.id, task_id)
    db.execute("DELETE FROM project_tasks WHERE project = ? AND id = ?", (project.id, task_id))
    said = f"{task_id} removed ({gone.status}): {gone.description}"
    write_note(db, project.id, "change", said, origin=origin, now=now)
    _touch(db, project.id, now)
    return gone


def write_note(
    db: sqlite3.Connection, project: int, kind: str, text: str, *, origin: Origin, now: float
) -> int:
    """Append to the notebook and return the number of the entry."""
    added = db.execute(
        "INSERT INTO project_notes(project, at, kind, text, origin) VALUES (?, ?, ?, ?, ?)",
        (project, now, kind, text, canonical_json(origin).decode()),
    )
    _touch(db, project, now)
    return int(added.lastrowid or 0)


def notes(db: sqlite3.Connection, project: int, *, before: int | None, limit: int) -> list[Note]:
    """Return the newest entries of the notebook before a number, oldest first."""
    return _notes(db, project, "AND id < ?", (before or 1 << 62,), limit)


def _newest(db: sqlite3.Connection, project: int) -> list[Note]:
    """Return the end of the notebook, oldest first."""
    picked = [
        found
        for kind, count in (("note", NOTES), ("change", CHANGES))
        for found in _notes(db, project, "AND kind = ?", (kind,), count)
    ]
    return sorted(picked, key=lambda note: note.id)


def _notes(
    db: sqlite3.Connection, project: int, only: str, values: Sequence[object], limit: int
) -> list[Note]:
    """Return the newest entries that `only` takes, oldest first."""
    rows = db.execute(
        "SELECT id, at, kind, text, origin FROM project_notes"  # noqa: S608 our own text
        f" WHERE project = ? {only} ORDER BY id DESC LIMIT ?",
        (project, *values, limit),
    ).fetchall()
    return [
        Note(id=n, at=at, kind=kind, text=text, origin=msgspec.json.decode(origin, type=Origin))
        for n, at, kind, text, origin in reversed(rows)
    ]


def _open_project(db: sqlite3.Connection, tenant: str) -> Project:
    project = require(db, tenant)
    if project.state == "complete":
        raise InputInvalid(
            f"the project `{project.name}` is complete",
            where="project",
            fix="create the next one; a note can still be added",
        )
    return project


def _insert_task(
    db: sqlite3.Connection,
    project: int,
    task_id: str | None,
    description: str,
    *,
    origin: Origin,
    now: float,
) -> str:
    (seq,) = db.execute(
        "UPDATE projects SET tasks_made = tasks_made + 1 WHERE id = ? RETURNING tasks_made",
        (project,),
    ).fetchone()
    if task_id is None:
        made = (f"{PREFIX}{number}" for number in itertools.count(seq))
        task_id = next(name for name in made if not _has(db, project, name))
    elif _has(db, project, task_id):
        raise EntryConflict(
            f"there is a task `{task_id}` already",
            where="project",
            fix="give another id, or none: one is made",
        )
    db.execute(
        "INSERT INTO project_tasks(project, id, seq, description, status, note, created_at,"
        " completed_at, session) VALUES (?, ?, ?, ?, 'pending', '', ?, NULL, ?)",
        (project, task_id, seq, description, now, origin.session),
    )
    write_note(db, project, "change", f"{task_id} added: {description}", origin=origin, now=now)
    return task_id


def _has(db: sqlite3.Connection, project: int, task_id: str) -> bool:
    found = db.execute(
        "SELECT 1 FROM project_tasks WHERE project = ? AND id = ?", (project, task_id)
    )
    return found.fetchone() is not None


def _tasks(db: sqlite3.Connection, project: int) -> list[Task]:
    rows = db.execute(
        "SELECT id, description, status, note, created_at, completed_at, session"
        " FROM project_tasks WHERE project = ? ORDER BY seq",
        (project,),
    ).fetchall()
    names = ("id", "description", "status", "note", "created_at", "completed_at", "session")
    return [Task(**dict(zip(names, row, strict=True))) for row in rows]


def _task(db: sqlite3.Connection, project: int, task_id: str) -> Task:
    tasks = {task.id: task for task in _tasks(db, project)}
    if task_id not in tasks:
        near = nearest(task_id, tasks) or list(tasks)[:5]
        raise EntryNotFound(
            f"there is no task `{task_id[:80]}`",
            where="project",
            fix=f"there is: {', '.join(near)}" if near else "add one first",
        )
    return tasks[task_id]


def _touch(db: sqlite3.Connection, project: int, now: float) -> None:
    db.execute("UPDATE projects SET updated_at = ? WHERE id = ?", (now, project))
