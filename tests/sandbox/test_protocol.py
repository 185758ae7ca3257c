"""A worker that lies: forged frames are refused, and it dies for them."""

import asyncio
import socket
import struct

import msgspec
import pytest

from micro_agi.errors import ToolFailed
from micro_agi.sandbox.conversation import Request, converse
from micro_agi.sandbox.host.calls import Frame, HostFunction
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.unit import Unit
from micro_agi.sandbox.wire import CALL, ERROR, HOST, RESULT
from micro_agi.sandbox.worker_channel import Worker
from micro_agi.security.context import root_context

encode = msgspec.msgpack.encode


def frame(payload):
    return struct.pack("<I", len(payload)) + payload


def talk(*replies, host=None, granted=(), limits=None):
    """Run one call against a worker that answers with these bytes, whatever it is told."""
    limits = limits or Limits(wall_s=0.3)

    async def body():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        worker = Worker(loop, ours, None, frame_bytes=1 << 16)

        async def rogue():
            for reply in replies:
                await loop.sock_recv(theirs, 1 << 16)
                await loop.sock_sendall(theirs, reply)

        unit = Unit(id="test:rogue", source="")
        request = Request(
            op=CALL, unit=unit, args=encode([]), count=0, now_ns=None, result_bytes=1000
        )
        now = loop.time()
        record = Frame(
            unit=unit,
            context=root_context(),
            limits=limits,
            granted=frozenset(granted),
            started=now,
            ends=now + limits.total_s,
        )
        task = asyncio.create_task(rogue())
        try:
            return await converse(worker, request, record, host or {}, keep_bytes=False)
        finally:
            assert worker.lost or worker.at_rest or record.host_calls
            worker.kill("done")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            theirs.close()

    return asyncio.run(body())


def test_an_honest_answer_passes():
    assert talk(frame(encode([RESULT, {"a": [1, None, "x"]}]))) == {"a": [1, None, "x"]}


def nested(depth):
    return b"\x91" * depth + b"\xc0"


FORGED = [
    (b"\xff\xff\xff\xff", "is more than"),
    (frame(b"\xc1"), "not msgpack"),
    (frame(encode([RESULT, 1])) + b"x", "after the end"),
    (frame(encode([RESULT, 1])) * 2, "after the end"),
    (frame(b""), "not msgpack"),
    (frame(encode({"a": 1})), "not a list"),
    (frame(encode([])), "not a list"),
    (frame(encode(["RESULT", 1])), "not a list"),
    (frame(encode([99, 1])), "unknown shape"),
    (frame(encode([RESULT])), "unknown shape"),
    (frame(encode([RESULT, 1, 2])), "unknown shape"),
    (frame(encode([ERROR, "text"])), "unknown shape"),
    (frame(encode([HOST, 5, []])), "unknown shape"),
    (frame(encode([HOST, "print", {}])), "unknown shape"),
    (frame(encode([RESULT, msgspec.msgpack.Ext(5, b"x")])), "a Ext"),
    (frame(b"\x92\x10\xd6\xff\x00\x00\x00\x00"), "a datetime"),
    (frame(b"\x92\x10\x81\x01\x02"), "a key that is a int"),
    (frame(b"\x92\x10\xcf" + b"\xff" * 8), "64 bits"),
    (frame(b"\x92\x10" + nested(100)), "nested too deeply"),
    (frame(b"\x92\x10" + nested(60000)), "not msgpack"),
    (frame(b"\x92\x10\xdd\xff\xff\xff\xff"), "not msgpack"),
    (frame(b"\x92\x10\xa2\xff\xfe"), "not msgpack"),
    (struct.pack("<I", 100) + b"half", "computed for more than"),
    (b"\x01", "computed for more than"),
]


@pytest.mark.parametrize(("data", "part"), FORGED)
def test_a_forged_frame_costs_the_worker_its_life(data, part):
    with pytest.raises(ToolFailed, match=part):
        talk(data)


def test_a_worker_that_asks_for_what_its_unit_lacks_is_refused_and_not_believed():
    asked = []

    async def act(call):
        asked.append(call.function)

    function = HostFunction(run=act, module="registry", outside=False)
    forged = frame(encode([HOST, "registry.apply", [{"unit": "app:admin"}]]))
    end = frame(encode([RESULT, None]))
    talk(forged, end, host={"registry.apply": function})
    assert not asked
    talk(forged, end, host={"registry.apply": function}, granted={"registry"})
    assert asked == ["registry.apply"]


def test_host_call_arguments_are_checked_like_results():
    forged = frame(encode([HOST, "print", [msgspec.msgpack.Ext(1, b"")]]))
    with pytest.raises(ToolFailed, match="a Ext"):
        talk(forged)


def test_a_flood_of_forged_host_calls_is_counted():
    flood = [frame(encode([HOST, "x", []]))] * 7
    with pytest.raises(ToolFailed, match="more than 5 host calls"):
        talk(*flood, limits=Limits(wall_s=1.0, host_calls=5))
