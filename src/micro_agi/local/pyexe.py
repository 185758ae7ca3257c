"""`pyexe`: Python in a locked session that keeps its variables, one for each conversation.

What is lost is said: in the result of the call that lost it, and once more in the first result
of the session that takes its place. A cell that fails is a failed call, with its traceback
and what it had printed.

Source: spec/local-agent.md 7.4; DESIGN 7; decision 0047.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from micro_agi.errors import ArgumentsInvalid, ToolFailed
from micro_agi.local.provenance import tenant_of
from micro_agi.local.tool import Arguments, LocalTool, new_places, parse
from micro_agi.local.workspace import Workspace
from micro_agi.sandbox.failure import LuaFacts, limit_reached, tool_failed
from micro_agi.sandbox.python_session import Cell, PythonSession, SessionLimits
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need

TOOL = "local:pyexe"
RUN = "python.run"
WHERE = "the workspace"
DEFAULT_S = 120.0
MOST_S = 600.0
MOST_SESSIONS = 8
MOST_REMEMBERED = 1000
"""Conversations of which it is known that they lost a session."""
CODE_CHARACTERS = 1_000_000
REASON_CHARACTERS = 2_000


Shown = Callable[[str, CallContext], Awaitable[str]]
"""Shortens a long text for a model, and keeps all of it for whom the call is."""


class Pyexe(Arguments, frozen=True):
    code: str = ""
    reset: bool = False
    timeout_s: float = DEFAULT_S


class Held(Struct):
    """The session of one conversation with one agent."""

    session: PythonSession | None = None
    lost: str = ""
    """Why the last one ended, to be said with the next result."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Sessions:
    """All Python sessions of a runtime; the least recently used makes room for a new one."""

    def __init__(self, *, limits: SessionLimits | None = None) -> None:
        self._limits = limits
        self._held: dict[tuple[str, ...], Held] = {}

    def of(self, context: CallContext) -> Held:
        """Return what belongs to a caller: nobody else sees its variables."""
        key = (context.user, tenant_of(context), context.session, context.agent)
        # Of conversations that are long over, nothing is left to be told.
        over = [k for k, h in self._held.items() if h.session is None and not h.lock.locked()]
        for old in over[: max(0, len(self._held) - MOST_REMEMBERED)]:
            del self._held[old]
        held = self._held.pop(key, None) or Held()
        self._held[key] = held
        return held

    async def ready(self, held: Held, workspace: Path) -> tuple[PythonSession, str]:
        """Return a session that takes cells, and what is new about it, or "".

        Raises: SandboxUnavailable where the kernel cannot confine it.
        """
        if held.session is not None and held.session.alive:
            return held.session, ""
        await self._make_room()
        held.session = await PythonSession.start(workspace, self._limits)
        why, held.lost = held.lost, ""
        return held.session, f"a new session: {why}" if why else "a new session"

    async def end(self, held: Held, why: str) -> None:
        """End a session, if there is one, and remember why."""
        if held.session is not None:
            await held.session.close()
            held.session = None
            held.lost = why

    async def close(self) -> None:
        """End all sessions. Calling it again does nothing."""
        for held in self._held.values():
            await self.end(held, "the program ended")

    async def _make_room(self) -> None:
        idle = [h for h in self._held.values() if h.session is not None and not h.lock.locked()]
        for held in idle[: max(0, len(idle) - MOST_SESSIONS + 1)]:
            await self.end(held, "variables are gone, because other conversations needed the place")


def pyexe(workspace: Workspace, sessions: Sessions, shown: Shown) -> LocalTool:
    """Return the tool; `shown` shortens a long text and keeps all of it."""

    def checked(value: Any) -> Pyexe:
        wanted = parse(value, Pyexe, TOOL)
        if not wanted.code.strip() and not wanted.reset:
            raise ArgumentsInvalid("`code` is empty", where=TOOL, fix="say what to run")
        if len(wanted.code) > CODE_CHARACTERS:
            raise ArgumentsInvalid(
                f"`code` has {len(wanted.code):,} characters, {CODE_CHARACTERS:,} are allowed",
                where=TOOL,
                fix="put data into a file with write_file, and read it from there",
            )
        if not 0 < wanted.timeout_s <= MOST_S:
            raise ArgumentsInvalid(
                f"`timeout_s` is {wanted.timeout_s:g}", where=TOOL, fix=f"give up to {MOST_S:g}"
            )
        return wanted

    def needs(value: Any, _: CallContext) -> list[Need]:
        wanted = checked(value)
        reason = wanted.code if wanted.code.strip() else "forget all variables"
        if len(reason) > REASON_CHARACTERS:
            reason = reason[:REASON_CHARACTERS] + " …"
        return [Need(action=RUN, resource=WHERE, reason=reason)]

    async def run(value: Any, context: CallContext) -> str:
        wanted = checked(value)
        context.require(RUN, WHERE)
        held = sessions.of(context)
        async with held.lock:
            if wanted.reset:
                await sessions.end(held, "it was reset")
                if not wanted.code.strip():
                    held.lost = ""
                    return "the session is new, and empty"
            session, news = await sessions.ready(held, workspace.root)
            try:
                cell = await session.run(wanted.code, wall_s=wanted.timeout_s)
            finally:
                if not session.alive:
                    held.lost = f"variables are gone, because {session.over}"
        failed = bool(cell.failure) or cell.interrupted or bool(cell.ended)
        # Of a cell that worked, the whole result is shortened where all results are.
        printed = await shown(cell.output, context) if failed else ""
        if failed and cell.made:
            printed = f"{printed}\n{new_places(cell.made)}".lstrip()
        return _told(cell, news, wanted, printed)

    return LocalTool(run=run, needs=needs)


def _told(cell: Cell, news: str, wanted: Pyexe, printed: str) -> str:
    """Return what the model reads of a cell that worked.

    Raises: ToolFailed for one that did not; LimitReached for one that was stopped.
    """
    if cell.ended and not cell.exited:
        raise _lost(cell, wanted, printed)
    if cell.interrupted or cell.failure:
        raise _failed(cell, news, wanted, printed)
    parts = [f"({news})"] if news else []
    if cell.output:
        parts.append(cell.output.rstrip("\n"))
    if cell.value is not None:
        parts.append(cell.value)
    parts += [f"(saved {name})" for name in cell.figures]
    if cell.exited:
        parts.append(f"({cell.ended}: the next call starts a new session, without variables)")
    if cell.made:
        parts.append(new_places(cell.made))
    if not (cell.output or cell.value is not None or cell.figures or cell.exited):
        parts.append("(no output)")
    return "\n".join(parts)


def _failed(cell: Cell, news: str, wanted: Pyexe, printed: str) -> ToolFailed:
    failure = cell.failure
    details = {"traceback": failure.get("traceback", ""), "printed": printed}
    where = str(failure.get("where", TOOL))
    started = f" ({news})" if news else ""
    if cell.interrupted:
        what = f"interrupted after {wanted.timeout_s:g} s; the variables are still there{started}"
        fix = "do less at once, or raise `timeout_s`"
        return limit_reached(what, where=where, fix=fix, details=details)
    text = f"{failure['type']}: {failure['message']}".removesuffix(": ")
    facts = LuaFacts(kind="Internal", message=text, details=details)
    fix = "correct the code; what ran before the error still counts"
    return tool_failed(facts, what=text + started, where=where, fix=fix)


def _lost(cell: Cell, wanted: Pyexe, printed: str) -> ToolFailed:
    stopped = f"stopped after {wanted.timeout_s:g} s: " if cell.interrupted else ""
    what = f"{stopped}{cell.ended}; the session is lost, with its variables"
    fix = "the next call starts a new session: set up again what you need"
    details = {"printed": printed}
    if cell.interrupted:
        return limit_reached(what, where=TOOL, fix=fix, details=details)
    facts = LuaFacts(kind="Internal", message=what, details=details)
    return tool_failed(facts, where=TOOL, fix=fix)
