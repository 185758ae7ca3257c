"""The append-only record of every session; conversations are derived from it.

One row an event: session, sequence number, time, turn, kind, schema number, body. The
primary key (session, sequence) is also the fence: a process that lost the session to
another one cannot append, because the number it wants is taken.

Deltas of a stream are not journalled; the finished step holds the whole text.
Source: DESIGN 12.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from micro_agi.errors import EntryConflict, EntryNotFound, StoreFailed
from micro_agi.messages import AnyEvent, TextDelta, ThinkingDelta
from micro_agi.store.database import Database
from micro_agi.values import Secret, nearest

TITLE_CHARS = 80

SCHEMA = 1
"""Of event bodies. Raise it when a stored event changes shape, and add an upcaster."""

UPCASTERS: dict[int, Callable[[str, dict[str, Any]], dict[str, Any]]] = {}
"""By the schema number they read: turn (kind, body) of that schema into the next one."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One journal row."""

    seq: int
    at: float
    """Seconds since 1970."""
    turn: int
    event: AnyEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One session as `session list` shows it."""

    id: str
    agent: str
    created_at: float
    title: str
    turns: int
    events: int
    last_at: float


class SessionJournal:
    """Appends to one session. Made by `Journal.open`; keeps the next sequence number."""

    def __init__(self, journal: "Journal", session: str, next_seq: int) -> None:
        self.session = session
        self._journal = journal
        self._next = next_seq

    async def append(self, events: Sequence[AnyEvent], *, turn: int, durable: bool = False) -> None:
        """Commit `events` in order, all or none.

        `durable` waits for the disk: needed before an effect outside, and only there.
        Raises: EntryConflict when another process appended to this session.
        """
        rows = self._journal.rows(self.session, self._next, turn, events)
        if not rows:
            return
        self._next += len(rows)
        try:
            await self._journal.database.write(lambda db: _insert(db, rows), durable=durable)
        except sqlite3.IntegrityError as error:
            raise EntryConflict(
                f"session `{self.session}` was continued by another process",
                where=f"event {rows[0][1]}",
                fix=f"open it again: `micro-agi --session {self.session}`",
            ) from error

    async def entitle(self, text: str) -> None:
        """Call the session by the first line of its first message, for listings."""
        first = text.strip().partition("\n")[0][:TITLE_CHARS]
        title = self._journal.masked(first.encode()).decode()
        query = "UPDATE sessions SET title = ? WHERE id = ? AND title = ''"
        await self._journal.database.write(lambda db: db.execute(query, (title, self.session)))


class Journal:
    """All sessions of one state database."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        secrets: Sequence[Secret] = (),
    ) -> None:
        self.database = database
        self._clock = clock
        self._secrets = [s.reveal().encode() for s in secrets if s]

    async def open(self, session: str, *, agent: str) -> SessionJournal:
        """Open a session for appending, creating it when it is new."""
        now = self._clock()

        def create(db: sqlite3.Connection) -> int:
            db.execute(
                "INSERT OR IGNORE INTO sessions(id, agent, created_at, title, meta)"
                " VALUES (?, ?, ?, '', '{}')",
                (session, agent, now),
            )
            query = "SELECT coalesce(max(seq), 0) FROM journal WHERE session = ?"
            last: int = db.execute(query, (session,)).fetchone()[0]
            return last

        return SessionJournal(self, session, await self.database.write(create) + 1)

    def rows(
        self, session: str, first: int, turn: int, events: Sequence[AnyEvent]
    ) -> list[tuple[Any, ...]]:
        """Encode events as rows, numbered from `first`; deltas are left out, secrets masked."""
        kept = [e for e in events if not isinstance(e, TextDelta | ThinkingDelta)]
        at = self._clock()
        return [
            (session, first + n, at, turn, e.__struct_config__.tag, SCHEMA, self._encode(e))
            for n, e in enumerate(kept)
        ]

    def _encode(self, event: AnyEvent) -> bytes:
        return self.masked(_encoder.encode(event))

    def masked(self, body: bytes) -> bytes:
        """Replace every registered secret by stars."""
        for secret in self._secrets:
            if secret in body:
                body = body.replace(secret, b"***")
        return body

    async def read(self, session: str) -> list[Recorded]:
        """Return all events of a session, oldest first; empty for an unknown session."""
        query = (
            "SELECT seq, at, turn, kind, schema, body FROM journal WHERE session = ? ORDER BY seq"
        )
        rows = await self.database.read(lambda db: db.execute(query, (session,)).fetchall())
        return [
            Recorded(seq=seq, at=at, turn=turn, event=_decode(session, seq, kind, schema, body))
            for seq, at, turn, kind, schema, body in rows
        ]

    async def sessions(self) -> list[SessionRow]:
        """Return all sessions, the one used last first."""
        query = (
            "SELECT s.id, s.agent, s.created_at, s.title, coalesce(max(j.turn), 0), count(j.seq),"
            " coalesce(max(j.at), s.created_at) AS last"
            " FROM sessions s LEFT JOIN journal j ON j.session = s.id"
            " GROUP BY s.id ORDER BY last DESC, s.id"
        )
        rows = await self.database.read(lambda db: db.execute(query).fetchall())
        return [
            SessionRow(
                id=row[0],
                agent=row[1],
                created_at=row[2],
                title=row[3],
                turns=row[4],
                events=row[5],
                last_at=row[6],
            )
            for row in rows
        ]

    async def find(self, session: str) -> SessionRow:
        """Return one session's row.

        Raises: EntryNotFound listing the nearest ids.
        """
        rows = await self.sessions()
        for row in rows:
            if row.id == session:
                return row
        near = nearest(session, [r.id for r in rows]) or [r.id for r in rows[:3]]
        raise EntryNotFound(
            f"there is no session `{session}`",
            fix=f"did you mean: {', '.join(near)}" if near else "`micro-agi chat` starts one",
        )


def _insert(db: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    db.executemany(
        "INSERT INTO journal(session, seq, at, turn, kind, schema, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


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
