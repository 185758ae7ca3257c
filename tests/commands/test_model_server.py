"""`model-server`, without its extra and without a model."""

import sys

import pytest


@pytest.mark.requirement("004/model-server/command")
def test_it_says_what_is_missing_before_it_serves_anything(program, monkeypatch):
    assert program.refused("model-server") == [
        "error: no model is named",
        "  where: micro-agi model-server",
        "  fix: add --model with a folder, or with the hub name of a model",
    ]
    # None in `sys.modules` is how Python is told that a package cannot be imported.
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "micro_agi.modelserver.load", raising=False)
    said = program.refused("--model", "somewhere", "model-server", "--port", "0")
    assert said[0] == ("error: the model server needs a package that is not installed: torch")
    assert said[-1] == "  fix: run `pip install 'micro-agi[models]'`"
    taken = program.refused("--model", "somewhere", "model-server", "--host", "203.0.113.1")
    assert taken[0].startswith("error: cannot listen at 203.0.113.1, port 8000")
