"""Waiting for a quick worker without the event loop: what it may cost the loop is bounded."""

import asyncio
import socket
import struct

import msgspec

from micro_agi.sandbox.wire import RESULT
from micro_agi.sandbox.worker_channel import AFTER_VAIN, IN_PLACE_TIMES, Worker

PAYLOAD = msgspec.msgpack.encode([RESULT, 1])
ANSWER = struct.pack("<I", len(PAYLOAD)) + PAYLOAD


def talk(test):
    async def body():
        ours, theirs = socket.socketpair()
        worker = Worker(asyncio.get_running_loop(), ours, None, frame_bytes=1 << 16)
        # As after many quick answers; the average is not what these tests are about.
        worker._pace_s = 0.0
        try:
            await asyncio.wait_for(test(worker, theirs), 30)
        finally:
            worker.kill("done")
            theirs.close()

    asyncio.run(body())


def test_after_some_answers_in_place_the_loop_has_a_turn():
    async def test(worker, theirs):
        for _ in range(IN_PLACE_TIMES):
            theirs.send(ANSWER)
            worker._pace_s = 0.0
            assert worker.receive_in_place() == [RESULT, 1]
        theirs.send(ANSWER)
        assert worker.receive_in_place() is None, "though it is there"
        assert await worker.receive() == [RESULT, 1]
        theirs.send(ANSWER)
        assert worker.receive_in_place() == [RESULT, 1]

    talk(test)


def test_after_a_wait_in_vain_the_worker_is_not_waited_for_again_for_long():
    async def test(worker, theirs):
        assert worker.receive_in_place() is None, "it gave up"
        for _ in range(AFTER_VAIN):
            worker._pace_s = 0.0
            theirs.send(ANSWER)
            assert worker.receive_in_place() is None, "though it is there"
            assert await worker.receive() == [RESULT, 1]
        worker._pace_s = 0.0
        theirs.send(ANSWER)
        assert worker.receive_in_place() == [RESULT, 1]

    talk(test)


def test_half_an_answer_in_place_is_completed_by_the_loop():
    async def test(worker, theirs):
        theirs.send(ANSWER[:5])
        assert worker.receive_in_place() is None
        task = asyncio.create_task(worker.receive())
        await asyncio.sleep(0)
        theirs.send(ANSWER[5:])
        assert await task == [RESULT, 1]

    talk(test)
