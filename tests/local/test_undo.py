"""Taking back what tools did to files: in order, after a restart, never over a person's work."""

import os
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from micro_agi.errors import EntryConflict, EntryNotFound, InputInvalid, PathRefused
from micro_agi.local.changes import Changes
from micro_agi.local.undo import Undo
from micro_agi.local.workspaces import Workspaces
from micro_agi.security.context import root_context


def write(path, content):
    return ("write_file", {"path": path, "content": content})


def undo(count=1):
    return lambda rt: rt.undo(count)


@pytest.mark.requirement("004/undo/restores")
def test_undo_takes_back_the_newest_changes_one_by_one(tools):
    tools.path("old.txt").write_text("as it was")
    tools.path("old.txt").chmod(0o640)
    tools(write("old.txt", "1"), write("old.txt", "2"), write("deep/er/new.txt", "3"))
    first, second, third, fourth = tools(undo(), undo(), undo(), undo())
    assert (first, second, third) == (
        *(["removed deep/er/new.txt"], ["restored old.txt"], ["restored old.txt"]),
    )
    assert isinstance(fourth, EntryNotFound)
    assert tools.path("old.txt").read_text() == "as it was"
    assert stat.S_IMODE(tools.path("old.txt").stat().st_mode) == 0o640
    assert [p.name for p in tools.workspace.iterdir()] == ["old.txt"]


def test_several_at_once_and_a_wrong_number(tools):
    tools(write("a", "1"), write("b", "2"))
    assert tools(undo(9), undo(0))[0] == ["removed b", "removed a"]
    assert isinstance(tools(undo(0))[0], InputInvalid)


def test_a_directory_that_somebody_else_uses_by_now_stays(tools):
    tools(write("d/new.txt", "1"))
    tools.path("d/mine.txt").write_text("x")
    tools(undo())
    assert [p.name for p in tools.path("d").iterdir()] == ["mine.txt"]


@pytest.mark.requirement("004/undo/changed")
@pytest.mark.parametrize("since", ["edited", "removed", "a link", "a directory"])
def test_a_file_that_changed_since_stays_and_the_difference_is_shown(tools, since):
    tools(write("a.txt", "one\n"), write("a.txt", "two\n"))
    file = tools.path("a.txt")
    if since == "edited":
        file.write_text("two\nmine\n")
    else:
        file.unlink()
    if since == "a link":
        tools.path("target").write_text("two\n")
        os.symlink("target", file)
    if since == "a directory":
        file.mkdir()
    (refused,) = tools(undo(2))
    assert refused.code in ("entry.conflict", "path.refused")
    if since == "edited":
        assert isinstance(refused, EntryConflict)
        assert "+mine" in refused.what
        assert file.read_text() == "two\nmine\n"
        file.write_text("two\n")
        assert tools(undo(2))[0] == ["restored a.txt", "removed a.txt"]


@pytest.mark.requirement("004/undo/crash")
def test_a_change_that_was_only_intended_is_passed_over(tools):
    """As a program leaves it that was killed between the record and the rename."""
    tools.path("a.txt").write_text("as it was")
    tools(write("b.txt", "1"), write("a.txt", "2"))
    state = next(Path(tools.home).rglob("state.db"))
    with sqlite3.connect(state) as db:
        db.execute("UPDATE workspace_changes SET state = 'intended' WHERE path = 'a.txt'")
    db.close()
    tools.path("a.txt").write_text("as it was")
    assert tools(undo())[0] == ["removed b.txt"]
    assert tools.path("a.txt").read_text() == "as it was"


def test_a_change_whose_end_was_not_recorded_is_taken_back(tools):
    """As a program leaves it that was killed after the rename."""
    tools(write("a.txt", "1"), write("a.txt", "2"))
    state = next(Path(tools.home).rglob("state.db"))
    with sqlite3.connect(state) as db:
        db.execute("UPDATE workspace_changes SET state = 'intended'")
    db.close()
    assert tools(undo())[0] == ["restored a.txt"]
    assert tools.path("a.txt").read_text() == "1"


@pytest.mark.requirement("004/files/write")
@pytest.mark.parametrize("there", [True, False])
def test_a_file_that_somebody_else_writes_at_the_same_moment_is_not_lost(tools, there):
    file = tools.path("a.txt")
    if there:
        file.write_text("old")

    def meanwhile(_):
        file.write_text("theirs")
        return b"ours"

    async def race(rt):
        changes = Changes(rt.database, clock=time.time)
        await changes.change(rt.workspace.place("a.txt", write=True), meanwhile, root_context())

    (refused,) = tools(race)
    assert isinstance(refused, EntryConflict)
    assert [p.name for p in tools.workspace.iterdir()] == ["a.txt"]
    assert file.read_text() == "theirs"


def test_what_is_remembered_has_an_end_and_undo_still_works(tools):
    async def fifty(rt):
        changes = Changes(rt.database, clock=time.time, keep=3)
        place = rt.workspace.place("a.txt", write=True)
        for n in range(50):
            await changes.change(place, lambda _, n=n: str(n).encode(), root_context())
        return await Undo(rt.database).changes(limit=100)

    (records,) = tools(fifty)
    assert len(records) == 3
    assert tools(undo(9))[0] == ["restored a.txt"] * 3
    assert tools.path("a.txt").read_text() == "46"


@pytest.mark.requirement("004/workspace/users")
def test_in_a_workspace_that_users_share_each_takes_back_their_own_changes(tools):
    async def write_for(rt, user, path, times=1):
        for n in range(times):
            asked = {"path": path, "content": f"{user} {n}"}
            await rt.call("local:write_file", asked, context=root_context(user=user))

    async def scenario(rt):
        for user in ("alice", "bob", ""):
            await write_for(rt, user, f"{user or 'nobody'}.txt")
        seen = [
            [r.path for r in await Undo(rt.database, user=user).changes()]
            for user in ("alice", "bob", "", "al")
        ]
        return seen, await rt.undo(9), await rt.undo(9, user="alice")

    async def forget(rt):
        changes = Changes(rt.database, clock=time.time, keep=3)
        place = rt.workspace.place("c.txt", write=True)
        for n in range(50):
            context = root_context(user="alice")
            await changes.change(place, lambda _, n=n: str(n).encode(), context)
        return len(await Undo(rt.database, user="alice").changes(limit=100))

    (seen, own, alices), kept, bobs = tools(scenario, forget, lambda rt: rt.undo(user="bob"))
    assert seen == [["alice.txt"], ["bob.txt"], ["nobody.txt"], []]
    assert (own, alices, bobs) == (
        *(["removed nobody.txt"], ["removed alice.txt"], ["removed bob.txt"]),
    )
    # What one user changes does not push out what another can take back.
    assert 3 <= kept < 50


@pytest.mark.requirement("004/workspace/users")
def test_each_user_has_a_workspace_and_only_the_person_here_has_the_current_directory(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.txt").write_text("x")
    home = tmp_path / "homes" / "app"

    def reads(workspaces, user):
        try:
            return workspaces.of(user).place("@current/here.txt").shown
        except PathRefused:
            return None

    workspaces = Workspaces("", home)
    roots = [workspaces.of(user).root for user in ("", "alice", "al")]
    assert roots == [home / "workspace", home / "workspaces" / "alice", home / "workspaces" / "al"]
    assert [reads(workspaces, user) for user in ("", "alice")] == ["@current/here.txt", None]
    assert reads(Workspaces("", home, person="alice"), "alice") == "@current/here.txt"
    named = Workspaces(str(tmp_path / "ws"), home)
    assert {named.of(user).root for user in ("", "alice")} == {tmp_path / "ws"}
    with pytest.raises(InputInvalid, match="keeps its state"):
        Workspaces(str(home / "workspaces" / "alice"), home)
    with pytest.raises(InputInvalid, match="no name of a user"):
        workspaces.of("../alice")
