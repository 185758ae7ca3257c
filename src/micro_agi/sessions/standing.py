"""Where a session stands: the conversation and the unfinished turn that its journal adds up to.

Pure but for the cache: every `EVERY` events, `SessionJournal.append` stores the standing that
the journal had then, and opening a session takes the events behind it. The cache may be
deleted at any time, and one that is damaged, of another program, or ahead of its journal is
not used: what is derived is the same (`tests/sessions/test_standing.py`).

Source: DESIGN 12 and 15, "recovery of one session"; decisions/0051.
"""

import sqlite3
from collections.abc import Iterable

import msgspec
from msgspec import Struct, field

from micro_agi.messages import AnyEvent, TurnFinished, TurnStarted
from micro_agi.sessions import rows
from micro_agi.sessions.conversation import Conversation
from micro_agi.sessions.recovery import Unfinished
from micro_agi.store.blobs import blob_hash

EVERY = 500
"""Events from one stored standing to the next, at least: reading so many takes milliseconds."""

FORMAT = 1
"""Raise it when the same events add up to something else, or a standing is written otherwise."""

FIND = "SELECT seq, body, hash FROM standings WHERE session = ? AND format = ?"
KEEP = "INSERT OR REPLACE INTO standings(session, seq, format, body, hash) VALUES (?, ?, ?, ?, ?)"


class Standing(Struct):
    """What the events of a session up to one of them add up to."""

    conversation: Conversation = field(default_factory=Conversation)
    unfinished: Unfinished | None = None
    """The last turn, if it has no end."""
    seq: int = 0
    """Number of the newest event."""

    def take(self, event: AnyEvent, at: float = 0.0) -> None:
        """Take the next event into account, with its row's time where that is known."""
        self.seq += 1
        self.conversation.apply(event)
        if isinstance(event, TurnStarted):
            self.unfinished = Unfinished(event, at=at)
        elif isinstance(event, TurnFinished):
            self.unfinished = None
        elif self.unfinished is not None:
            self.unfinished.take(event, at)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Standing)


def standing(events: Iterable[AnyEvent]) -> Standing:
    """Return what all events of a session, or of a delegate, add up to, oldest first."""
    found = Standing()
    for event in events:
        found.take(event)
    return found


def read(db: sqlite3.Connection, session: str) -> Standing:
    """Return where a session stands, from the stored standing and the rows behind it.

    Raises: StoreFailed naming a row that cannot be read.
    """
    found = _stored(db, session)
    behind = rows.read(db, session, after=found.seq)
    if found.seq and (behind[0][0] if behind else last(db, session) + 1) != found.seq + 1:
        found, behind = Standing(), rows.read(db, session)  # it is not of this journal
    for row, event in zip(behind, rows.decode(session, behind), strict=True):
        found.take(event, row[1])
    # Not the count: an older program may have left a number out.
    found.seq = behind[-1][0] if behind else found.seq
    return found


def keep(db: sqlite3.Connection, session: str, found: Standing) -> None:
    """Store where a session stands."""
    body = _encoder.encode(found)
    db.execute(KEEP, (session, found.seq, FORMAT, body, _hash(session, body)))


def _stored(db: sqlite3.Connection, session: str) -> Standing:
    row = db.execute(FIND, (session, FORMAT)).fetchone()
    if row is None or row[2] != _hash(session, row[1]):
        return Standing()
    try:
        return _decoder.decode(row[1])
    except msgspec.MsgspecError:
        return Standing()  # of a program whose events were shaped otherwise


def last(db: sqlite3.Connection, session: str) -> int:
    """Return the number of a session's newest event, 0 if it has none."""
    query = "SELECT coalesce(max(seq), 0) FROM journal WHERE session = ?"
    found: int = db.execute(query, (session,)).fetchone()[0]
    return found


def kept(db: sqlite3.Connection, session: str) -> int:
    """Return the number of the event that a session's stored standing is of, 0 without one."""
    row = db.execute("SELECT seq FROM standings WHERE session = ?", (session,)).fetchone()
    return row[0] if row else 0


def _hash(session: str, body: bytes) -> str:
    """Return the hash of a stored standing; the session counts, which could be another's."""
    return blob_hash(session.encode() + b"\0" + body)
