"""Change sets as root sees them: atomic, ordered, checked against what the registry holds."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from micro_agi.errors import (
    EntryConflict,
    EntryInvalid,
    EntryNotFound,
    MicroAgiError,
    PolicyDenied,
)
from micro_agi.store.database import Database
from micro_agi.testing.registry import memory_registry
from tests.registry.app_entries import (
    ROOT,
    agent,
    create,
    delete,
    library,
    plain,
    policy,
    tool,
    update,
    with_registry,
)


def test_an_applied_change_is_there_at_once_and_old_snapshots_stay():
    async def work(registry):
        before = registry.snapshot()
        version = await create(registry, plain("app:new", a=1), reason="because")
        assert (version.id, version.parent, version.actor) == (1, 0, "root")
        assert version.reason == "because"
        assert registry.get("app:new").data == {"a": 1}
        assert registry.get("app:new").revision == registry.version == 1
        assert "app:new" not in before
        assert before.version == 0
        assert str(version) == "v1"
        assert repr(before) == "registry.Snapshot{version=v0}"

    with_registry(work)


def test_what_was_written_survives_the_process(tmp_path):
    async def first():
        database = Database.open(tmp_path / "state.db")
        registry = await memory_registry([plain("app:base")], database=database)
        await create(registry, tool("gen:x"))
        await update(registry, plain("app:base", changed=True))
        database.close()

    async def second():
        database = Database.open(tmp_path / "state.db")
        registry = await memory_registry([plain("app:base")], database=database)
        assert registry.version == 2
        assert registry.get("app:base").data == {"changed": True}
        assert registry.get("gen:x").revision == 1
        assert registry.history.verify() is None
        database.close()

    asyncio.run(first())
    asyncio.run(second())


@pytest.mark.parametrize(
    ("steps", "error", "said"),
    [
        ([], EntryInvalid, "no changes to apply"),
        ([("create", plain("app:dev_assistant"))], EntryConflict, "already exists"),
        ([("update", plain("app:nothing"))], EntryNotFound, "does not exist"),
        ([("delete", "app:nothing")], EntryNotFound, "does not exist"),
        (
            [("update", {"id": "app:dev_assistant", "kind": "ns.definition"})],
            EntryInvalid,
            "cannot change entry kind from registry.entry to ns.definition",
        ),
        ([("create", plain("a:x")), ("create", plain("a:x"))], EntryConflict, "already exists"),
        ([("create", {"id": "a:x", "kind": "registry.entyr"})], EntryInvalid, "registry.entry"),
        ([("create", library("a:x", l="app:none"))], EntryNotFound, "needs `app:none`"),
        ([("create", library("a:x", l="dev"))], EntryNotFound, "needs `a:dev`"),
        ([("create", library("a:x", l="app:dev_assistant"))], EntryInvalid, "is no code"),
        ([("create", library("a:x", l="a:x"))], EntryInvalid, "circle: a:x → a:x"),
        (
            [("create", library("a:x", l="y")), ("create", library("a:y", l="x"))],
            EntryInvalid,
            "in a circle",
        ),
        ([("create", tool("system:x"))], PolicyDenied, "belongs to the runtime"),
        ([("create", {**tool("a:x"), "kind": "function.native"})], EntryInvalid, "come from"),
        ([("create", policy("strange:p", "deny", "*"))], EntryInvalid, "would not count"),
        ([("create", plain("a:\n"))], EntryInvalid, "may not contain"),
        ([("create", plain("a:x\x00"))], EntryInvalid, "may not contain"),
        ([("create", plain("nocolon"))], EntryInvalid, "namespace and a name"),
        ([("create", plain("a:x", v=1 << 70))], EntryInvalid, "64 bits"),
        ([("create", plain("a:x", v=object()))], EntryInvalid, "no JSON"),
        ([("create", {"id": "", "kind": "registry.entry"})], EntryInvalid, "valid id"),
        ([("create", {"id": {"ns": "a"}, "kind": "x"})], EntryInvalid, "ns and name"),
        ([("create", {"id": "a:b"})], EntryInvalid, "kind field"),
        ([("delete", 5)], EntryInvalid, "valid id"),
    ],
)
def test_what_does_not_fit_is_refused_as_a_whole(steps, error, said):
    async def work(registry):
        entries = registry.snapshot().entries()
        with pytest.raises(error) as refused:
            await attempt(registry, steps)
        assert said in str(refused.value)
        assert registry.snapshot().entries() == entries
        assert registry.version == 0
        assert registry.history.verify() is None

    with_registry(work)


async def attempt(registry, steps):
    changes = registry.snapshot().changes()
    if steps:
        changes.create(plain("app:innocent"))
    for kind, what in steps:
        getattr(changes, kind)(what)
    await changes.apply(ROOT)


def test_changes_that_cancel_each_other_are_no_version():
    async def work(registry):
        with pytest.raises(EntryInvalid, match="cancel each other"):
            await registry.snapshot().changes().create(plain("a:x")).delete("a:x").apply(ROOT)
        assert registry.version == 0

    with_registry(work)


def test_the_order_of_operations_does_not_matter():
    async def work(registry):
        changes = registry.snapshot().changes()
        changes.update(plain("a:x", v=2)).create(library("a:user", l="a:lib"))
        changes.create(plain("a:x", v=1)).create(library("a:lib"))
        version = await changes.apply(ROOT)
        assert registry.get("a:x").data == {"v": 2}
        assert sorted(c.entry_id for c in version.operations) == ["a:lib", "a:user", "a:x"]

    with_registry(work)


def test_delete_and_create_in_one_set_replaces_the_kind():
    async def work(registry):
        changes = registry.snapshot().changes()
        changes.create({"id": "app:dev_assistant", "kind": "ns.definition"})
        changes.delete("app:dev_assistant")
        version = await changes.apply(ROOT)
        assert [c.kind for c in version.operations] == ["entry.create"]
        assert version.operations[0].before
        assert registry.get("app:dev_assistant").kind == "ns.definition"
        assert registry.history.verify() is None

    with_registry(work)


def test_what_others_need_cannot_be_deleted_alone():
    async def work(registry):
        await create(registry, library("a:lib"))
        await create(registry, tool("a:user", data={"imports": {"l": "lib"}}))
        with pytest.raises(EntryConflict, match="is needed by `a:user`"):
            await delete(registry, "a:lib")
        await registry.snapshot().changes().delete("a:lib").delete("a:user").apply(ROOT)
        assert registry.find({".ns": "a"}) == []

    with_registry(work)


def test_an_update_that_breaks_what_others_import_is_seen():
    async def work(registry):
        await create(registry, library("a:one"))
        await create(registry, library("a:two", l="a:one"))
        with pytest.raises(EntryInvalid, match="circle"):
            await update(registry, library("a:one", l="a:two"))
        changes = registry.snapshot().changes().delete("a:one").create(plain("a:one"))
        await delete(registry, "a:two")
        await changes.apply(ROOT)

    with_registry(work)


def test_replacing_a_library_by_what_is_no_code_is_refused():
    async def work(registry):
        await create(registry, library("a:one"))
        await create(registry, library("a:two", l="a:one"))
        changes = registry.snapshot().changes().delete("a:one").create(plain("a:one"))
        with pytest.raises(EntryInvalid, match="is no code"):
            await changes.apply(ROOT)

    with_registry(work)


def test_modules_that_the_runtime_provides_need_no_entry():
    async def work(registry):
        await create(registry, library("a:x", prompt="wippy.llm:prompt"))

    with_registry(work)


def test_an_expected_revision_catches_a_change_that_was_not_seen():
    async def work(registry):
        await create(registry, plain("a:x", v=1), expected={"a:x": None})
        read = registry.get("a:x")
        await update(registry, plain("a:x", v=2), expected={"a:x": read.revision})
        await create(registry, plain("a:stranger"))
        with pytest.raises(EntryConflict, match="is at revision 2, expected was revision 1"):
            await update(registry, plain("a:x", v=3), expected={"a:x": read.revision})
        with pytest.raises(EntryConflict, match="expected was no such entry"):
            await update(registry, plain("a:x", v=3), expected={"a:x": None})
        with pytest.raises(EntryConflict, match="does not exist"):
            await create(registry, plain("a:y"), expected={"a:y": 1})
        await update(registry, plain("a:x", v=3), expected={"a:x": 2})

    with_registry(work)


def test_a_tool_call_writes_an_entry_once():
    async def work(registry):
        context = agent("call_1", turn=4, model="m")
        version = await create(registry, tool("app.generated:x"), context)
        assert registry.versions_of_call("s1", "call_1") == [version]
        assert (version.session, version.turn, version.model) == ("s1", 4, "m")
        with pytest.raises(EntryConflict, match="written one of these entries before"):
            await update(registry, tool("app.generated:x", "return 1"), context)
        await create(registry, tool("app.generated:y"), context)
        assert [v.id for v in registry.versions_of_call("s1", "call_1")] == [1, 2]
        assert registry.versions_of_call("s1", "call_2") == []
        assert registry.versions_of_call("s2", "call_1") == []
        assert registry.versions_of_call("s1", "") == []
        await update(registry, tool("app.generated:x", "return 1"), agent("call_2"))
        assert registry.history.verify() is None

    with_registry(work)


def test_code_is_admitted_before_it_is_written():
    seen = []

    async def admit(entry):
        seen.append(entry.id)
        if "syntax" in entry.data["source"]:
            raise EntryInvalid("line 1: that is no Lua", where=entry.id)

    async def work(registry):
        changes = registry.snapshot().changes().create(plain("a:data"))
        await changes.create(tool("a:good")).create(library("a:lib")).apply(ROOT)
        with pytest.raises(EntryInvalid, match="that is no Lua"):
            await create(registry, tool("a:bad", "syntax error"))
        with pytest.raises(EntryInvalid, match="that is no Lua"):
            await update(registry, tool("a:good", "syntax error"))
        assert registry.get("a:good").data["source"] == "return {}"
        await delete(registry, "a:good")
        assert seen == ["a:good", "a:lib", "a:bad", "a:good"]

    with_registry(work, admit=admit)


def test_the_door_is_asked_before_code_is_looked_at():
    async def admit(entry):
        pytest.fail("a refused draft was compiled")

    async def work(registry):
        with pytest.raises(PolicyDenied):
            await create(registry, tool("app:x"), agent())

    with_registry(work, admit=admit)


def test_subscribers_hear_of_each_version_before_apply_returns():
    async def work(registry):
        heard = []
        stop = registry.subscribe(heard.append)
        version = await create(registry, plain("a:x"))
        assert heard == [version]
        with pytest.raises(MicroAgiError):
            await create(registry, plain("a:x"))
        stop()
        stop()
        await delete(registry, "a:x")
        assert heard == [version]

    with_registry(work)


def test_a_cancelled_writer_leaves_a_registry_that_knows_what_was_committed():
    async def work(registry):
        task = asyncio.ensure_future(create(registry, plain("a:x")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await create(registry, plain("a:y"))
        assert registry.version == 2
        assert [e.id for e in registry.find({".ns": "a"})] == ["a:x", "a:y"]
        assert registry.history.verify() is None

    with_registry(work)


def test_many_tasks_write_one_after_the_other():
    async def work(registry):
        await asyncio.gather(*(create(registry, plain(f"a:x{n}")) for n in range(30)))
        assert registry.version == 30
        assert len({e.revision for e in registry.find({".ns": "a"})}) == 30
        assert registry.history.verify() is None

    with_registry(work)


def test_mounted_entries_are_there_and_cannot_be_written():
    async def work(registry):
        native = {"id": "my:lookup", "kind": "function.native", "data": {"target": "lookup"}}
        entry = registry.get("app:dev_assistant")
        with pytest.raises(EntryConflict):
            registry.mount([entry])
        registry.mount([type(entry)(**{k: native[k] for k in ("id", "kind", "data")})])
        assert registry.get("my:lookup").revision is None
        assert registry.version == 0
        await create(registry, plain("a:x"))
        assert "my:lookup" in registry.snapshot()
        for attempt in (delete(registry, "my:lookup"), update(registry, plain("my:lookup"))):
            with pytest.raises(EntryConflict, match="function of this program"):
                await attempt
        assert "my:lookup" in registry.snapshot_at(0)

    with_registry(work)


IDS = st.sampled_from(["a:x", "a:y", "b:x", "app:dev_assistant"])
OPERATIONS = st.tuples(st.sampled_from(["create", "update", "delete"]), IDS, st.integers(0, 3))
CHANGE_SETS = st.lists(st.lists(OPERATIONS, min_size=1, max_size=4), max_size=8)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(CHANGE_SETS)
def test_every_sequence_of_change_sets_can_be_replayed_verified_and_rolled_back(change_sets):
    async def work(registry):
        states = [contents(registry.snapshot())]
        for operations in change_sets:
            changes = registry.snapshot().changes()
            for kind, entry_id, value in operations:
                what = entry_id if kind == "delete" else plain(entry_id, v=value)
                getattr(changes, kind)(what)
            try:
                await changes.apply(ROOT)
            except (EntryConflict, EntryNotFound, EntryInvalid):
                assert contents(registry.snapshot()) == states[-1]
            else:
                states.append(contents(registry.snapshot()))
        for number, state in enumerate(states):
            assert contents(registry.snapshot_at(number)) == state
        for number, state in enumerate(states):
            await registry.rollback(None, to=number, context=ROOT)
            assert contents(registry.snapshot()) == state
        assert registry.history.verify() is None

    with_registry(work)


def contents(snapshot):
    return [e.as_dict() for e in snapshot]
