"""Versions, diffs, rollback, and whether tampering shows."""

import sqlite3

import pytest

from micro_agi.errors import EntryNotFound, PolicyDenied
from tests.registry.app_entries import (
    APP,
    ROOT,
    agent,
    create,
    delete,
    plain,
    policy,
    tool,
    update,
    with_registry,
)


def test_the_first_version_is_what_came_from_files():
    async def work(registry):
        (first,) = registry.history.versions()
        assert (first.id, first.parent, first.actor) == (0, None, "system:loader")
        assert len(first.operations) == len(APP)
        assert registry.history.verify() is None

    with_registry(work)


def test_a_version_says_who_when_why_and_what():
    async def work(registry):
        report = {"tests": {"passed": 2}}
        context = agent("c1", turn=3, model="gpt")
        await create(registry, tool("app.generated:x"), context, reason="a clock", report=report)
        found = registry.history.version(1)
        assert (found.at, found.actor, found.session) == (1000.5, "agent:app:dev_assistant", "s1")
        assert (found.call_id, found.turn, found.model) == ("c1", 3, "gpt")
        assert (found.agent, found.reason) == ("app:dev_assistant", "a clock")
        assert found.report == report
        (change,) = found.operations
        assert (change.kind, change.entry_id, change.before) == (
            "entry.create",
            "app.generated:x",
            "",
        )
        assert change.after == registry.get("app.generated:x").hash
        with pytest.raises(EntryNotFound, match="version not found"):
            registry.history.version(9)

    with_registry(work, clock=lambda: 1000.5)


def test_an_entry_has_a_history_of_its_own():
    async def work(registry):
        await create(registry, tool("app.generated:x", "return 1"))
        await create(registry, plain("a:other"))
        await update(registry, tool("app.generated:x", "return 2"))
        await delete(registry, "app.generated:x")
        found = registry.history.of_entry("app.generated:x")
        assert [r.version.id for r in found] == [1, 3, 4]
        assert [r.entry.data["source"] if r.entry else None for r in found] == [
            *("return 1", "return 2"),
            None,
        ]
        assert [bool(r.hash) for r in found] == [True, True, False]
        assert registry.history.of_entry("a:unknown") == []
        assert registry.history.entry_at("app.generated:x", 2).data["source"] == "return 1"
        assert registry.history.entry_at("app.generated:x", 0) is None

    with_registry(work)


def test_a_diff_shows_source_line_by_line():
    async def work(registry):
        await create(registry, tool("app.generated:x", "local a = 1\nreturn a\n"))
        changed = tool("app.generated:x", "local a = 2\nreturn a\n", data={"modules": ["time"]})
        await update(registry, changed)
        assert registry.history.diff("app.generated:x", 1, 2).splitlines()[3:] == [
            ' meta.title: "A tool"',
            ' meta.type: "tool"',
            ' data.method: "handler"',
            "+data.modules: [",
            '+  "time"',
            "+]",
            " data.source: |",
            "-  local a = 1",
            "+  local a = 2",
            "   return a",
            "   ",
        ]
        assert registry.history.diff("app.generated:x", 2, 2) == ""
        assert registry.history.diff("app.generated:x", 0, 1).startswith("--- app.generated:x@v0")
        with pytest.raises(EntryNotFound):
            registry.history.diff("a:unknown", 0, 1)
        with pytest.raises(EntryNotFound):
            registry.history.diff("app.generated:x", 0, 9)

    with_registry(work)


def test_a_snapshot_of_the_past_has_everything_that_was_there_then():
    async def work(registry):
        await create(registry, plain("a:x", v=1))
        await update(registry, plain("app:dev_assistant", prompt="new"))
        await delete(registry, "a:x")
        then = registry.snapshot_at(1)
        assert then.get("app:dev_assistant").data == {"prompt": "hello"}
        assert then.get("a:x").data == {"v": 1}
        assert len(then) == len(APP) + 1
        with pytest.raises(EntryNotFound):
            registry.snapshot_at(9)
        # A change set from an old snapshot applies to what there is now.
        version = await then.changes().create(plain("a:y")).apply(ROOT)
        assert version.parent == 3

    with_registry(work)


def test_rolling_back_one_entry_is_a_new_version():
    async def work(registry):
        await create(registry, tool("app.generated:x", "return 1"))
        await update(registry, tool("app.generated:x", "return 2"))
        await create(registry, plain("a:other"))
        version = await registry.rollback("app.generated:x", to=1, context=ROOT)
        assert version.id == 4
        assert version.reason == "rollback to v1"
        assert registry.get("app.generated:x").data["source"] == "return 1"
        assert "a:other" in registry.snapshot()
        await registry.rollback("app.generated:x", to=0, context=ROOT)
        assert "app.generated:x" not in registry.snapshot()
        await registry.rollback("app.generated:x", to=2, context=ROOT)
        assert registry.get("app.generated:x").data["source"] == "return 2"
        assert registry.history.verify() is None

    with_registry(work)


def test_rolling_back_to_what_is_there_changes_nothing():
    async def work(registry):
        await create(registry, plain("a:x"))
        version = await registry.rollback(None, to=1, context=ROOT)
        assert version.id == registry.version == 1
        assert (await registry.rollback("a:x", to=1, context=ROOT)).id == 1
        with pytest.raises(EntryNotFound):
            await registry.rollback("a:unknown", to=1, context=ROOT)
        with pytest.raises(EntryNotFound):
            await registry.rollback(None, to=7, context=ROOT)

    with_registry(work)


def test_policies_and_grants_are_never_restored():
    async def work(registry):
        await create(registry, policy("app.grants:always", "allow", "https://x/*"))
        await create(registry, policy("app:temporary", "allow", "*"))
        await create(registry, plain("app.grants:note"))
        await create(registry, plain("a:x"))
        await delete(registry, "app.grants:always")
        await delete(registry, "app:temporary")
        await create(registry, policy("app:stop", "deny", "app.generated:*"))
        await delete(registry, "a:x")
        await registry.rollback(None, to=4, context=ROOT)
        ids = [e.id for e in registry.snapshot()]
        assert "a:x" in ids
        assert "app:stop" in ids
        assert not {"app.grants:always", "app:temporary"} & set(ids)
        for entry_id in ("app.grants:always", "app:temporary", "app:stop"):
            with pytest.raises(PolicyDenied, match="never restored"):
                await registry.rollback(entry_id, to=4, context=ROOT)
        await registry.rollback(None, to=0, context=ROOT)
        assert "app:stop" in registry.snapshot()
        assert "app.grants:note" in registry.snapshot()

    with_registry(work)


@pytest.mark.parametrize(
    ("tampering", "version"),
    [
        ("UPDATE registry_versions SET reason = 'innocent' WHERE id = 2", 2),
        ("UPDATE registry_versions SET actor = 'root' WHERE id = 1", 1),
        ("UPDATE registry_versions SET at = at + 1 WHERE id = 1", 1),
        ("UPDATE registry_versions SET report = CAST('{\"tests\":9}' AS BLOB) WHERE id = 2", 2),
        ("UPDATE registry_versions SET hash = 'x' WHERE id = 1", 1),
        (
            "UPDATE registry_operations SET content = CAST(replace(content, '1', '2') AS BLOB)"
            " WHERE version = 1",
            1,
        ),
        ("UPDATE registry_operations SET after = 'x' WHERE version = 1", 1),
        ("UPDATE registry_operations SET kind = 'entry.update' WHERE version = 1", 1),
        ("DELETE FROM registry_operations WHERE version = 2", 2),
        ("UPDATE registry_operations SET version = 0, seq = 99 WHERE version = 1", 0),
        ("UPDATE registry_current SET version = 1 WHERE entry = 'app.generated:x'", 2),
        ("DELETE FROM registry_current WHERE entry = 'a:y'", 3),
        ("INSERT INTO registry_current VALUES ('a:ghost', 1)", 0),
    ],
)
def test_any_change_of_a_row_shows(tampering, version):
    async def work(registry):
        await create(registry, tool("app.generated:x", "return 1"), agent("1"))
        await update(registry, tool("app.generated:x", "return 2"), agent("2"))
        await create(registry, plain("a:y"))
        assert registry.history.verify() is None
        outside = sqlite3.connect(registry.database.path)
        assert outside.execute(tampering).rowcount == 1
        outside.commit()
        outside.close()
        broken = registry.history.verify()
        assert broken is not None
        assert broken.version == version

    with_registry(work)


def test_a_removed_version_shows():
    async def work(registry):
        for n in range(3):
            await create(registry, plain(f"a:{n}"))
        outside = sqlite3.connect(registry.database.path)
        outside.execute("DELETE FROM registry_operations WHERE version = 2")
        outside.execute("DELETE FROM registry_versions WHERE id = 2")
        outside.commit()
        outside.close()
        assert registry.history.verify().version == 3

    with_registry(work)
