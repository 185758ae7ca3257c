"""Many sessions at work while their workers, and the zygote, are killed at random.

The suite runs it small; `python -m tests.sandbox.load` runs 10,000 calls.
"""

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress

from micro_agi.errors import SandboxUnavailable, ToolFailed
from micro_agi.sandbox.host.calls import ALWAYS, HostFunction
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit
from micro_agi.security.context import root_context

LIMITS = Limits(wall_s=10.0, total_s=30.0)
NESTED = Unit(
    id="test:nested",
    source="""return function(tag, depth)
      print(tag, depth)
      if depth == 0 then return { tag, 0 } end
      local below, err = funcs.call("test:nested", tag, depth - 1)
      if err then return nil, err end
      return { below[1], below[2] + 1 }
    end""",
    modules=("funcs",),
)
CALLS_PER_KILL = 20
KILLS_OF_THE_ZYGOTE = 3
REASONS = ("ended in the middle", "is gone", "could not lock", "died twice")


class Load:
    """A pool, its callers and its killer. What became of the calls is in `counts`."""

    def __init__(self, *, sessions: int, workers: int, seed: int = 1) -> None:
        self._sessions = sessions
        self._chance = random.Random(seed)
        self.said: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.most_workers = 0
        self.kills = 0
        self.pool = Pool(
            limits=LIMITS,
            workers=workers,
            host={
                "print": HostFunction(run=self._say, module=ALWAYS, outside=False),
                "funcs.call": HostFunction(run=self._call, module="funcs", outside=False),
            },
        )

    async def _say(self, call):
        self.said[call.argument(0).split()[0]] += 1

    async def _call(self, call):
        context = call.context.narrowed(depth=call.context.depth + 1)
        return await self.pool.call(NESTED, call.args[2:], context=context)

    async def run(self, calls: int, *, depth: int = 2, killing: bool = True) -> None:
        """Make that many calls, divided among the sessions, and check every answer."""
        await self.pool.start()
        left = iter(range(calls))
        every = calls // (KILLS_OF_THE_ZYGOTE + 1)
        async with asyncio.TaskGroup() as group:
            for number in range(self._sessions):
                group.create_task(self._session(f"s{number}", left, depth, killing, every))

    async def _session(self, session, left, depth, killing, zygote_every):
        context = root_context().narrowed(session=session)
        for number in left:
            tag, levels = f"{session}/{number}", number % (depth + 1)
            lost = ""
            try:
                found = await self.pool.call(NESTED, [tag, levels], context=context)
            except (ToolFailed, SandboxUnavailable) as error:
                lost = str(error)
            # Nobody gave a call any other reason to fail than the killer.
            assert not lost or any(word in lost for word in REASONS), lost
            assert lost or found == [tag, levels]
            assert lost or self.said[tag] >= levels + 1
            self.counts["lost" if lost else "answered"] += 1
            self.most_workers = max(self.most_workers, len(self.workers()))
            if killing and self.counts.total() % zygote_every == 0:
                self._kill_the_zygote()
            elif killing and self.counts.total() % CALLS_PER_KILL == 0:
                self._kill_one()

    def _kill_the_zygote(self):
        if self.pool._server is not None:
            self.pool._server._process.kill()

    def _kill_one(self):
        if alive := [w for w in self.workers() if not w.lost]:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._chance.choice(alive)._process, signal.SIGKILL)
                self.kills += 1

    def workers(self):
        """Return every worker the pool has."""
        pool = self.pool
        return [*pool._busy, *pool._idle, *pool._spares]


async def main(calls: int) -> None:
    """Run the load and print what became of it."""
    load = Load(sessions=12, workers=16)
    start = time.monotonic()
    try:
        await load.run(calls)
    finally:
        await load.pool.close()
    print(f"{calls} calls in {time.monotonic() - start:.1f} s: {dict(load.counts)}")
    print(f"workers killed: {load.kills}, most at once: {load.most_workers}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
