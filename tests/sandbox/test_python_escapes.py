"""What the corpus cannot say with one call: workers of Python tools stay apart.

The attacks themselves are the families `python` and `workspace` of `bundled/attacks/`, run by
`test_escapes.py`.
"""

import asyncio

import pytest

from micro_agi.sandbox.prove.corpus import CPYTHON, load
from micro_agi.sandbox.prove.prove import prove
from micro_agi.security.context import root_context
from micro_agi.testing.sandbox import LuaBench


@pytest.fixture(name="bench")
def bench_fixture():
    bench = LuaBench()
    yield bench
    bench.close()


def test_workers_do_not_see_each_others_workspace(bench):
    write = "import pathlib\ndef handler(a):\n    pathlib.Path('mine').touch()\n    return 'done'"
    read = "import os\ndef handler(a): return os.listdir('.')"
    assert bench.python(write, {}, context=root_context(session="one")) == "done"
    assert bench.python(read, {}, context=root_context(session="two")) == []
    assert bench.python(read, {}, context=root_context(session="one")) == []


def test_where_the_files_of_the_machine_cannot_be_hidden_no_cpython_runs():
    async def body():
        corpus = {family: load(family) for family in CPYTHON}
        return [proof async for proof in prove(["D"], corpus=corpus)]

    (proof,) = asyncio.run(body())
    if proof.unavailable:
        pytest.skip(proof.unavailable)
    assert proof.verdicts == ()
    assert "cannot confine CPython" in proof.no_python
    assert proof.python in ("Monty", "")
