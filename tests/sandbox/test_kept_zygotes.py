"""Zygotes that are handed on: nothing of one pool reaches the next, and none is left over."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from micro_agi.errors import SandboxUnavailable
from micro_agi.sandbox.fork_server import LEVELS
from micro_agi.sandbox.kept_zygotes import KeptZygotes
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit
from micro_agi.security.context import root_context

ROOT = root_context()
ECHO = Unit(id="test:echo", source="return function(x) return x end", method="handler")
ENDLESS = Unit(id="test:endless", source="return function() while true do end end")
LONG = Limits(wall_s=20.0, total_s=20.0)


def children(process):
    """The children of a process, as numbers; none when it has just ended."""
    with contextlib.suppress(OSError):
        return [
            int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ]
    return []


def below(process):
    """All processes below one."""
    return [each for child in children(process) for each in (child, *below(child))]


def zygotes():
    """The zygotes that this process started."""
    mine = children(os.getpid())
    return {child for child in mine if b"zygote.py" in Path(f"/proc/{child}/cmdline").read_bytes()}


def runs(process):
    """Whether a process is there and has not ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def kill(zygote):
    """Kill a zygote and wait until it has ended, and its process 1 inside with it."""
    processes = [zygote, *below(zygote)]
    os.kill(zygote, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(runs(process) for process in processes):
        assert time.monotonic() < deadline, "it outlived its end"


@pytest.fixture
def kept():
    keeper = KeptZygotes()
    before = zygotes()
    yield keeper
    keeper.close()
    assert zygotes() == before, "every zygote has ended"


def run(kept, test, **options):
    """Run a test with a pool on an event loop of its own; return the new zygotes it saw."""
    before = zygotes()

    async def body():
        pool = Pool(host={}, kept=kept, **{"limits": LONG, **options})
        try:
            await pool.start()
            await asyncio.wait_for(test(pool), 30)
            return zygotes() - before
        finally:
            await pool.close()

    return asyncio.run(body())


async def echo(pool):
    found = await asyncio.gather(*(pool.call(ECHO, [n], context=ROOT) for n in range(8)))
    assert found == list(range(8))


def test_the_next_pool_on_any_event_loop_goes_on_with_the_same_zygote(kept):
    assert len(run(kept, echo)) == 1
    assert [run(kept, echo) for _ in range(3)] == [set(), set(), set()]


def test_every_worker_ends_with_its_pool_also_one_that_computes(kept):
    async def busy(pool):
        await echo(pool)
        call = asyncio.create_task(pool.call(ENDLESS, [], context=ROOT))
        while not pool._busy:
            await asyncio.sleep(0.001)
        call.cancel()

    (zygote,) = run(kept, busy)
    deadline = time.monotonic() + 5
    # What stays is the zygote itself: with namespaces, its process 1 inside.
    while len(below(zygote)) > 1 or any(below(child) for child in below(zygote)):
        assert time.monotonic() < deadline, "a worker outlived its pool"


def side_by_side(kept, count):
    """Use that many pools that are open at the same time."""

    async def nested(pool, left=count):
        if left > 1:
            other = Pool(host={}, kept=kept, limits=LONG)
            await other.start()
            await asyncio.gather(echo(pool), nested(other, left - 1))
            await other.close()
        await echo(pool)

    return run(kept, nested)


def test_pools_side_by_side_have_a_zygote_each(kept):
    assert len(side_by_side(kept, 2)) == 2
    assert side_by_side(kept, 2) == set()


def test_zygotes_that_died_while_they_waited_are_replaced(kept):
    for zygote in side_by_side(kept, 3):
        kill(zygote)
    assert len(run(kept, echo)) == 1


def test_a_zygote_that_dies_in_use_is_not_handed_on(kept):
    async def killed(pool):
        await echo(pool)
        (old,) = zygotes() - before
        os.kill(old, signal.SIGKILL)
        while not zygotes() - before - {old}:
            await echo(pool)

    before = zygotes()
    assert len(run(kept, killed)) == 1
    assert run(kept, echo) == set()


@pytest.mark.parametrize(
    "other",
    [{"limits": Limits(memory_bytes=16 << 20)}, {"without": frozenset({"landlock"})}],
    ids=["another heap", "fewer layers"],
)
def test_a_pool_that_asks_for_something_else_gets_its_own(kept, other):
    assert len(run(kept, echo)) == 1
    assert len(run(kept, echo, **other)) == 1


def test_a_level_that_was_switched_off_since_is_still_refused(kept):
    run(kept, echo)
    with pytest.raises(SandboxUnavailable, match="switched off"):
        run(kept, echo, refused=dict.fromkeys(LEVELS, "native/socket"))
