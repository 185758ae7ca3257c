"""Run the whole corpus at every isolation level this machine can show.

Level A is the machine as it is; B, C and D leave layers out, which is what a weaker machine
would have. Where A is not to be had, the levels that are still are.
"""

import asyncio
import contextlib
import platform
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from micro_agi.errors import SandboxUnavailable
from micro_agi.sandbox.fork_server import LEVELS, ForkServer, Level
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.prove.corpus import FAMILIES, Attack, load
from micro_agi.sandbox.prove.python import refusal, run_python
from micro_agi.sandbox.prove.rogue import PROGRAM, run_machine_code, run_worker
from micro_agi.sandbox.prove.tools import LIMITS, Tripwires, run_tools
from micro_agi.sandbox.prove.verdict import Verdict
from micro_agi.sandbox.prove.web import open_web

WITHOUT: Mapping[Level, frozenset[str]] = {
    "A": frozenset(),
    "B": frozenset({"namespaces"}),
    "C": frozenset({"landlock"}),
    "D": frozenset({"namespaces", "landlock"}),
}
AT_ONCE = 4
"""Attacks that run side by side; most of them wait for a deadline."""


class LevelProof(Struct, frozen=True, kw_only=True):
    """What came of the corpus at one level."""

    level: Level
    verdicts: tuple[Verdict, ...] = ()
    unavailable: str = ""
    """Why this machine cannot show the level, or policy refuses it."""
    refused: bool = False
    """Whether it is policy that refuses."""
    no_python: str = ""
    """Why no Python runs at this level, and so there is nothing of it to attack."""

    def escaped(self, family: str = "") -> list[Verdict]:
        return [v for v in self.of(family) if v.answer == "escaped"]

    def of(self, family: str = "") -> list[Verdict]:
        """Return the verdicts of one family, or all of them."""
        return [v for v in self.verdicts if family in ("", v.attack.family)]


async def prove(
    levels: Sequence[Level] = LEVELS,
    *,
    minimum: Level = "D",
    corpus: Mapping[str, Sequence[Attack]] | None = None,
) -> AsyncIterator[LevelProof]:
    """Attack each level and yield what came of it; levels weaker than `minimum` are refused."""
    corpus = corpus if corpus is not None else {family: load(family) for family in FAMILIES}
    for level in levels:
        if level > minimum:
            why = f"the settings ask for level {minimum}"
            yield LevelProof(level=level, unavailable=why, refused=True)
            continue
        try:
            yield await _prove_level(level, corpus)
        except SandboxUnavailable as error:
            yield LevelProof(level=level, unavailable=error.where or error.what)


async def fails_closed() -> bool:
    """Whether nothing runs without the system call filter."""
    pool = Pool(host={}, without=frozenset({"seccomp"}))
    try:
        await pool.start()
    except SandboxUnavailable:
        return True
    finally:
        await pool.close()
    return False


async def _prove_level(level: Level, corpus: Mapping[str, Sequence[Attack]]) -> LevelProof:
    without, wires = WITHOUT[level], Tripwires()
    async with contextlib.AsyncExitStack() as stack:
        pool = Pool(
            host=wires.functions(), limits=LIMITS, workers=AT_ONCE, minimum="D", without=without
        )
        stack.push_async_callback(pool.close)
        await pool.start()
        if pool.level != level:
            missing = "; ".join(pool.report().missing)
            return LevelProof(level=level, unavailable=missing)
        attacks = [a for family in corpus.values() for a in family if _fits(a, level)]
        ways = {_way(attack) for attack in attacks}
        runners: dict[str, Callable[[Attack], Awaitable[Verdict]]] = {
            "tool": lambda attack: run_tools(attack, pool, wires),
            "tools": lambda attack: run_tools(attack, pool, wires),
            "python": lambda attack: run_python(attack, pool, wires),
        }
        if ways & {"machine", "worker"}:
            server = await ForkServer.start(LIMITS, minimum="D", without=without, program=PROGRAM)
            stack.push_async_callback(server.close)
            runners["machine"] = lambda attack: run_machine_code(attack, server)
            runners["worker"] = lambda attack: run_worker(attack, server, wires)
        no_python = await refusal(pool) if "python" in ways else ""
        if no_python:
            attacks = [attack for attack in attacks if _way(attack) != "python"]
        verdicts = await _side_by_side(runners[_way(a)](a) for a in attacks if _way(a) != "web")
        if "web" in ways:
            web = await stack.enter_async_context(open_web(LIMITS, without))
            # A request that arrives where it must not can only be told from others if alone.
            verdicts += [await web.run(a) for a in attacks if _way(a) == "web"]
    return LevelProof(level=level, verdicts=tuple(verdicts), no_python=no_python)


def _way(attack: Attack) -> str:
    """Return the first word of how an attack is run."""
    return attack.run.split()[0]


def _fits(attack: Attack, level: Level) -> bool:
    """Whether an attack can be shown here.

    System calls are written by number, and the numbers are those of one machine. What is about
    a root of its own comes to something else where there is none.
    """
    here = platform.machine()
    machine = attack.facts.get("machine", "x86_64" if attack.run == "machine code" else here)
    return machine == here and (level != "B" or "level" not in attack.facts)


async def _side_by_side(attempts: Iterable[Awaitable[Verdict]]) -> list[Verdict]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(attempt: Awaitable[Verdict]) -> Verdict:
        async with places:
            return await attempt

    return list(await asyncio.gather(*(one(attempt) for attempt in attempts)))
