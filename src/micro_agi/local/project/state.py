"""What a project is, and which of its states may follow which. Pure.

    planning → executing → reviewing → complete
                   ↑___________|
    any but complete → paused → where it came from

Source: spec/local-agent.md 3.4. Differences (decision 0041): `paused` goes back only to where
it came from, so that pausing is no way around the order; a project with open tasks is completed
only when that is confirmed.
"""

import re
from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from micro_agi.errors import InputInvalid
from micro_agi.memory.item import Origin
from micro_agi.search.ranked import storable
from micro_agi.values import nearest

State = Literal["planning", "executing", "reviewing", "complete", "paused"]
Status = Literal["pending", "in_progress", "blocked", "complete"]

STATES: tuple[State, ...] = get_args(State)
STATUSES: tuple[Status, ...] = get_args(Status)
NEXT: Mapping[State, tuple[State, ...]] = {
    "planning": ("executing", "paused"),
    "executing": ("reviewing", "paused"),
    "reviewing": ("executing", "complete", "paused"),
    "complete": (),
    "paused": (),  # back to where it came from
}
MAX_TASKS = 500
MAX_NAME_CHARS = 200
MAX_TEXT_CHARS = 4_000
"""Of a description, a task or a note: the prompt shows the beginning of each."""
TASK_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do."""

    id: str
    description: str
    status: Status
    note: str
    """What is worth knowing about it; "" for nothing."""
    created_at: float
    completed_at: float | None
    """None as long as, or again when, it is not complete."""
    session: str
    """That changed it last."""

    @property
    def open(self) -> bool:
        """Whether something is left to do."""
        return self.status != "complete"


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the lab notebook."""

    id: int
    at: float
    kind: Literal["note", "change"]
    """What somebody wrote down, or what happened to the project."""
    text: str
    origin: Origin


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project as it stands."""

    id: int
    name: str
    description: str
    state: State
    paused_from: State | None
    current: bool
    created_at: float
    updated_at: float
    tasks: tuple[Task, ...]
    notes: tuple[Note, ...]
    """The newest few, oldest first."""

    @property
    def next(self) -> tuple[State, ...]:
        """States that may follow."""
        return (self.paused_from,) if self.paused_from else NEXT[self.state]

    @property
    def open_tasks(self) -> tuple[Task, ...]:
        """Tasks that are not complete."""
        return tuple(task for task in self.tasks if task.open)


def check_move(project: Project, wanted: State, *, confirmed: bool) -> None:
    """Return quietly if the project may go to that state.

    Raises: InputInvalid naming the states it may go to, or the tasks that are open.
    """
    if wanted not in project.next:
        near = ", ".join(project.next) or "none: a complete project stays as it is"
        raise InputInvalid(
            f"a project that is {project.state} cannot become {wanted}",
            where="project",
            fix=f"possible now: {near}",
        )
    left = project.open_tasks
    if wanted == "complete" and left and not confirmed:
        listed = ", ".join(task.id for task in left[:10]) + (", …" if len(left) > 10 else "")
        raise InputInvalid(
            f"{len(left)} of {len(project.tasks)} tasks are open: {listed}",
            where="project",
            fix="complete or remove them; or ask the person, and then confirm",
        )


def parse_state(text: str) -> State:
    """Return the state that a text names, whatever its case.

    Raises: InputInvalid with the nearest states.
    """
    for state in STATES:
        if text.strip().lower() == state:
            return state
    raise _unknown("state", text, STATES)


def parse_status(text: str) -> Status:
    """Return the status of a task that a text names, whatever its case.

    Raises: InputInvalid with the nearest ones.
    """
    for status in STATUSES:
        if text.strip().lower() == status:
            return status
    raise _unknown("status", text, STATUSES)


def parse_task_id(text: str) -> str:
    """Return an id that somebody gave a task.

    Raises: InputInvalid for one that could not be typed again.
    """
    if not TASK_ID.fullmatch(text):
        raise InputInvalid(
            f"`{text[:80]}` is no id of a task",
            where="project",
            fix="1 to 40 of a-z, 0-9, `_`, `.` and `-`, beginning with a letter or digit",
        )
    return text


def parse_text(text: str, name: str, *, most: int = MAX_TEXT_CHARS) -> str:
    """Return a text without what no database takes.

    Raises: InputInvalid when it is empty or too long.
    """
    text = storable(text).strip()
    if not text or len(text) > most:
        raise InputInvalid(
            f"`{name}` has {len(text)} characters", where="project", fix=f"give 1 to {most}"
        )
    return text


def _unknown(what: str, text: str, known: tuple[str, ...]) -> InputInvalid:
    near = nearest(text.strip().lower(), known) or known
    return InputInvalid(
        f"there is no {what} `{text[:80]}`", where="project", fix=f"use one of: {', '.join(near)}"
    )
