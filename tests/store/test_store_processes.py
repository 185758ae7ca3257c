"""Several processes on one file, and processes that die: nothing acknowledged is lost."""

import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from micro_agi.store.database import Database

WRITES = 12

CHILD = """
    import asyncio, os, signal, sys
    from pathlib import Path
    from micro_agi.store.database import Database

    path, die_at, where = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    database = Database.open(path)

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    def write(n):
        def run(db):
            if n == die_at and where == "before":
                kill()
            db.execute("INSERT INTO facts VALUES (?, 'x')", (f"{n:02}a",))
            if n == die_at and where == "between":
                kill()
            db.execute("INSERT INTO facts VALUES (?, 'x')", (f"{n:02}b",))
            if n == die_at and where == "uncommitted":
                kill()
        return run

    async def main():
        for n in range(int(sys.argv[4])):
            await database.write(write(n), durable=n % 3 == 0)
            if n == die_at and where == "committed":
                kill()
            print(n, flush=True)

    asyncio.run(main())
    database.close()
"""


def run_child(path, die_at, where):
    script = textwrap.dedent(CHILD)
    command = [sys.executable, "-c", script, str(path), str(die_at), where, str(WRITES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, [int(line) for line in done.stdout.split()]


@pytest.mark.parametrize("where", ["before", "between", "uncommitted", "committed"])
@pytest.mark.parametrize("die_at", [0, 1, 6, WRITES - 1])
def test_kill_9_at_any_write_loses_nothing_that_was_acknowledged(tmp_path, die_at, where):
    path = tmp_path / "state.db"
    code, acknowledged = run_child(path, die_at, where)
    assert code == -signal.SIGKILL
    assert acknowledged == list(range(die_at))
    database = Database.open(path)
    rows = database.read_now(lambda db: [r[0] for r in db.execute("SELECT key FROM facts")])
    committed = die_at + (where == "committed")
    # Whole writes only, in order, and none beyond the one that was killed.
    assert sorted(rows) == [f"{n:02}{half}" for n in range(committed) for half in "ab"]
    check = database.read_now(lambda db: db.execute("PRAGMA integrity_check").fetchone())
    assert check == ("ok",)
    assert database.write_now(lambda db: db.execute("DELETE FROM facts").rowcount) == len(rows)
    database.close()


COUNTER = """
    import sys
    from pathlib import Path
    from micro_agi.store.database import Database

    database = Database.open(Path(sys.argv[1]))

    def add(db):
        row = db.execute("SELECT value FROM facts WHERE key = 'n'").fetchone()
        value = int(row[0]) + 1 if row else 1
        db.execute("INSERT OR REPLACE INTO facts VALUES ('n', ?)", (str(value),))

    for _ in range(int(sys.argv[2])):
        database.write_now(add)
    database.close()
"""


def test_processes_that_start_and_write_at_once_do_not_lose_each_others_writes(tmp_path):
    path = tmp_path / "home" / "state.db"
    command = [sys.executable, "-c", textwrap.dedent(COUNTER), str(path), "60"]
    children = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [child.communicate(timeout=50)[1] for child in children]
    assert errors == [""] * 4
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT value FROM facts").fetchone() == ("240",)
    connection.close()
