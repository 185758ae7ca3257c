"""What the sandbox benchmark asks of workers: through the pool, and straight on the socket."""

import json
import socket
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.echo import Times, timed
from micro_agi.sandbox.fork_server import ForkServer
from micro_agi.sandbox.host.calls import ALWAYS, HostCall, HostFunction
from micro_agi.sandbox.languages import LUA, Language
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.mailbox import NOTICE
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.request import Request
from micro_agi.sandbox.unit import Unit
from micro_agi.sandbox.wire import CALL, HEADER, REQUEST
from micro_agi.sandbox.worker_channel import Worker
from micro_agi.security.context import root_context

ROOT = root_context()
LIMITS = Limits()
ADD = Unit(id="bench:add", source="return function(a) return a.x + a.y end")
SUM_SQUARES = Unit(
    id="bench:sum",
    source="return function(n) local s = 0 for i = 1, n do s = s + i * i end return s end",
)
ASK = Unit(id="bench:ask", source="return function(n) for i = 1, n do print(i) end return n end")
SPIN = Unit(id="bench:spin", source="return function() while true do end end")
DECODE = Unit(
    id="bench:decode",
    source="""return function(text)
      local total = 0
      for _, item in ipairs(json.decode(text).items) do total = total + item.price end
      return total
    end""",
    modules=("json",),
)
ENCODE = Unit(
    id="bench:encode",
    source="return function(value) return #(json.encode(value)) end",
    modules=("json",),
)
DOCUMENT: dict[str, Any] = {
    "items": [
        {"id": n, "name": f"item number {n}", "price": n + 0.25, "tags": ["a", "b"], "ok": True}
        for n in range(115)
    ]
}
TEXT = json.dumps(DOCUMENT)
"""10 kB."""
HOST_CALLS = 100


async def _say(call: HostCall) -> None:
    return None


HOST = {"print": HostFunction(run=_say, module=ALWAYS, outside=False)}


@asynccontextmanager
async def pool(without: frozenset[str] = frozenset()):
    """Open a pool for as long as the block lasts."""
    opened = Pool(host=HOST, limits=LIMITS, without=without)
    try:
        await opened.start()
        yield opened
    finally:
        await opened.close()


async def api_times(opened: Pool, unit: Unit, args: Sequence[Any], times: int) -> Times:
    """Return what calls take through the public door."""
    taken = []
    for _ in range(times):
        start = time.perf_counter_ns()
        await opened.call(unit, args, context=ROOT)
        taken.append((time.perf_counter_ns() - start) / 1000)
    return taken


class Straight:
    """One worker without the pool and without an event loop: what the sandbox itself costs."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        # The event loop stands still while this blocks, so nobody else reads.
        self._channel = worker._channel.dup()
        # Of the socket, not of this descriptor; the pool's end is not used any more.
        self._channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bytes(16))

    def times(self, unit: Unit, args: Sequence[Any], times: int) -> Times:
        """Return what calls take, encoding and decoding included."""
        known: dict[str, int] = {}
        self._exchange(_request(unit, args).payload(known))
        encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode
        head = _request(unit, []).payload(known)[: REQUEST.size]
        return timed(lambda: decode(self._exchange(head + encode(args)))[1], times)

    def _exchange(self, payload: bytes) -> bytes:
        """Send one request and return the answer's payload."""
        talk = self._worker._talk
        if talk is None:
            self._channel.send(HEADER.pack(len(payload)) + payload)
            return self._frame()
        if frame := talk.say(payload, quick=True):
            self._channel.send(frame)
            talk.said(frame)
        answer = talk.listen() if talk.looks else None
        if answer is None and talk.owes_a_notice:
            self._channel.send(NOTICE)
        while not answer:
            if answer := self._frame():
                talk.heard()
            else:
                answer = talk.noticed()
        return answer

    def _frame(self) -> bytes:
        """Return the next frame in the socket; notices are empty, and come one at a time."""
        data = self._channel.recv(HEADER.size, socket.MSG_WAITALL)
        (length,) = HEADER.unpack_from(data)
        return self._channel.recv(length, socket.MSG_WAITALL) if length else b""

    @property
    def pid(self) -> int:
        """The worker's process id, from its handle."""
        facts = Path(f"/proc/self/fdinfo/{self._worker._process}").read_text()
        return int(facts.partition("Pid:")[2].split()[0])

    def spin_and_kill(self) -> float:
        """Start an endless call, kill the worker; return milliseconds until its end shows."""
        request = _request(SPIN, []).payload({})
        self._channel.sendall(HEADER.pack(len(request)) + request)
        time.sleep(0.01)  # it spins by then
        start = time.perf_counter()
        self._worker.kill("measured")
        self._channel.recv(1)
        taken = (time.perf_counter() - start) * 1000
        self._channel.close()
        return taken

    def close(self) -> None:
        """End the worker."""
        self._channel.close()
        self._worker.kill("measured")


def _request(unit: Unit, args: Sequence[Any]) -> Request:
    return Request(
        op=CALL,
        unit=unit,
        args=msgspec.msgpack.encode(args),
        now_ns=None,
        result_bytes=LIMITS.result_bytes,
    )


@asynccontextmanager
async def fork_server(language: Language = LUA):
    """Start a zygote for as long as the block lasts."""
    server = await ForkServer.start(LIMITS, minimum="D", language=language)
    try:
        yield server
    finally:
        await server.close()
