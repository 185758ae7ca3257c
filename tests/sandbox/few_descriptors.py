"""A program with hardly a free file descriptor, started by test_load.py."""

import asyncio
import os
import resource

from micro_agi.errors import SandboxUnavailable
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit
from micro_agi.security.context import root_context

ROOT = root_context()
ECHO = Unit(id="test:echo", source="return function(x) return x end")
HOLD = Unit(
    id="test:hold",
    source="return function(n) local s = 0 for i = 1, n do s = s + i end return s end",
)
_, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)


def used():
    return {int(fd) for fd in os.listdir("/proc/self/fd")}


def leave(free):
    """Leave so many free descriptors, all of them above those in use."""
    give_back()
    highest = max(used())
    while len(used()) <= highest:
        os.dup(0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(used()) - 1 + free, HARD))


def give_back():
    resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))


async def main():
    pool = Pool(host={}, limits=Limits(wall_s=5.0), workers=16)
    leave(1)
    (error,) = await asyncio.gather(pool.start(), return_exceptions=True)
    assert isinstance(error, SandboxUnavailable), error
    assert "Too many open files" in str(error), error
    assert "ulimit" in str(error), error
    give_back()
    await pool.start()
    await pool._refill
    for free in range(6):
        leave(free)
        contexts = [ROOT.narrowed(session=f"{free}/{n}") for n in range(12)]
        calls = (pool.call(HOLD, [100_000], context=c) for c in contexts)
        found = await asyncio.gather(*calls, return_exceptions=True)
        served = [f for f in found if f == 5_000_050_000]
        refused = [f for f in found if isinstance(f, SandboxUnavailable)]
        assert len(served) + len(refused) == len(found), found
        # A socket pair and a process handle: with three, one call at least gets a worker.
        assert served or free < 3
        assert all("Too many open files" in str(f) for f in refused), refused
        give_back()
        assert await pool.call(ECHO, [free], context=ROOT) == free
    await without_a_place_for_the_handle(pool)
    await pool.close()


async def refilled(pool):
    """Wait until no spare is being made: it gives descriptors back."""
    while pool._refill_timer is not None or not pool._refill.done():
        await asyncio.sleep(0)


async def without_a_place_for_the_handle(pool):
    """Take the last descriptor while the zygote forks: the worker's handle gets lost."""
    await refilled(pool)
    leave(0)
    for number in range(len(pool._spares) + 1):
        context = ROOT.narrowed(session=f"last {number}")
        (found,) = await asyncio.gather(
            pool.call(ECHO, [number], context=context), return_exceptions=True
        )
    assert isinstance(found, SandboxUnavailable), found
    await refilled(pool)
    leave(2)
    asked = pool._server._asked
    task = asyncio.create_task(pool.call(ECHO, [1], context=ROOT.narrowed(session="unlucky")))
    while pool._server._asked == asked:
        await asyncio.sleep(0)
    taken = os.dup(0)
    (found,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(found, SandboxUnavailable), found
    os.close(taken)
    give_back()
    assert await pool.call(ECHO, [2], context=ROOT) == 2


asyncio.run(main())
