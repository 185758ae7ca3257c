"""numpy and pandas in Python tools: there when asked for, absent otherwise."""

from importlib.util import find_spec

import pytest

from micro_agi.errors import ToolFailed
from micro_agi.security.context import root_context
from micro_agi.testing.sandbox import LuaBench

# Looked for, not imported: the workers import them, and here they would take half a second.
pytestmark = pytest.mark.skipif(
    not (find_spec("numpy") and find_spec("pandas")), reason="numpy and pandas are an extra"
)


@pytest.fixture(name="bench", scope="module")
def bench_fixture():
    bench = LuaBench()
    yield bench
    bench.close()


def test_arrays_and_scalars_become_json(bench):
    source = """
import numpy
def handler(args):
    a = numpy.array(args["rows"])
    return {"mean": a.mean(), "sums": a.sum(axis=0), "n": numpy.int64(3), "no": numpy.nan}
"""
    found = bench.python(source, {"rows": [[1, 2], [3, 4]]}, modules=("numpy",))
    assert found == {"mean": 2.5, "sums": [4, 6], "n": 3, "no": None}


def test_linear_algebra_needs_no_thread(bench):
    source = """
import numpy
def handler(args):
    return float(numpy.linalg.norm(numpy.ones((200, 200)) @ numpy.ones((200, 200))))
"""
    assert bench.python(source, {}, modules=("numpy",)) == 40000.0


def test_data_frames_become_records(bench):
    source = """
import io
import pandas
def handler(args):
    frame = pandas.read_csv(io.StringIO(args["text"]), parse_dates=["on"])
    return [frame, frame.n, frame.groupby("k").n.sum(), frame.n.max(), pandas.NaT]
"""
    text = "k,n,on\na,1,2026-01-02\nb,2,2026-01-03\n"
    frame, column, sums, largest, missing = bench.python(
        source, {"text": text}, modules=("pandas",)
    )
    assert frame[0] == {"k": "a", "n": 1, "on": "2026-01-02T00:00:00"}
    assert (column, sums, largest, missing) == ([1, 2], [1, 2], 2, None)


def test_workers_do_not_draw_the_same_numbers(bench):
    source = "import numpy\ndef handler(a): return numpy.random.rand()"
    drawn = {
        bench.python(source, {}, modules=("numpy",), context=root_context(session=name))
        for name in ("one", "two", "three")
    }
    assert len(drawn) == 3


def test_what_was_not_asked_for_is_not_there(bench):
    with pytest.raises(ToolFailed, match="list it in `modules`"):
        bench.python("import numpy\ndef handler(a): return 1", {})
