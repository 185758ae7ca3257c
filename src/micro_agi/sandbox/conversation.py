"""Carry one call through one worker: send it, answer its host calls, judge its result."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from micro_agi.errors import LimitReached, MicroAgiError, ToolFailed
from micro_agi.sandbox.failure import (
    LuaFacts,
    facts_of,
    limit_reached,
    split_position,
    tool_failed,
)
from micro_agi.sandbox.host.calls import Frame, HostCall, HostFunction, allowed, canned
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.outstanding import Outstanding, Places
from micro_agi.sandbox.plain import NotPlain, plain
from micro_agi.sandbox.request import Request
from micro_agi.sandbox.watch import Watch
from micro_agi.sandbox.wire import ANSWER, ANSWERS, ERROR, FAILURE, HOST, REFUSAL, RESULT, TURN
from micro_agi.sandbox.worker_channel import Worker, WorkerLost

_encode = msgspec.msgpack.Encoder().encode

NS_PER_S = 1_000_000_000


class LibrariesNeeded(Exception):
    """The code needs a library that this worker lacks, and nothing has happened outside yet."""


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


async def converse(
    worker: Worker,
    request: Request,
    frame: Frame,
    host: Mapping[str, HostFunction],
    *,
    keep_bytes: bool,
    places: Places,
) -> Any:
    """Run one call in `worker` and return its result.

    The worker is at rest afterwards only if it gave a proper answer; else it must go.

    Raises:
        ToolFailed: the code failed. LimitReached: it was stopped.
    """
    worker.at_rest = False
    turns: _Turns | None = None
    watch: Watch | None = None
    python = frame.unit.language == "python"
    try:
        worker.send(request.payload(worker.known))
        while True:
            message = worker.receive_in_place()
            if watch is None and (message is None or message[0] != RESULT):
                watch = Watch(asyncio.get_running_loop(), worker, frame)
            if message is None:
                message = await worker.receive()
            if watch is not None and watch.interrupted:
                raise _stopped(message, worker, frame)
            if python:
                message = _without_print(message, frame)
            # No pattern matching for these two: it would take a quarter of a host call's time.
            op = message[0]
            if op == RESULT and len(message) == 2:
                # An honest worker has checked it already, and said so politely.
                if worker.frame_length > request.result_bytes + FRAMING_BYTES:
                    raise NotPlain(f"a result of {worker.frame_length} bytes")
                value = message[1]
                if type(value) is not str:
                    value = plain(value, frame.limits.nesting, keep_bytes)
                worker.at_rest = True
                return value
            if watch is None:
                raise NotPlain("a result of an unknown shape")
            if op == HOST and len(message) == 3 and not (turns and turns.busy):
                call = _host_call(message[1], message[2], frame, host)
                watch.begin_wait()
                outcome = await _outcome(call, host)
                watch.end_wait()
                worker.send(outcome)
                continue
            match message:
                case [op, dict() as facts] if op == ERROR:
                    facts = plain(facts, frame.limits.nesting)
                    worker.at_rest = True
                    raise _failure(facts, frame)
                case [op, int(wait_ns), list(requests), list(dropped)] if op == TURN:
                    if turns is None:
                        turns = _Turns(frame, host, places)
                    turns.take(requests, dropped, wait_ns)
                    watch.begin_wait()
                    answers = await turns.answers(wait_ns)
                    watch.end_wait()
                    worker.send(_encode((ANSWERS, answers)))
                case _:
                    raise NotPlain("a message of an unknown shape")
    except NotPlain as problem:
        worker.kill(f"it sent {problem}")
        raise _lost(worker.lost, frame) from problem
    except WorkerLost as lost:
        interrupted = watch is not None and watch.interrupted
        raise _lost("wall" if interrupted else lost.reason, frame) from lost
    except asyncio.CancelledError as cancelled:
        if watch is None or not watch.ended_the_wait():
            raise
        raise _lost("total", frame) from cancelled
    finally:
        worker.calls += 1
        if watch is not None:
            watch.close()
            await _clean_up(turns, frame)


async def _clean_up(turns: "_Turns | None", frame: Frame) -> None:
    """End what the call's host functions left behind."""
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
    function: Any, args: Any, frame: Frame, host: Mapping[str, HostFunction]
) -> HostCall:
    """Count a host call and check what it brings.

    Raises: NotPlain for what no honest worker sends; LimitReached.
    """
    if type(function) is not str or type(args) is not list:
        raise NotPlain("a host call of an unknown shape")
    _count(frame)
    wants = host.get(function)
    keep = wants is not None and wants.keep_bytes
    nesting = frame.limits.nesting
    args = [a if type(a) is str else plain(a, nesting, keep) for a in args]
    return HostCall(function, args, frame.context, frame.unit, frame)


def _count(frame: Frame) -> None:
    frame.host_calls += 1
    if frame.host_calls > frame.limits.host_calls:
        raise limit_reached(
            f"more than {frame.limits.host_calls} host calls in one call",
            where=frame.unit.id,
            fix="do more with each call, or return in between",
        )


async def _outcome(
    call: HostCall, host: Mapping[str, HostFunction], *, failure: int = REFUSAL
) -> bytes:
    """Perform one host call; a failure of it is the guest's to handle.

    `failure` is how one is answered that came while something ran, and not at the door.
    """
    try:
        function = allowed(call, host)
        if function.outside and call.context.trial is not None:
            return _encode((ANSWER, canned(call.function, call.context.trial)))
        return _encode((ANSWER, await function.run(call)))
    except MicroAgiError as error:
        ran = isinstance(error, ToolFailed | LimitReached)
        return _encode((failure if ran else REFUSAL, facts_of(error).as_dict()))


class _Turns:
    """The parent's side of a call whose worker has several host calls in flight."""

    def __init__(self, frame: Frame, host: Mapping[str, HostFunction], places: Places) -> None:
        self._frame = frame
        self._host = host
        self.outstanding = Outstanding(lambda call: _outcome(call, host, failure=FAILURE), places)

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
                case [int(number), function, args] if self._fresh(number):
                    call = _host_call(function, args, self._frame, self._host)
                    self.outstanding.start(number, call, self._host.get(call.function))
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
    if limit == "libraries":
        return _without_libraries(frame)
    if limit in ("memory", "result", "wall"):
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


def _without_libraries(frame: Frame) -> ToolFailed:
    """Build the error of code whose call cannot start again, as it had effects already.

    Raises: LibrariesNeeded, if it can.
    """
    if frame.host_calls == 0:
        raise LibrariesNeeded
    message = "`json.validate` and the format `yaml` need a name that can be seen in the source"
    facts = LuaFacts(kind="Unavailable", message=message, retryable=False)
    fix = "write the name out: `json.validate(…)`, or a comment with the word `yaml`"
    return tool_failed(facts, where=frame.unit.id, fix=fix)


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
