"""Parent and worker step by step, in thousands of orders: no message is lost, doubled or mixed up.

Both sides are the real ones (`Worker`, `Talk`, `ParentEnd`; `Channel`, `WorkerEnd`), each in a
thread, and one of them goes on at a time. Each load and store of the shared memory is a step
between which the other may go on. Stores wait in a buffer as those of an x86 core do, and system
calls empty it. Deterministic but for the talk's clock, which only decides when there is a talk.
"""

import asyncio
import random
import socket
import threading
from collections import Counter, deque

import msgspec

from micro_agi.sandbox.mailbox import _PARENT_TOOK, _WORKER_TOOK, AREA_BYTES, ParentEnd, WorkerEnd
from micro_agi.sandbox.worker.python_worker import Channel
from micro_agi.sandbox.worker_channel import Worker, WorkerLost

MESSAGES = 150
ORDERS = 30
SLICES = ((1, 4), (1, 4), (1, 4), (4, 30), (4, 30), (30, 6000))
"""How many steps a side goes on for."""
LONG = (1000, AREA_BYTES - 20, AREA_BYTES + 9, 70_000)
PARENT, WORKER = 0, 1

encode = msgspec.msgpack.encode


class Over(BaseException):
    """Ends both threads."""


class Both:
    """What the two share: whose turn it is, the memory, and the socket."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.turns = (threading.Semaphore(0), threading.Semaphore(0))
        self.left = 1
        self.ready = [lambda: True, lambda: True]
        self.problem = ""
        self.over = False
        self.taken = 0
        self.words = Counter()
        self.area = bytearray(1 << 17)
        self.stores = (deque(), deque())
        self.sockets = (bytearray(), bytearray())

    def step(self, side):
        if self.over:
            raise Over
        self.left -= 1
        if self.left <= 0:
            self.switch(side)

    def switch(self, side):
        self.left = self.random.randint(*self.random.choice(SLICES))
        if not self.ready[1 - side]():
            if not self.ready[side]():
                self.end("both sleep")
                raise Over
            return
        self.turns[1 - side].release()
        self.turns[side].acquire()
        if self.over:
            raise Over

    def sleep(self, side, until):
        self.become_visible(side)
        self.ready[side] = until
        while not until():
            self.switch(side)
        self.ready[side] = lambda: True

    def end(self, problem):
        self.problem = self.problem or problem
        self.over = True
        for turn in self.turns:
            turn.release()

    def become_visible(self, side, most=1 << 30):
        stores = self.stores[side]
        while stores and most:
            most -= 1
            place, value = stores.popleft()
            if isinstance(place, int):
                self.words[place] = value
            else:
                self.area[place] = value

    def write(self, side, data):
        self.step(side)
        self.become_visible(side)
        # A notice is too short to be cut.
        some = len(data) > 4 and self.random.random() < 0.2
        count = self.random.randint(1, len(data)) if some else len(data)
        self.sockets[1 - side].extend(data[:count])
        return count

    def read(self, side, size):
        self.step(side)
        data = bytes(self.sockets[side][:size])
        del self.sockets[side][:size]
        return data

    def payload(self, number):
        fill = self.random.choice(LONG) if self.random.random() < 0.07 else number % 40
        return encode([16, number, bytes(fill)])


class Memory:
    """The numbers, or the two areas, as one side sees them."""

    def __init__(self, both, side):
        self.both, self.side = both, side

    def __getitem__(self, place):
        both = self.both
        both.step(self.side)
        for side in (PARENT, WORKER):
            if both.stores[side] and both.random.random() < 0.3:
                both.become_visible(side, both.random.randint(1, 3))
        if not isinstance(place, int):
            return memoryview(bytes(both.area[place]))
        own = (value for stored, value in reversed(both.stores[self.side]) if stored == place)
        return next(own, both.words[place])

    def __setitem__(self, place, value):
        self.both.step(self.side)
        self.both.stores[self.side].append((place, value))
        self.both.taken += place in (_PARENT_TOOK, _WORKER_TOOK) and value > 0

    def release(self):
        pass


class Socket(socket.socket):
    """The parent's socket."""

    both: Both

    def send(self, data, _):
        return self.both.write(PARENT, bytes(data))

    def recv(self, size, flags=0):
        both = self.both
        both.become_visible(PARENT)
        for _ in range(0 if flags else both.random.randint(0, 4)):
            both.switch(PARENT)
        if not both.sockets[PARENT]:
            raise BlockingIOError
        return both.read(PARENT, size)


def parents_side(both, worker):
    def turn_of_the_loop():
        if worker._unsent:
            worker._on_writable()
        if both.sockets[PARENT]:
            worker._on_readable()

    for number in range(MESSAGES):
        worker._pace_s = 0.0 if both.random.random() < 0.9 else 1.0
        worker.send(both.payload(number))
        message = worker.receive_in_place()
        waiting = worker.receive() if message is None else None
        while message is None:
            try:
                future = waiting.send(None)
            except StopIteration as end:
                message = end.value
                break
            if future is None:
                turn_of_the_loop()
            while future and not future.done():
                both.sleep(PARENT, lambda: both.sockets[PARENT] or worker._unsent)
                turn_of_the_loop()
                both.step(PARENT)
        assert message[1] == number, f"the parent took {message[1]} for {number}"


def workers_side(both, channel):
    message = channel.receive()
    for number in range(MESSAGES):
        assert message[1] == number, f"the worker took {message[1]} for {number}"
        payload = both.payload(number)
        if both.random.random() < 0.5:
            message = channel.exchange(payload)
        else:
            channel.send(payload)
            message = channel.receive()


def in_some_order(seed):
    """Return what went wrong, and how many messages went through memory."""
    both, loop = Both(seed), asyncio.new_event_loop()
    parent = ParentEnd()
    child = WorkerEnd(parent.fd)
    for side, end in ((PARENT, parent), (WORKER, child)):
        end._numbers = end._bytes = Memory(both, side)
    channel = Channel(child)

    def read(_, size):
        both.sleep(WORKER, lambda: both.sockets[WORKER])
        return both.read(WORKER, size)

    channel._read = read
    channel._write = lambda _, data: both.write(WORKER, bytes(data))
    ours = Socket(socket.AF_UNIX)
    ours.both = both
    worker = Worker(loop, ours, None, frame_bytes=1 << 20, mailbox=parent)

    def run(side, work, *parts):
        both.turns[side].acquire()
        problem = "a side failed"
        try:
            work(both, *parts)
            problem = ""
        except Over:
            problem = ""
        except (AssertionError, WorkerLost, msgspec.DecodeError) as error:
            problem = f"{type(error).__name__}: {error}"
        finally:
            both.end(problem)

    threads = [
        threading.Thread(target=run, args=(PARENT, parents_side, worker)),
        threading.Thread(target=run, args=(WORKER, workers_side, channel)),
    ]
    for thread in threads:
        thread.start()
    both.turns[PARENT].release()
    for thread in threads:
        thread.join()
    worker.kill("done")
    loop.close()
    return both.problem, both.taken


def test_no_order_of_steps_loses_or_doubles_or_mixes_up_a_message():
    through_memory = 0
    for seed in range(ORDERS):
        problem, count = in_some_order(seed)
        assert problem == "", f"order {seed}: {problem}"
        through_memory += count
    assert through_memory > 10 * ORDERS, "there was hardly any talk"
