"""The append-only record of every session; conversations are derived from it.

One row an event: session, sequence number, time, turn, kind, schema number, body, and a
hash over all of these, so that a damaged row is found (`verify`). The primary key
(session, sequence) is also a fence: a process that lost the session to another one cannot
append, because the number it wants is taken. While a turn runs, its process holds the
session's lease (`store/leases.py`).

What events refer to by the hash of its content (`keep`) is stored once, in the same
transaction as the event.

Deltas of a stream are not journalled; the finished step holds the whole text.
Source: DESIGN 12.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from micro_agi.errors import EntryNotFound, StoreFailed
from micro_agi.messages import AnyEvent, TurnFinished, TurnResumed, TurnStarted
from micro_agi.sessions import rows as stored
from micro_agi.sessions import standing
from micro_agi.sessions.redact import Redactor
from micro_agi.sessions.rows import Recorded
from micro_agi.sessions.standing import EVERY, Standing
from micro_agi.store import blobs, leases
from micro_agi.store.database import Database
from micro_agi.values import nearest

TITLE_CHARS = 80
RENEW_S = leases.LEASE_S / 3
"""How often a running turn should prolong its lease."""
OPEN = (
    "INSERT INTO sessions(id, agent, created_at, title, meta) VALUES (?, ?, ?, ?, '{}')"
    " ON CONFLICT(id) DO UPDATE SET title = excluded.title WHERE title = ''"
)
INSERT = (
    "INSERT INTO journal(session, seq, at, turn, kind, schema, body, hash)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
LIST = (
    "SELECT s.id, s.agent, s.created_at, s.title, coalesce(j.turn, 0), coalesce(j.seq, 0),"
    " coalesce(j.at, s.created_at) AS last,"
    " (SELECT kind FROM journal k WHERE k.session = s.id"
    "  AND kind IN ('turn_started', 'turn_finished') ORDER BY seq DESC LIMIT 1)"
    " FROM sessions s LEFT JOIN journal j ON j.session = s.id"
    "  AND j.seq = (SELECT max(seq) FROM journal WHERE session = s.id)"
    " WHERE {which} ORDER BY last DESC, s.id"
)
COLUMNS = "session, seq, at, turn, kind, schema, body, hash"


class Damage(Struct, frozen=True, kw_only=True):
    """Where a session's record is not what was written."""

    where: str
    """`journal row s/17`, `blob 1a2b…`."""
    what: str


class SessionRow(Struct, frozen=True, kw_only=True):
    """One session as `session list` shows it."""

    id: str
    agent: str
    created_at: float
    title: str
    turns: int
    events: int
    last_at: float
    unfinished: bool
    """Its last turn was cut off, or runs right now."""


class SessionJournal:
    """Appends to one session. Made by `Journal.open`; keeps the next sequence number.

    The event that starts a turn takes the session's lease, each one prolongs it, and the
    one that ends the turn gives it up.
    """

    def __init__(
        self,
        journal: "Journal",
        session: str,
        agent: str,
        next_seq: int,
        token: int,
        kept_seq: int = 0,
    ) -> None:
        self.session = session
        self._journal = journal
        self._agent = agent
        self._next = next_seq
        self._token = token
        """Of the newest lease: ours, or the one that somebody had before."""
        self._holding = False
        self._holder = leases.new_holder()
        self._keeping: list[tuple[str, bytes]] = []
        """Bodies that the next append stores."""
        self._kept: set[str] = set()
        self._stand_at = kept_seq + EVERY
        """From this event on, the next append stores where the session stands."""

    @property
    def fence(self) -> int:
        """Token of the lease that this session's running turn has, or the next one will have."""
        return self._token if self._holding else self._token + 1

    def keep(self, body: bytes) -> str:
        """Return the hash that an event may refer to `body` by; the next append stores it.

        Scrubbed like events. What was kept before costs the hash only.
        """
        body = self.redactor.body(body)
        key = blobs.blob_hash(body)
        if key not in self._kept:
            self._kept.add(key)
            self._keeping.append((key, body))
        return key

    async def append(self, events: Sequence[AnyEvent], *, turn: int, durable: bool = False) -> None:
        """Commit `events` in order, all or none.

        The session is listed from its first event on, so one that was opened and left
        without a word leaves nothing. `durable` waits for the disk: needed before an effect
        outside, and only there.
        Raises: EntryConflict when another process appended to this session, or runs a turn.
        """
        now = self._journal.now()
        rows = stored.encode(self.session, self._next, turn, now, events)
        if not rows:
            return
        opening = (self.session, self._agent, now, _title(events))
        first, self._next = self._next == 1, self._next + len(rows)
        after, (kept, self._keeping) = self._next, (self._keeping, [])
        token, had = self.fence, self._holding
        has = had or any(isinstance(e, TurnStarted | TurnResumed) for e in events)
        ends = any(isinstance(e, TurnFinished) for e in events)

        def write(db: sqlite3.Connection) -> None:
            if has and not had:
                leases.take(db, self.session, token, self._holder, now)
            if ends or had:
                leases.renew(db, self.session, token, now, end=ends)
            if first or opening[3]:
                db.execute(OPEN, opening)
            blobs.put(db, self.session, kept)
            db.executemany(INSERT, rows)
            if after > self._stand_at:
                self._stand_at = after + self._stand(db)

        try:
            await self._journal.database.write(write, durable=durable, quick=True)
            self._holding = has and not ends
            self._token = token if has else self._token
        except sqlite3.IntegrityError as error:
            raise leases.lost(self.session) from error
        except StoreFailed:
            if self._next == after:  # they are given again: no number may be missing
                self._next -= len(rows)
            self._keeping = [*kept, *self._keeping]
            raise

    def _stand(self, db: sqlite3.Connection) -> int:
        """Store where the session stands; return after how many events to do it again.

        Milliseconds, so seldom: the longer the conversation, the more events later.
        """
        try:
            found = standing.read(db, self.session)
        except StoreFailed:  # a damaged row: it is told to whoever opens the session
            return EVERY
        standing.keep(db, self.session, found)
        return max(EVERY, len(found.conversation.messages))

    async def renew(self) -> None:
        """Prolong the lease during a long wait; nothing happens when no turn runs.

        Raises: EntryConflict when another process has taken the session over.
        """
        if self._holding:
            token, now = self._token, self._journal.now()
            await self._journal.database.write(
                lambda db: leases.renew(db, self.session, token, now, end=False), quick=True
            )

    @property
    def redactor(self) -> Redactor:
        """Takes registered secrets out of what this session journals and shows."""
        return self._journal.redactor


def _title(events: Sequence[AnyEvent]) -> str:
    """Return the first line of a session's first message, if it is among `events`."""
    for event in events:
        if isinstance(event, TurnStarted) and event.turn == 1:
            return event.message.text.strip().partition("\n")[0][:TITLE_CHARS]
    return ""


class Journal:
    """All sessions of one state database."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        redactor: Redactor | None = None,
        user: str | None = None,
    ) -> None:
        self.database = database
        self.redactor = redactor or Redactor()
        """Takes secrets out of what sessions journal and show."""
        self._clock = clock
        self._user = user
        """Whose sessions are listed and found; None is everybody's."""

    def start(self, session: str, *, agent: str) -> SessionJournal:
        """Open a session with a new id for appending; costs no look into the database."""
        return SessionJournal(self, session, agent, 1, 0)

    async def open(
        self, session: str, *, agent: str, after: Standing | None = None
    ) -> SessionJournal:
        """Open a session for appending, a new one or one that exists.

        With `after`, what was read of it (`standing`): if another process has appended since,
        this one cannot.
        """

        def read(db: sqlite3.Connection) -> tuple[int, int, int]:
            last = after.seq if after else standing.last(db, session)
            return last, leases.last_token(db, session), standing.kept(db, session)

        last, token, kept = await self.database.read(read)
        return SessionJournal(self, session, agent, last + 1, token, kept)

    async def standing(self, session: str) -> Standing:
        """Return where a session stands; of an unknown one, at its beginning.

        Raises: StoreFailed naming a row that cannot be read.
        """
        return await self.database.read(lambda db: standing.read(db, session))

    def now(self) -> float:
        """Return the time, seconds since 1970."""
        return float(self._clock())

    async def read(self, session: str) -> list[Recorded]:
        """Return all events of a session, oldest first; empty for an unknown session."""
        rows = await self.database.read(lambda db: stored.read(db, session))
        return [
            Recorded(seq=row[0], at=row[1], turn=row[2], event=event)
            for row, event in zip(rows, stored.decode(session, rows), strict=True)
        ]

    async def blobs(self, session: str) -> dict[str, bytes | None]:
        """Return what a session refers to by hash; None for what is missing."""
        return await self.database.read(lambda db: blobs.of_session(db, session))

    async def verify(self, session: str) -> list[Damage]:
        """Return every row and blob of a session that is not what was written.

        Rows that are older than the hashes are taken as they are.
        """
        query = f"SELECT {COLUMNS} FROM journal WHERE session = ? ORDER BY seq"  # noqa: S608
        rows = await self.database.read(lambda db: db.execute(query, (session,)).fetchall())
        found, next_seq = [], 1
        for *row, hash_ in rows:
            place = f"journal row {session}/{row[1]} ({row[4]}, turn {row[3]})"
            if row[1] != next_seq:
                found.append(Damage(where=place, what=f"event {next_seq} before it is missing"))
            if hash_ and hash_ != stored.row_hash(*row):
                found.append(Damage(where=place, what=f"event {row[1]} is not as it was written"))
            next_seq = row[1] + 1
        for key, body in (await self.blobs(session)).items():
            if body is None:
                found.append(Damage(where=f"blob {key}", what="it is missing"))
            # Keys of results from before are the first digits only.
            elif not blobs.blob_hash(body).startswith(key):
                found.append(Damage(where=f"blob {key}", what="it is not as it was written"))
        return found

    async def delete(self, session: str) -> int:
        """Remove a session, and the blobs that only it referred to; returns their bytes.

        What it wrote to the registry stays.
        Raises: EntryConflict while another process runs a turn of it.
        """
        now = self._clock()

        def write(db: sqlite3.Connection) -> int:
            leases.refuse_busy(db, session, now)
            return blobs.forget(db, session)

        return await self.database.write(write)

    async def sessions(self) -> list[SessionRow]:
        """Return all sessions, or all of the user, the one used last first."""
        # `0` is what comes after `/`: all ids that begin with the user and a slash.
        ids = (f"{self._user}/", f"{self._user}0") if self._user else ("", "\U0010ffff")
        return await self._listed("s.id >= ? AND s.id < ?", ids)

    async def find(self, session: str) -> SessionRow:
        """Return one session's row; of a user's, the part after the slash is enough.

        Raises: EntryNotFound listing the nearest ids.
        """
        own = f"{self._user}/{session.removeprefix(f'{self._user}/')}" if self._user else session
        for row in await self._listed("s.id = ?", (own,)):
            return row
        rows = await self.sessions()
        near = nearest(session, [r.id for r in rows]) or [r.id for r in rows[:3]]
        raise EntryNotFound(
            f"there is no session `{session}`",
            fix=f"did you mean: {', '.join(near)}" if near else "`micro-agi chat` starts one",
        )

    async def _listed(self, which: str, values: tuple[str, ...]) -> list[SessionRow]:
        """Return the sessions that `which` selects, from the newest row of each."""
        query = LIST.format(which=which)
        rows = await self.database.read(lambda db: db.execute(query, values).fetchall())
        return [
            SessionRow(
                id=row[0],
                agent=row[1],
                created_at=row[2],
                title=row[3],
                turns=row[4],
                events=row[5],
                last_at=row[6],
                unfinished=row[7] == "turn_started",
            )
            for row in rows
        ]
