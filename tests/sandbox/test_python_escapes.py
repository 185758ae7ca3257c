"""The corpus of attacks on Python workers in `escapes_python/`: each comes to what it says.

Header lines: `source` is the reason, `expect` the verdict (`value: <json or word>` or
`error: <part>`), `level` the isolation level it is about, `machine` the processor.
"""

import dataclasses
import json
import platform
from pathlib import Path

import pytest

from micro_agi.errors import ToolFailed
from micro_agi.security.context import root_context
from micro_agi.testing.sandbox import SHORT_PYTHON, LuaBench

FOLDER = Path(__file__).parent / "escapes_python"
CORPUS = sorted(FOLDER.glob("*/*.py"))
LIMITS = dataclasses.replace(SHORT_PYTHON, wall_s=1.0, grace_s=0.2)
MODULES = ("http_client",)


def headers_of(text):
    lines = [line[2:] for line in text.splitlines()[:5] if line.startswith("# ")]
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    assert headers["source"], "an attack says why it is one"
    return headers


def fits(file, level):
    headers = headers_of(file.read_text("utf-8"))
    here = headers.get("machine", platform.machine()) == platform.machine()
    # What is about a root of its own has another outcome where there is none (level B).
    return here and (level != "B" or "level" not in headers)


def benches():
    for level, without in (("A", ()), ("B", ("namespaces",)), ("C", ("landlock",))):
        yield level, frozenset(without)


@pytest.fixture(name="bench_of", scope="module")
def bench_of_fixture():
    opened = {}

    def of(level):
        if level not in opened:
            opened[level] = LuaBench(without=dict(benches())[level])
        return opened[level]

    yield of
    for bench in opened.values():
        bench.close()


CASES = [(level, file) for level, _ in benches() for file in CORPUS if fits(file, level)]


@pytest.mark.parametrize(
    ("level", "file"), CASES, ids=lambda v: v if isinstance(v, str) else f"{v.parent.name}/{v.stem}"
)
def test_an_attack_comes_to_what_its_header_says(bench_of, level, file):
    source = file.read_text("utf-8")
    how, _, what = headers_of(source)["expect"].partition(": ")
    bench = bench_of(level)
    session = root_context(session=file.stem)
    modules = () if file.stem.startswith("forged_") else MODULES
    if how == "error":
        with pytest.raises(ToolFailed) as failed:
            bench.python(source, {}, modules=modules, limits=LIMITS, context=session)
        assert what in failed.value.what
    else:
        found = bench.python(source, {}, modules=modules, limits=LIMITS, context=session)
        assert found == (json.loads(what) if what[0] in '{["tf-0123456789' else what)
    # The next call of the same session is served, whatever became of that worker.
    alive = bench.python("def handler(a): return len(a)", {"x": 1}, context=session)
    assert alive == 1


def test_each_family_has_enough_distinct_attacks():
    for family in ("ctypes", "workspace"):
        sources = [f.read_text("utf-8") for f in (FOLDER / family).glob("*.py")]
        bodies = {source.partition("\n\n")[2] for source in sources}
        assert len(sources) >= 15
        assert len({headers_of(s)["source"] for s in sources}) == len(sources) == len(bodies)


def test_workers_do_not_see_each_others_workspace(bench_of):
    bench = bench_of("A")
    write = "import pathlib\ndef handler(a):\n    pathlib.Path('mine').touch()\n    return 'done'"
    read = "import os\ndef handler(a): return os.listdir('.')"
    assert bench.python(write, {}, context=root_context(session="one")) == "done"
    assert bench.python(read, {}, context=root_context(session="two")) == []
    assert bench.python(read, {}, context=root_context(session="one")) == []
