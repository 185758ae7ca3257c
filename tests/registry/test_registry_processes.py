"""Files that change between starts, and several processes on one home."""

import asyncio
import signal
import subprocess
import sys
import textwrap

import pytest

from micro_agi.errors import EntryConflict, EntryInvalid, EntryNotFound
from micro_agi.store.database import Database
from micro_agi.testing.registry import memory_registry
from tests.registry.app_entries import (
    APP,
    ROOT,
    agent,
    create,
    delete,
    library,
    plain,
    policy,
    tool,
    update,
)


def restart(path, entries, work=None):
    """Open the registry on a home as a new process would, work, close; return what it returns."""

    async def run():
        database = Database.open(path / "state.db")
        try:
            registry = await memory_registry(entries, database=database)
            assert registry.history.verify() is None
            return await work(registry) if work else (registry.version, contents(registry))
        finally:
            database.close()

    return asyncio.run(run())


def contents(registry):
    return {e.id: dict(e.data) for e in registry.snapshot()}


def test_files_that_did_not_change_are_no_version(tmp_path):
    assert restart(tmp_path, [plain("a:x", v=1)]) == (0, {"a:x": {"v": 1}})
    assert restart(tmp_path, [plain("a:x", v=1)]) == (0, {"a:x": {"v": 1}})


def test_files_that_changed_are_a_version_by_the_loader(tmp_path):
    restart(tmp_path, [plain("a:x", v=1), plain("a:gone"), plain("a:same")])

    async def work(registry):
        version = registry.history.version(1)
        assert (version.actor, version.reason) == ("system:loader", "files changed")
        assert sorted((c.kind, c.entry_id) for c in version.operations) == [
            ("entry.create", "a:new"),
            ("entry.delete", "a:gone"),
            ("entry.update", "a:x"),
        ]
        assert registry.get("a:x").revision == 1
        assert registry.get("a:same").revision == 0

    restart(tmp_path, [plain("a:x", v=2), plain("a:new"), plain("a:same")], work)


def test_a_change_at_run_time_stays_until_its_file_changes(tmp_path):
    restart(tmp_path, [plain("a:x", v=1)], lambda r: update(r, plain("a:x", v="mine")))
    assert restart(tmp_path, [plain("a:x", v=1)]) == (1, {"a:x": {"v": "mine"}})
    assert restart(tmp_path, [plain("a:x", v=2)]) == (2, {"a:x": {"v": 2}})
    assert restart(tmp_path, [plain("a:x", v=2)]) == (2, {"a:x": {"v": 2}})


def test_a_file_entry_deleted_at_run_time_stays_deleted_until_its_file_changes(tmp_path):
    restart(tmp_path, [plain("a:x", v=1)], lambda r: delete(r, "a:x"))
    assert restart(tmp_path, [plain("a:x", v=1)]) == (1, {})
    assert restart(tmp_path, [plain("a:x", v=2)]) == (2, {"a:x": {"v": 2}})


def test_an_entry_that_left_its_file_goes_unless_somebody_changed_it(tmp_path):
    restart(tmp_path, [plain("a:x"), plain("a:y")], lambda r: update(r, plain("a:y", mine=1)))
    assert restart(tmp_path, []) == (2, {"a:y": {"mine": 1}})
    assert restart(tmp_path, []) == (2, {"a:y": {"mine": 1}})


def test_a_file_that_says_what_was_already_changed_is_no_version(tmp_path):
    restart(tmp_path, [plain("a:x", v=1)], lambda r: update(r, plain("a:x", v=2)))
    assert restart(tmp_path, [plain("a:x", v=2)]) == (1, {"a:x": {"v": 2}})
    assert restart(tmp_path, []) == (2, {})


def test_a_kind_that_changed_in_the_file_is_a_new_entry(tmp_path):
    restart(tmp_path, [plain("a:x")])
    restart(tmp_path, [{"id": "a:x", "kind": "ns.definition"}])
    assert restart(tmp_path, [{"id": "a:x", "kind": "ns.definition"}])[0] == 1


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        ([plain("a:x"), plain("a:x")], EntryConflict),
        ([library("a:x", l="a:none")], EntryNotFound),
        ([library("a:x", l="a:y"), library("a:y", l="a:x")], EntryInvalid),
        ([library("a:x", l="a:y"), plain("a:y")], EntryInvalid),
        (
            [
                {
                    "id": f"a:{n}",
                    "kind": "env.variable",
                    "data": {"storage": "a:os", "variable": "V"},
                }
                for n in "xy"
            ]
            + [{"id": "a:os", "kind": "env.storage.os"}],
            EntryConflict,
        ),
        (
            [
                {
                    "id": f"a:{n}",
                    "kind": "process.lua",
                    "meta": {"command": {"name": "chat"}},
                    "data": {"source": "x", "method": "main"},
                }
                for n in "xy"
            ],
            EntryConflict,
        ),
    ],
)
def test_files_that_do_not_fit_together_stop_the_start_and_write_nothing(tmp_path, entries, error):
    with pytest.raises(error):
        restart(tmp_path, entries)
    assert restart(tmp_path, []) == (0, {})


def test_a_policy_in_a_namespace_that_is_no_longer_the_operators_decides_nothing(tmp_path):
    allow = policy("other:p", "allow", "*")

    async def change(registry):
        await update(registry, policy("other:p", "allow", "app.generated:*"))
        assert [p.id for p in registry.write_scope().policies] == ["other:p"]

    async def look(registry):
        assert "other:p" in registry.snapshot()
        assert registry.policies() == ()
        assert registry.write_scope().policies == ()

    restart(tmp_path, [allow], change)
    restart(tmp_path, [], look)


def test_two_registries_on_one_home_see_each_others_changes(tmp_path):
    async def run():
        databases = [Database.open(tmp_path / "state.db") for _ in range(2)]
        one, two = [await memory_registry(APP, database=d) for d in databases]
        heard = []
        two.subscribe(heard.append)
        assert not await two.refresh()
        version = await create(one, plain("a:x", v=1))
        assert "a:x" not in two.snapshot()
        assert await two.refresh()
        assert not await two.refresh()
        await asyncio.sleep(0)
        assert two.get("a:x").revision == 1
        assert heard == [version]
        await update(two, plain("a:x", v=2))
        with pytest.raises(EntryConflict, match="is at revision 2"):
            await update(one, plain("a:x", v=3), expected={"a:x": 1})
        # A policy written there is asked here, without anybody having called refresh.
        await create(one, policy("app:stop", "deny", "app.generated:*"))
        with pytest.raises(Exception, match="app:stop"):
            await create(two, tool("app.generated:x"), agent())
        assert one.history.verify() is None
        for database in databases:
            database.close()

    asyncio.run(run())


CHILD = """
    import asyncio, os, signal, sys
    from pathlib import Path
    from micro_agi.security.context import root_context
    from micro_agi.store.database import Database
    from micro_agi.testing.registry import memory_registry

    path, name, count, die_at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    base = [{"id": "a:base", "kind": "registry.entry", "data": {"text": "x" * 1000}}]

    async def main():
        database = Database.open(path)
        writes = 0
        real = database.write

        def write(run, **options):
            def counted(db):
                nonlocal writes
                writes += 1
                result = run(db)
                if writes == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result
            return real(counted, **options)

        database.write = write
        registry = await memory_registry(base, database=database)
        for n in range(count):
            entry = {"id": f"a:{name}{n}", "kind": "registry.entry", "data": {"n": n}}
            await registry.snapshot().changes().create(entry).apply(root_context())
            print(n, flush=True)
        database.close()

    asyncio.run(main())
"""


def child(path, name, count, die_at=0):
    script = textwrap.dedent(CHILD)
    command = [sys.executable, "-c", script, str(path), name, str(count), str(die_at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_start_and_write_at_once_make_one_unbroken_history(tmp_path):
    children = [child(tmp_path / "state.db", name, 15) for name in "pqr"]
    assert [c.communicate(timeout=50)[1] for c in children] == ["", "", ""]

    async def work(registry):
        assert registry.version == 45
        assert len(registry.find({".ns": "a"})) == 46
        return registry.history.versions()

    base = [plain("a:base", text="x" * 1000)]
    versions = restart(tmp_path, base, work)
    assert [v.id for v in versions] == list(range(46))


@pytest.mark.parametrize("die_at", [1, 2, 3, 5])
def test_kill_9_in_the_middle_of_a_change_leaves_a_whole_history(tmp_path, die_at):
    done = child(tmp_path / "state.db", "p", 5, die_at)
    acknowledged = done.communicate(timeout=50)[0].split()
    assert done.returncode == -signal.SIGKILL
    # The first write is the start's own version.
    assert len(acknowledged) == max(die_at - 2, 0)
    base = [plain("a:base", text="x" * 1000)]

    async def work(registry):
        entries = [e.id for e in registry.find({".ns": "a"})]
        assert entries == ["a:base", *(f"a:p{n}" for n in range(len(acknowledged)))]
        return await create(registry, plain("a:after"), ROOT)

    assert restart(tmp_path, base, work).id == len(acknowledged) + 1
