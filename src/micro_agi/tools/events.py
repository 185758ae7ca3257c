"""Carry events between the parts of one program: the bus and the module `events`.

In this process only and at best effort: a subscription keeps `BUFFER` events, what comes
on top is lost. Subscriptions end with the call that made them.
Source: spec/runtime.md 6.15.
"""

import asyncio
import itertools
import re
from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from micro_agi.errors import InputInvalid
from micro_agi.sandbox.host.calls import Frame, HostCall, HostFunction
from micro_agi.tools.permit import denied
from micro_agi.values import canonical_json

BUFFER = 64
MOST_SUBSCRIPTIONS = 64
"""Of one call."""
MOST_BYTES = 64 << 10
"""Of one event's data: it may be kept for every subscriber."""
MOST_PATTERN = 200


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened."""

    system: str
    kind: str
    path: str
    data: Any = None

    def as_dict(self) -> dict[str, Any]:
        """Return what Lua code receives."""
        facts = {"system": self.system, "kind": self.kind, "path": self.path}
        return facts if self.data is None else facts | {"data": self.data}


Deliver = Callable[[Event], None]


class Bus:
    """Sends events to whoever subscribed to their system and kind."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._subscribers: dict[int, tuple[re.Pattern[str], re.Pattern[str], Deliver]] = {}

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscribers)

    def subscribe(self, system: str, kind: str, deliver: Deliver) -> Callable[[], None]:
        """Call `deliver` with every event that fits; return what ends that.

        In both patterns `*` stands for a part between dots and `**` for anything.
        """
        number = next(self._numbers)
        self._subscribers[number] = (_pattern(system), _pattern(kind), deliver)
        return lambda: self._subscribers.pop(number, None) and None

    def send(self, event: Event) -> None:
        """Deliver an event; nobody waits for anybody."""
        for system, kind, deliver in list(self._subscribers.values()):
            if system.fullmatch(event.system) and kind.fullmatch(event.kind):
                deliver(event)


def _pattern(text: str) -> re.Pattern[str]:
    # Stars side by side would make the matching explode, and mean nothing more.
    parts = re.split(r"(\*+)", text)
    meaning = {"*": r"[^.]*"}
    return re.compile("".join(meaning.get(p, ".*") if "*" in p else re.escape(p) for p in parts))


class _Inbox(Struct):
    """What one call in flight has subscribed to and not yet received."""

    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    ends: dict[int, Callable[[], None]] = field(default_factory=dict)
    waiting: dict[int, int] = field(default_factory=dict)
    """How many events of each subscription wait."""
    items: deque[tuple[int, Event]] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def deliver(self, number: int, event: Event) -> None:
        if self.waiting[number] < BUFFER:
            self.waiting[number] += 1
            self.items.append((number, event))
            self.news.set()

    def unsubscribe(self, number: int) -> None:
        end = self.ends.pop(number, None)
        if end is not None:
            end()

    def close(self) -> None:
        for number in list(self.ends):
            self.unsubscribe(number)


def events_functions(bus: Bus) -> dict[str, HostFunction]:
    """Return the host functions of the module."""
    events = _Events(bus)
    return {
        "events.subscribe": HostFunction(run=events.subscribe, module="events", outside=False),
        "events.unsubscribe": HostFunction(run=events.unsubscribe, module="events", outside=False),
        "events.next": HostFunction(
            run=events.next, module="events", outside=False, needs="nothing"
        ),
        "events.send": HostFunction(run=events.send, module="events", outside=True),
    }


class _Events:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._inboxes: dict[int, _Inbox] = {}

    def _inbox(self, frame: Frame) -> _Inbox:
        inbox = self._inboxes.get(id(frame))
        if inbox is None:
            inbox = self._inboxes[id(frame)] = _Inbox()
            frame.at_end.append(lambda: self._forget(frame))
        return inbox

    def _forget(self, frame: Frame) -> None:
        self._inboxes.pop(id(frame)).close()

    async def subscribe(self, call: HostCall) -> Any:
        system, kind = str(call.argument(0)), str(call.argument(1) or "**")
        if denied(call.context, "events.subscribe", system):
            raise _refused(f"not allowed to subscribe to events from system: {system}")
        if max(len(system), len(kind)) > MOST_PATTERN or (system + kind).count("*") > 8:
            raise _refused("the pattern is too long, or has too many wildcards")
        inbox = self._inbox(call.frame)
        if len(inbox.ends) >= MOST_SUBSCRIPTIONS:
            raise _refused(f"more than {MOST_SUBSCRIPTIONS} subscriptions in one call")
        number = next(inbox.numbers)
        inbox.waiting[number] = 0
        inbox.ends[number] = self._bus.subscribe(
            system, kind, lambda event: inbox.deliver(number, event)
        )
        return number

    async def unsubscribe(self, call: HostCall) -> Any:
        number = call.argument(0)
        if isinstance(number, int):
            self._inbox(call.frame).unsubscribe(number)
        return True

    async def next(self, call: HostCall) -> Any:
        """Wait for events of the call's subscriptions and return `[[subscription, event], …]`."""
        inbox = self._inbox(call.frame)
        while not inbox.items:
            inbox.news.clear()
            await inbox.news.wait()
        items = []
        for _ in range(min(len(inbox.items), BUFFER)):
            number, event = inbox.items.popleft()
            inbox.waiting[number] -= 1
            items.append([number, event.as_dict()])
        return items

    async def send(self, call: HostCall) -> Any:
        system, kind, path = (str(call.argument(n)) for n in range(3))
        if denied(call.context, "events.send", system):
            raise _refused(f"not allowed to send events to system: {system}")
        if len(canonical_json(call.argument(3))) > MOST_BYTES:
            raise _refused(f"an event has at most {MOST_BYTES} bytes of data")
        self._bus.send(Event(system=system, kind=kind, path=path, data=call.argument(3)))
        return True


def _refused(what: str) -> InputInvalid:
    return InputInvalid(what, where="events")
