"""The program through its door: `main(argv)` with a home, a directory and streams of its own."""

import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from micro_agi.cli import main


@dataclass(frozen=True)
class Said:
    """What one run of the program left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Program:
    """Runs command lines in this process."""

    def __init__(self, directory: Path, home: Path, capsys, monkeypatch) -> None:
        self.directory = directory
        self.home = home
        self.damaged = False
        """A test broke what was recorded."""
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *argv: str, stdin: str = "", columns: int = 0) -> Said:
        self._monkeypatch.setenv("COLUMNS", str(columns or ""))
        given = self.home.parent / "stdin"
        given.write_text(stdin, "utf-8")
        with given.open(encoding="utf-8") as stream:
            self._monkeypatch.setattr(sys, "stdin", stream)
            self._capsys.readouterr()
            code = main(argv)
        captured = self._capsys.readouterr()
        return Said(code, captured.out, captured.err)

    def ok(self, *argv: str, **options: Any) -> str:
        """Run what must succeed and return its standard output."""
        said = self(*argv, **options)
        assert said.code == 0, said.err
        return said.out

    def refused(self, *argv: str, code: int = 2, **options: Any) -> list[str]:
        """Run what must fail and return the lines of its error, which has the usual form."""
        said = self(*argv, **options)
        assert said.code == code, said
        lines = said.err.splitlines()
        first = next(n for n, line in enumerate(lines) if line.startswith("error: "))
        assert all(line.startswith(("  where: ", "  fix: ")) for line in lines[first + 1 :])
        return lines[first:]

    def file(self, name: str, text: str) -> str:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return str(path)


def clean_environment(monkeypatch, home: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("MICRO_AGI_", "OPENAI_", "NO_COLOR")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MICRO_AGI_HOME", str(home))
    # No test may find a model server that happens to run on this machine.
    monkeypatch.setenv("MICRO_AGI_LOCAL_PORTS", ",")


@pytest.fixture
def program(tmp_path, capsys, monkeypatch) -> Iterator[Program]:
    """The program; every session that a test recorded has to come out of its journal again."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    clean_environment(monkeypatch, tmp_path / "home")
    program = Program(directory, tmp_path / "home", capsys, monkeypatch)
    yield program
    monkeypatch.chdir(directory)
    clean_environment(monkeypatch, tmp_path / "home")
    for session in [] if program.damaged else recorded(program.home / "bundled" / "state.db"):
        program.ok("session", "replay", session)


def recorded(file: Path) -> list[str]:
    """Return the sessions of a home in which a model was asked."""
    if not file.exists():
        return []
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        query = "SELECT DISTINCT session FROM journal WHERE kind = 'step_started'"
        return [session for (session,) in db.execute(query)]


def lines_fit(text: str, columns: int) -> Sequence[str]:
    """Return the lines that are too long."""
    return [line for line in text.splitlines() if len(line) > columns]


DOUBLE = """\
--[[
name: double
description: Double a number
input_schema:
  type: object
  properties: {n: {type: number}}
  required: [n]
tests:
  - {args: {n: 21}, expect: {result: 42}}
]]
local function handler(input)
  return { result = input.n * 2 }
end
return { handler = handler }
"""


@pytest.fixture
def double(program) -> str:
    """A tool that was taken through the gate; the file it came from."""
    file = program.file("double.lua", DOUBLE)
    program.ok("tool", "create", file)
    return file
