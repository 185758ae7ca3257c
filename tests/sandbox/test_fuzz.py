"""Whatever a worker sends, the parent gives a plain value or an error, and never hangs."""

import asyncio
import json
import random
import socket
import struct

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_agi.errors import ToolFailed
from micro_agi.sandbox.conversation import converse
from micro_agi.sandbox.host.calls import ALWAYS, Frame, HostFunction
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.outstanding import Places
from micro_agi.sandbox.request import Request
from micro_agi.sandbox.unit import Unit
from micro_agi.sandbox.wire import ANSWER, CALL, ERROR, HOST, READY, REFUSAL, RESULT
from micro_agi.sandbox.worker_channel import Worker
from micro_agi.security.context import root_context

encode = msgspec.msgpack.encode
LIMITS = Limits(wall_s=0.5, total_s=1.0, host_calls=20)
UNIT = Unit(id="test:fuzz", source="", modules=("http_client",))
SEED = 20_260_101
CASES = 2500


def frame(payload):
    return struct.pack("<I", len(payload)) + payload


async def answered_with(pieces):
    """Run one call against a worker that sends these pieces and hangs up."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    worker = Worker(loop, ours, None, frame_bytes=1 << 16)
    now = loop.time()
    record = Frame(
        unit=UNIT,
        context=root_context(),
        limits=LIMITS,
        granted=UNIT.granted,
        started=now,
        ends=now + LIMITS.total_s,
    )

    async def rogue():
        await loop.sock_recv(theirs, 1 << 16)
        for piece in pieces:
            await loop.sock_sendall(theirs, piece)
        theirs.close()

    async def say(call):
        # Every argument that reaches a host function is plain.
        json.dumps(call.args, allow_nan=False)

    host = {"print": HostFunction(run=say, module=ALWAYS, outside=False)}
    request = Request(op=CALL, unit=UNIT, args=encode([]), now_ns=None, result_bytes=1)
    task = asyncio.create_task(rogue())
    try:
        places = Places(1)
        found = await converse(worker, request, record, host, keep_bytes=False, places=places)
        assert worker.at_rest
        return found
    except ToolFailed:
        assert worker.lost or worker.at_rest or record.host_calls > LIMITS.host_calls
        return None
    finally:
        worker.kill("done")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        theirs.close()


def survives(*pieces):
    found = asyncio.run(asyncio.wait_for(answered_with(pieces), 5))
    json.dumps(found, allow_nan=False)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=6)
    | st.binary(max_size=6)
    | st.builds(msgspec.msgpack.Ext, st.integers(-128, 127), st.binary(max_size=13))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 9) | st.binary(max_size=2), inner)
    ),
    max_leaves=10,
)
OPERATIONS = st.sampled_from([CALL, ANSWER, REFUSAL, RESULT, ERROR, HOST, READY, 0, -1, 1 << 40])
FACTS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("message", "kind", "retryable", "details", "where", "limit", "other"), VALUES
    ),
)
MESSAGES = (
    st.tuples(OPERATIONS, VALUES)
    | st.tuples(st.just(ERROR), FACTS)
    | st.tuples(st.just(HOST), st.sampled_from(["print", "registry.apply"]), st.lists(VALUES))
    | st.lists(VALUES, max_size=4)
    | VALUES
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(MESSAGES, min_size=1, max_size=4))
def test_any_well_formed_messages_end_in_a_plain_value_or_an_error(messages):
    survives(*(frame(encode(message)) for message in messages))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_end_in_a_plain_value_or_an_error(data, framed):
    survives(frame(data) if framed else data)


HONEST = [
    [RESULT, {"a": [1, None, "x", -2.5, True], "b": {"c": "é" * 40}}],
    [ERROR, {"kind": "Invalid", "message": "no", "details": {"n": 1 << 40}, "retryable": False}],
    [HOST, "print", ["one", 2, [3.5, None], {"four": b"\xff"}]],
    [RESULT, list(range(300))],
]


def damaged(chance, data):
    """Return a frame with some bytes changed, added, taken away or repeated."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            case 2:
                del data[at : at + chance.randint(1, 8)]
            case 3:
                data[at:at] = data[max(0, at - 16) : at]
            case _ if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
    return bytes(data)


def test_damaged_frames_end_in_a_plain_value_or_an_error():
    chance = random.Random(SEED)

    async def all_of_them():
        for _ in range(CASES):
            data = frame(encode(chance.choice(HONEST)))
            # Half the time the length stays right, so that the damage reaches the decoder.
            data = (
                frame(damaged(chance, data[4:])) if chance.random() < 0.5 else damaged(chance, data)
            )
            cut = chance.randrange(len(data) + 1)
            found = await answered_with([data[:cut], data[cut:]])
            json.dumps(found, allow_nan=False)

    asyncio.run(asyncio.wait_for(all_of_them(), 50))
