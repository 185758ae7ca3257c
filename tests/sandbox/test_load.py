"""The pool under load and under fire: every call gets its own answer or an error, and what
was taken is given back."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

import micro_agi
from micro_agi.errors import LimitReached
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit
from micro_agi.security.context import root_context
from tests.sandbox.load import Load

ROOT = root_context()
ECHO = Unit(id="test:echo", source="return function(x) return x end")
SPIN = Unit(id="test:spin", source="return function() while true do end end")
HERE = Path(__file__).parent


def descriptors():
    return set(os.listdir("/proc/self/fd"))


def descendants():
    """Return the living processes below this one, at any depth."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                facts = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if facts[0] != "Z":
                parents[int(folder.name)] = int(facts[1])
    found, new = set(), {os.getpid()}
    while new:
        new = {child for child, parent in parents.items() if parent in new}
        found |= new
    return found


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def loaded(calls, **options):
    """Run a load; return it after its pool has closed, with everything given back."""
    files, processes = descriptors(), descendants()

    async def body():
        load = Load(sessions=options.pop("sessions"), workers=options.pop("workers"))
        try:
            await asyncio.wait_for(load.run(calls, **options), 50)
        finally:
            await load.pool.close()
        assert not load.workers()
        assert len(asyncio.all_tasks()) == 1
        return load

    load = asyncio.run(body())
    assert descriptors() == files
    wait_until(lambda: descendants() <= processes)
    return load


def test_calls_under_random_kills_are_answered_right_or_fail_with_a_reason():
    load = loaded(800, sessions=12, workers=6)
    assert load.counts.total() == 800
    assert load.kills > 10
    # A kill takes at most the call it hits and those that were waiting for it.
    assert load.counts["answered"] > 600


def test_50_sessions_with_calls_in_calls_on_16_workers_lose_nothing():
    load = loaded(400, sessions=50, workers=16, depth=4, killing=False)
    assert load.counts == {"answered": 400}
    # Each of 16 calls may have others below it, each in a worker of its own.
    assert load.most_workers <= 16 * 5


def test_a_pool_that_worked_for_long_holds_no_more_memory():
    async def body():
        load = Load(sessions=4, workers=4)
        try:
            await load.run(100, killing=False)
            gc.collect()
            before = tracemalloc.take_snapshot()
            for _ in range(4):
                await load.run(100, killing=False)
            load.said.clear()
            gc.collect()
            grown = tracemalloc.take_snapshot().compare_to(before, "filename")
        finally:
            await load.pool.close()
        return [s for s in grown if "micro_agi/sandbox" in s.traceback[0].filename]

    tracemalloc.start()
    try:
        grown = asyncio.run(asyncio.wait_for(body(), 50))
    finally:
        tracemalloc.stop()
    assert sum(line.size_diff for line in grown) < 64 << 10


def test_a_cancelled_start_of_a_session_leaves_no_worker_that_cannot_be_killed():
    processes = descendants()

    async def body():
        pool = Pool(host={}, limits=Limits(wall_s=0.2))
        await pool.start()
        await pool._refill
        try:
            for turns in range(12):
                contexts = [ROOT.narrowed(session=f"{turns}/{n}") for n in range(4)]
                tasks = [asyncio.create_task(pool.call(ECHO, [1], context=c)) for c in contexts]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            # The handle of each new worker is its own: the deadline kills what spins.
            contexts = [ROOT.narrowed(session=f"spin {n}") for n in range(6)]
            calls = (pool.call(SPIN, [], context=c) for c in contexts)
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(f, LimitReached) for f in found)
            alive = {*pool._spares, *pool._idle, *pool._busy}
            helpers = {pool._server._process.pid}
            # The zygote is one or two processes, and every other one is a worker we know.
            wait_until(lambda: len(descendants() - processes - helpers) <= len(alive) + 1)
        finally:
            await pool.close()

    asyncio.run(asyncio.wait_for(body(), 50))
    wait_until(lambda: descendants() <= processes)


def test_a_worker_that_stops_reading_is_killed_at_the_deadline():
    async def body():
        pool = Pool(host={}, limits=Limits(wall_s=0.3))
        await pool.start()
        try:
            await pool.call(ECHO, [1], context=ROOT)
            (worker,) = pool._idle
            signal.pidfd_send_signal(worker._process, signal.SIGSTOP)
            # More than the socket holds: the rest of the frame waits in the parent.
            start = time.monotonic()
            with pytest.raises(LimitReached, match="computed for more than"):
                await pool.call(ECHO, ["x" * 250_000], context=ROOT)
            assert time.monotonic() - start < 3
            assert worker.lost == "wall"
            assert await pool.call(ECHO, ["x" * 250_000], context=ROOT) == "x" * 250_000
        finally:
            await pool.close()

    asyncio.run(asyncio.wait_for(body(), 30))


def test_large_answers_arrive_whole_while_the_parent_is_slow():
    async def body():
        pool = Pool(host={}, limits=Limits(wall_s=10.0), workers=8)
        await pool.start()
        try:
            contexts = [ROOT.narrowed(session=f"s{n}") for n in range(8)]
            texts = [str(n) * 200_000 for n in range(8)]
            calls = [
                asyncio.create_task(pool.call(ECHO, [text], context=c))
                for text, c in zip(texts, contexts, strict=True)
            ]
            while not all(task.done() for task in calls):
                await asyncio.sleep(0)
                sum(range(50_000))  # the event loop is busy with something else
            assert [task.result() for task in calls] == texts
        finally:
            await pool.close()

    asyncio.run(asyncio.wait_for(body(), 50))


def test_without_free_descriptors_calls_fail_with_the_remedy_and_go_on_later():
    source = str(Path(micro_agi.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, HERE / "few_descriptors.py"],
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
