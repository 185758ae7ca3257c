"""The one thread that writes, and its group commit.

Writes that wait at the same time share one transaction, so a hundred sessions cost one
disk barrier, not a hundred. Each runs inside its own savepoint: one that fails is undone
alone. A caller hears of success only after COMMIT.

Why a thread: SQLite has one writer anyway, a commit may wait for the disk or for another
process, and the event loop must do neither.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from micro_agi.errors import MicroAgiError, StoreFailed
from micro_agi.store.failure import translate

BATCH = 256
"""Writes that share a transaction at most; bounds how long the first of them waits."""


@dataclass(slots=True)
class Write:
    """One queued write and the promise of its result."""

    run: Callable[[sqlite3.Connection], Any]
    durable: bool
    done: "Future[Any]" = field(default_factory=Future)


class Writer:
    """Owns the writing connection. `submit` from any thread; `stop` once."""

    def __init__(self, connection: sqlite3.Connection, place: str, *, sync: bool) -> None:
        self._connection = connection
        self._place = place
        self._sync = sync
        self._level = ""
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._closed = False
        self._admission = threading.Lock()
        self._busy = threading.Lock()
        self._seen = 0
        # A daemon: a program that forgot to close must still be able to end. What was
        # queued then was not promised to anybody.
        self._thread = threading.Thread(target=self._run, name="micro-agi-writer", daemon=True)
        self._thread.start()

    def submit(self, run: Callable[[sqlite3.Connection], Any], *, durable: bool) -> "Future[Any]":
        """Queue a write.

        Raises: StoreFailed after `stop`.
        """
        write = Write(run, durable)
        with self._admission:
            if self._closed:
                raise StoreFailed("the state database is closed", where=self._place)
            self._queue.put(write)
        return write.done

    def data_version(self) -> int:
        """Return a number that changes when another connection has committed.

        While a batch is being written, the answer is that of a moment ago: waiting for
        the disk here would hold up the event loop.
        """
        if self._busy.acquire(blocking=False):
            try:
                self._seen = self._connection.execute("PRAGMA data_version").fetchone()[0]
            finally:
                self._busy.release()
        return self._seen

    def stop(self) -> None:
        """Finish what is queued, then close the connection. Calling it again does nothing."""
        with self._admission:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            batch = self._batch()
            open_ = None not in batch
            # Futures cancelled before their turn never run.
            writes = [w for w in batch if w and w.done.set_running_or_notify_cancel()]
            if writes:
                with self._busy:
                    self._commit(writes)
        with self._busy:
            self._connection.close()

    def _batch(self) -> list[Write | None]:
        batch = [self._queue.get()]
        while len(batch) < BATCH and batch[-1] is not None:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _commit(self, writes: Sequence[Write]) -> None:
        """Run a batch in one transaction and resolve each future after the commit."""
        outcomes: list[tuple[Write, Any, BaseException | None]] = []
        try:
            self._begin(durable=any(w.durable for w in writes))
            for write in writes:
                outcomes.append((write, *self._attempt(write, alone=len(writes) == 1)))
                if not self._connection.in_transaction and len(writes) > 1:
                    raise _undone(outcomes, self._place)
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")
        except (sqlite3.Error, StoreFailed) as error:
            self._give_up(error, writes)
            return
        for write, result, failure in outcomes:
            if failure is None:
                write.done.set_result(result)
            else:
                write.done.set_exception(failure)

    def _begin(self, *, durable: bool) -> None:
        level = "OFF" if not self._sync else "FULL" if durable else "NORMAL"
        if level != self._level:  # cannot be changed inside a transaction
            self._connection.execute(f"PRAGMA synchronous = {level}")
            self._level = level
        self._connection.execute("BEGIN IMMEDIATE")

    def _attempt(self, write: Write, *, alone: bool) -> tuple[Any, BaseException | None]:
        """Run one write; on failure undo it and return what it raised."""
        connection = self._connection
        if not alone:
            connection.execute("SAVEPOINT one")
        try:
            result = write.run(connection)
        except BaseException as error:  # noqa: BLE001 - it goes to the caller who queued it
            if connection.in_transaction and alone:
                connection.execute("ROLLBACK")
            elif connection.in_transaction:
                connection.execute("ROLLBACK TO one")
                connection.execute("RELEASE one")
            failure = translate(error, self._place) if isinstance(error, sqlite3.Error) else None
            if failure is not None:
                failure.__cause__ = error
            return None, failure or error
        if not alone:
            connection.execute("RELEASE one")
        return result, None

    def _give_up(self, error: sqlite3.Error | StoreFailed, writes: Sequence[Write]) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        failure: Exception = error
        if isinstance(error, sqlite3.Error):
            failure = translate(error, self._place) or error
        for write in writes:
            # Each caller gets an exception of its own: one object raised in several
            # tasks would collect all their tracebacks.
            copy = _copy(failure)
            copy.__cause__ = error
            write.done.set_exception(copy)


def _copy(error: Exception) -> Exception:
    if isinstance(error, MicroAgiError):
        return type(error)(error.what, where=error.where, fix=error.fix)
    return type(error)(*error.args)


def _undone(
    outcomes: Sequence[tuple[Write, Any, BaseException | None]], place: str
) -> sqlite3.Error | StoreFailed:
    """Find what made SQLite drop the whole transaction: a full disk, mostly."""
    failure = outcomes[-1][2]
    if isinstance(failure, sqlite3.Error | StoreFailed):
        return failure
    return StoreFailed("a write ended the shared transaction", where=place)
