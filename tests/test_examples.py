"""Every example runs, offline, and prints what its docstring says."""

import ast
import os
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


def promised(example: Path) -> list[str]:
    """Return the lines below `Prints:` in an example's docstring."""
    doc = ast.get_docstring(ast.parse(example.read_text("utf-8"))) or ""
    _, found, lines = doc.partition("Prints:\n")
    assert found, f"{example.name} does not say what it prints"
    return [line.removeprefix("    ") for line in lines.splitlines()]


@pytest.mark.requirement("003/examples")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_prints_what_its_docstring_says(example, tmp_path, warm):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = warm.run("python", str(example), cwd=tmp_path, env=kept)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == promised(example)
    assert list(tmp_path.iterdir()) == [], "an example leaves nothing behind"


def test_examples_are_numbered_without_gaps():
    assert [int(path.name[:2]) for path in EXAMPLES] == list(range(1, len(EXAMPLES) + 1))
