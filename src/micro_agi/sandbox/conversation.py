"""Carry one call through one worker: send it, answer its host calls, judge its result.

The deadline is watched from outside the worker: one timer, which kills. Time in host calls
does not count as computing, but the total limit includes it.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

import msgspec

from micro_agi.errors import MicroAgiError, ToolFailed
from micro_agi.sandbox.failure import (
    LuaFacts,
    facts_of,
    limit_reached,
    split_position,
    tool_failed,
)
from micro_agi.sandbox.host.calls import Frame, HostCall, HostFunction, answer
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.outstanding import NestedPlaces, Outstanding
from micro_agi.sandbox.plain import NotPlain, plain
from micro_agi.sandbox.unit import Unit
from micro_agi.sandbox.wire import ANSWER, ANSWERS, ERROR, HOST, REFUSAL, RESULT, TURN
from micro_agi.sandbox.worker_channel import Worker, WorkerLost

_encode = msgspec.msgpack.Encoder().encode
T = TypeVar("T")

NS_PER_S = 1_000_000_000
KINDS = frozenset(
    {
        *("NotFound", "AlreadyExists", "Invalid", "PermissionDenied", "Unavailable", "Internal"),
        *("Canceled", "Conflict", "Timeout", "RateLimited"),
    }
)


FRAMING_BYTES = 16
"""Of a result's frame, beside the result and what was printed, which share one limit."""
WHERE_CHARACTERS = 300
PRINTED_CHARACTERS = 40_000
"""An honest worker cuts its output to less; a broken one does not."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is asked to do. A struct, because one is made for every call: 0.2 µs."""

    op: int
    unit: Unit
    args: bytes
    """Encoded list."""
    count: int
    """How many arguments: trailing nils count."""
    now_ns: int | None
    """What the clock says in a trial."""
    result_bytes: int

    def payload(self, known: set[str]) -> bytes:
        """Encode the message, with the definitions that a worker knowing `known` lacks."""
        definitions = None
        if self.unit.hash not in known:
            units = self.unit.all_units()
            definitions = [_definition(u) for h, u in units.items() if h not in known]
            known.update(units)
        raw = msgspec.Raw(self.args)
        facts = (self.op, self.unit.hash, raw, self.count, self.now_ns, self.result_bytes)
        return _encode((*facts, definitions))


def _definition(unit: Unit) -> list[Any]:
    imports = [[alias, imported.hash] for alias, imported in unit.imports]
    return [unit.hash, unit.id, unit.source, unit.method, list(unit.modules), imports]


class _Watch:
    """The timer of one call. It kills the worker; the reason tells which limit it was.

    At the total limit it also ends the wait for a host function. `asyncio.timeout_at` around
    each host call would do the same for a fifth of what a host call costs. Code that can be
    interrupted gets a signal first, and some grace to give up.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, worker: Worker, frame: Frame) -> None:
        self._loop = loop
        self._worker = worker
        self._frame = frame
        task = asyncio.current_task()
        assert task is not None, "calls run in tasks"
        self._task = task
        self._cancelled_before = task.cancelling()
        self._ended_a_wait = False
        self.interrupted = False
        first = min(frame.started + frame.limits.wall_s, frame.ends)
        self._timer = loop.call_at(first, self._look)

    def cancel(self) -> None:
        self._timer.cancel()
        if self._ended_a_wait:
            # A host function kept the cancellation to itself.
            self._task.uncancel()

    def ended_the_wait(self) -> bool:
        """Whether the cancellation that arrived is this timer's, and nobody else's too."""
        if not self._ended_a_wait:
            return False
        self._ended_a_wait = False
        return self._task.uncancel() <= self._cancelled_before

    def _look(self) -> None:
        now, frame = self._loop.time(), self._frame
        left = frame.limits.wall_s - frame.computed_s(now)
        # The loop's clock may be a tick early; less than a tick left is nothing left.
        if left <= 0.001 and self._frame.unit.language == "python" and not self.interrupted:
            self.interrupted = True
            self._worker.interrupt()
            self._timer = self._loop.call_at(now + frame.limits.grace_s, self._look)
        elif left <= 0.001:
            self._worker.kill("wall")
        elif now >= frame.ends:
            self._worker.kill("total")
            if frame.waiting_since is not None:
                self._ended_a_wait = True
                self._task.cancel()
        else:
            self._timer = self._loop.call_at(min(now + left, frame.ends), self._look)


async def converse(
    worker: Worker,
    request: Request,
    frame: Frame,
    host: Mapping[str, HostFunction],
    *,
    keep_bytes: bool,
    places: NestedPlaces,
) -> Any:
    """Run one call in `worker` and return its result.

    The worker is at rest afterwards only if it gave a proper answer; else it must go.

    Raises:
        ToolFailed: the code failed. LimitReached: it was stopped.
    """
    loop = asyncio.get_running_loop()
    worker.at_rest = False
    turns: _Turns | None = None
    watch = _Watch(loop, worker, frame)
    try:
        worker.send(request.payload(worker.known))
        while True:
            message = await worker.receive()
            if watch.interrupted:
                raise _stopped(message, worker, frame)
            if frame.unit.language == "python":
                message = _without_print(message, frame)
            match message:
                case [op, value] if op == RESULT:
                    # An honest worker has checked it already, and said so politely.
                    if worker.frame_length > request.result_bytes + FRAMING_BYTES:
                        raise NotPlain(f"a result of {worker.frame_length} bytes")
                    result = plain(value, nesting=frame.limits.nesting, keep_bytes=keep_bytes)
                    worker.at_rest = True
                    return result
                case [op, dict() as facts] if op == ERROR:
                    failure = _failure(plain(facts, nesting=frame.limits.nesting), frame)
                    worker.at_rest = True
                    raise failure
                case [op, str(function), list(args)] if op == HOST and not (turns and turns.busy):
                    call = _host_call(function, args, frame, host)
                    worker.send(await _within(_outcome(call, host), frame, loop, watch))
                case [op, int(wait_ns), list(requests), list(dropped)] if op == TURN:
                    if turns is None:
                        turns = _Turns(frame, host, places)
                    turns.take(requests, dropped, wait_ns)
                    answers = await _within(turns.answers(wait_ns), frame, loop, watch)
                    worker.send(_encode((ANSWERS, answers)))
                case _:
                    raise NotPlain("a message of an unknown shape")
    except NotPlain as problem:
        worker.kill(f"it sent {problem}")
        raise _lost(worker.lost, frame) from problem
    except WorkerLost as lost:
        raise _lost("wall" if watch.interrupted else lost.reason, frame) from lost
    finally:
        watch.cancel()
        worker.calls += 1
        worker.computed_s += frame.computed_s(loop.time())
        try:
            if turns is not None:
                await turns.outstanding.close()
        finally:
            for end in frame.at_end:
                end()
            frame.at_end.clear()


def _without_print(message: list[Any], frame: Frame) -> list[Any]:
    """Take what the code printed out of a worker's last message."""
    match message:
        case [op, value, str(printed)] if op == RESULT:
            frame.printed = printed[:PRINTED_CHARACTERS]
            return [op, value]
        case [op, dict() as facts] if op == ERROR and isinstance(facts.get("printed"), str):
            frame.printed = facts.pop("printed")[:PRINTED_CHARACTERS]
    return message


def _stopped(message: list[Any], worker: Worker, frame: Frame) -> ToolFailed:
    """Build the error of a call that was interrupted; where it stood is worth knowing."""
    match _without_print(message, frame):
        case [op, dict() as facts] if op == ERROR:
            worker.at_rest = True
            where = str(facts.get("where") or "")[:WHERE_CHARACTERS]
        case [op, _] if op == RESULT:
            worker.at_rest = True
            where = ""
        case _:
            worker.kill("wall")
            where = ""
    return _limit("wall", where or frame.unit.id, frame.limits)


def _host_call(
    function: str, args: list[Any], frame: Frame, host: Mapping[str, HostFunction]
) -> HostCall:
    """Count a host call and check what it brings."""
    _count(frame)
    wants = host.get(function)
    keep = wants is not None and wants.keep_bytes
    return HostCall(
        function=function,
        args=[plain(a, nesting=frame.limits.nesting, keep_bytes=keep) for a in args],
        context=frame.context,
        unit=frame.unit,
        frame=frame,
    )


def _count(frame: Frame) -> None:
    frame.host_calls += 1
    if frame.host_calls > frame.limits.host_calls:
        raise limit_reached(
            f"more than {frame.limits.host_calls} host calls in one call",
            where=frame.unit.id,
            fix="do more with each call, or return in between",
        )


async def _outcome(call: HostCall, host: Mapping[str, HostFunction]) -> bytes:
    """Perform one host call; a failure of it is the guest's to handle."""
    try:
        return _encode((ANSWER, await answer(call, host)))
    except MicroAgiError as error:
        return _encode((REFUSAL, facts_of(error).as_dict()))


async def _within(
    work: Awaitable[T], frame: Frame, loop: asyncio.AbstractEventLoop, watch: _Watch
) -> T:
    """Wait for the parent's part, which is no computing but within the total limit."""
    frame.waiting_since = loop.time()
    try:
        return await work
    except asyncio.CancelledError as cancelled:
        if not watch.ended_the_wait():
            raise
        raise _lost("total", frame) from cancelled
    finally:
        frame.waited_s += loop.time() - frame.waiting_since
        frame.waiting_since = None


class _Turns:
    """The parent's side of a call whose worker has several host calls in flight."""

    def __init__(
        self, frame: Frame, host: Mapping[str, HostFunction], places: NestedPlaces
    ) -> None:
        self._frame = frame
        self._host = host
        self.outstanding = Outstanding(lambda call: _outcome(call, host), places)

    @property
    def busy(self) -> bool:
        """Whether a host call is in flight: then no unnumbered one may come."""
        return len(self.outstanding) > 0

    def take(self, requests: list[Any], dropped: list[Any], wait_ns: int) -> None:
        """Start and drop what the worker says, if it makes sense.

        Raises: NotPlain for what no honest worker sends; LimitReached.
        """
        if not requests:
            # A turn costs a round trip: an endless series of empty ones is stopped too.
            _count(self._frame)
        for request in requests:
            match request:
                case [int(number), str(function), list(args)] if self._fresh(number):
                    call = _host_call(function, args, self._frame, self._host)
                    self.outstanding.start(number, call, self._host.get(function))
                case _:
                    raise NotPlain("a host call of an unknown shape")
        for number in dropped:
            if type(number) is not int:
                raise NotPlain("a number that is none")
            self.outstanding.drop(number)
        if wait_ns > 0 and "time" not in self._frame.granted:
            raise NotPlain("a wish to wait, without the module `time`")
        if wait_ns < -1 or (wait_ns == -1 and not self.outstanding):
            raise NotPlain("a wish to wait for nothing")

    def _fresh(self, number: int) -> bool:
        return type(number) is int and number > 0 and number not in self.outstanding

    async def answers(self, wait_ns: int) -> list[msgspec.Raw]:
        """Return what has finished; in a trial, time passes at once when no work is awaited."""
        deadline = None
        if wait_ns > 0:
            deadline = asyncio.get_running_loop().time() + wait_ns / NS_PER_S
        if wait_ns > 0 and self._frame.context.trial is not None:
            if self.outstanding.only_news:
                return await self.outstanding.answers(None, now=True)
            deadline = None
        return await self.outstanding.answers(deadline, now=wait_ns == 0)


def _failure(facts: dict[str, Any], frame: Frame) -> ToolFailed:
    """Build the error from what the worker reports about the failed call."""
    message = str(facts.get("message") or "the call failed")
    limit = facts.get("limit")
    if limit in ("memory", "result"):
        return _limit(str(limit), frame.unit.id, frame.limits)
    # Only Lua writes the position into the message.
    in_lua = frame.unit.language == "lua"
    position, what = split_position(message) if in_lua else ("", message)
    kind = str(facts.get("kind") or "Internal")
    retryable = facts.get("retryable")
    return tool_failed(
        LuaFacts(
            kind=kind if kind in KINDS else "Internal",
            message=message,
            retryable=retryable if isinstance(retryable, bool) else None,
            details=facts.get("details"),
        ),
        what=what,
        where=position or str(facts.get("where") or frame.unit.id),
    )


def _limit(limit: str, where: str, limits: Limits) -> ToolFailed:
    match limit:
        case "memory":
            what = f"it needed more than {limits.memory_bytes >> 20} MiB of memory"
            return limit_reached(what, where=where, fix="keep less in memory at once")
        case "result":
            what = f"the result takes more than {limits.result_bytes} bytes"
            return limit_reached(what, where=where, fix="return less, or in parts", kind="Invalid")
        case "wall":
            what = f"it computed for more than {limits.wall_s:g} s and was stopped"
            return limit_reached(
                what, where=where, fix="look for an endless loop, or do less in one call"
            )
        case _:
            what = f"it took more than {limits.total_s:g} s, host calls included"
            return limit_reached(what, where=where, fix="wait less, or do less in one call")


def _lost(reason: str, frame: Frame) -> ToolFailed:
    """Explain why the worker is gone."""
    if reason in ("wall", "total"):
        return _limit(reason, frame.unit.id, frame.limits)
    if reason == "ended":
        what = "the worker ended in the middle of the call: out of memory, or a forbidden action"
    else:
        what = f"the worker was stopped: {reason}"
    return limit_reached(
        what, where=frame.unit.id, fix="do less in one call, or correct the source", kind="Internal"
    )
