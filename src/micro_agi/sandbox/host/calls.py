"""Name what a host call is: which function, with what, for whom, and who performs it.

A worker has no effects of its own. It asks; `answer` decides whether the unit in flight was
granted the module, and whether a trial may reach outside, before the function runs. What the
worker says about itself is never believed: the frame is the parent's own record.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from micro_agi.errors import MicroAgiError
from micro_agi.sandbox.failure import LuaFacts, tool_failed
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.unit import Unit
from micro_agi.security.context import CallContext, Trial

ALWAYS = ""
"""The module of host functions that every unit may call, such as `print`."""


class Frame(msgspec.Struct, kw_only=True):
    """The parent's record of one call in flight. A struct: made for every call, in 0.2 µs."""

    unit: Unit
    context: CallContext
    limits: Limits
    granted: frozenset[str]
    """Modules of the unit and of everything it imports."""
    started: float = 0.0
    """On the event loop's clock, like the next two. Waiting for a worker does not count, nor do
    the microseconds of an answer in place: `watch.Watch` sets it."""
    ends: float = 0.0
    """When the total limit is reached."""
    waiting_since: float | None = None
    """When the host call in progress began."""
    waited_s: float = 0.0
    """Seconds spent in finished host calls; they do not count as computing."""
    host_calls: int = 0
    printed: str = ""
    """What the code printed, where the worker captures it (Python)."""
    at_end: list[Callable[[], None]] = msgspec.field(default_factory=list)
    """What host functions leave behind for the end of the call, such as subscriptions."""

    def computed_s(self, now: float) -> float:
        """Seconds the worker itself has used."""
        waiting = now - self.waiting_since if self.waiting_since is not None else 0.0
        return now - self.started - self.waited_s - waiting


class HostCall(msgspec.Struct, frozen=True):
    """One request of a worker, on its way to the function that performs it. A struct, too."""

    function: str
    """Full name: `http_client.get`."""
    args: list[Any]
    """Plain JSON; bytes too, if the function asked for them."""
    context: CallContext
    unit: Unit
    frame: Frame

    def argument(self, position: int) -> Any:
        """Return an argument by position from 0, None when it was not given."""
        return self.args[position] if position < len(self.args) else None


class HostFunction(Struct, frozen=True, kw_only=True):
    """Something the parent does for a worker."""

    run: Callable[[HostCall], Awaitable[Any]]
    """Returns plain JSON (bytes allowed) or raises a `MicroAgiError`."""
    module: str
    """The grant it needs, or `ALWAYS`."""
    outside: bool
    """Whether it reaches outside this process: then a trial gets a canned answer."""
    keep_bytes: bool = False
    """Whether strings that are not UTF-8 arrive as bytes instead of being repaired."""
    needs: Literal["slot", "worker", "nothing"] = "slot"
    """What it takes while it runs beside others: one of the conversation's slots; another
    worker; nothing, for a function that only waits for news."""


def allowed(call: HostCall, functions: Mapping[str, HostFunction]) -> HostFunction:
    """Return the function that performs a host call for the unit in flight.

    Raises:
        MicroAgiError: it is not granted.
    """
    function = functions.get(call.function)
    if function is not None and (
        function.module == ALWAYS or function.module in call.frame.granted
    ):
        return function
    facts = LuaFacts(
        kind="PermissionDenied",
        message=f"`{call.function}` is not granted to `{call.unit.id}`",
        retryable=False,
    )
    raise tool_failed(facts, where=call.unit.id, fix="add the module to `modules`")


def canned(function: str, trial: Trial) -> Any:
    """Return the answer a test gives for a function; `{"error": "…"}` makes it fail.

    Raises:
        MicroAgiError: the test has none, or it says to fail.
    """
    if function not in trial.host:
        raise _unavailable(function)
    value = trial.host[function]
    match value:
        case {"error": str(message), **rest} if not rest.keys() - {"kind", "retryable"}:
            kind = str(rest.get("kind", "Internal"))
            facts = LuaFacts(kind=kind, message=message, retryable=bool(rest.get("retryable")))
            raise tool_failed(facts)
    return value


def _unavailable(function: str) -> MicroAgiError:
    return tool_failed(
        LuaFacts(
            kind="Unavailable",
            message=f"`{function}` is not available in a trial",
            retryable=False,
        ),
        fix=f'give the test a canned answer: "host": {{"{function}": …}}',
    )
