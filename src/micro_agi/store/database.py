"""The state database: every connection to one SQLite file, in one place.

Any number of processes may use the file at once (WAL, one writer at a time, a bounded
wait). Writes go through one thread (`writer.py`); reads have connections of their own
and never wait behind a write. What was acknowledged survives `kill -9`; `durable=True`
survives a power cut as well, for one disk barrier.

The file and its directory belong to the user alone: it holds conversations.
Source: DESIGN 12, 14.
"""

import asyncio
import os
import queue
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from micro_agi.errors import StoreFailed
from micro_agi.store.failure import translate
from micro_agi.store.migrate import Migration, migrate, packaged
from micro_agi.store.writer import Writer

T = TypeVar("T")

SQLITE_FLOOR = (3, 40, 0)
"""STRICT tables, RETURNING and the WAL fixes we rely on."""
READERS = 4
"""Threads for reads from the event loop; more only wait for the same disk."""


class Database:
    """Reads and writes of one state file. Made by `open`; `close` waits for queued writes."""

    def __init__(self, path: Path, writer: Writer, *, private: Path | None) -> None:
        self.path = path
        self._writer = writer
        self._readers = _Readers(path)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="micro-agi-reader")
        # Only for owners that forget `close`; it must not hold a reference to `self`.
        self._forgotten = weakref.finalize(
            self, _shut, writer, self._readers, self._threads, private, wait=False
        )

    @classmethod
    def open(
        cls,
        path: Path | None,
        *,
        busy_timeout_s: float = 10.0,
        migrations: Sequence[Migration] | None = None,
        trace: Callable[[str], None] | None = None,
    ) -> "Database":
        """Open the file, making it and its tables if needed.

        `trace` is called with each statement of the writing connection before it runs: for
        tests that end the process exactly there, and for profiles. For `path`, `None` makes a
        private database in a temporary directory, gone when closed: for tests and for runs
        that shall leave nothing behind.
        Raises: StoreFailed saying what is wrong with the file and what to do.
        """
        private = None
        if path is None:
            private = Path(tempfile.mkdtemp(prefix="micro-agi-"))
            path = private / "state.db"
        try:
            _check_sqlite()
            _prepare(path)
            connection = _connect(path, busy_timeout_s, migrations or packaged())
            connection.set_trace_callback(trace)
        except BaseException:
            if private:
                shutil.rmtree(private, ignore_errors=True)
            raise
        return cls(path, Writer(connection, str(path), sync=private is None), private=private)

    async def write(
        self, run: Callable[[sqlite3.Connection], T], *, durable: bool = False, quick: bool = False
    ) -> T:
        """Run `run` in a transaction, in the writing thread; return once it is committed.

        What `run` raises is raised here and leaves nothing behind. Writes that wait at
        the same time share a transaction; `durable` makes it wait for the disk.
        Cancelling the caller does not undo a write that has begun.
        `quick` promises that `run` takes microseconds: when nobody else is writing, it then
        runs here, on the event loop, for a tenth of what a change of threads costs.
        Raises: StoreFailed for a full disk, a damaged file, a lock that is not given up.
        """
        if quick and not durable:
            done = self._writer.write_here(run)
            if done is not None:
                return done[0]
        return await asyncio.wrap_future(self._writer.submit(run, durable=durable))

    def write_now(self, run: Callable[[sqlite3.Connection], T], *, durable: bool = False) -> T:
        """Do the same, blocking; for start-up and for callers without an event loop."""
        result: T = self._writer.submit(run, durable=durable).result()
        return result

    async def read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """Run `run` on a read-only connection, in another thread, seeing one moment."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._readers.run, run)

    def read_now(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """Do the same, blocking. A look-up by key takes tens of microseconds."""
        return self._readers.run(run)

    def data_version(self) -> int:
        """Return a number that changes when another process has committed; costs microseconds."""
        return self._writer.data_version()

    def close(self) -> None:
        """Commit what is queued and close every connection. Calling it again does nothing."""
        parts = self._forgotten.detach()
        if parts:
            _shut(*parts[2], wait=True)


class _Readers:
    """Idle read-only connections; one is made when none is idle."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    def run(self, run: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._take()
        try:
            connection.execute("BEGIN")
            return run(connection)
        except sqlite3.Error as error:
            failure = translate(error, str(self._path))
            if failure is None:
                raise
            raise failure from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._idle.put(connection)

    def _take(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreFailed("the state database is closed", where=str(self._path))
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            connection = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=10
            )
            connection.execute("PRAGMA query_only = ON")
            with self._lock:
                self._open.append(connection)
            return connection

    def close(self) -> None:
        self._closed = True
        with self._lock:
            for connection in self._open:
                connection.close()
            self._open.clear()


def _shut(
    writer: Writer,
    readers: _Readers,
    threads: ThreadPoolExecutor,
    private: Path | None,
    *,
    wait: bool,
) -> None:
    # The garbage collector may call this from one of these threads: it must not wait there.
    threads.shutdown(wait=wait)
    readers.close()
    writer.stop()
    if private:
        shutil.rmtree(private, ignore_errors=True)


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < SQLITE_FLOOR:
        floor = ".".join(map(str, SQLITE_FLOOR))
        raise StoreFailed(
            f"this Python has SQLite {sqlite3.sqlite_version}, which is too old",
            where="python's sqlite3 module",
            fix=f"use a Python with SQLite {floor} or newer",
        )


def _prepare(path: Path) -> None:
    """Make the file before SQLite does: with mode 0600, which its WAL files then copy."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise StoreFailed(
                    "the state database is no ordinary file",
                    where=str(path),
                    fix="move it away, or choose another --home",
                )
            if stat.S_IMODE(mode) & 0o077:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreFailed(
            f"the state database cannot be opened: {error.strerror}",
            where=str(path),
            fix="make the directory writable for you, or choose another --home",
        ) from error


def _connect(
    path: Path, busy_timeout_s: float, migrations: Sequence[Migration]
) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=busy_timeout_s
    )
    try:
        _use_wal(connection, busy_timeout_s)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        migrate(connection, str(path), migrations)
    except BaseException as error:
        connection.close()
        failure = translate(error, str(path)) if isinstance(error, sqlite3.Error) else None
        if failure is None:
            raise
        raise failure from error
    return connection


def _use_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Switch to WAL; while another process does the same, SQLite does not wait by itself."""
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = (error.sqlite_errorname or "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
