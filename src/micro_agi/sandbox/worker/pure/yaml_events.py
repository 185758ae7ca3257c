"""Parse YAML text into a flat stream of events for `yaml.decode`.

libyaml does the syntax; what the words mean, anchors, merges and limits on what they stand
for are Lua's, so that values are made inside the call's heap limit. Only the first document
is read. Nesting and the number of events are bounded here, before anything is kept.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import yaml

MAX_DEPTH = 128
MAX_EVENTS = 500_000

FAILED = b"E"
PARSED = b"V"

_KINDS: dict[type, int] = {
    yaml.ScalarEvent: ord("s"),
    yaml.AliasEvent: ord("a"),
    yaml.SequenceStartEvent: ord("["),
    yaml.MappingStartEvent: ord("{"),
    yaml.SequenceEndEvent: ord("]"),
    yaml.MappingEndEvent: ord("}"),
}


class _Refused(Exception):
    """The text is YAML, but too much of it."""


def events(text: bytes) -> bytes:
    """Return `PARSED` and the events, or `FAILED` and why.

    Shape of an event: kind, plain flag, line (4 bytes), then value, anchor and tag as
    `s4` strings, empty where it has none.
    """
    try:
        loader = yaml.CSafeLoader(text)
        try:
            return PARSED + b"".join(_events(loader))
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        return FAILED + f"{line}{error.problem or error.context}".encode()
    except yaml.reader.ReaderError as error:
        return FAILED + f"{error.reason}".encode()
    except _Refused as error:
        return FAILED + str(error).encode()


def _events(loader: Any) -> Iterator[bytes]:
    depth = 0
    for _ in range(MAX_EVENTS):
        event = loader.get_event()
        if isinstance(event, yaml.DocumentEndEvent | yaml.StreamEndEvent):
            return
        kind = _KINDS.get(type(event))
        if kind is None:
            continue
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _Refused(f"line {line}: nested more than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        yield _event(event, kind, line)
    raise _Refused(f"more than {MAX_EVENTS} values")


def _event(event: Any, kind: int, line: int) -> bytes:
    scalar = kind == ord("s")
    value = event.value.encode() if scalar else b""
    anchor = (getattr(event, "anchor", None) or "").encode()
    tag = (getattr(event, "tag", None) or "").encode()
    plain = scalar and not event.style
    parts = struct.pack("<BBI", kind, plain, line), value, anchor, tag
    lengths = (struct.pack("<I", len(part)) + part for part in parts[1:])
    return parts[0] + b"".join(lengths)


# Loads what the library loads on first use.
events(b"a: [1, &b 2, *b]")

ACCELERATORS: dict[str, Callable[..., bytes]] = {"yaml_events": events}
