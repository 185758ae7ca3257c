"""Quick writes: they run on the event loop when that costs no waiting, and else as others do."""

import asyncio
import sqlite3
import threading

import pytest

from micro_agi.store.database import Database


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path / "state.db", busy_timeout_s=5)
    yield opened
    opened.close()


def put(key):
    """A write that also says in which thread it ran."""

    def run(db):
        db.execute("INSERT INTO facts VALUES (?, '')", (key,))
        return threading.current_thread()

    return run


def keys(database):
    rows = database.read_now(lambda db: db.execute("SELECT key FROM facts").fetchall())
    return [row[0] for row in rows]


def test_a_quick_write_runs_in_the_callers_thread_and_is_committed(database):
    ran_in = asyncio.run(database.write(put("a"), quick=True))
    assert ran_in is threading.current_thread()
    assert keys(database) == ["a"]


def test_a_durable_write_never_runs_there(database):
    ran_in = asyncio.run(database.write(put("a"), quick=True, durable=True))
    assert ran_in is not threading.current_thread()


def test_what_a_quick_write_raises_is_raised_and_leaves_nothing(database):
    def broken(db):
        put("a")(db)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(database.write(broken, quick=True))
    asyncio.run(database.write(put("b"), quick=True))
    assert keys(database) == ["b"]


def test_a_quick_write_does_not_overtake_one_that_waits(database):
    started, go_on = threading.Event(), threading.Event()

    def slow(db):
        started.set()
        assert go_on.wait(5)
        put("a")(db)

    async def scenario():
        first = asyncio.create_task(database.write(slow))
        await asyncio.to_thread(started.wait, 5)
        second = asyncio.create_task(database.write(put("b"), quick=True))
        await asyncio.sleep(0)
        go_on.set()
        await first
        return await second

    assert asyncio.run(scenario()) is not threading.current_thread()
    assert keys(database) == ["a", "b"]


def test_a_lock_of_another_process_is_waited_for_in_the_writing_thread(database):
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def scenario():
        writing = asyncio.create_task(database.write(put("a"), quick=True))
        for _ in range(10):
            await asyncio.sleep(0)  # the loop goes on: it does not wait for the lock
        assert not writing.done()
        other.execute("COMMIT")
        return await writing

    assert asyncio.run(scenario()) is not threading.current_thread()
    other.close()
    assert keys(database) == ["a"]


def test_the_log_does_not_grow_without_end(database):
    async def scenario():
        for number in range(3000):
            await database.write(put(f"{number:05}" * 100), quick=True)

    asyncio.run(scenario())
    log = database.path.with_name(database.path.name + "-wal")
    assert log.stat().st_size < 3 * 1000 * 4096
    assert len(keys(database)) == 3000
