"""Pass short messages through memory that the parent and one worker share.

A message through the socket costs two system calls, and waking up whoever waits for it: 1 µs on
the same core, 30 µs and more on another core that was idle. While messages follow each other
closely, the parent may invite the worker to talk here instead: a message is written and counted,
and the other side, which looks at that count for some microseconds before it sleeps, takes it.

Parent and worker alternate, as in the socket. The parent begins with an `INVITATION`, a frame in
the socket whose length has one more bit. From then on all messages are counted here; one that is
too long, or for a side that looks no more, goes through the socket. The talk ends when a side has
looked in vain: it says so here and reads the socket. The other may not have seen that in time, so
nobody sleeps over a message that it wrote here and that was not taken: it sends a `NOTICE`
through the socket first. A notice that comes too late means nothing.

What is written here is believed no more than what comes through the socket: the parent copies
it once and then reads the copy, and a wrong count is a message that never comes. The size of
the memory is sealed, so that a worker cannot take it away under the parent.

Only where stores become visible to other cores in their order, which Python cannot ask for.
Shared with the child: imports nothing of this package.
"""

import mmap
import os
import sys
from typing import Literal

if sys.platform == "linux":  # elsewhere there is no sandbox, and something has to say so
    import fcntl

NOTICE = bytes(4)
"""A frame without a payload: there is a message in the mailbox."""
INVITATION = 0x8000_0000
"""Added to the length of a frame: the answer may come here."""

AREA_BYTES = 1 << 15
"""The longest message; as much as one read of the socket takes."""
PARENT_LOOKS = 1000
"""How often the parent looks before it sleeps: about 50 µs."""
WORKER_LOOKS = 2000
"""The same of the worker: the parent's event loop has a turn now and then."""
LOOKS_FOR_SLEEPER = 3000
"""The same while the parent wakes up, which takes 30 to 100 µs on an idle core."""

_ORDERED = frozenset({"x86_64"})
_COUNTS_BYTES = mmap.PAGESIZE
_BYTES = _COUNTS_BYTES + 2 * AREA_BYTES
_TO_WORKER = _COUNTS_BYTES
_TO_PARENT = _COUNTS_BYTES + AREA_BYTES

# What the parent does while it waits, and so what the worker does with its answer, and then.
_SLEEPS, _LOOKS, _SLEEPS_ONCE = range(3)
"""The answer goes through the socket, and the talk is over; it goes here; it goes through the
socket, and the talk goes on."""

# Numbers of 32 bits. What one side writes is in one line of the cache, and the other's in another.
_SENT, _SENT_BYTES, _WAITING, _PARENT_TOOK = range(4)
_SAID, _SAID_BYTES, _ASLEEP, _WORKER_TOOK = range(16, 20)
_MASK = 0xFFFF_FFFF
_ELSEWHERE = _MASK
"""In place of a length: the message is in the socket."""

_SEALS = 0x1 | 0x2 | 0x4
"""No more seals, no smaller, no larger (`F_SEAL_…` of fcntl(2))."""
_ADD_SEALS = 1033


def worthwhile() -> bool:
    """Whether two sides can be awake at once here, and see each other's writes in order."""
    if sys.platform != "linux" or os.uname().machine not in _ORDERED:
        return False
    return len(os.sched_getaffinity(0)) > 1


class ParentEnd:
    """The parent's side, which makes the memory.

    `fd` is what the worker needs; `handed_over` when it has that.
    """

    __slots__ = ("_bytes", "_heard", "_here", "_map", "_numbers", "_sent", "fd", "talking")

    def __init__(self) -> None:
        self.fd = os.memfd_create("mailbox", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.fd, _BYTES)
            fcntl.fcntl(self.fd, _ADD_SEALS, _SEALS)
            self._map = mmap.mmap(self.fd, _BYTES)
        except OSError:
            os.close(self.fd)
            raise
        self._bytes = memoryview(self._map)
        self._numbers = self._bytes[:_COUNTS_BYTES].cast("I")
        self._sent = 0
        self._heard = 0
        self._here = False
        self.talking = False
        """The worker was invited, and has not ended it."""

    def invite(self) -> None:
        """Begin to talk: the next frame in the socket is an invitation, and is answered there.

        The parent should sleep until then. Whoever wakes a process that sleeps, and does not sleep
        itself, has it woken on another core; so afterwards each side is on a core of its own.
        """
        numbers = self._numbers
        for number in (_SENT, _SAID, _ASLEEP, _PARENT_TOOK, _WORKER_TOOK):
            numbers[number] = 0
        numbers[_WAITING] = _SLEEPS_ONCE
        self._sent = self._heard = 0
        self._here = False
        self.talking = True

    @property
    def given_up(self) -> bool:
        """Whether the worker had reason to look for the next message, and does so no more."""
        return self._numbers[_ASLEEP] != 0 and self._numbers[_PARENT_TOOK] == self._heard

    def put(self, payload: bytes, *, look: bool) -> bool:
        """Write a message, if the worker looks; False if it has to go through the socket.

        `look`: this side will look for the answer, so the worker may look for what follows.
        The talk is over if the worker sleeps.
        """
        numbers = self._numbers
        if numbers[_ASLEEP]:
            self.talking = False
            return False
        numbers[_WAITING] = _LOOKS if look else _SLEEPS
        length = len(payload)
        self._here = here = look and length <= AREA_BYTES
        if here:
            self._bytes[_TO_WORKER : _TO_WORKER + length] = payload
            numbers[_SENT_BYTES] = length
            self._sent = numbers[_SENT] = (self._sent + 1) & _MASK
        return here

    def sent(self) -> None:
        """Count a message that is in the socket now: a worker that looks stops looking."""
        self._numbers[_SENT_BYTES] = _ELSEWHERE
        self._sent = self._numbers[_SENT] = (self._sent + 1) & _MASK

    def heard(self) -> None:
        """Count a message that came through the socket."""
        self._heard = (self._heard + 1) & _MASK

    def look(self) -> bool:
        """Look for the answer until it is counted, but not for long."""
        numbers, next_one = self._numbers, (self._heard + 1) & _MASK
        for _ in range(PARENT_LOOKS):
            if numbers[_SAID] == next_one:
                return True
        numbers[_WAITING] = _SLEEPS_ONCE
        return numbers[_SAID] == next_one

    @property
    def owes_a_notice(self) -> bool:
        """Whether the last message to the worker is here and was not taken."""
        return self._here and self._numbers[_WORKER_TOOK] != self._sent

    @property
    def both_ways(self) -> bool:
        """Whether the last message to the worker is here, and was answered here."""
        return self._here and self._numbers[_PARENT_TOOK] == self._heard

    def take(self) -> bytes | None:
        """Return the worker's next message; None if it is in the socket, or there is none."""
        numbers, next_one = self._numbers, (self._heard + 1) & _MASK
        # The count first: what is read before it may be of the message before.
        if numbers[_SAID] != next_one or (length := numbers[_SAID_BYTES]) > AREA_BYTES:
            return None
        message = self._bytes[_TO_PARENT : _TO_PARENT + length].tobytes()
        self._heard = numbers[_PARENT_TOOK] = next_one
        return message

    def handed_over(self) -> None:
        """Close the descriptor. The map keeps one of its own until `close`."""
        os.close(self.fd)
        self.fd = -1

    def close(self) -> None:
        """Give the memory back."""
        if self.fd >= 0:
            self.handed_over()
        self._numbers.release()
        self._bytes.release()
        self._map.close()


class WorkerEnd:
    """The worker's side, once it is invited: it says something, takes the answer, and so on."""

    __slots__ = ("_bytes", "_map", "_numbers", "_owes", "_said", "_waiting")

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, _BYTES)
        self._bytes = memoryview(self._map)
        self._numbers = self._bytes[:_COUNTS_BYTES].cast("I")
        self._said = 0
        self._owes = False
        self._waiting = _SLEEPS

    def put(self, frame: bytes, first: bool) -> bool | None:
        """Write a message, with its length before it as in the socket.

        False: it has to go through the socket. So has one that is too long: say b"" here. None:
        the same, and the talk is over. `first`: after an invitation.
        """
        if first:
            self._said = 0
        return self._put(frame, self._numbers[_WAITING])

    def _put(self, frame: bytes, waiting: int) -> bool | None:
        numbers = self._numbers
        self._waiting = waiting
        self._owes = here = waiting == _LOOKS and len(frame) > 0
        if here:
            length = len(frame) - 4
            self._bytes[_TO_PARENT : _TO_PARENT + length] = frame[4:]
            numbers[_SAID_BYTES] = length
        else:
            numbers[_SAID_BYTES] = _ELSEWHERE
        numbers[_ASLEEP] = waiting == _SLEEPS
        self._said = numbers[_SAID] = (self._said + 1) & _MASK
        return here if waiting != _SLEEPS else None

    def take(self) -> bytes | Literal[False] | None:
        """Return the parent's answer. None: it is in the socket.

        False: the talk is over, read the socket. b"": the same, after a notice in the socket.
        """
        numbers, said = self._numbers, self._said
        for _ in range(WORKER_LOOKS if self._waiting == _LOOKS else LOOKS_FOR_SLEEPER):
            if numbers[_SENT] == said:
                break
        else:
            numbers[_ASLEEP] = 1
            if numbers[_SENT] != said:
                owes, self._owes = self._owes and numbers[_PARENT_TOOK] != said, False
                return b"" if owes else False
        length = numbers[_SENT_BYTES]
        if length == _ELSEWHERE:
            return None
        return self._taken(length)

    def exchange(self, frame: bytes) -> bytes | bool | None:
        """Write a message that is not too long and take its answer, as `take` does.

        True: nothing was done, since the parent does not look.
        """
        if self._numbers[_WAITING] != _LOOKS:
            return True
        # Even if it looks no more by now: then it gets a notice.
        self._put(frame, _LOOKS)
        return self.take()

    def noticed(self) -> bytes | None:
        """Return the message that a notice in the socket tells of; None if it came too late."""
        numbers = self._numbers
        # The count first, as in `ParentEnd.take`.
        if numbers[_SENT] != self._said or (length := numbers[_SENT_BYTES]) == _ELSEWHERE:
            return None
        if numbers[_WORKER_TOOK] == self._said:
            return None
        return self._taken(length)

    def _taken(self, length: int) -> bytes:
        self._numbers[_ASLEEP] = 0
        self._numbers[_WORKER_TOOK] = self._said
        return self._bytes[_TO_WORKER : _TO_WORKER + length].tobytes()
