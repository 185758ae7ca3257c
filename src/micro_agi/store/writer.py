"""The one thread that writes, and its group commit.

Writes that wait at the same time share one transaction, so a hundred sessions cost one
disk barrier, not a hundred. Each runs inside its own savepoint: one that fails is undone
alone. A caller hears of success only after COMMIT.

Why a thread: SQLite has one writer anyway, a commit may wait for the disk or for another
process, and the event loop must do neither. But handing a write over and waking up again
costs ten times what a small commit costs that waits for neither, so those may run in the
caller's thread (`write_here`): only when nothing is queued, and never waiting for a lock
or for a checkpoint.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from msgspec import Struct, field

from micro_agi.errors import MicroAgiError, StoreFailed
from micro_agi.store.failure import translate

T = TypeVar("T")

BATCH = 256
"""Writes that share a transaction at most; bounds how long the first of them waits."""
HERE_AT_MOST = 250
"""Writes in callers' threads until one goes to the writing thread, which then moves the log
into the file when it is long: a disk barrier that the event loop must not wait for."""
PAGES = 1000
"""Length of the log that makes the writing thread do so; SQLite's own default."""


class Write(Struct):
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
        self._timeout_ms: int = connection.execute("PRAGMA busy_timeout").fetchone()[0]
        self._patient = True
        """Whether the connection waits for locks and checkpoints as it is set now."""
        self._unfinished = 0
        """Writes that were submitted and are not committed yet."""
        self._here = 0
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
            self._unfinished += 1
            self._queue.put(write)
        return write.done

    def write_here(self, run: Callable[[sqlite3.Connection], T]) -> tuple[T] | None:
        """Run a small write in the calling thread; return its result, alone in a tuple.

        None means that it was not run and has to be submitted: others wait already, another
        process holds the lock, or it is the writing thread's turn.
        Raises: what `run` raises, StoreFailed for what the commit runs into.
        """
        with self._admission:
            ready = not (self._closed or self._unfinished or self._here >= HERE_AT_MOST)
            if not ready or not self._busy.acquire(blocking=False):
                return None
        try:
            self._here += 1
            try:
                self._begin(durable=False, patient=False)
            except sqlite3.Error:  # whoever waits for the lock also finds out what else is wrong
                return None
            result, failure = self._attempt(run, alone=True)
            if failure is not None:
                raise failure
            try:
                if self._connection.in_transaction:
                    self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise _copy(self._undo(error)) from error
            return (result,)
        finally:
            self._busy.release()

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
            with self._busy:
                if writes:
                    self._commit(writes)
                with self._admission:
                    self._here = 0
                    self._unfinished -= len(batch) - (None in batch)
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
        try:
            self._begin(durable=any(w.durable for w in writes), patient=True)
        except sqlite3.Error as error:
            self._give_up(error, writes)
            return
        self._finish(writes)

    def _finish(self, writes: Sequence[Write]) -> None:
        """Run a batch in the open transaction and resolve each future after the commit."""
        outcomes: list[tuple[Write, Any, BaseException | None]] = []
        try:
            for write in writes:
                outcomes.append((write, *self._attempt(write.run, alone=len(writes) == 1)))
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

    def _begin(self, *, durable: bool, patient: bool) -> None:
        if patient != self._patient:
            self._connection.execute(f"PRAGMA busy_timeout = {self._timeout_ms if patient else 0}")
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {PAGES if patient else 0}")
            self._patient = patient
        level = "OFF" if not self._sync else "FULL" if durable else "NORMAL"
        if level != self._level:  # cannot be changed inside a transaction
            self._connection.execute(f"PRAGMA synchronous = {level}")
            self._level = level
        self._connection.execute("BEGIN IMMEDIATE")

    def _attempt(
        self, run: Callable[[sqlite3.Connection], Any], *, alone: bool
    ) -> tuple[Any, BaseException | None]:
        """Run one write; on failure undo it and return what it raised."""
        connection = self._connection
        if not alone:
            connection.execute("SAVEPOINT one")
        try:
            result = run(connection)
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

    def _undo(self, error: sqlite3.Error | StoreFailed) -> Exception:
        """Undo the open transaction and return what to tell those whose writes were in it."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            return translate(error, self._place) or error
        return error

    def _give_up(self, error: sqlite3.Error | StoreFailed, writes: Sequence[Write]) -> None:
        failure = self._undo(error)
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
