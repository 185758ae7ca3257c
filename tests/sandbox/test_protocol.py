"""A worker that lies: forged frames are refused, and it dies for them."""

import asyncio
import socket
import struct

import msgspec
import pytest

from micro_agi.errors import ToolFailed
from micro_agi.sandbox.conversation import converse
from micro_agi.sandbox.host.calls import Frame, HostFunction
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.outstanding import CONCURRENT, Places
from micro_agi.sandbox.request import Request
from micro_agi.sandbox.unit import Unit
from micro_agi.sandbox.wire import CALL, ERROR, HOST, RESULT, TURN
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
        request = Request(op=CALL, unit=unit, args=encode([]), now_ns=None, result_bytes=1000)
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
            return await converse(
                worker, request, record, host or {}, keep_bytes=False, places=Places(1)
            )
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
    (frame(encode([TURN, 0, [], []]) + b"\xc0"), "not msgpack"),
    (frame(encode([TURN, "0", [], []])), "unknown shape"),
    (frame(encode([TURN, 0, [[1, "print"]], []])), "a host call of an unknown shape"),
    (frame(encode([TURN, 0, [[0, "print", []]], []])), "a host call of an unknown shape"),
    (frame(encode([TURN, 0, [[True, "print", []]], []])), "a host call of an unknown shape"),
    (frame(encode([TURN, 0, [[1, "print", []]] * 2, []])), "a host call of an unknown shape"),
    (frame(encode([TURN, 0, [[1, "print", [msgspec.msgpack.Ext(5, b"x")]]], []])), "a Ext"),
    (frame(encode([TURN, 0, [], ["1"]])), "a number that is none"),
    (frame(encode([TURN, 0, [], [True]])), "a number that is none"),
    (frame(encode([TURN, 1, [], []])), "without the module `time`"),
    (frame(encode([TURN, -1, [], []])), "wait for nothing"),
    (frame(encode([TURN, -2, [[1, "print", []]], []])), "wait for nothing"),
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


def never():
    """Make a host function that never answers, and the list of those that were cancelled."""
    ended = []

    async def wait(call):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(call.args[0])

    return HostFunction(run=wait, module="", outside=False), ended


def test_numbered_host_calls_are_checked_against_the_grants_like_others():
    asked = []

    async def act(call):
        asked.append(call.function)

    function = HostFunction(run=act, module="registry", outside=False)
    forged = frame(encode([TURN, -1, [[1, "registry.apply", []]], []]))
    talk(forged, frame(encode([RESULT, None])), host={"registry.apply": function})
    assert not asked


def test_an_unnumbered_host_call_while_others_are_in_flight_is_refused():
    wait, ended = never()
    turn = frame(encode([TURN, 0, [[1, "wait", [1]]], []]))
    with pytest.raises(ToolFailed, match="unknown shape"):
        talk(turn, frame(encode([HOST, "wait", [2]])), host={"wait": wait})
    assert ended == [1]


def test_a_number_cannot_be_used_twice_at_once():
    wait, ended = never()
    turn = frame(encode([TURN, 0, [[1, "wait", [1]]], []]))
    with pytest.raises(ToolFailed, match="a host call of an unknown shape"):
        talk(turn, turn, host={"wait": wait})
    assert ended == [1]


def test_host_calls_in_flight_end_with_the_call_and_dropped_ones_at_once():
    wait, ended = never()
    turn = frame(encode([TURN, 0, [[1, "wait", [1]], [2, "wait", [2]]], []]))
    drop = frame(encode([TURN, 0, [], [1, 1, 99]]))
    assert talk(turn, drop, frame(encode([RESULT, 7])), host={"wait": wait}) == 7
    assert ended == [1, 2]


def test_a_flood_of_numbered_host_calls_and_of_empty_turns_is_counted():
    wait, ended = never()
    many = frame(encode([TURN, 0, [[n, "wait", [n]] for n in range(1, 7)], []]))
    with pytest.raises(ToolFailed, match="more than 5 host calls"):
        talk(many, host={"wait": wait}, limits=Limits(wall_s=1.0, host_calls=5))
    assert not ended
    empty = [frame(encode([TURN, 0, [], []]))] * 7
    with pytest.raises(ToolFailed, match="more than 5 host calls"):
        talk(*empty, limits=Limits(wall_s=1.0, host_calls=5))


def test_only_so_many_host_calls_of_a_worker_run_at_once():
    running, most = [], []

    async def work(call):
        running.append(call)
        most.append(len(running))
        await asyncio.sleep(0)
        running.remove(call)

    function = HostFunction(run=work, module="", outside=False)
    calls = [[n, "work", []] for n in range(1, 60)]
    turns = [frame(encode([TURN, -1, calls, []])), frame(encode([RESULT, None]))]
    talk(*turns, host={"work": function})
    assert max(most) == CONCURRENT


def test_a_call_always_has_one_nested_call_and_shares_the_places_for_more():
    running, most, done = [], [], []

    async def work(call):
        running.append(call)
        most.append(len(running))
        for _ in range(3):
            await asyncio.sleep(0)
        running.remove(call)
        done.append(call.args[0])

    function = HostFunction(run=work, module="", outside=False, needs="worker")
    first = frame(encode([TURN, -1, [[n, "work", [n]] for n in range(1, 6)], []]))
    more = [frame(encode([TURN, 0, [], []]))] * 40
    talk(first, *more, frame(encode([RESULT, None])), host={"work": function})
    assert max(most) == 2
    assert done == [1, 2, 3, 4, 5]
