"""`data_view`: tables of every form, broken ones too, and what it costs to look at a large one."""

import asyncio
import importlib
import json
import os
import random
import resource
import subprocess
import sys

import pytest

from micro_agi.errors import InputInvalid, LimitReached, MicroAgiError, PathRefused, ToolFailed
from micro_agi.llm.providers.scripted import Call
from micro_agi.local.data.view import data_view
from micro_agi.local.workspace import Workspace
from micro_agi.messages import ToolCallFinished
from micro_agi.security.context import root_context
from micro_agi.testing.transcript import run_transcript, scripted_runtime


@pytest.fixture(name="view")
def view_fixture(tmp_path):
    tool = data_view(Workspace(tmp_path))

    def view(content, operation="head", n_rows=5, *, name="t.csv", **arguments):
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            (tmp_path / name).write_bytes(data)
        arguments = {"path": name, "operation": operation, "n_rows": n_rows, **arguments}
        return asyncio.run(tool.run(arguments, root_context()))

    return view


THREE = "name,age,born\nAda,36,1815-12-10\nAlan,41,1912-06-23\nGrace,,1906-12-09\n"


@pytest.mark.requirement("004/data-view/operations")
def test_each_operation_on_a_small_table(view):
    assert view(THREE, n_rows=2) == {
        "path": "t.csv",
        "format": "csv",
        "operation": "head",
        "columns": ["name", "age", "born"],
        "rows": [["Ada", "36", "1815-12-10"], ["Alan", "41", "1912-06-23"]],
    }
    assert view(THREE, "tail", 2)["rows"] == [
        ["Alan", "41", "1912-06-23"],
        ["Grace", "", "1906-12-09"],
    ]
    shape = view(THREE, "shape")
    assert (shape["rows"], shape["columns"], shape["bytes"]) == (3, 3, len(THREE))
    assert view(THREE, "columns")["columns"] == [
        {"name": "name", "kind": "text", "missing": 0, "examples": ["Ada", "Alan"]},
        {"name": "age", "kind": "integer", "missing": 1, "examples": ["36", "41"]},
        {"name": "born", "kind": "date", "missing": 0, "examples": ["1815-12-10", "1912-06-23"]},
    ]
    name, age, born = view(THREE, "describe")["columns"]
    assert (name["length"], name["distinct"]) == ([3, 5], 3)
    assert (age["min"], age["max"], age["mean"], age["missing"]) == (36, 41, 38.5, 1)
    assert age["deviation"] == pytest.approx(3.53553)
    assert (born["min"], born["max"]) == ("1815-12-10", "1912-06-23")
    sample = view(THREE, "sample", 2)
    assert len(sample["rows"]) == 2
    assert sample == view(THREE, "sample", 2)  # the same seed, the same rows


@pytest.mark.requirement("004/data-view/n-rows")
@pytest.mark.parametrize("operation", ["head", "tail", "sample"])
def test_no_rows_all_rows_and_numbers_that_are_none(view, operation):
    assert view(THREE, operation, 0)["rows"] == []
    assert len(view(THREE, operation, 1000)["rows"]) == 3
    for wrong in (-1, 1001):
        with pytest.raises(InputInvalid, match="n_rows"):
            view(THREE, operation, wrong)


@pytest.mark.requirement("004/data-view/forms")
@pytest.mark.parametrize(
    ("content", "name", "columns", "first", "note"),
    [
        ("a;b\n1;x,y\n2;z,w\n", "t.csv", ["a", "b"], ["1", "x,y"], "the delimiter is ';'"),
        ("a|b\n1|x\n", "t.csv", ["a", "b"], ["1", "x"], "the delimiter is '|'"),
        ("a\tb\n1\tx, y\n", "t.tsv", ["a", "b"], ["1", "x, y"], None),
        ("a,b\r\n1,x\r\n", "T.CSV", ["a", "b"], ["1", "x"], None),
        ("\ufeffa,b\n1,x\n", "t.csv", ["a", "b"], ["1", "x"], None),
        ('a,b\n1,"x\n""y"", z"\n', "t.csv", ["a", "b"], ["1", 'x\n"y", z'], None),
        ("1,2\n3,4\n", "t.csv", ["column_1", "column_2"], ["1", "2"], "no header"),
        ("a,,c\n1,2,3\n", "t.csv", ["a", "column_2", "c"], ["1", "2", "3"], None),
        ("Größe\n3\n".encode("cp1252"), "t.csv", ["Größe"], ["3"], "cp1252"),
        ('size,name\n5" pipe,x\n6",y\n', "t.csv", ["size", "name"], ['5" pipe', "x"], "quotes"),
        ("\n\na,b\n\n1,x\n\n", "t.csv", ["a", "b"], ["1", "x"], None),
        ("a,b\n1,\0x\n" * 0 + "a,b\n1,x", "t.csv", ["a", "b"], ["1", "x"], None),
    ],
)
def test_forms_are_found_out_and_what_was_guessed_is_said(
    view, content, name, columns, first, note
):
    found = view(content, name=name)
    assert (found["columns"], found["rows"][0]) == (columns, first)
    notes = " ".join(found.get("notes", []))
    assert note in notes if note else not notes
    assert view(None, "tail", 1000, name=name)["rows"] == found["rows"]
    assert view(None, "shape", name=name)["rows"] == len(found["rows"])


def test_what_was_guessed_wrong_can_be_said(view):
    assert view("x,y\na,b\n", header=False)["rows"] == [["x", "y"], ["a", "b"]]
    assert view("a;b,c\n1;2,3\n", delimiter=";")["columns"] == ["a", "b,c"]
    assert view("a b\n1 2\n", name="t.data", format="csv", delimiter=" ")["rows"] == [["1", "2"]]
    with pytest.raises(InputInvalid, match="no delimiter"):
        view("a,b\n", delimiter='"')


@pytest.mark.requirement("004/data-view/ragged")
def test_rows_of_another_length_are_kept_and_named(view):
    content = "a,b\n1,2\n3\n4,5,6\n7,8\n"
    found = view(content)
    assert found["rows"] == [["1", "2"], ["3", None], ["4", "5", "6"], ["7", "8"]]
    assert found["notes"] == [
        "row 2 has 1 cells, the header 2",
        "row 3 has 3 cells, the header 2",
    ]
    assert view(None, "tail", 2)["notes"] == ["row 1 of these has 3 cells, the header 2"]
    assert view(None, "describe")["columns"][1]["missing"] == 0


def test_a_quote_that_is_never_closed_does_not_hide_the_end_of_the_file(view):
    good = "".join(f"{n},name {n}\n" for n in range(5000))
    broken = f'a,b\n{good}5000,"never closed\n{good}'
    assert view(broken)["rows"][0] == ["0", "name 0"]
    assert view(None, "tail", 2)["rows"] == [["4998", "name 4998"], ["4999", "name 4999"]]


@pytest.mark.requirement("004/data-view/time")
def test_what_is_not_reached_in_time_is_said_and_nothing_is_made_up(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + f"1,{'x' * 90}\n" * 40_000)
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n' * 5000)
    tool = data_view(Workspace(tmp_path), seconds=0)

    def look(operation, name):
        return asyncio.run(tool.run({"path": name, "operation": operation}, root_context()))

    shape = look("shape", "t.csv")
    assert 5_000 < shape["rows"] < 40_000
    assert "the time was over after" in shape["notes"][0]
    assert shape["notes"][0].endswith("in all")
    for name in ("t.csv", "t.jsonl"):
        described = look("describe", name)
        assert described["rows"] in (999, 1000)
        assert "this describes the first" in described["notes"][0]
    assert len(look("head", "t.csv")["rows"]) == 5


def test_a_row_without_end_is_refused_and_not_read_into_memory(view):
    with pytest.raises(LimitReached, match="longer than 16 MiB"):
        view(b"a,b\n1," + b"x" * (17 << 20), "shape")


@pytest.mark.requirement("004/data-view/cut")
def test_long_cells_wide_tables_and_many_rows_are_cut_and_each_cut_is_said(view):
    wide = ",".join(f"c{n}" for n in range(150))
    row = ",".join(["x" * 300] * 150)
    found = view(f"{wide}\n{row}\n{row}\n")
    assert found["rows"][0][0] == f"{'x' * 200}…(+100)"
    assert len(found["columns"]) == len(found["rows"][0]) == 100
    assert found["notes"] == [
        "the first 100 of 150 columns",
        "the first 1 of 2 rows: more do not fit",
    ]
    assert len(json.dumps(found)) < 32_000


def test_json_lines_have_the_columns_of_their_objects_and_bad_lines_are_named(view):
    content = '{"a": 1, "b": [1, 2]}\n{"a": "x"}\n{broken\n7\n\n{"c": null, "a": true}\n'
    found = view(content, name="t.jsonl")
    assert found["columns"] == ["a", "b", "(no JSON)", "value", "c"]
    assert found["rows"][0] == [1, "[1,2]", None, None, None]
    assert found["rows"][2] == [None, None, "{broken", None, None]
    assert found["notes"] == ["line 3 of these is no JSON"]
    assert view(None, "tail", 1, name="t.jsonl")["rows"][0][0] is True
    assert view(None, "shape", name="t.jsonl")["rows"] == 5
    assert view(None, "describe", name="t.jsonl")["columns"][0]["kind"] == "mixed"


@pytest.mark.parametrize(
    ("content", "name", "kind", "said"),
    [
        ("", "t.csv", InputInvalid, "empty"),
        ("  \n\n", "t.csv", InputInvalid, "empty"),
        ("", "t.jsonl", InputInvalid, "empty"),
        (b"\x89PNG\0\0\0", "t.csv", ToolFailed, "a PNG image"),
        ("a,b\n1,2\n".encode("utf-16"), "t.csv", InputInvalid, "UTF-16"),
        ("a,b\n", "t.txt", InputInvalid, "no table by its name"),
        (b"PAR1 and then nothing", "t.parquet", ToolFailed, "no readable parquet"),
        ("no parquet", "t.parquet", ToolFailed, "no readable parquet"),
    ],
)
def test_a_file_that_is_no_table_says_what_it_is(view, content, name, kind, said):
    with pytest.raises(kind, match=said) as refused:
        view(content, name=name)
    assert refused.value.fix


def test_files_are_opened_by_the_workspace_only(view, tmp_path):
    for path in ("../t.csv", "/etc/passwd", ".env.csv"):
        with pytest.raises(PathRefused):
            view(None, name=path)
    outside = tmp_path.parent / "outside.csv"
    outside.write_text(THREE)
    os.symlink(outside, tmp_path / "link.csv")
    with pytest.raises(MicroAgiError):
        view(None, name="link.csv")


@pytest.mark.requirement("004/data-view/large")
def test_the_end_of_a_large_file_is_read_from_its_end(view, tmp_path):
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(b"id,text\n" + b"0,first\n" * 10_000)
        file.seek(1 << 40)  # sparse: it holds a terabyte and takes no space
        file.write(b'\n1,last but one\n2,"two\nlines"\n')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = view(None, "tail", 2, name="large.csv")
    assert found["rows"] == [["1", "last but one"], ["2", "two\nlines"]]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


def test_counting_agrees_with_python_wherever_blocks_end(view):
    """Quotes, line breaks in cells, blank lines and CRLF, at any place of a block."""
    import csv
    import io

    chance = random.Random(4)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["a", "b"])
    texts = ["x", 'say "hi"', "two\nlines", "", "a,b", "ü" * 40, "\r\n", "z" * 3000]
    for _ in range(4000):
        writer.writerow([chance.choice(texts), chance.choice(texts) * chance.randrange(1, 4)])
        if chance.random() < 0.02:
            out.write("\r\n")
    content = out.getvalue()
    assert len(content) > 3 << 20  # more than two blocks
    expected = [row for row in csv.reader(io.StringIO(content, newline="")) if row][1:]
    view(content.encode())
    assert view(None, "shape")["rows"] == len(expected)
    tail = view(None, "tail", 5)["rows"]
    assert [[c[:50] for c in row] for row in tail] == [[c[:50] for c in r] for r in expected[-5:]]
    assert view(None, "describe")["rows"] == len(expected)


@pytest.fixture(name="table")
def table_fixture(tmp_path):
    pyarrow = importlib.import_module("pyarrow")  # 0.2 s that no other test needs
    parquet = importlib.import_module("pyarrow.parquet")
    rows = 3000
    columns = {
        "id": list(range(rows)),
        "name": [f"n{n}" for n in range(rows)],
        "half": [None if n % 7 == 0 else n / 2 for n in range(rows)],
        "parts": [[1, n] for n in range(rows)],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet", row_group_size=1000)
    return tmp_path / "t.parquet"


@pytest.mark.requirement("004/data-view/parquet")
def test_parquet_is_read_across_row_groups(view, table):
    def look(operation, n_rows=5, **more):
        return view(None, operation, n_rows, name="t.parquet", **more)

    assert look("head", 2)["rows"] == [[0, "n0", None, "[1,0]"], [1, "n1", 0.5, "[1,1]"]]
    across = look("tail", 1000)  # more than fits: the last ones stay
    assert across["rows"][-1][0] == 2999
    assert "the last" in across["notes"][0]
    ids = [row[0] for row in look("sample", 4, seed=7)["rows"]]
    assert ids == sorted(ids)
    assert len(set(ids)) == 4
    found = look("describe")
    assert found["rows"] == 3000
    assert found["columns"][2]["missing"] == 429


@pytest.mark.requirement("004/data-view/parquet-confined")
def test_the_reader_of_parquet_can_open_nothing_once_it_reads(tmp_path):
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from micro_agi.local.readers.confine import confine\n"
        "from micro_agi.sandbox.worker import landlock\n"
        "import socket\n"
        "confine(address_bytes=1 << 32, cpu_s=5)\n"
        "for attempt in (lambda: open('/etc/passwd'), lambda: open('x', 'w'),"
        " lambda: socket.create_connection(('127.0.0.1', 9))):\n"
        "    try:\n"
        "        attempt(); print('open')\n"
        "    except PermissionError:\n"
        "        print('denied')\n"
        "    except OSError as error:\n"
        "        print('tcp was tried' if landlock.version() >= 4 else 'denied')\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, *filter(None, sys.path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert said.stdout.split() == ["denied"] * 3


def test_a_model_looks_into_a_file_and_gets_rows(tmp_path):
    (tmp_path / "t.csv").write_text(THREE)

    async def scenario():
        script = [Call("data_view", {"path": "t.csv", "n_rows": 1}), "Ada is 36"]
        async with scripted_runtime(script, workspace=str(tmp_path)) as played:
            [turn] = await run_transcript(
                played.runtime, "who?", session="s", agent="local:assistant"
            )
            return turn.of(ToolCallFinished)[0]

    finished = asyncio.run(scenario())
    assert json.loads(finished.content)["rows"] == [["Ada", "36", "1815-12-10"]]
    assert finished.error is None


def test_an_error_names_the_file(tools):
    tools.path("empty.csv").write_text("")
    tools.path("empty.jsonl").write_text("")
    found = tools(
        *(("data_view", {"path": p, "operation": "head"}) for p in ("empty.csv", "empty.jsonl"))
    )
    assert [(e.what, e.where) for e in found] == [
        *(("the file is empty", "empty.csv"), ("the file is empty", "empty.jsonl")),
    ]
