"""What the sandbox costs beside the least that a message to another process can cost here.

Judged by the targets of spec/sandbox.md 6, most of them ratios between numbers of the same
run: rounds are interleaved, so that a busy machine hits both sides. Parent and worker share
one core: left to the kernel, a pair may land on two, where every message costs five times as
much, and the ratio of two pairs is then chance (spec/sandbox.md 5). Two parents get two cores.
"""

import asyncio
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from benchmarks import sandbox_parent
from benchmarks.compare import Size
from benchmarks.echo import PythonEcho, Times, c_to_c, compiled, timed
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
from benchmarks.processes import memory_mb
from benchmarks.server import Server
from benchmarks.table import Row, absolute, ratio
from micro_agi.sandbox.pool import Pool

TITLE = "sandbox: calls into locked workers (limits: C to C, Python echo)"
ARGS = [{"x": 1, "y": 2}]
ADD_IN_PYTHON = "import json; print(json.dumps(1 + 2))"
IDLE_WORKERS = 16
WEAKEST = frozenset({"namespaces", "landlock"})
"""Without the call filter nothing runs, so the least isolation to compare with has it."""

Measured = dict[str, Times]


def rows(server: Server, size: Size) -> list[Row]:
    """Measure everything; `size.turns` calls a round, `size.rounds` rounds."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        with tempfile.TemporaryDirectory(prefix="micro-agi-") as folder, PythonEcho() as echo:
            warm = asyncio.run(_warm(echo, compiled(Path(folder)), size))
        once = asyncio.run(_once(size))
        per_s = asyncio.run(_per_s(size, cores))
    finally:
        os.sched_setaffinity(0, cores)
    return [
        *_limit_rows(warm),
        *_call_rows(warm),
        *_work_rows(warm),
        *_per_s_rows(per_s),
        *_once_rows(once),
        *_peer_rows(warm),
    ]


async def _warm(echo: PythonEcho, program: Path | None, size: Size) -> Measured:
    """Measure in turn what happens thousands of times in a session."""
    times = size.turns * 10
    async with fork_server() as server, pool() as full, pool(WEAKEST) as weak:
        worker = Straight(await server.fork(frame_bytes=LIMITS.frame_bytes))
        jobs: dict[str, Callable[[], Awaitable[Times]]] = {
            "straight": _later(lambda: worker.times(ADD, ARGS, times)),
            "echo": _later(lambda: echo.round_trips(times)),
            "api": lambda: api_times(full, ADD, ARGS, times),
            "weak": lambda: api_times(weak, ADD, ARGS, times),
            "host": lambda: _host_call_times(full, size),
            "sum": lambda: api_times(full, SUM_SQUARES, [10_000], size.turns),
            "decode": lambda: api_times(full, DECODE, [TEXT], size.turns),
            "encode": lambda: api_times(full, ENCODE, [DOCUMENT], size.turns),
            "process": _later(lambda: timed(_python_process, min(size.turns, 5))),
        }
        if program is not None:
            jobs["c"] = _later(lambda: c_to_c(program, times))
        if importlib.util.find_spec("pydantic_monty") is not None:
            jobs |= _monty_jobs(size)
        found: Measured = {name: [] for name in jobs}
        for name in jobs:
            await jobs[name]()  # compiles, and fills caches
        for _ in range(size.rounds):
            for name in jobs:
                found[name] += await jobs[name]()
        worker.close()
    return found


def _later(work: Callable[[], Times]) -> Callable[[], Awaitable[Times]]:
    async def run() -> Times:
        return work()

    return run


async def _host_call_times(opened: Pool, size: Size) -> Times:
    """Return what one host call adds, from calls with none and with many."""
    without = await api_times(opened, ASK, [0], size.turns)
    with_many = await api_times(opened, ASK, [HOST_CALLS], size.turns)
    return [(m - w) / HOST_CALLS for m, w in zip(with_many, without, strict=True)]


def _python_process() -> None:
    subprocess.run([sys.executable, "-c", ADD_IN_PYTHON], check=True, stdout=subprocess.DEVNULL)


def _monty_jobs(size: Size) -> Mapping[str, Callable[[], Awaitable[Times]]]:
    """Return the same jobs for Monty, with a memory limit: it has none of its own."""
    import pydantic_monty

    limits = pydantic_monty.ResourceLimits(max_memory=LIMITS.memory_bytes)
    add = pydantic_monty.Monty("a['x'] + a['y']", inputs=["a"])
    squares = "s = 0\nfor i in range(1, n + 1):\n    s = s + i * i\ns"
    total = pydantic_monty.Monty(squares, inputs=["n"])

    async def add_times() -> Times:
        return timed(lambda: add.run(inputs={"a": ARGS[0]}, limits=limits), size.turns)

    async def sum_times() -> Times:
        return timed(lambda: total.run(inputs={"n": 10_000}, limits=limits), size.turns)

    return {"monty": add_times, "monty sum": sum_times}


async def _once(size: Size) -> Measured:
    """Measure what happens once in the life of a worker or a zygote, in milliseconds."""
    names = ("zygote", "fork", "spare", "kill")
    found: Measured = {name: [] for name in names}
    for _ in range(size.starts):
        start = time.perf_counter()
        async with fork_server() as server:
            found["zygote"].append(_ms_since(start))
            start = time.perf_counter()
            worker = Straight(await server.fork(frame_bytes=LIMITS.frame_bytes))
            worker.times(ADD, ARGS, 0)
            found["fork"].append(_ms_since(start))
            worker.close()
    async with pool() as opened:
        for number in range(size.starts * 3):
            await _spares(opened)
            context = ROOT.narrowed(session=f"spare {number}")
            start = time.perf_counter()
            await opened.call(ADD, ARGS, context=context)
            found["spare"].append(_ms_since(start))
    found["kill"] = await _kill_times(size)
    found["memory"] = [await _idle_mb()]
    return found


async def _spares(opened: Pool) -> None:
    """Wait until the pool has made its spares."""
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


async def _idle_mb() -> float:
    """Return the proportional memory of one of many idle workers."""
    async with fork_server() as server:
        workers = [
            Straight(await server.fork(frame_bytes=LIMITS.frame_bytes)) for _ in range(IDLE_WORKERS)
        ]
        for worker in workers:
            worker.times(ADD, ARGS, 1)
        used = [memory_mb(worker.pid)[1] for worker in workers]
        for worker in workers:
            worker.close()
    return statistics.mean(used)


async def _per_s(size: Size, cores: set[int]) -> Mapping[str, float]:
    seconds = size.turns / 30
    found = {
        "straight": await sandbox_parent.straight_per_s(seconds),
        "api": await sandbox_parent.api_per_s(seconds),
        "api 4": await sandbox_parent.api_per_s(seconds, at_once=4),
    }
    command = [sys.executable, "-m", "benchmarks.sandbox_parent", str(seconds)]
    parents = []
    for core in sorted(cores)[:2]:
        os.sched_setaffinity(0, {core})
        parents.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    found["two"] = sum(float(parent.communicate()[0]) for parent in parents)
    return found


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000


def _p99(times: Times) -> float:
    return sorted(times)[int(len(times) * 0.99)]


_p50 = statistics.median


def _limit_rows(warm: Measured) -> list[Row]:
    found = [absolute("limit: Python to Python echo", _p50(warm["echo"]), "µs")]
    if "c" in warm:
        found.insert(0, absolute("limit: C to C", _p50(warm["c"]), "µs"))
    return found


def _call_rows(warm: Measured) -> list[Row]:
    straight, api, echo = _p50(warm["straight"]), _p50(warm["api"]), _p50(warm["echo"])
    host = _p50(warm["host"])
    found = [
        ratio("warm call, on the socket", straight, echo, "µs", goal=1.35, peer_name="echo"),
        absolute("the same", straight, "µs", goal=20),
        absolute("the same, p99", _p99(warm["straight"]), "µs", goal=100),
        ratio("warm call, asyncio API", api, echo, "µs", goal=2.5, peer_name="echo"),
        ratio("all layers against the call filter alone", api, _p50(warm["weak"]), "µs", goal=1.05),
        ratio("host call, asyncio API", host, echo, "µs", goal=1.4, peer_name="echo"),
        absolute("the same", host, "µs", goal=20),
    ]
    if "c" in warm:
        c = _p50(warm["c"])
        found.insert(
            0, ratio("warm call, on the socket", straight, c, "µs", goal=1.8, peer_name="C")
        )
    return found


def _work_rows(warm: Measured) -> list[Row]:
    return [
        absolute("sum of 10,000 squares", _p50(warm["sum"]), "µs"),
        absolute("decode 10 kB of JSON and add up", _p50(warm["decode"]), "µs", goal=350),
        absolute("encode 10 kB of JSON", _p50(warm["encode"]), "µs"),
    ]


def _per_s_rows(per_s: Mapping[str, float]) -> list[Row]:
    goals = {"straight": 45_000, "two": 80_000}
    names = {
        "straight": "calls/s, one parent, on the socket",
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


def _once_rows(once: Measured) -> list[Row]:
    return [
        absolute("zygote ready", _p50(once["zygote"]), "ms", goal=60),
        absolute("fork, lock, load, first call", _p50(once["fork"]), "ms", goal=2.5),
        absolute("first call of a session, from a spare", _p50(once["spare"]), "ms", goal=0.5),
        absolute("kill of a busy worker seen", _p50(once["kill"]), "ms", goal=3),
        absolute(f"memory of one of {IDLE_WORKERS} idle workers", once["memory"][0], "MB", goal=2),
    ]


def _peer_rows(warm: Measured) -> list[Row]:
    """Compare with peers; goals are the inverse of "so many times faster"."""
    api, total = _p50(warm["api"]), _p50(warm["sum"])
    process = _p50(warm["process"])
    found = [ratio("warm call", api, process, "µs", goal=1 / 1000, peer_name="python -c")]
    if "monty" in warm:
        monty, squares = _p50(warm["monty"]), _p50(warm["monty sum"])
        found.append(ratio("warm call", api, monty, "µs", goal=1 / 3, peer_name="Monty"))
        found.append(ratio("sum of squares", total, squares, "µs", goal=1 / 8, peer_name="Monty"))
    return found
