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


@pytest.mark.parametrize(
    ("flag", "value", "most"),
    [("--port", "99999", 65535), ("--threads", "-1", 1024), ("--at-once", "0", 64)],
)
def test_a_number_that_cannot_be_meant_is_refused(program, flag, value, most):
    """A port past the last would be another one, and with no place nobody would be served."""
    said = program.refused("--model", "somewhere", "model-server", flag, value)
    assert said[0] == f"error: `{value}` is no value for {flag}"
    assert said[-1].endswith(f" to {most}")
