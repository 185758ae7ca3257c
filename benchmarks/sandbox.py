"""What the sandbox costs beside the least that a message to another process can cost here.

Judged by the targets of spec/sandbox.md 6, most of them ratios between numbers of the same
run: rounds are interleaved, so that a busy machine hits both sides. The limits are at their best:
both processes on one core. Left to the kernel they may land on two, and every message costs five
to fifteen times as much (spec/sandbox.md 5). Our quick calls run as they do for users, where the
kernel puts them; what such a call costs on one core is a row of its own. What computes or waits
for longer is measured on one core, where the kernel's choice does not show.
"""

import asyncio
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks import sandbox_parent
from benchmarks.compare import Size
from benchmarks.echo import LUA_ECHO, Echo, Times, c_to_c, compiled, timed
from benchmarks.lua_worker import (
    ADD,
    ASK,
    DECODE,
    DOCUMENT,
    ENCODE,
    HOST_CALLS,
    LIMITS,
    ROOT,
    SUM_SQUARES,
    TEXT,
    Straight,
    api_times,
    fork_server,
    pool,
)
from benchmarks.peers import SQUARES, peers_jobs
from benchmarks.placement import all_cores, one_core
from benchmarks.processes import memory_mb
from benchmarks.server import Server
from benchmarks.table import Row, absolute, ratio
from micro_agi.sandbox.languages import LUA, LUA_LIBRARIES, Language, python
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit

TITLE = "sandbox: calls into locked workers (limits: C to C, Python echo)"
ARGS = [{"x": 1, "y": 2}]
ADD_IN_PYTHON = "import json; print(json.dumps(1 + 2))"
MONTY = importlib.util.find_spec("pydantic_monty") is not None
ADD_IN_MONTY = "a['x'] + a['y']"
IN_PROCESS = 350 / 74
"""The spec's 350 µs, where Python took 74 for the same in its own process (its section 4)."""
IDLE_WORKERS = 16
WEAKEST = frozenset({"namespaces", "landlock"})
"""Without the call filter nothing runs, so the least isolation to compare with has it."""

PYTHON_ADD = Unit(
    id="bench:python_add",
    source="def add(x: int, y: int) -> int:\n    return x + y\n",
    method="add",
    language="python",
)

WARM_UP = 50
"""Calls before each round that do not count: the round before has filled the caches."""

Jobs = dict[str, Callable[[], Awaitable[Times]]]
Rounds = dict[str, list[Times]]
Once = dict[str, Times]


def rows(server: Server, size: Size) -> list[Row]:
    """Measure everything; `size.turns` calls a round, `size.rounds` rounds."""
    with (
        tempfile.TemporaryDirectory(prefix="micro-agi-") as folder,
        one_core(),
        Echo() as echo,
        Echo(LUA_ECHO) as lua_echo,
    ):
        warm = asyncio.run(_warm(echo, lua_echo, compiled(Path(folder)), size))
        once = asyncio.run(_once(size))
    per_s = asyncio.run(_per_s(size))
    return [
        *_limit_rows(warm),
        *_call_rows(warm),
        *_work_rows(warm),
        *_per_s_rows(per_s),
        *_once_rows(once),
        *_peer_rows(warm),
    ]


async def _warm(echo: Echo, lua_echo: Echo, program: Path | None, size: Size) -> Rounds:
    """Measure in turn what happens thousands of times in a session."""
    times = size.turns * 20 + WARM_UP
    async with (
        fork_server() as server,
        pool() as strong,
        pool(WEAKEST) as weak,
        AsyncExitStack() as stack,
    ):
        squeezed = Straight(await server.fork(frame_bytes=LIMITS.frame_bytes))
        with all_cores():
            free = await _free_jobs(stack, size)
        pinned: Jobs = {
            "squeezed": _later(lambda: squeezed.times(ADD, ARGS, times)[WARM_UP:]),
            "sum": lambda: _after_warm_up(strong, SUM_SQUARES, [10_000], size.turns),
            "decode": lambda: _after_warm_up(strong, DECODE, [TEXT], size.turns),
            "encode": lambda: _after_warm_up(strong, ENCODE, [DOCUMENT], size.turns),
            "in process": _later(lambda: timed(_decode_in_process, size.turns + WARM_UP)[WARM_UP:]),
            "process": _later(lambda: timed(_python_process, min(size.turns, 5))),
            "echo": _later(lambda: echo.round_trips(times)[WARM_UP:]),
            "lua echo": _later(lambda: lua_echo.round_trips(times)[WARM_UP:]),
        }
        if MONTY:
            pinned["monty sum"] = _later(lambda: _monty_times(SQUARES, {"n": 10_000}, size))
        pinned |= peers_jobs()
        if program is not None:
            pinned["c"] = _later(lambda: c_to_c(program, times))
        found: Rounds = {name: [] for name in (*free, *pinned, "strong", "weak")}
        for number in range(size.rounds + 1):
            for name, job in pinned.items():
                found[name].append(await job())
            with all_cores():
                for name, job in free.items():
                    found[name].append(await job())
            strong_and_weak = await _in_turn(strong, weak, times)
            found["strong"].append(strong_and_weak[0])
            found["weak"].append(strong_and_weak[1])
            if number == 0:  # compiles, and fills caches
                found = {name: [] for name in found}
        squeezed.close()
    return found


async def _free_jobs(stack: AsyncExitStack, size: Size) -> Jobs:
    """Return what runs where the kernel puts it; `stack` ends it."""
    # Long enough for the kernel to find that there are two cores.
    times = size.turns * 300 + WARM_UP
    workers = []
    for language in (LUA, python()):
        server = await stack.enter_async_context(fork_server(language))
        workers.append(Straight(await server.fork(frame_bytes=LIMITS.frame_bytes)))
        stack.callback(workers[-1].close)
    worker, snake = workers
    full = await stack.enter_async_context(pool())
    jobs: Jobs = {
        "straight": _later(lambda: worker.times(ADD, ARGS, times)[WARM_UP:]),
        "python": _later(lambda: snake.times(PYTHON_ADD, ARGS, times)[WARM_UP:]),
        "api": lambda: _after_warm_up(full, ADD, ARGS, times - WARM_UP),
        "host": lambda: _host_call_times(full, size),
    }
    if MONTY:
        jobs["monty"] = _later(lambda: _monty_times(ADD_IN_MONTY, {"a": ARGS[0]}, size))
    return jobs


def _later(work: Callable[[], Times]) -> Callable[[], Awaitable[Times]]:
    async def run() -> Times:
        return work()

    return run


async def _after_warm_up(opened: Pool, unit: Unit, args: Sequence[Any], times: int) -> Times:
    return (await api_times(opened, unit, args, times + WARM_UP))[WARM_UP:]


async def _in_turn(strong: Pool, weak: Pool, times: int) -> tuple[Times, Times]:
    """Measure one call of each, again and again: the difference is smaller than the noise."""
    found: tuple[Times, Times] = ([], [])
    for _ in range(times):
        found[0].extend(await api_times(strong, ADD, ARGS, 1))
        found[1].extend(await api_times(weak, ADD, ARGS, 1))
    return found


async def _host_call_times(opened: Pool, size: Size) -> Times:
    """Return what one host call adds, from calls with none and with many."""
    without = await _after_warm_up(opened, ASK, [0], size.turns)
    with_many = await _after_warm_up(opened, ASK, [HOST_CALLS], size.turns)
    return [(m - w) / HOST_CALLS for m, w in zip(with_many, without, strict=True)]


def _decode_in_process() -> None:
    sum(item["price"] for item in json.loads(TEXT)["items"])


def _python_process() -> None:
    subprocess.run([sys.executable, "-c", ADD_IN_PYTHON], check=True, stdout=subprocess.DEVNULL)


def _monty_times(code: str, inputs: Mapping[str, object], size: Size) -> Times:
    """Run code in one session as Monty's makers offer it, without the locks that ours have.

    With a memory limit: it has none of its own.
    """
    import pydantic_monty

    limits = pydantic_monty.ResourceLimits(max_memory=LIMITS.memory_bytes)
    with pydantic_monty.Monty(max_processes=1) as pool, pool.checkout(limits=limits) as session:
        return timed(lambda: session.feed_run(code, inputs=dict(inputs)), size.turns)


async def _once(size: Size) -> Once:
    """Measure what happens once in the life of a worker or a zygote, in milliseconds."""
    names = ("zygote", "libraries", "fork", "spare", "kill")
    found: Once = {name: [] for name in names}
    for _ in range(size.starts):
        start = time.perf_counter()
        async with fork_server() as server:
            found["zygote"].append(_ms_since(start))
            start = time.perf_counter()
            worker = Straight(await server.fork(frame_bytes=LIMITS.frame_bytes))
            worker.times(ADD, ARGS, 0)
            found["fork"].append(_ms_since(start))
            worker.close()
        start = time.perf_counter()
        async with fork_server(LUA_LIBRARIES):
            found["libraries"].append(_ms_since(start))
    for _ in range(3):
        async with pool() as opened:
            for number in range(size.starts):
                await _spares(opened)
                context = ROOT.narrowed(session=f"spare {number}")
                start = time.perf_counter()
                await opened.call(ADD, ARGS, context=context)
                found["spare"].append(_ms_since(start))
    found["kill"] = await _kill_times(size)
    found["memory"] = [await _idle_mb(LUA)]
    found["memory with libraries"] = [await _idle_mb(LUA_LIBRARIES)]
    return found


async def _spares(opened: Pool) -> None:
    """Wait until the pool has made its spares, which it begins a little after a call."""
    while opened._refill_timer is not None or not opened._spares:
        await asyncio.sleep(0.001)
    while opened._refill is not None and not opened._refill.done():
        await asyncio.wait((opened._refill,))


async def _kill_times(size: Size) -> Times:
    """Return how long it takes from the kill of a busy worker until its end is seen."""
    taken = []
    async with fork_server() as server:
        for _ in range(size.starts):
            worker = Straight(await server.fork(frame_bytes=LIMITS.frame_bytes))
            worker.times(SUM_SQUARES, [1], 1)
            taken.append(worker.spin_and_kill())
    return taken


async def _idle_mb(language: Language) -> float:
    """Return the proportional memory of one of many idle workers."""
    async with fork_server(language) as server:
        workers = [
            Straight(await server.fork(frame_bytes=LIMITS.frame_bytes)) for _ in range(IDLE_WORKERS)
        ]
        for worker in workers:
            worker.times(ADD, ARGS, 1)
        used = [memory_mb(worker.pid)[1] for worker in workers]
        for worker in workers:
            worker.close()
    return statistics.mean(used)


async def _per_s(size: Size) -> Mapping[str, float]:
    seconds = size.turns / 30
    found = {
        "straight": await sandbox_parent.straight_per_s(seconds),
        "api": await sandbox_parent.api_per_s(seconds),
        "api 4": await sandbox_parent.api_per_s(seconds, at_once=4),
    }
    command = [sys.executable, "-m", "benchmarks.sandbox_parent", str(seconds)]
    parents = []
    for core in sorted(os.sched_getaffinity(0))[:2]:
        with one_core(core):
            parents.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    found["two"] = sum(float(parent.communicate()[0]) for parent in parents)
    return found


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000


def _p50(rounds: list[Times]) -> float:
    """Return the median of the rounds' medians."""
    return statistics.median(statistics.median(times) for times in rounds)


def _p99(rounds: list[Times]) -> float:
    """Return that of the best round: in the others it is mostly the neighbours'."""
    return min(sorted(times)[int(len(times) * 0.99)] for times in rounds)


def _limit_rows(warm: Rounds) -> list[Row]:
    found = [
        absolute("limit: Python to Python echo", _p50(warm["echo"]), "µs"),
        absolute("limit: Python to Lua echo", _p50(warm["lua echo"]), "µs"),
    ]
    if "c" in warm:
        found.insert(0, absolute("limit: C to C", _p50(warm["c"]), "µs"))
    return found


def _call_rows(warm: Rounds) -> list[Row]:
    straight, api, echo = _p50(warm["straight"]), _p50(warm["api"]), _p50(warm["echo"])
    host, squeezed = _p50(warm["host"]), _p50(warm["squeezed"])
    found = [
        ratio("warm call beside an echo", straight, echo, "µs", goal=1.35, peer_name="echo"),
        ratio("the same, on one core", squeezed, echo, "µs", peer_name="echo"),
        absolute("warm call, in time", straight, "µs", goal=20),
        absolute("warm call, p99", _p99(warm["straight"]), "µs", goal=100),
        ratio("warm call of Python", _p50(warm["python"]), echo, "µs", goal=1.5, peer_name="echo"),
        ratio("warm call, asyncio API", api, echo, "µs", goal=2.5, peer_name="echo"),
        ratio(
            "isolation: all layers",
            _p50(warm["strong"]),
            _p50(warm["weak"]),
            "µs",
            goal=1.05,
            peer_name="filter alone",
        ),
        ratio("host call, asyncio API", host, echo, "µs", goal=1.4, peer_name="echo"),
        absolute("host call, in time", host, "µs", goal=20),
    ]
    if "c" in warm:
        c = _p50(warm["c"])
        found.insert(0, ratio("warm call beside C", straight, c, "µs", goal=1.8, peer_name="C"))
    return found


def _work_rows(warm: Rounds) -> list[Row]:
    return [
        absolute("sum of 10,000 squares", _p50(warm["sum"]), "µs"),
        absolute("decode 10 kB of JSON and add up", _p50(warm["decode"]), "µs", goal=350),
        ratio(
            "the same beside Python without a sandbox",
            _p50(warm["decode"]),
            _p50(warm["in process"]),
            "µs",
            goal=IN_PROCESS,
            peer_name="json.loads",
        ),
        absolute("encode 10 kB of JSON", _p50(warm["encode"]), "µs"),
    ]


def _per_s_rows(per_s: Mapping[str, float]) -> list[Row]:
    goals = {"straight": 45_000, "two": 80_000}
    names = {
        "straight": "calls/s, one parent",
        "two": "calls/s, two parents",
        "api": "calls/s, asyncio API",
        "api 4": "calls/s, asyncio API, 4 at once",
    }
    return [
        Row(
            name=name,
            ours=per_s[key],
            unit="/s",
            judged=per_s[key],
            judged_unit="/s",
            goal=goals.get(key),
            more_is_better=True,
        )
        for key, name in names.items()
    ]


def _once_rows(once: Once) -> list[Row]:
    return [
        absolute("zygote ready", statistics.median(once["zygote"]), "ms", goal=60),
        absolute("zygote with libraries ready", statistics.median(once["libraries"]), "ms"),
        absolute("fork, lock, load, first call", statistics.median(once["fork"]), "ms", goal=2.5),
        absolute(
            "first call of a session, from a spare",
            statistics.median(once["spare"]),
            "ms",
            goal=0.5,
        ),
        absolute("kill of a busy worker seen", statistics.median(once["kill"]), "ms", goal=3),
        absolute(f"memory of one of {IDLE_WORKERS} idle workers", once["memory"][0], "MB", goal=2),
        absolute("the same with libraries", once["memory with libraries"][0], "MB"),
    ]


def _peer_rows(warm: Rounds) -> list[Row]:
    """Compare with peers; goals are the inverse of "so many times faster".

    Monty's session has neither pool nor policy nor event loop, as our call without them.
    """
    api, total, straight = _p50(warm["api"]), _p50(warm["sum"]), _p50(warm["straight"])
    process = _p50(warm["process"])
    found = [ratio("warm call", api, process, "µs", goal=1 / 1000, peer_name="python -c")]
    if "monty" in warm:
        monty, squares = _p50(warm["monty"]), _p50(warm["monty sum"])
        found.append(
            ratio("warm call beside Monty", straight, monty, "µs", goal=1 / 3, peer_name="Monty")
        )
        found.append(ratio("sum of squares", total, squares, "µs", goal=1 / 8, peer_name="Monty"))
    if "smolagents" in warm:
        peer = _p50(warm["smolagents"])
        name = "sum of squares beside smolagents"
        found.append(ratio(name, total, peer, "µs", goal=1 / 500, peer_name="smolagents"))
    if "jupyter" in warm:
        peer = _p50(warm["jupyter"])
        found.append(
            ratio("warm call beside Jupyter", api, peer, "µs", goal=1 / 100, peer_name="Jupyter")
        )
    return found
