"""Carry messages to calls in flight: each that wants one has a mailbox and a pid.

A pid cannot be guessed, is good as long as its call, and only calls of the same session reach
it. Messages of one sender arrive in order; those of topics that nobody listens to wait for
the inbox. What waits is bounded: beyond it, sending fails. Source: spec/runtime.md 7.3.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct, field

from micro_agi.errors import EntryNotFound, InputInvalid, LimitReached, PolicyDenied
from micro_agi.sandbox.host.calls import ALWAYS, Frame, HostCall, HostFunction
from micro_agi.security.context import CallContext
from micro_agi.values import canonical_json

MOST_BYTES = 1 << 20
"""Of all messages that wait in one mailbox."""
MOST_MESSAGES = 1000
MOST_TOPICS = 64
ITEMS_IN_ONE_ANSWER = 64
INBOX = ""
"""Stands for all topics that nobody listens to."""


class Mail(Struct, kw_only=True):
    """One message. While it waits, its sender may still add to `value`."""

    topic: str
    sender: str
    value: Any
    size: int = 0
    taken: bool = False


class Mailbox(Struct):
    """What one call in flight was sent and has not taken yet."""

    pid: str
    session: str
    topics: set[str] = field(default_factory=set)
    waiting: deque[Mail] = field(default_factory=deque)
    size: int = 0
    closed: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def post(self, mail: Mail) -> None:
        """Put a message in.

        Raises: LimitReached when too much waits already.
        """
        mail.size = len(canonical_json(mail.value))
        if len(self.waiting) >= MOST_MESSAGES or self.size + mail.size > MOST_BYTES:
            raise LimitReached(
                f"the mailbox of {self.pid} is full",
                where=f"process.send to `{mail.topic}`",
                fix="receive in between, or send less",
            )
        self.size += mail.size
        self.waiting.append(mail)
        self._notify()

    def take(self) -> list[Mail]:
        """Take the messages that somebody listens to, oldest first, as many as one answer holds."""
        taken: list[Mail] = []
        left: deque[Mail] = deque()
        for mail in self.waiting:
            if len(taken) < ITEMS_IN_ONE_ANSWER and self.key(mail.topic) is not None:
                mail.taken = True
                self.size -= mail.size
                taken.append(mail)
            else:
                left.append(mail)
        self.waiting = left
        if taken:
            self._notify()
        return taken

    def key(self, topic: str) -> str | None:
        """Return the topic that gets a message: its own, the inbox, or None for nobody's."""
        if topic in self.topics:
            return topic
        return INBOX if INBOX in self.topics else None

    async def until(self, ready: Callable[[], Any]) -> Any:
        """Wait until `ready()` is true after some change, and return what it gave."""
        while not (found := ready()):
            self._changed.clear()
            await self._changed.wait()
        return found

    async def drained(self, topic: str) -> None:
        """Wait until the messages of a topic are taken, or nobody will take them."""
        await self.until(
            lambda: (
                self.closed
                or topic not in self.topics
                or all(mail.topic != topic for mail in self.waiting)
            )
        )

    def listen(self, topic: str) -> None:
        """Begin to hand out messages of a topic.

        Raises: LimitReached for too many topics.
        """
        if topic not in self.topics and len(self.topics) >= MOST_TOPICS:
            raise LimitReached(f"a call listens to at most {MOST_TOPICS} topics", where="process")
        self.topics.add(topic)
        self._notify()

    def unlisten(self, topic: str) -> None:
        """Stop handing out messages of a topic; those that wait stay for the inbox."""
        self.topics.discard(topic)
        self._notify()

    def close(self) -> None:
        """The call is over."""
        self.closed = True
        self._notify()

    def _notify(self) -> None:
        self._changed.set()


class Mailboxes:
    """The mailboxes of all calls in flight of one runtime."""

    def __init__(self) -> None:
        self._by_frame: dict[int, Mailbox] = {}
        self._by_pid: dict[str, Mailbox] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._by_pid)

    def of(self, frame: Frame) -> Mailbox:
        """Return the mailbox of a call, made when it is first asked for; it ends with the call."""
        box = self._by_frame.get(id(frame))
        if box is None:
            pid = f"{{local@micro-agi|{secrets.token_hex(8)}}}"
            box = Mailbox(pid, frame.context.session)
            self._by_frame[id(frame)] = self._by_pid[pid] = box
            frame.at_end.append(lambda: self._forget(frame))
        return box

    def find(self, pid: str, context: CallContext) -> Mailbox:
        """Return the mailbox with this pid.

        Raises: EntryNotFound when there is none in the caller's session.
        """
        box = self._by_pid.get(pid)
        if box is None or box.session != context.session:
            raise EntryNotFound(
                f"no process {pid}",
                where="process",
                fix="use what process.pid() returned in a call that still runs",
            )
        return box

    def _forget(self, frame: Frame) -> None:
        box = self._by_frame.pop(id(frame))
        del self._by_pid[box.pid]
        box.close()


def process_functions(mailboxes: Mailboxes) -> dict[str, HostFunction]:
    """Return the host functions of the module, which every unit may call."""
    processes = _Processes(mailboxes)

    def inside(run: Callable[[HostCall], Awaitable[Any]]) -> HostFunction:
        return HostFunction(run=run, module=ALWAYS, outside=False)

    return {
        "process.pid": inside(processes.pid),
        "process.listen": inside(processes.listen),
        "process.unlisten": inside(processes.unlisten),
        "process.next": HostFunction(
            run=processes.next, module=ALWAYS, outside=False, needs="nothing"
        ),
        "process.send": HostFunction(run=processes.send, module=ALWAYS, outside=True),
    }


class _Processes:
    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes

    async def pid(self, call: HostCall) -> Any:
        return self._mailboxes.of(call.frame).pid

    async def listen(self, call: HostCall) -> Any:
        self._mailboxes.of(call.frame).listen(_topic(call.argument(0)))
        return True

    async def unlisten(self, call: HostCall) -> Any:
        self._mailboxes.of(call.frame).unlisten(_topic(call.argument(0)))
        return True

    async def next(self, call: HostCall) -> Any:
        """Wait for messages and return `[[key, topic, sender, value], …]`."""
        box = self._mailboxes.of(call.frame)
        taken: list[Mail] = await box.until(box.take)
        return [[box.key(m.topic) or INBOX, m.topic, m.sender, m.value] for m in taken]

    async def send(self, call: HostCall) -> Any:
        destination, topic = str(call.argument(0)), _topic(call.argument(1))
        if call.context.evaluate("process.send", destination).answer == "deny":
            raise PolicyDenied(f"not allowed: process.send to {destination}", where="process.send")
        box = self._mailboxes.find(destination, call.context)
        values = call.args[2:]
        value = values[0] if len(values) == 1 else values
        sender = self._mailboxes.of(call.frame).pid
        box.post(Mail(topic=topic, sender=sender, value=value))
        return True


def _topic(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise InputInvalid("a topic is a text of at most 200 characters", where="process")
    return value
