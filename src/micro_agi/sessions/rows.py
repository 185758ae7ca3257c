"""The rows of a journal: events as they are stored, and back.

A row is a session, a number, a time, a turn, a kind, a schema number, a body, and a hash over
all of these. Bodies of older schemas are brought up to date when they are read.
"""

import sqlite3
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from micro_agi.errors import StoreFailed
from micro_agi.messages import AnyEvent, TextDelta, ThinkingDelta

SCHEMA = 1
"""Of event bodies. Raise it when a stored event changes shape, and add an upcaster. A field
with a default is no change of shape: what an old row lacks, it has."""

UPCASTERS: dict[int, Callable[[str, dict[str, Any]], dict[str, Any]]] = {}
"""By the schema number they read: turn (kind, body) of that schema into the next one."""

Row = tuple[int, float, int, str, int, bytes]
"""What `READ` selects of a row: number, time, turn, kind, schema, body."""

READ = (
    "SELECT seq, at, turn, kind, schema, body FROM journal WHERE session = ? AND seq > ?"
    " ORDER BY seq"
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)
_all = msgspec.json.Decoder(list[AnyEvent])


class Recorded(Struct, frozen=True, kw_only=True):
    """One journal row."""

    seq: int
    at: float
    """Seconds since 1970."""
    turn: int
    event: AnyEvent


def encode(
    session: str, first: int, turn: int, at: float, events: Sequence[AnyEvent]
) -> list[tuple[Any, ...]]:
    """Return events as rows, numbered from `first`; deltas are left out."""
    kept = [e for e in events if not isinstance(e, TextDelta | ThinkingDelta)]
    rows = [
        (session, first + n, at, turn, e.__struct_config__.tag, SCHEMA, _encoder.encode(e))
        for n, e in enumerate(kept)
    ]
    return [(*row, row_hash(*row)) for row in rows]


def row_hash(*columns: Any) -> str:
    """Return the hash of a row from its other columns, the body last."""
    *facts, body = columns
    return sha256(repr(facts).encode() + body).hexdigest()


def read(db: sqlite3.Connection, session: str, *, after: int = 0) -> list[Row]:
    """Return the rows of a session behind number `after`, oldest first."""
    return db.execute(READ, (session, after)).fetchall()


def decode(session: str, rows: Sequence[Row]) -> list[AnyEvent]:
    """Return the events of rows.

    Raises: StoreFailed naming the first row that cannot be read.
    """
    if all(row[4] == SCHEMA for row in rows):
        try:
            # All at once takes half the time of one by one.
            events: list[AnyEvent] = _all.decode(b"[%b]" % b",".join([row[5] for row in rows]))
        except msgspec.MsgspecError:
            pass  # which one it is, is said below
        else:
            if len(events) == len(rows):
                return events
    return [_decode(session, seq, kind, schema, body) for seq, _, _, kind, schema, body in rows]


def _decode(session: str, seq: int, kind: str, schema: int, body: bytes) -> AnyEvent:
    try:
        if schema == SCHEMA:
            event: AnyEvent = _decoder.decode(body)
            return event
        if schema > SCHEMA:
            raise KeyError(schema)
        value = msgspec.json.decode(body)
        for version in range(schema, SCHEMA):
            value = UPCASTERS[version](kind, value)
        raised: AnyEvent = msgspec.convert(value, AnyEvent)
        return raised
    except (msgspec.MsgspecError, KeyError) as error:
        raise StoreFailed(
            f"event {seq} of session `{session}` cannot be read: {error}",
            where=f"journal row {session}/{seq} ({kind}, schema {schema})",
            fix="a newer micro-agi may have written it; upgrade, or export the session there",
        ) from error
