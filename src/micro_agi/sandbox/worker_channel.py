"""Hold the parent's end of one worker: its socket, its process handle, its state.

Strict: the worker may speak only when it is asked, exactly one frame at a time, no longer
than allowed. Anything else is treated as an attack and kills it. Killing goes through the
pidfd, so a reused process id is never hit.
"""

import asyncio
import contextlib
import os
import signal
import socket
import struct
from socket import MSG_DONTWAIT
from time import monotonic
from typing import Any, NamedTuple

import msgspec

from micro_agi.sandbox.mailbox import NOTICE, ParentEnd
from micro_agi.sandbox.talk import Talk
from micro_agi.sandbox.wire import HEADER, READY

READ_BYTES = 1 << 15
"""A larger buffer is mapped and unmapped by the allocator at each read: 11 µs."""

UNASKED = "it sent something nobody asked for"

QUICK_S = 100e-6
"""A worker that answers faster than this on average is waited for in place: going to sleep
in the event loop and being woken by it costs three times as much (33 against 11 µs)."""
TALK_S = 250e-6
"""One that answers faster than this may be talked to (`talk.py`): waking up on other cores, which
a talk saves, can take most of it."""
IN_PLACE_S = 50e-6
"""The longest wait in place, which the kernel rounds up to ticks of its clock: at most two, 8 ms.
A finer timer would take 25 µs of every call (decisions/0035)."""
IN_PLACE_TIMES = 32
"""Waits in place one after the other; then the event loop gets a turn."""
AFTER_VAIN = 64
"""Answers through the event loop after a wait in place that was in vain, for which the event
loop stood still."""
_TIMEOUT = struct.pack("ll", 0, round(IN_PLACE_S * 1e6))
_decode = msgspec.msgpack.Decoder().decode


class Tenant(NamedTuple):
    """Whom a worker may serve: one session, and within it operator's or generated code.

    A guest that broke its interpreter would own whatever runs in the worker afterwards, so
    code with the operator's grants never shares a worker with code a model wrote.
    """

    session: str
    privileged: bool
    unit: str = ""
    """Hash of the only unit it serves, where guests can change the interpreter for good."""


class WorkerLost(Exception):
    """The worker is gone: `reason` is `ended`, `wall`, `total`, or how it broke the protocol."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Worker:
    """One locked worker process. Belongs to the event loop that made it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channel: socket.socket,
        process: int | None,
        *,
        frame_bytes: int,
        mailbox: ParentEnd | None = None,
    ) -> None:
        self._loop = loop
        self._channel = channel
        self._fd = channel.fileno()
        self._process = process
        self._frame_bytes = frame_bytes
        self._talk = Talk(mailbox) if mailbox is not None else None
        self._received = bytearray()
        self._unsent = memoryview(b"")
        self._waiter: asyncio.Future[list[Any]] | None = None
        self.lost = ""
        """Why it is gone; "" while it lives."""
        self.tenant: Tenant | None = None
        self.made_by: object = None
        """The zygote, as its pool knows it: when that ends, so does the worker."""
        self.at_rest = True
        """No call in flight: it may be reused."""
        self.known: dict[str, int] = {}
        """Numbers of the units it has compiled, by their hashes."""
        self.frame_length = 0
        """Bytes of the last complete message."""
        self.calls = 0
        self.computed_s = 0.0
        self.unused = False
        """Nobody has used it since the pool looked last."""
        self._pace_s = QUICK_S
        """Moving average of the time to an answer."""
        self._in_place = 0
        self._vain = 0
        """Answers to come until it is waited for in place again."""
        channel.setblocking(True)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)
        loop.add_reader(self._fd, self._on_readable)

    async def ready(self) -> None:
        """Wait for the worker's first message, which says that it has locked itself.

        Raises: WorkerLost, as `receive`.
        """
        op, knows = await self.receive()
        assert op == READY, "the first message of trusted code"
        if knows is not True:
            self.close_mailbox()

    def close_mailbox(self) -> None:
        """Use the socket alone from now on; only while no call is in flight."""
        if self._talk is not None:
            self._talk.close()
            self._talk = None

    def send(self, payload: bytes) -> None:
        """Send one message; what the socket does not take at once follows from the loop."""
        if self.lost:
            raise WorkerLost(self.lost)
        if self._talk is None:
            self._write(HEADER.pack(len(payload)) + payload)
        elif frame := self._talk.say(payload, quick=self._pace_s < TALK_S):
            # Looking takes of the worker's CPU limit, too; what the watch counts comes on top.
            self.computed_s += self._talk.awake_s
            self._write(frame)
            self._talk.said(frame)

    def _write(self, data: bytes) -> None:
        try:
            sent = self._channel.send(data, MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.kill("ended")
            raise WorkerLost(self.lost) from error
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self._loop.add_writer(self._fd, self._on_writable)

    async def receive(self) -> list[Any]:
        """Return the next message, a list that starts with its operation.

        Raises:
            WorkerLost: it ended, was killed, or sent what no worker of ours sends.
        """
        if self.lost:
            raise WorkerLost(self.lost)
        assert self._waiter is None, "one call in flight per worker"
        self._in_place = 0
        asked = self._loop.time()
        waiter: asyncio.Future[list[Any]] = self._loop.create_future()
        self._waiter = waiter
        try:
            if self._talk is not None and self._talk.looks:
                # A turn for the event loop; the answer may be there by then.
                await asyncio.sleep(0)
                if not waiter.done() and (found := self._listen(self._talk)) is not None:
                    waiter.set_result(found)
            message = await waiter
        finally:
            self._waiter = None
        self._pace_s += 0.2 * (self._loop.time() - asked - self._pace_s)
        if self._vain:
            self._vain -= 1
        return message

    def receive_in_place(self) -> list[Any] | None:
        """Return the answer of a quick worker without leaving this task, if it comes at once.

        None: ask `receive`, also for what went wrong.
        """
        if self._in_place >= IN_PLACE_TIMES or self._unsent or self.lost:
            return None
        if self._talk is not None and self._talk.looks:
            self._in_place += 1
            message = self._listen(self._talk)
            if message is not None or self.lost:
                return message
        if self._pace_s >= QUICK_S or self._vain:
            return None
        self._in_place += 1
        asked = monotonic()
        message = self._read()
        self._pace_s += 0.2 * (monotonic() - asked - self._pace_s)
        if message is None:
            self._vain = AFTER_VAIN
        return message

    def _listen(self, talk: Talk) -> list[Any] | None:
        """Return the message that the worker puts into the mailbox, if it comes at once."""
        payload = talk.listen()
        if payload is not None:
            self.computed_s += talk.awake_s
            return self._from_mailbox(payload)
        if talk.owes_a_notice:
            # If it is lost, whoever waits is told.
            with contextlib.suppress(WorkerLost):
                self._write(NOTICE)
        return None

    def kill(self, reason: str) -> None:
        """End the process and give everything back; a second time does nothing."""
        if self.lost:
            return
        self.lost = reason
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            os.close(self._process)
            self._process = None
        self._channel.close()
        self.close_mailbox()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(WorkerLost(reason))

    def interrupt(self) -> None:
        """Ask the code in the worker to stop; it may ignore that."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGINT)

    def _on_writable(self) -> None:
        try:
            sent = self._channel.send(self._unsent, MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            self.kill("ended")
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._loop.remove_writer(self._fd)

    def _on_readable(self) -> None:
        waiter = self._waiter
        asked = waiter is not None and not waiter.done()
        message = self._read(MSG_DONTWAIT)
        if message is None:
            if self._received and not asked:
                self.kill(UNASKED)
        elif waiter is not None and asked:
            waiter.set_result(message)
        else:
            self.kill(UNASKED)

    def _read(self, flags: int = 0) -> list[Any] | None:
        """Return a complete message, or None while one is incomplete or the worker is lost."""
        try:
            data = self._channel.recv(READ_BYTES, flags)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self.kill("ended")
            return None
        received: bytes | bytearray = data
        if self._received:
            self._received += data
            received = self._received
        if received[: HEADER.size] == NOTICE and self._talk is not None:
            message, received = self._noticed(self._talk, bytes(received))
            self._received.clear()
            if message is not None or self.lost:
                return message
            if not received:
                # One wait in place is enough: a worker could let notices drip.
                return self._read(MSG_DONTWAIT)
            data = received
        have = len(received) - HEADER.size
        if have >= 0:
            (length,) = HEADER.unpack_from(received)
            if not self._allows(length):
                return None
            if have > length:
                self.kill("bytes after the end of a frame")
                return None
            if have == length:
                if self._talk is not None:
                    self._talk.heard()
                payload = bytes(received[HEADER.size :])
                self._received.clear()
                return self._decoded(payload)
        # Nearly all messages come in one piece and are never kept here.
        if received is data:
            self._received += data
        return None

    def _noticed(self, talk: Talk, received: bytes) -> tuple[list[Any] | None, bytes]:
        """Return the message that notices tell of, if they are not late, and what follows them."""
        message = None
        while received[: HEADER.size] == NOTICE and not self.lost:
            received = received[HEADER.size :]
            if message is None and (payload := talk.noticed()) is not None:
                message = self._from_mailbox(payload)
            talk.late_notices -= 1
            if talk.late_notices < 0:
                self.kill(UNASKED)
        if message is not None and received:
            self.kill("bytes after the end of a frame")
        return (None if self.lost else message), received

    def _from_mailbox(self, payload: bytes) -> list[Any] | None:
        return self._decoded(payload) if self._allows(len(payload)) else None

    def _allows(self, length: int) -> bool:
        """Whether a message may be so long; one that is longer costs the worker its life."""
        if length > self._frame_bytes:
            self.kill(f"a frame of {length} bytes is more than {self._frame_bytes}")
        return not self.lost

    def _decoded(self, payload: bytes) -> list[Any] | None:
        self.frame_length = len(payload)
        try:
            message = _decode(payload)
        except (msgspec.DecodeError, ValueError, RecursionError):
            self.kill("a frame that is not msgpack")
            return None
        if type(message) is not list or not message or type(message[0]) is not int:
            self.kill("a message that is not a list with an operation")
            return None
        return message
