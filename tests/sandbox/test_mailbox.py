"""Messages through shared memory: each is taken once and whole, and nobody looks for ever."""

import asyncio
import gc
import os
import socket
from time import perf_counter

import msgspec
import pytest

from micro_agi.sandbox.host.calls import HostFunction
from micro_agi.sandbox.mailbox import NOTICE, ParentEnd, WorkerEnd, worthwhile
from micro_agi.sandbox.talk import A_ROW, LATE_NOTICES, Talk
from micro_agi.sandbox.wire import RESULT
from micro_agi.sandbox.worker_channel import Worker, WorkerLost
from micro_agi.testing.sandbox import LuaBench

pytestmark = pytest.mark.skipif(not worthwhile(), reason="there is one core, or stores reorder")

ANSWER = msgspec.msgpack.encode([RESULT, 1])


class Interrupted:
    """The shared numbers, of which one side has read one when the other side goes on."""

    def __init__(self, numbers, go_on):
        self._numbers = numbers
        self._go_on = go_on

    def __getitem__(self, number):
        found = self._numbers[number]
        go_on, self._go_on = self._go_on, lambda: None
        go_on()
        return found

    def __setitem__(self, number, value):
        self._numbers[number] = value

    def release(self):
        self._numbers.release()


@pytest.fixture(name="ends")
def ends_fixture():
    parent = ParentEnd()
    worker = WorkerEnd(parent.fd)
    yield parent, worker
    parent.close()


def begin(parent, worker):
    parent.invite()
    worker.put(framed(b"through the socket"), True)
    parent.heard()


def framed(payload):
    return len(payload).to_bytes(4, "little") + payload


def test_a_late_notice_finds_a_message_that_comes_meanwhile_whole_or_not_at_all(ends):
    parent, worker = ends
    begin(parent, worker)
    assert parent.put(b"short", look=True)
    assert worker.take() == b"short"
    worker.put(framed(b"short"), False)
    assert parent.take() == b"short"

    worker._numbers = Interrupted(worker._numbers, lambda: parent.put(b"a longer one", look=True))
    assert worker.noticed() in (None, b"a longer one")
    assert worker.take() in (b"a longer one", b"", False)

    answer = framed(b"a longer one, too")
    parent._numbers = Interrupted(parent._numbers, lambda: worker.put(answer, False))
    assert parent.take() in (None, answer[4:])


def test_looking_stops_when_it_brings_nothing(ends):
    parent, worker = ends
    talk = Talk(parent)
    begin(parent, worker)
    talk._well = True
    looked = 0
    for _ in range(A_ROW + 32):
        frame = talk.say(b"do what takes long", quick=True)
        if frame:
            talk.said(frame)
        looked += talk.looks
        if talk.looks:
            assert talk.listen() is None
        # As of a worker that looks again after each answer, while this side wakes up.
        worker.take()
        worker.put(framed(b"done"), bool(frame and frame[3]))
        talk.heard()
    assert looked < 8


def test_late_notices_keep_the_loop_no_longer_than_one_wait():
    class Dripping(socket.socket):
        waits = 0

        def recv(self, size, flags=0):
            self.waits += not flags
            return NOTICE

    async def test():
        channel = Dripping(socket.AF_UNIX)
        worker = Worker(
            asyncio.get_running_loop(), channel, None, frame_bytes=1 << 16, mailbox=ParentEnd()
        )
        worker._pace_s = 0.0
        worker._talk.late_notices = LATE_NOTICES
        assert worker.receive_in_place() is None
        assert channel.waits == 1
        assert worker.lost, "it sent more notices than there can be"

    asyncio.run(test())


def test_a_worker_that_is_gone_when_it_needs_a_notice_is_lost_once():
    async def test():
        ours, theirs = socket.socketpair()
        mailbox = ParentEnd()
        loop = asyncio.get_running_loop()
        problems = []
        loop.set_exception_handler(lambda _, context: problems.append(context["message"]))
        worker = Worker(loop, ours, None, frame_bytes=1 << 16, mailbox=mailbox)
        begin(mailbox, WorkerEnd(mailbox.fd))
        worker._talk._well = True
        worker.send(ANSWER)
        theirs.close()
        with pytest.raises(WorkerLost):
            await worker.receive()
        gc.collect()
        assert problems == []

    asyncio.run(test())


def test_what_a_worker_looks_counts_as_computing():
    async def asked(call):
        until = perf_counter() + 40e-6
        while perf_counter() < until:
            pass
        return 1

    bench = LuaBench(host={"env.get": HostFunction(run=asked, module="env", outside=False)})
    source = "local env = require('env') return function() for _ = 1, 900 do env.get('a') end end"
    try:
        for _ in range(8):
            bench.run(source, modules=("env",))
        (worker,) = bench.pool._idle
        # At half of the limit a worker is replaced.
        assert worker.computed_s > 0.5 * cpu_s(worker)
    finally:
        bench.close()


def cpu_s(worker):
    with open(f"/proc/self/fdinfo/{worker._process}") as file:
        pid = next(line.split()[1] for line in file if line.startswith("Pid:"))
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
