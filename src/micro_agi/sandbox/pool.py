"""Run units in locked workers: the one way to execute code that nobody trusts.

Invariants: a worker serves one tenant and one call at a time; whatever it sends is checked;
a call that is cancelled, stopped or misbehaves costs its worker, and nobody else anything. A
nested call (`funcs.call`) never waits for a place in the pool, so a full pool cannot
deadlock on itself; its depth is bounded instead, and more than one at a time for the same
caller share a fixed number of places (`outstanding.Places`).

Source: spec/sandbox.md 6; DESIGN 7.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from micro_agi.errors import EntryInvalid, LimitReached, SandboxUnavailable, ToolFailed
from micro_agi.sandbox.conversation import LibrariesNeeded, converse
from micro_agi.sandbox.fork_server import ForkServer, Isolation, Level, TooWeak, ZygoteLost
from micro_agi.sandbox.host.calls import Frame, HostFunction
from micro_agi.sandbox.host.clock import time_functions
from micro_agi.sandbox.kept_zygotes import KeptZygotes
from micro_agi.sandbox.languages import LUA, LUA_LIBRARIES, Language, monty, packages_asked
from micro_agi.sandbox.languages import python as python_language
from micro_agi.sandbox.limits import PYTHON, Limits
from micro_agi.sandbox.outstanding import Places
from micro_agi.sandbox.request import Request, request_for
from micro_agi.sandbox.unit import Unit
from micro_agi.sandbox.wire import CALL, CHECK
from micro_agi.sandbox.worker_channel import Tenant, Worker
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext, Trial
from micro_agi.security.policy import Scope

REFILL_AFTER_S = 0.005
"""Forking the next spare at once would compete with the first call of the one just taken:
on one core, that made the call take 2 ms instead of 0.3."""
IDLE_S = 30.0
RETIRE_AFTER_S = 30.0
"""Half of the worker's own CPU limit, so that limit never hits an innocent call."""
RETIRE_AFTER_UNITS = 256
CORRECT = "correct the source"


CHECKER = CallContext(actor=Actor("system:check"), scope=Scope(), trial=Trial())
"""For running a chunk without calling it: nothing is allowed, nothing reaches outside."""


class Pool:
    """All workers of one runtime. `start` and `close` on the same event loop.

    It runs Lua itself. The first unit that needs more (another language, or the libraries behind
    some modules) starts a pool for that.
    """

    def __init__(
        self,
        *,
        host: Mapping[str, HostFunction],
        limits: Limits | None = None,
        workers: int = 16,
        minimum: Level = "D",
        without: frozenset[str] = frozenset(),
        refused: Mapping[str, str] | None = None,
        python: Limits = PYTHON,
        language: Language = LUA,
        kept: KeptZygotes | None = None,
    ) -> None:
        """Prepare a pool; nothing runs before `start`.

        `without` leaves layers out (`namespaces`, `landlock`, `seccomp`): for tests and
        measurements of what a weaker machine gets. The level says so, and `minimum` refuses.
        `refused` are levels that failed their proof here, with what escaped.
        `python` are the limits of Python units, `language` what this very pool runs.
        `kept` has zygotes of pools that closed, and gets this one's; None ends it instead.
        """
        self._host = {**time_functions(), **host}
        self._limits = limits or Limits()
        self._workers = workers
        self._minimum: Level = minimum
        self._without = without
        self._refused = refused or {}
        self._python = python
        self._language = language
        self._kept = kept
        self._others: dict[tuple[str, ...], Pool] = {}
        self._too_weak = ""
        """Why what runs here stands in for the language that was asked for."""
        self._server: ForkServer | None = None
        self._starting = asyncio.Lock()
        self._places = Places(workers)
        self._nested = Places(workers)
        self._spares: list[Worker] = []
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._refill: asyncio.Task[None] | None = None
        self._refill_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def start(self) -> None:
        """Start the zygote and the first spares; does nothing when they run.

        Raises:
            SandboxUnavailable: this machine confines less than asked for.
        """
        await self._running_server()
        self._order_spares()

    async def close(self) -> None:
        """End every worker, and the zygote unless it is kept. Calls in flight fail."""
        self._closed = True
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._refill_timer is not None:
            self._refill_timer.cancel()
        if self._refill is not None:
            self._refill.cancel()
            await asyncio.gather(self._refill, return_exceptions=True)
        for other in self._others.values():
            await other.close()
        for worker in (*self._spares, *self._idle, *self._busy):
            worker.kill("the pool was closed")
        self._spares.clear()
        self._idle.clear()
        server, self._server = self._server, None
        if server is not None:
            await (self._kept.take_back(server) if self._kept is not None else server.close())

    @property
    def level(self) -> str:
        """The isolation level, "" before the start."""
        return self._server.isolation.level if self._server is not None else ""

    def report(self) -> Isolation:
        """Return the level, the layers in force and the missing ones with their reasons."""
        if self._server is None:
            raise SandboxUnavailable("the sandbox is not running", fix="start it first")
        return self._server.isolation

    async def python_backend(self) -> tuple[str, str]:
        """Return what interprets Python tools here, and why it is not CPython if it is not.

        Raises: SandboxUnavailable: nothing does.
        """
        pool = self._pool_for(Unit(id="system:python", source="", language="python"))
        await pool._running_server()
        return pool._language.backend, pool._too_weak

    async def call(
        self,
        unit: Unit,
        args: Sequence[Any],
        *,
        context: CallContext,
        limits: Limits | None = None,
        keep_bytes: bool = False,
        printed: Callable[[str], None] | None = None,
    ) -> Any:
        """Call a unit's method and return its first result as JSON.

        With `keep_bytes`, strings that are not UTF-8 stay bytes, for Lua calling Lua.
        `printed` gets what Python code printed, if anything, whether it fails or not.

        Raises:
            ToolFailed: the code raised or returned an error; `failure.facts_of` has its facts.
            LimitReached: it used too much time, memory, output, depth or host calls.
            SandboxUnavailable: no worker could be started.
        """
        if not self._language.runs(unit):
            pool = self._pool_for(unit)
            return await pool.call(
                unit, args, context=context, limits=limits, keep_bytes=keep_bytes, printed=printed
            )
        limits = limits or self._limits
        request = request_for(CALL, unit, args, context, limits)
        frame = _frame(unit, context, limits)
        nested = context.depth > 0
        if not nested and not self._places.try_take():
            await self._places.take()
        try:
            return await self._in_a_worker(request, frame, keep_bytes=keep_bytes)
        except LibrariesNeeded:
            pool = self._pool_for(unit)
        finally:
            if not nested:
                self._places.release()
            if printed is not None and frame.printed:
                printed(frame.printed)
        return await pool.call(unit, args, context=context, limits=limits, keep_bytes=keep_bytes)

    async def check(self, unit: Unit, *, wall_s: float | None = None) -> None:
        """Parse a unit, run its chunk and find its method, without calling it.

        Whatever its language, loading takes as long as a call of this pool may.

        Raises:
            EntryInvalid: it does not parse, its chunk fails, or the method is missing.
            LimitReached: the chunk alone used too much.
        """
        if not self._language.runs(unit):
            await self._pool_for(unit).check(unit, wall_s=wall_s or self._limits.wall_s)
            return
        limits = self._limits if wall_s is None else replace(self._limits, wall_s=wall_s)
        request = request_for(CHECK, unit, (), CHECKER, limits)
        frame = _frame(unit, CHECKER, limits)
        await self._places.take()
        try:
            await self._in_a_worker(request, frame, keep_bytes=False)
            return
        except LibrariesNeeded:
            pool = self._pool_for(unit)
        except LimitReached:
            raise
        except ToolFailed as error:
            where = error.where or unit.id
            fix = error.fix or CORRECT
            raise EntryInvalid(error.what, where=where, fix=fix) from error
        finally:
            self._places.release()
        await pool.check(unit, wall_s=wall_s)

    def _pool_for(self, unit: Unit) -> "Pool":
        """Return the pool for a unit that this one cannot run, made when it is first asked for.

        Raises: AssertionError when it is this one that should run it.
        """
        if self._closed:
            raise SandboxUnavailable("the sandbox is closed")
        lua = unit.language == LUA.name
        assert not (lua and self._language.libraries), "it has all there is"
        asked = packages_asked(unit) if not lua else ("libraries",)
        if asked not in self._others:
            self._others[asked] = Pool(
                host=self._host,
                limits=self._limits if lua else self._python,
                workers=self._workers,
                minimum=self._minimum,
                without=self._without,
                refused=self._refused,
                language=LUA_LIBRARIES if lua else python_language(asked),
                kept=self._kept,
            )
        return self._others[asked]

    async def _in_a_worker(self, request: Request, frame: Frame, *, keep_bytes: bool) -> Any:
        alone = frame.unit.hash if self._language.one_unit else ""
        # A plain tuple equals a `Tenant`, and is made in a tenth of the time.
        context = frame.context
        # Calls outside of sessions have a user at most; a user's sessions have it in their ids.
        tenant = (context.session or f"{context.user}/", frame.unit.privileged, alone)
        for retry in (True, False):
            worker = self._take_idle(tenant) or await self._take_fresh(tenant)
            try:
                return await converse(
                    worker,
                    request,
                    frame,
                    self._host,
                    keep_bytes=keep_bytes,
                    places=self._nested,
                )
            except LimitReached:
                # The zygote takes its workers along, and that may show only now. A call
                # that has had no effect yet can start again with a worker of the next one.
                effects = frame.host_calls > 0
                if not retry or effects or worker.lost != "ended":
                    raise
                server = self._server
                # Whoever saw it first may have replaced the zygote already.
                if server is not None and worker.made_by is server:
                    if server.alive:
                        raise
                    await self._forget_server(server)
            finally:
                self._give_back(worker)
        raise AssertionError("the second attempt returns or raises")

    def _take_idle(self, tenant: tuple[str, bool, str]) -> Worker | None:
        """Take the tenant's most recently used worker."""
        for position in range(len(self._idle) - 1, -1, -1):
            worker = self._idle[position]
            if worker.tenant == tenant:
                del self._idle[position]
                if self._lives(worker):
                    self._busy.add(worker)
                    return worker
        return None

    async def _take_fresh(self, tenant: tuple[str, bool, str]) -> Worker:
        """Take a worker that has served nobody yet."""
        if self._idle and len(self._idle) + len(self._busy) >= self._workers:
            self._idle.pop(0).kill("its place is needed")
        worker: Worker | None = None
        while self._spares and (worker is None or not self._lives(worker)):
            worker = self._spares.pop()
        if worker is None or not self._lives(worker):
            worker = await self._fork()
        worker.tenant = Tenant(*tenant)
        self._busy.add(worker)
        if self._refill_timer is None:
            loop = asyncio.get_running_loop()
            self._refill_timer = loop.call_later(REFILL_AFTER_S, self._order_spares)
        return worker

    def _give_back(self, worker: Worker) -> None:
        self._busy.discard(worker)
        full = len(self._idle) + len(self._busy) >= self._workers
        lives = self._lives(worker)
        if not lives or not worker.at_rest or full or self._closed or self._worn(worker):
            worker.kill("no longer needed")
            return
        worker.unused = False
        self._idle.append(worker)
        if self._idle_timer is None:
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(IDLE_S, self._release_idle)

    def _lives(self, worker: Worker) -> bool:
        """Whether a worker can be used, for all that is known: also its zygote is still there."""
        return not worker.lost and worker.made_by is self._server

    def _worn(self, worker: Worker) -> bool:
        return (
            worker.calls >= self._language.retire_after_calls
            or worker.computed_s >= RETIRE_AFTER_S
            or len(worker.known) >= RETIRE_AFTER_UNITS
        )

    def _release_idle(self) -> None:
        """End workers that nobody used for a while; their memory goes with them."""
        for worker in [w for w in self._idle if w.lost or w.unused]:
            worker.kill("idle")
            self._idle.remove(worker)
        for worker in self._idle:
            worker.unused = True
        loop = asyncio.get_running_loop()
        self._idle_timer = loop.call_later(IDLE_S, self._release_idle) if self._idle else None

    def _order_spares(self) -> None:
        """Have the next fresh workers made in the background."""
        self._refill_timer = None
        if self._closed or (self._refill is not None and not self._refill.done()):
            return
        self._refill = asyncio.create_task(self._make_spares(), name="sandbox spares")

    async def _make_spares(self) -> None:
        self._spares = [w for w in self._spares if not w.lost]
        while len(self._spares) < self._language.spares and not self._closed:
            try:
                worker = await self._fork()
            except SandboxUnavailable:
                # The call that needs a worker will ask again, and report it.
                return
            self._spares.append(worker)

    async def _fork(self) -> Worker:
        """Fork a worker; a zygote that died is replaced once.

        Raises:
            SandboxUnavailable: the second one died too, or confines too little.
        """
        for _ in range(2):
            server = await self._running_server()
            try:
                worker = await server.fork(frame_bytes=self._limits.frame_bytes)
            except ZygoteLost:
                await self._forget_server(server)
                continue
            if server is self._server:
                worker.made_by = server
                return worker
            worker.kill("the process that made it is gone")
        raise SandboxUnavailable(
            "the process that makes workers died twice",
            fix="`micro-agi doctor` shows what this machine offers",
        )

    async def _running_server(self) -> ForkServer:
        async with self._starting:
            if self._closed:
                raise SandboxUnavailable("the sandbox is closed")
            if self._server is None:
                server = await self._start_server()
                level = server.isolation.level
                if level in self._refused:
                    await server.close()
                    raise switched_off(level, self._refused[level])
                self._server = server
            return self._server

    async def _start_server(self) -> ForkServer:
        """Start a zygote of the language, or of what runs its code on a machine too weak for it.

        Raises: SandboxUnavailable.
        """
        start = self._kept.start if self._kept is not None else ForkServer.start
        limits, minimum, without = self._limits, self._minimum, self._without
        try:
            return await start(limits, minimum=minimum, without=without, language=self._language)
        except TooWeak as problem:
            stand_in = monty() if self._language.name == "python" else None
            if stand_in is None:
                raise
            server = await start(limits, minimum=minimum, without=without, language=stand_in)
            self._language, self._too_weak = stand_in, problem.what
            return server

    async def _forget_server(self, server: ForkServer) -> None:
        async with self._starting:
            if self._server is server:
                self._server = None
                for worker in (*self._spares, *self._idle):
                    worker.kill("the process that made it is gone")
                self._spares.clear()
                self._idle.clear()
                await server.close()


def switched_off(level: str, escaped: str) -> SandboxUnavailable:
    """Build the error of a level that did not hold when it was attacked on this machine."""
    return SandboxUnavailable(
        f"isolation level {level} is switched off: it failed `micro-agi doctor --prove`",
        where=f"escaped: {escaped}",
        fix="report it; update the kernel or micro-agi, then run `micro-agi doctor --prove`",
    )


def _frame(unit: Unit, context: CallContext, limits: Limits) -> Frame:
    return Frame(unit=unit, context=context, limits=limits, granted=unit.granted)
