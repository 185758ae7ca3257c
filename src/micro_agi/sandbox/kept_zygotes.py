"""Keep zygotes for the next pool, in a program that opens one runtime after the other.

A zygote takes 0.14 s of CPU to start, and nothing of whoever used it stays in it: it only
forks, and every worker of a pool ends with that pool. So a test suite, or a program with a
runtime for each request, may hand it on. One pool at a time has a zygote; pools that are
open side by side have one each.

A program with a single runtime keeps nothing: its zygote ends with its pool.
Source: decisions/0032-zygotes-are-handed-on.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from micro_agi.sandbox.fork_server import ForkServer, Level, told
from micro_agi.sandbox.languages import Language
from micro_agi.sandbox.limits import Limits

_current: ContextVar["KeptZygotes | None"] = ContextVar("kept zygotes", default=None)


class KeptZygotes:
    """The zygotes that wait for their next pool. `close` ends them."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[object, ...], list[ForkServer]] = {}
        self._orders: dict[ForkServer, tuple[object, ...]] = {}
        """What each zygote was started with: only a pool that asks for just that gets it."""

    async def start(
        self, limits: Limits, *, minimum: Level, without: frozenset[str], language: Language
    ) -> ForkServer:
        """Return a zygote that waits and still runs, or start one.

        Raises: SandboxUnavailable, as `ForkServer.start`.
        """
        order = (language, minimum, *told(limits, without, language))
        waiting = self._waiting.get(order, [])
        while waiting:
            server = waiting.pop()
            if server.alive:
                return server
            await server.close()
        server = await ForkServer.start(limits, minimum=minimum, without=without, language=language)
        self._orders[server] = order
        return server

    async def take_back(self, server: ForkServer) -> None:
        """Keep a zygote whose pool has ended all its workers."""
        await server.rest()
        self._waiting.setdefault(self._orders[server], []).append(server)

    def close(self) -> None:
        """End every zygote, also one that a pool did not give back."""
        for server in self._orders:
            server.end()
        self._orders.clear()
        self._waiting.clear()


@contextmanager
def kept_zygotes() -> Iterator[KeptZygotes]:
    """Hand zygotes on between the runtimes that are opened in this block, one after the other.

    Meant for test suites: a session-wide fixture around all tests that open runtimes.
    """
    kept = KeptZygotes()
    token = _current.set(kept)
    try:
        yield kept
    finally:
        _current.reset(token)
        kept.close()


def current() -> KeptZygotes | None:
    """Return what the surrounding `kept_zygotes` block keeps, None outside of one."""
    return _current.get()
