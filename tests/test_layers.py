"""Imports point down. The drawing in ARCHITECTURE.md is this table."""

import ast
from functools import cache
from pathlib import Path

import pytest

from micro_agi.commands.table import COMMANDS

ROOT = Path(__file__).parent.parent / "src" / "micro_agi"
LAYER_ZERO = {"errors", "values", "messages", "settings"}
PURE = {"store", "search", "net", "toolcalls"}
MAY_IMPORT = {
    "errors": set(),
    "values": set(),
    "messages": set(),
    "settings": set(),
    "security": set(),
    "store": set(),
    "search": set(),
    "net": set(),
    "toolcalls": set(),
    "registry": {"security", "store"},
    "sandbox": {"security", "net"},
    "modelserver": {"toolcalls"},
    "llm": PURE,
    "sessions": PURE,
    "memory": {"store", "search"},
    "tools": {"registry", "security", "sandbox", "store", "search", "net"},
    "local": {"registry", "security", "sandbox", "store", "search", "net", "memory"},
    "agent": {"registry", "security", "tools", "llm", "sessions", "toolcalls"},
    "framework": {"agent", "llm", "registry", "sandbox", "security", "tools"},
    "terminal": {"agent", "sessions", "registry", "tools"},
    "home": {"store", "registry"},
    "spans": {"sandbox"},
    "models": {"store", "net", "llm", "home", "registry"},
    "program_models": {
        *("store", "net", "registry", "memory", "llm", "models", "tools", "framework"),
    },
    "tracing": {"spans"},
    "host_functions": {
        *("store", "net", "registry", "sandbox", "llm", "tools", "framework"),
    },
    "native_functions": {
        *("security", "store", "net", "registry", "memory", "tools", "local", "agent"),
    },
    "testing": {
        *("security", "store", "search", "net", "registry", "sandbox", "llm", "sessions"),
        *("tools", "agent", "terminal", "app"),
    },
}
ENTRY_POINTS = {"micro_agi.cli", "micro_agi.api", "micro_agi.__main__"}


@cache
def modules_used(file: Path) -> set[str]:
    """Every `micro_agi.x.y` imported anywhere in the file, even lazily."""
    names = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: write the full name, `from micro_agi.…`"
            base = node.module or ""
            names += [base, *(f"{base}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.Import):
            names += [a.name for a in node.names]
    return {n for n in names if n.split(".")[0] == "micro_agi"}


def parts_used(file: Path) -> set[str]:
    """Second component of every import of ours."""
    return {n.split(".")[1] if "." in n else "the whole package" for n in modules_used(file)} - {
        "the whole package"
    }


def files_of(part: str) -> list[Path]:
    single = ROOT / f"{part}.py"
    return [single] if single.exists() else sorted((ROOT / part).rglob("*.py"))


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_part_imports_only_what_is_below_it(part):
    used = set().union(*(parts_used(p) for p in files_of(part)))
    assert used - {part} - LAYER_ZERO <= MAY_IMPORT[part]


def test_every_part_is_in_the_table():
    top = {"app", "cli", "api", "commands", "bundled", "__init__", "__main__"}
    parts = {p.stem for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert parts - top <= set(MAY_IMPORT)


def test_the_worker_imports_what_crosses_to_it_and_nothing_else():
    for file in (ROOT / "sandbox" / "worker").rglob("*.py"):
        used = {m for m in modules_used(file) if m not in {"micro_agi.sandbox", "micro_agi"}}
        shared = ("micro_agi.sandbox.mailbox", "micro_agi.sandbox.wire")
        assert all(m.startswith(("micro_agi.sandbox.worker", *shared)) for m in used)


def test_every_module_is_reached():
    reached = set().union(*(modules_used(p) for p in ROOT.rglob("*.py"))) | ENTRY_POINTS
    named = {
        ".".join(("micro_agi", *p.relative_to(ROOT).with_suffix("").parts))
        for p in ROOT.rglob("*.py")
        if p.name != "__init__.py" and "testing" not in p.parts
    }
    run_as_programs = {
        "micro_agi.sandbox.worker.zygote",
        "micro_agi.sandbox.worker.library_zygote",
        "micro_agi.sandbox.prove.compromised",
        "micro_agi.sandbox.worker.python_zygote",
        "micro_agi.sandbox.worker.monty_zygote",
        "micro_agi.sandbox.worker.monty_launcher",
        "micro_agi.local.readers.html_program",
        "micro_agi.local.readers.parquet_program",
        "micro_agi.sandbox.worker.shell_worker",
        "micro_agi.sandbox.worker.session_worker",
    }
    leaves = [leaf for command in COMMANDS for leaf in command.verbs or (command,)]
    run_by_name = {f"micro_agi.commands.{leaf.run.partition(':')[0]}" for leaf in leaves}
    assert named - reached - run_as_programs - run_by_name == set()
