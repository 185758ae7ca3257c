"""Reading, listing, searching, writing and editing files, through the tools' entries."""

import asyncio
import hashlib
import os
import stat

import msgspec
import pytest

from micro_agi.errors import ArgumentsInvalid, EntryConflict, EntryNotFound, PathRefused, ToolFailed
from micro_agi.llm.providers.scripted import Call
from micro_agi.local import edit_file, list_files, read_file, search_files, shell, write_file
from micro_agi.messages import ApprovalAsked, ToolCallFinished
from micro_agi.testing.transcript import run_transcript, scripted_runtime
from micro_agi.tools.approve import YesOnce
from tests.local.person import Person


def play(workspace, *calls, agent="local:assistant", **options):
    async def scenario():
        async with scripted_runtime(
            [*calls, "done"], workspace=str(workspace), **options
        ) as played:
            [turn] = await run_transcript(played.runtime, "go", session="s", agent=agent)
            return turn

    return asyncio.run(scenario())


@pytest.mark.requirement("004/agent/assistant", "004/files/read")
def test_the_assistant_works_on_files_in_one_turn(tmp_path):
    turn = play(
        tmp_path,
        Call("write_file", {"path": "notes/a.md", "content": "one\ntwo\n"}),
        Call("edit_file", {"path": "notes/a.md", "old": "two", "new": "2"}),
        Call("read_file", {"path": "notes/a.md"}),
        Call("list_files", {"path": "notes"}),
        Call("search_files", {"pattern": "2"}),
    )
    assert turn.lines == [
        *("[write_file] ok", "[edit_file] ok", "[read_file] ok", "[list_files] ok"),
        *("[search_files] ok", "done"),
    ]
    assert (tmp_path / "notes" / "a.md").read_text() == "one\n2\n"
    assert turn.of(ApprovalAsked) == []


@pytest.mark.requirement("004/files/list")
def test_a_file_that_is_no_directory_is_called_one(tools):
    tools.path("a").write_text("x")
    listed, through, missing = tools(
        ("list_files", {"path": "a"}),
        ("list_files", {"path": "a/b"}),
        ("list_files", {"path": "b"}),
    )
    assert listed.what == "`a` is a file, not a directory"
    assert isinstance(through, EntryNotFound)
    assert missing.what == "there is no file `b`"


@pytest.mark.requirement("004/files/governed")
def test_another_agent_is_asked_about_before_it_touches_a_file(tmp_path):
    calls = [
        Call("load_tool", {"id": "local:write_file"}),
        Call("write_file", {"path": "a.md", "content": "x"}),
    ]
    turn = play(tmp_path, *calls, agent="app:dev_assistant")
    refused = turn.of(ToolCallFinished)[-1]
    assert refused.error["code"] == "policy.denied"
    assert [q.question.resource for q in turn.of(ApprovalAsked)] == ["a.md"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("004/workspace/programs")
@pytest.mark.parametrize("approver", [None, YesOnce(), "once"])
def test_what_a_persons_tools_run_later_is_written_only_with_that_persons_yes(tmp_path, approver):
    approver = Person("once") if approver == "once" else approver
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    paths = ["a/.Venv/lib/x.pth", "env/bin/python", "other/pyvenv.cfg", "venv.py", ".git/hooks/x"]
    turn = play(
        tmp_path,
        *(Call("write_file", {"path": path, "content": "x"}) for path in paths),
        Call("edit_file", {"path": "env/pyvenv.cfg", "old": "home", "new": "house"}),
        approver=approver,
    )
    asked = [e.question for e in turn.of(ApprovalAsked)]
    assert {q.action for q in asked} == {"workspace.programs"}
    assert [q.resource for q in asked] == ["a/.Venv", "env", "other/pyvenv.cfg", "env"]
    agreed = isinstance(approver, Person)
    written = [r.error is None for r in turn.of(ToolCallFinished)]
    assert written == [agreed, agreed, agreed, True, False, agreed]


@pytest.mark.requirement("004/workspace/current")
def test_the_current_directory_is_a_question_of_its_own_asked_once(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    for name in ("a", "b"):
        (here / name).write_text("x")
    (tmp_path / "ws").mkdir()
    monkeypatch.chdir(here)
    calls = [Call("read_file", {"path": f"@current/{name}"}) for name in ("a", "b")]
    turn = play(tmp_path / "ws", *calls)
    assert [r.error["code"] for r in turn.of(ToolCallFinished)] == ["policy.denied"] * 2
    assert turn.of(ApprovalAsked)[0].question.resource == f"@current {here}"
    person = Person("session")
    turn = play(tmp_path / "ws", *calls, approver=person)
    assert [r.error for r in turn.of(ToolCallFinished)] == [None, None]
    assert len(person.asked) == 1


def test_a_schema_names_exactly_the_arguments_that_its_tool_takes(tools):
    taken = {
        "read_file": read_file.ReadFile,
        "write_file": write_file.WriteFile,
        "edit_file": edit_file.EditFile,
        "list_files": list_files.ListFiles,
        "search_files": search_files.SearchFiles,
        "shell": shell.Shell,
    }
    (entries,) = tools(lambda rt: {e.name: e for e in rt.registry.snapshot().namespace("local")})
    for name, arguments in taken.items():
        schema = entries[name].meta["input_schema"]
        fields = msgspec.structs.fields(arguments)
        assert set(schema["properties"]) == {f.name for f in fields}
        assert set(schema.get("required", [])) == {f.name for f in fields if f.required}


@pytest.mark.requirement("004/files/read")
def test_read_file_gives_a_slice_and_says_what_is_left(tools):
    tools.path("a.txt").write_text("".join(f"line {n}\n" for n in range(1, 501)))
    first, middle, clamped, beyond, none, empty = tools(
        ("read_file", {"path": "a.txt"}),
        ("read_file", {"path": "a.txt", "start_line": 10, "end_line": 11}),
        ("read_file", {"path": "a.txt", "start_line": 499, "end_line": 9999}),
        ("read_file", {"path": "a.txt", "start_line": 501}),
        ("read_file", {"path": "a.txt", "start_line": 5, "end_line": 4}),
        lambda rt: (tools.path("e").touch(), rt.call("local:read_file", {"path": "e"}))[1],
    )
    assert first.startswith("a.txt: lines 1-200 of 500 (utf-8, hash ")
    assert first.endswith("line 200\n… [go on with start_line 201]")
    assert middle.splitlines()[1:] == ["line 10", "line 11", "… [go on with start_line 12]"]
    assert clamped.splitlines()[0].startswith("a.txt: lines 499-500 of 500")
    assert clamped.splitlines()[1:] == ["line 499", "line 500"]
    assert beyond.startswith("a.txt: no line 501, of 500")
    assert "count lines from 1" in none.fix
    assert empty.startswith("e: empty")


@pytest.mark.requirement("004/files/read")
def test_read_file_knows_encodings_and_says_what_a_binary_is(tools):
    tools.path("bom.txt").write_bytes(b"\xef\xbb\xbfh\xc3\xa9\r\nx\r\n")
    tools.path("utf16.txt").write_text("hé\n", "utf-16")
    tools.path("latin.txt").write_bytes(b"caf\xe9\n")
    tools.path("pic.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    bom, utf16, latin, binary, directory = tools(
        *(("read_file", {"path": p}) for p in ("bom.txt", "utf16.txt", "latin.txt", "pic.txt", "."))
    )
    assert "utf-8, byte order mark, CRLF lines" in bom
    assert bom.endswith("\nhé\nx")
    assert utf16.endswith("\nhé")
    assert ("cp1252" in latin, latin.endswith("\ncafé")) == (True, True)
    assert isinstance(binary, ToolFailed)
    assert "a PNG image" in binary.what
    assert "is a directory" in directory.what


def test_the_slice_is_limited_and_not_the_file(tools):
    with tools.path("big").open("wb") as file:
        file.write(b"first\n" + b"x" * 100_000 + b"\n")
        file.truncate(3 << 30)  # three gigabytes, none of them on the disk
    head, long = tools(
        ("read_file", {"path": "big", "end_line": 1}),
        ("read_file", {"path": "big", "start_line": 1, "end_line": 2}),
    )
    assert "\nfirst\n" in head
    assert "the line is longer: ask for it alone" in long
    assert len(long) < 30_000


@pytest.mark.requirement("004/files/write")
def test_write_file_is_atomic_keeps_the_mode_and_shows_the_difference(tools):
    tools.path("a.sh").write_text("one\n")
    tools.path("a.sh").chmod(0o750)
    inode = tools.path("a.sh").stat().st_ino
    new, changed, same, stale = tools(
        ("write_file", {"path": "workspace/d/e/new.txt", "content": "hé\n"}),
        ("write_file", {"path": "a.sh", "content": "two\n"}),
        ("write_file", {"path": "a.sh", "content": "two\n"}),
        ("write_file", {"path": "a.sh", "content": "x", "expected_hash": "123456"}),
    )
    digest = hashlib.sha256("hé\n".encode()).hexdigest()[:12]
    assert new == {"path": "d/e/new.txt", "bytes": 4, "hash": digest, "created": True}
    assert changed["diff"].splitlines()[-2:] == ["-one", "+two"]
    assert same["unchanged"] is True
    assert isinstance(stale, EntryConflict)
    after = tools.path("a.sh").stat()
    assert stat.S_IMODE(after.st_mode) == 0o750
    assert after.st_ino != inode
    assert [p.name for p in tools.workspace.iterdir() if p.name.endswith(".tmp")] == []


@pytest.mark.requirement("004/files/write")
def test_writing_through_a_link_a_hard_link_or_to_a_secret_changes_nothing(tools, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("as it was")
    os.symlink(outside, tools.path("soft"))
    os.link(outside, tools.path("hard"))
    os.symlink(tmp_path, tools.path("up"))
    tools.path("file").write_text("x")
    paths = ("soft", "hard", "up/new", ".env", ".git/hooks/pre-commit", "@current/x", ".", "../x")
    results = tools(*(("write_file", {"path": p, "content": "changed"}) for p in paths))
    assert [type(r) for r in results] == [PathRefused] * len(paths)
    (below,) = tools(("write_file", {"path": "file/x", "content": "y"}))
    assert isinstance(below, ToolFailed)
    assert outside.read_text() == "as it was"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "outside", "ws"]


@pytest.mark.requirement("004/files/edit")
def test_edit_file_replaces_exactly_one_piece(tools):
    tools.path("a.py").write_text("a = 1\nb = 1\nc = 3\n")
    once, twice, everywhere, missing, near, empty, gone = tools(
        ("edit_file", {"path": "a.py", "old": "c = 3", "new": "c = 4"}),
        ("edit_file", {"path": "a.py", "old": " = 1", "new": " = 2"}),
        ("edit_file", {"path": "a.py", "old": " = 1", "new": " = 2", "all": True}),
        ("edit_file", {"path": "a.py", "old": "def nothing():", "new": ""}),
        ("edit_file", {"path": "a.py", "old": "  c = 4", "new": ""}),
        ("edit_file", {"path": "a.py", "old": "", "new": "x"}),
        ("edit_file", {"path": "b.py", "old": "x", "new": "y"}),
    )
    assert once["diff"] == ("--- a.py\n+++ a.py\n@@ -1,3 +1,3 @@\n a = 1\n b = 1\n-c = 3\n+c = 4")
    assert "2 times: lines 1, 2" in twice.what
    assert (everywhere["replaced"], tools.path("a.py").read_text()) == (2, "a = 2\nb = 2\nc = 4\n")
    assert missing.fix == "read the file, and copy the text exactly"
    assert "line 3 is that text but for spaces" in near.fix
    assert "write_file makes files" in empty.fix
    assert isinstance(gone, EntryNotFound)
    assert "a.py" in gone.fix


@pytest.mark.requirement("004/files/edit")
def test_an_edit_keeps_line_ends_encoding_and_mark(tools):
    windows = "\ufeffone\r\ntwo\r\nthree\r\n"
    tools.path("w.txt").write_bytes(windows.encode())
    tools.path("l.txt").write_bytes(b"caf\xe9\nx\n")
    tools(
        ("edit_file", {"path": "w.txt", "old": "one\ntwo", "new": "1\n2"}),
        ("edit_file", {"path": "l.txt", "old": "x", "new": "thé"}),
    )
    assert tools.path("w.txt").read_bytes() == "\ufeff1\r\n2\r\nthree\r\n".encode()
    assert tools.path("l.txt").read_bytes() == b"caf\xe9\nth\xe9\n"
    (lacking,) = tools(("edit_file", {"path": "l.txt", "old": "x", "new": "→"}))
    assert isinstance(lacking, ToolFailed)


def plant(tools):
    for name in ("src/a.py", "src/deep/b.py", "src/c.md", "build/x.py", "node_modules/m.js"):
        tools.path(name).parent.mkdir(parents=True, exist_ok=True)
        tools.path(name).write_text("needle\n")
    tools.path(".gitignore").write_text("build/\n*.log\n!keep.log\n")
    for name in ("a.log", "keep.log", "prod.env"):
        tools.path(name).write_text("needle\n")
    tools.path("src/.gitignore").write_text("c.md\n")
    os.symlink("/etc", tools.path("etc"))


def paths(listing):
    return [e["path"] for e in listing["entries"]]


@pytest.mark.requirement("004/files/list")
def test_list_files_is_ordered_paged_and_follows_ignore_rules_and_no_links(tools):
    plant(tools)
    here, python, everything, deep = tools(
        ("list_files", {}),
        ("list_files", {"glob": "*.py"}),
        ("list_files", {"all": True, "depth": 0}),
        ("list_files", {"path": "src", "glob": "deep/*.py"}),
    )
    assert paths(here) == [".gitignore", "etc", "keep.log", "prod.env", "src/"]
    assert here["entries"][1] == {"path": "etc", "type": "link"}
    assert "credential" in here["entries"][3]["closed"]
    assert paths(python) == ["src/a.py", "src/deep/b.py"]
    assert {"build/x.py", "a.log", "node_modules/m.js"} <= set(paths(everything))
    assert not any(p.startswith("etc/") for p in paths(everything))
    assert paths(deep) == ["src/deep/b.py"]


@pytest.mark.requirement("004/files/list")
def test_pages_of_a_listing_together_are_the_listing(tools):
    plant(tools)
    ((whole),) = tools(("list_files", {"depth": 0, "all": True}))
    after, found = "", []
    while True:
        (page,) = tools(("list_files", {"depth": 0, "all": True, "limit": 4, "after": after}))
        found += paths(page)
        if "next" not in page:
            break
        assert page["next"].endswith(found[-1])
        after = found[-1]
    assert found == paths(whole)


@pytest.mark.requirement("004/files/search")
def test_search_files_finds_lines_and_says_what_it_passed_over(tools):
    plant(tools)
    tools.path("bin").write_bytes(b"needle\0")
    tools.path("many.txt").write_text("x\nNeedle one\n" + "y" * 1000 + "needle" + "z" * 1000)
    tools.path("linked").write_text("needle")
    os.link(tools.path("linked"), tools.path("linked2"))
    found, cased, regex, limited, one, bad, gone = tools(
        ("search_files", {"pattern": "needle"}),
        ("search_files", {"pattern": "NEEDLE", "ignore_case": True, "path": "many.txt"}),
        ("search_files", {"pattern": r"^n\w+e$", "regex": True, "glob": "*.py"}),
        ("search_files", {"pattern": "needle", "limit": 1}),
        ("search_files", {"pattern": "needle", "path": "src/a.py"}),
        ("search_files", {"pattern": "(", "regex": True}),
        ("search_files", {"pattern": "x", "path": "nowhere"}),
    )
    assert [(m["path"], m["line"]) for m in found["matches"]] == [
        *(("keep.log", 1), ("many.txt", 3), ("src/a.py", 1), ("src/deep/b.py", 1)),
    ]
    assert found["passed_over"] == {"binary": 1, "links": 2, "credentials": 1}
    short, long = cased["matches"]
    assert (short["line"], short["text"]) == (2, "Needle one")
    assert len(long["text"]) < 320
    assert [m["path"] for m in regex["matches"]] == ["src/a.py", "src/deep/b.py"]
    assert ("more" in limited, len(limited["matches"])) == (True, 1)
    assert len(one["matches"]) == 1
    assert isinstance(bad, ArgumentsInvalid)
    assert isinstance(gone, EntryNotFound)


def test_an_expression_cannot_be_made_to_hang(tools):
    tools.path("a").write_text("a" * 50_000 + "!")
    (result,) = tools(("search_files", {"pattern": "(a+)+$", "regex": True}))
    assert result["files_searched"] == 1
