"""The process of the idle sessions: `python -m benchmarks.idle N` prints what one adds, in KB."""

import asyncio
import gc
import sys

from benchmarks.processes import memory_mb
from micro_agi.agent.session import Session
from micro_agi.testing.transcript import Played, scripted_runtime


async def idle_kb(count: int) -> float:
    """Return the resident memory that each of `count` sessions adds once its turn is over."""
    async with scripted_runtime(
        lambda _: "An answer in two or three sentences. As asked."
    ) as played:
        kept = await _opened(played, max(10, count // 10))
        before = _resident_kb()
        kept += await _opened(played, count)
        return (_resident_kb() - before) / count


async def _opened(played: Played, count: int) -> list[Session]:
    sessions = []
    for _ in range(count):
        session = await played.runtime.session(None)
        await session.run("Please tell me what you found.", lambda _: None)
        sessions.append(session)
        played.model.requests.clear()  # the script's own memory
    return sessions


def _resident_kb() -> float:
    gc.collect()
    return memory_mb("self")[0] * 1000


if __name__ == "__main__":
    print(asyncio.run(idle_kb(int(sys.argv[1]))))
