"""The state database through its own methods, on real files and with real processes."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from micro_agi.errors import EntryInvalid, StoreFailed
from micro_agi.store.database import Database
from micro_agi.store.migrate import Migration, packaged, statements


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path / "state.db", busy_timeout_s=0.3)
    yield opened
    opened.close()


def put(key, value="x"):
    return lambda db: db.execute("INSERT INTO facts VALUES (?, ?)", (key, value)).rowcount


def keys(database):
    return database.read_now(
        lambda db: [r[0] for r in db.execute("SELECT key FROM facts ORDER BY key")]
    )


def test_what_is_written_is_read_back_by_the_next_process(tmp_path):
    first = Database.open(tmp_path / "state.db")
    assert first.write_now(put("a", "1")) == 1
    first.close()
    second = Database.open(tmp_path / "state.db")
    assert keys(second) == ["a"]
    second.close()


def test_the_file_and_its_companions_belong_to_the_user_alone(tmp_path):
    path = tmp_path / "home" / "state.db"
    database = Database.open(path)
    database.write_now(put("a"))
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    database.close()


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    path = tmp_path / "state.db"
    Database.open(path).close()
    path.chmod(0o644)
    Database.open(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_nothing_and_its_neighbours_stay(database):
    def half(db):
        put("half")(db)
        raise EntryInvalid("no")

    async def together():
        return await asyncio.gather(
            *(database.write(put(f"k{n}")) for n in range(20)),
            database.write(half),
            *(database.write(put(f"m{n}")) for n in range(20)),
            return_exceptions=True,
        )

    results = asyncio.run(together())
    assert [r for r in results if r != 1] == [results[20]]
    assert isinstance(results[20], EntryInvalid)
    assert len(keys(database)) == 40
    assert "half" not in keys(database)


def test_a_violated_constraint_is_told_to_its_caller_alone(database):
    database.write_now(put("a"))

    async def together():
        return await asyncio.gather(
            database.write(put("a")), database.write(put("b")), return_exceptions=True
        )

    refused, done = asyncio.run(together())
    assert isinstance(refused, sqlite3.IntegrityError)
    assert done == 1


def test_waiting_writes_share_one_transaction(database):
    entered, go = threading.Event(), threading.Event()
    ids = []

    def gate(db):
        entered.set()
        assert go.wait(5)

    def note(db):
        ids.append(db.execute("PRAGMA data_version").fetchone()[0])
        ids.append(db.total_changes)

    async def run():
        first = asyncio.ensure_future(database.write(gate))
        await asyncio.to_thread(entered.wait, 5)
        rest = [asyncio.ensure_future(database.write(put(f"k{n}"))) for n in range(50)]
        rest.append(asyncio.ensure_future(database.write(note)))
        await asyncio.sleep(0)
        frames_before = wal_frames(database)
        go.set()
        await asyncio.gather(first, *rest)
        return frames_before

    frames_before = asyncio.run(run())
    # One commit writes each changed page once; fifty would write it fifty times.
    assert wal_frames(database) - frames_before < 10


def wal_frames(database):
    wal = Path(f"{database.path}-wal")
    return wal.stat().st_size // 4096 if wal.exists() else 0


def test_a_reader_does_not_wait_for_a_writer(database):
    entered, go = threading.Event(), threading.Event()

    def hold(db):
        put("held")(db)
        entered.set()
        assert go.wait(5)

    writer = threading.Thread(target=database.write_now, args=(hold,))
    writer.start()
    assert entered.wait(5)
    assert keys(database) == []
    go.set()
    writer.join()
    assert keys(database) == ["held"]


def test_a_reader_cannot_write(database):
    with pytest.raises(StoreFailed, match="cannot be written"):
        database.read_now(put("a"))


def test_a_read_sees_one_moment(database):
    def twice(db):
        first = db.execute("SELECT count(*) FROM facts").fetchone()
        database.write_now(put("between"))
        return first, db.execute("SELECT count(*) FROM facts").fetchone()

    first, second = database.read_now(twice)
    assert first == second == (0,)


def test_the_durability_is_chosen_for_each_commit(database):
    def level(db):
        return db.execute("PRAGMA synchronous").fetchone()[0]

    assert [database.write_now(level, durable=d) for d in (False, True, False)] == [1, 2, 1]


def test_a_cancelled_caller_does_not_stop_a_write_that_has_begun(database):
    entered, go = threading.Event(), threading.Event()

    def slow(db):
        put("slow")(db)
        entered.set()
        assert go.wait(5)

    async def run():
        task = asyncio.ensure_future(database.write(slow))
        await asyncio.to_thread(entered.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        await database.write(put("after"))

    asyncio.run(run())
    assert keys(database) == ["after", "slow"]


def test_the_event_loop_goes_on_while_a_write_runs(database):
    entered, go = threading.Event(), threading.Event()

    def slow(db):
        entered.set()
        assert go.wait(5)

    async def run():
        task = asyncio.ensure_future(database.write(slow))
        while not entered.is_set():
            await asyncio.sleep(0)
        turns = 0
        for _ in range(100):
            await asyncio.sleep(0)
            turns += 1
        database.data_version()  # must not wait for the writer either
        go.set()
        await task
        return turns

    assert asyncio.run(run()) == 100


def test_closing_commits_what_is_queued(tmp_path):
    database = Database.open(tmp_path / "state.db")
    entered, go = threading.Event(), threading.Event()

    def gate(db):
        entered.set()
        assert go.wait(5)

    async def run():
        tasks = [asyncio.ensure_future(database.write(gate))]
        await asyncio.to_thread(entered.wait, 5)
        tasks += [asyncio.ensure_future(database.write(put(f"k{n}"))) for n in range(10)]
        await asyncio.sleep(0)
        go.set()
        await asyncio.to_thread(database.close)
        await asyncio.gather(*tasks)

    asyncio.run(run())
    again = Database.open(tmp_path / "state.db")
    assert len(keys(again)) == 10
    again.close()


def test_a_closed_database_says_so(tmp_path):
    database = Database.open(tmp_path / "state.db")
    database.close()
    database.close()
    with pytest.raises(StoreFailed, match="is closed"):
        database.write_now(put("a"))
    with pytest.raises(StoreFailed, match="is closed"):
        keys(database)


def test_a_private_database_leaves_nothing_behind():
    database = Database.open(None)
    database.write_now(put("a"))
    place = database.path.parent
    assert place.exists()
    database.close()
    assert not place.exists()


def test_data_version_changes_only_for_other_connections(database):
    before = database.data_version()
    database.write_now(put("own"))
    assert database.data_version() == before
    other = Database.open(database.path)
    other.write_now(put("other"))
    assert database.data_version() != before
    other.close()


def test_a_full_disk_is_said_and_hurts_only_what_did_not_fit(database):
    def small(db):
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + 2}")

    database.write_now(small)
    with pytest.raises(StoreFailed) as failed:
        database.write_now(put("big", "x" * 1_000_000))
    assert "the disk is full" in failed.value.what
    assert failed.value.where == str(database.path)
    assert "--home" in failed.value.fix
    database.write_now(lambda db: db.execute("PRAGMA max_page_count = 100000"))
    assert database.write_now(put("small")) == 1


def test_a_full_disk_fails_a_shared_transaction_as_a_whole(database):
    def small(db):
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + 2}")

    database.write_now(small)
    entered, go = threading.Event(), threading.Event()

    def gate(db):
        entered.set()
        assert go.wait(5)

    async def run():
        first = asyncio.ensure_future(database.write(gate))
        await asyncio.to_thread(entered.wait, 5)
        writes = (put("a"), put("big", "x" * 1_000_000), put("b"))
        tasks = [asyncio.ensure_future(database.write(w)) for w in writes]
        await asyncio.sleep(0)
        go.set()
        await first
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(run())
    failed = [isinstance(r, StoreFailed) for r in results]
    # SQLite may undo the statement alone or everything: nobody is told a lie either way.
    assert failed[1]
    assert keys(database) == [
        k for k, bad in zip(("a", "big", "b"), failed, strict=True) if not bad
    ]


def test_a_lock_that_another_process_keeps_is_said(database):
    with held_lock(database.path), pytest.raises(StoreFailed) as failed:
        database.write_now(put("a"))
    assert "locked by another process" in failed.value.what
    assert database.write_now(put("a")) == 1


def held_lock(path):
    """Another process that holds the write lock until its input is closed."""
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    )
    return _Held([sys.executable, "-c", script, str(path)])


class _Held:
    def __init__(self, command):
        self._command = command

    def __enter__(self):
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdout.readline() == "held\n"

    def __exit__(self, *_):
        self._process.communicate("")


def test_a_file_from_a_newer_program_is_left_alone(tmp_path):
    path = tmp_path / "state.db"
    newer = (*packaged(), Migration(len(packaged()) + 1, "CREATE TABLE future(x) STRICT;"[:0]))
    Database.open(path, migrations=newer).close()
    before = path.read_bytes()
    with pytest.raises(StoreFailed) as failed:
        Database.open(path)
    known = len(packaged())
    assert f"has schema {known + 1}, this program knows {known}" in failed.value.what
    assert "upgrade" in failed.value.fix
    assert path.read_bytes() == before


def test_an_older_file_is_brought_up_to_date(tmp_path):
    path = tmp_path / "state.db"
    Database.open(path).close()
    number = len(packaged()) + 1
    script = "CREATE TABLE later(x TEXT) STRICT; INSERT INTO later VALUES ('a;b');"
    database = Database.open(path, migrations=(*packaged(), Migration(number, script)))
    rows = database.read_now(lambda db: db.execute("SELECT x FROM later").fetchall())
    assert rows == [("a;b",)]
    database.close()


def test_a_migration_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "state.db"
    Database.open(path).close()
    broken = Migration(len(packaged()) + 1, "CREATE TABLE later(x);\nCREATE TABLE facts(x);")
    with pytest.raises(sqlite3.OperationalError):
        Database.open(path, migrations=(*packaged(), broken))
    database = Database.open(path)
    names = database.read_now(
        lambda db: [r[0] for r in db.execute("SELECT name FROM sqlite_master")]
    )
    assert "later" not in names
    database.close()


def test_a_script_is_split_at_its_statements_only():
    script = "-- a; b\nINSERT INTO t VALUES (';');\nSELECT 1;\n-- the end\n"
    assert len(list(statements(script))) == 2


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" * 300])
def test_a_file_that_is_no_database_is_said(tmp_path, content):
    path = tmp_path / "state.db"
    path.write_bytes(content)
    with pytest.raises(StoreFailed) as failed:
        Database.open(path)
    assert failed.value.where == str(path)
    assert failed.value.fix
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "state.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE bookmarks(x)")
    other.commit()
    other.close()
    with pytest.raises(StoreFailed, match="another program"):
        Database.open(path)


def test_a_damaged_file_is_said(tmp_path):
    path = tmp_path / "state.db"
    database = Database.open(path)
    for n in range(200):
        database.write_now(put(f"k{n}", "x" * 500))
    database.close()
    raw = bytearray(path.read_bytes())
    raw[8192:] = os.urandom(len(raw) - 8192)
    path.write_bytes(raw)
    with pytest.raises(StoreFailed, match="damaged"):
        keys(Database.open(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreFailed, match="cannot be opened"):
        Database.open(tmp_path / "state.db")


def test_a_place_that_is_no_file_is_said(tmp_path):
    with pytest.raises(StoreFailed, match="cannot be opened"):
        Database.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match="cannot be opened"):
        Database.open(tmp_path / "file" / "state.db")
