"""Rules of the house that no linter knows (STYLE.md 5.7, 5.10, 5.11)."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import micro_agi.api
from micro_agi import errors

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "micro_agi"
FILES = sorted(SOURCE.rglob("*.py"))


@cache
def code(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def places(pattern: str, files: list[Path]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{number}"
        for file in files
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_only_settings_reads_the_environment():
    found = places(r"\bos\.environ|\bgetenv\b|\benviron\[", FILES)
    # The zygote of the sandbox is started with an empty one, which is not reading it.
    assert [p for p in found if not p.startswith("src/micro_agi/settings.py")] == []


def test_everything_is_caught_at_three_edges_only():
    edges = {p.split(":")[0] for p in places(r"except (Base)?Exception\b", FILES)}
    broad = {
        "src/micro_agi/tools/call.py",  # one tool call
        "src/micro_agi/cli.py",  # the program
        "src/micro_agi/modelserver/generation.py",  # one request of the model server
    }
    cleaning_up = {
        p.split(":")[0]
        for p in places(r"except BaseException", FILES)  # these raise again
    }
    assert edges - cleaning_up <= broad


def test_what_is_caught_to_clean_up_is_raised_again():
    handed_to_its_caller = {
        SOURCE / "store" / "writer.py",
        SOURCE / "sandbox" / "worker" / "python_worker.py",  # to the parent, as the guest's
        SOURCE / "sandbox" / "worker" / "session_cells.py",  # the same
    }
    for file in FILES:
        for node in ast.walk(code(file)) if file not in handed_to_its_caller else ():
            if isinstance(node, ast.ExceptHandler) and ast.unparse(node.type or node) == (
                "BaseException"
            ):
                assert any(isinstance(n, ast.Raise) for n in ast.walk(node)), (
                    f"{file}:{node.lineno}"
                )


def test_nothing_of_ours_is_mocked():
    tests = sorted((ROOT / "tests").rglob("*.py"))
    assert places(r"^\s*(from unittest import mock|import unittest\.mock|from mock)", tests) == []
    assert places(r"monkeypatch\.setattr\(\s*[\"']?micro_agi", tests) == []


def test_every_error_class_is_raised_in_some_test():
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.MicroAgiError)
    } - {"MicroAgiError"}
    text = "\n".join(f.read_text("utf-8") for f in (ROOT / "tests").rglob("test_*.py"))
    assert {name for name in classes if name not in text and _code(name) not in text} == set()


def _code(name: str) -> str:
    code: str = getattr(errors, name).code
    return code


def test_error_codes_are_unique_and_every_class_is_in_the_drawing():
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.MicroAgiError)
    ]
    codes = [c.code for c in classes]
    assert len(set(codes)) == len(codes)
    for cls in classes:
        assert cls.__name__ in (errors.__doc__ or "")


def test_packages_hold_a_docstring_and_nothing_else():
    for file in SOURCE.rglob("__init__.py"):
        assert [type(n) for n in code(file).body] == [ast.Expr], file


def test_the_facade_offers_exactly_these_names():
    names = {n for n in vars(micro_agi.api) if not n.startswith("_")}
    imported = {"Any", "AsyncIterator", "asynccontextmanager", "load"}
    assert names - imported == {"OFFERED", "Parts", "Prompt", "Runtime", "open_runtime"}


def test_no_file_names_a_place_of_one_machine_or_a_package_registry():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    bad = re.compile(
        r"/(work|tmp/bash_jobs|opt/pypi)[/.]|index-url|pypi\.org|pythonhosted\.org|npmjs"
        r"|://[^ \"]+/simple/"
    )
    for name in filter(None, listed.split("\0")):
        file = ROOT / name
        if file.is_file() and file != Path(__file__):
            text = file.read_text("utf-8", "replace")
            assert not bad.search(text), name
