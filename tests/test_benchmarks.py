"""Every benchmark runs and yields its rows. How fast anything is, no test says."""

import importlib.util
import json
import math
from dataclasses import replace

import pytest

from benchmarks.__main__ import SCRIPTS
from benchmarks.compare import TINY
from benchmarks.peers import peers_jobs
from benchmarks.server import running
from benchmarks.table import absolute, earlier, ratio, save, show


def installed(name):
    return importlib.util.find_spec(name) is not None


ROWS = {
    "step": 3,
    "first_token": 2,
    "tokens": 3,
    "many_tools": 4,
    "parallel": 1,
    "start": 5,
    "commands": 4,
    "draft": 3,
    "registry": 5,
    "memory": 4,
    "data": 5,
    "sandbox": 27 + 2 * installed("pydantic_monty") + len(peers_jobs()),
    "sessions": 3,
    "calls": 6,
    "chaos": 12,
}


def test_every_script_is_tried_here():
    assert set(ROWS) == set(SCRIPTS)


@pytest.mark.parametrize("name", ROWS)
def test_a_script_yields_its_rows(name, warm):
    warm.know("openai")  # the peer is a loop on its SDK
    with running() as server:
        rows = SCRIPTS[name].rows(server, replace(TINY, python=str(warm.bin / "python")))
    # Without a C compiler there is no program in C to compare with.
    assert len([row for row in rows if "C" not in row.name.split()]) == ROWS[name]
    assert len({row.name for row in rows}) == len(rows)
    # The eight tools may even be done a little before 50 ms: timers are coarse.
    assert all(math.isfinite(row.judged) for row in rows)
    assert all(row.ours > 0 for row in rows if name not in {"parallel", "chaos"})
    assert all(
        row.goal is not None for row in rows[:1] if name not in {"draft", "sandbox", "chaos"}
    )


def test_a_row_is_reached_from_the_right_side():
    half = ratio("r", 1.0, 2.0, "ms", ahead=0.5, goal=0.4)
    assert (half.judged, half.reached(half.ahead), half.reached(half.goal)) == (0.5, True, False)
    gain = earlier("e", 1.0, 3.0, "ms", ahead=1.5, goal=2.5)
    assert (gain.judged, gain.reached(gain.ahead), gain.reached(gain.goal)) == (2.0, True, False)
    assert absolute("a", 1.0, "ms").reached(None) is None


def test_results_are_saved_with_their_verdicts(tmp_path):
    rows = [absolute("a", 2.0, "ms", goal=3)]
    [saved] = json.loads(save("some", rows, folder=tmp_path / "results").read_text("utf-8"))
    assert saved["ours"] == 2.0
    assert (saved["goal_reached"], saved["ahead_reached"]) == (True, None)
    assert "– / yes" in show("title", rows)
