"""Every requirement has a test, and every mark names a requirement."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.requirements import (
    agents,
    agents_lua,
    local_agent,
    micro_agi,
    operation,
    providers,
    sessions,
)

TESTS = Path(__file__).parent.parent
REQUIREMENTS = [
    *micro_agi.REQUIREMENTS,
    *providers.REQUIREMENTS,
    *sessions.REQUIREMENTS,
    *agents.REQUIREMENTS,
    *agents_lua.REQUIREMENTS,
    *local_agent.REQUIREMENTS,
    *operation.REQUIREMENTS,
]


@pytest.fixture(scope="module")
def marked() -> dict[str, list[str]]:
    """Requirement id → tests that carry its mark."""
    found: dict[str, list[str]] = {}
    for file in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            for mark in getattr(node, "decorator_list", ()):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith("requirement"):
                    for name in named(mark):
                        found.setdefault(name, []).append(f"{file.name}::{node.name}")
    return found


def named(mark: ast.Call) -> list[str]:
    """The ids that a mark names, also in `*(…)` groups."""
    constants = (n for argument in mark.args for n in ast.walk(argument))
    return [n.value for n in constants if isinstance(n, ast.Constant)]


def test_ids_are_unique():
    counted = Counter(r.id for r in REQUIREMENTS)
    assert [i for i, n in counted.items() if n > 1] == []


def test_every_met_requirement_has_a_test(marked):
    missing = [r.id for r in REQUIREMENTS if r.status != "later" and r.id not in marked]
    assert missing == []


def test_every_mark_names_a_requirement(marked):
    known = {r.id for r in REQUIREMENTS}
    assert {i: tests for i, tests in marked.items() if i not in known} == {}


def test_what_differs_or_comes_later_says_why():
    assert [r.id for r in REQUIREMENTS if r.status != "met" and not r.note] == []
