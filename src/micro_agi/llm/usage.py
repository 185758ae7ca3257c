"""Record what model calls used: who, which model, how many tokens, what it cost.

Sessions have their usage in the journal; these records are for calls outside of one, by
functions and by embedding programs. An app that binds `wippy.llm:usage_tracker` gets every
record itself, and nothing is kept here. A tracker that fails never fails the call.

Source: spec/agent.md 6.13.
"""

import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct, field

from micro_agi.messages import Usage
from micro_agi.store.database import Database

NOBODY = "system"


class UsageRecord(Struct, frozen=True, kw_only=True):
    """What one model call used."""

    model: str
    """Name of its card."""
    usage: Usage
    cost_usd: float | None = None
    actor: str = NOBODY
    at: float = 0.0
    """Seconds since 1970."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the caller wants its own tracker to know."""


class UsageTotal(Struct, frozen=True, kw_only=True):
    """What several calls to one model used."""

    model: str
    calls: int
    usage: Usage
    cost_usd: float


class Tracker(Protocol):
    """What takes records."""

    async def track(self, record: UsageRecord) -> str:
        """Take a record and return its id; "" when nobody kept it."""
        ...


Bound = Callable[[UsageRecord], Awaitable[str | None]]
"""Hands a record to the app's own tracker; None when it has none."""


class UsageRecords:
    """The records in the state database."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        bound: Bound | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._bound = bound

    async def track(self, record: UsageRecord) -> str:
        """Keep a record, or hand it to the app's tracker; return its id."""
        if self._bound is not None:
            given = await self._bound(record)
            if given is not None:
                return given
        used = record.usage
        row = (
            *(record.at or self._clock(), record.actor, record.model),
            *(used.prompt, used.completion, used.thinking, used.cached, record.cost_usd),
        )

        def insert(connection: sqlite3.Connection) -> int:
            cursor = connection.execute(
                "INSERT INTO llm_usage "
                "(at, actor, model, prompt, completion, thinking, cached, cost_usd) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            return int(cursor.lastrowid or 0)

        return str(await self._database.write(insert))

    async def totals(self, *, actor: str = "", since: float = 0.0) -> list[UsageTotal]:
        """Return what was used by model, the dearest first; of one actor if it is given."""

        def select(connection: sqlite3.Connection) -> list[Any]:
            return connection.execute(
                "SELECT model, count(*), sum(prompt), sum(completion), sum(thinking), "
                "sum(cached), sum(coalesce(cost_usd, 0)) FROM llm_usage "
                "WHERE at >= ? AND (? = '' OR actor = ?) GROUP BY model ORDER BY 7 DESC, model",
                (since, actor, actor),
            ).fetchall()

        return [
            UsageTotal(
                model=row[0],
                calls=row[1],
                usage=Usage(prompt=row[2], completion=row[3], thinking=row[4], cached=row[5]),
                cost_usd=row[6],
            )
            for row in await self._database.read(select)
        ]
