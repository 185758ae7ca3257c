"""One parent with one worker: `python -m benchmarks.sandbox_parent SECONDS` prints calls/s."""

import asyncio
import sys
import time

from benchmarks.lua_worker import ADD, ROOT, Straight, fork_server, pool
from micro_agi.sandbox.limits import Limits

ARGS = [{"x": 1, "y": 2}]
BATCH = 200


async def straight_per_s(seconds: float) -> float:
    """Return calls/s on the socket, in one thread."""
    async with fork_server() as server:
        worker = Straight(await server.fork(frame_bytes=Limits().frame_bytes))
        calls, start = 0, time.perf_counter()
        while (taken := time.perf_counter() - start) < seconds:
            worker.times(ADD, ARGS, BATCH)
            calls += BATCH + 1
        worker.close()
    return calls / taken


async def api_per_s(seconds: float, *, at_once: int = 1) -> float:
    """Return calls/s through the pool, from some tasks at once."""

    async def one() -> int:
        done = 0
        while time.perf_counter() < end:
            await opened.call(ADD, ARGS, context=ROOT)
            done += 1
        return done

    async with pool() as opened:
        await asyncio.gather(*(opened.call(ADD, ARGS, context=ROOT) for _ in range(at_once)))
        end = time.perf_counter() + seconds
        return sum(await asyncio.gather(*(one() for _ in range(at_once)))) / seconds


if __name__ == "__main__":
    print(asyncio.run(straight_per_s(float(sys.argv[1]))))
