"""Read the attack corpus: `bundled/attacks/<family>/`, one attack per file.

A file starts with comment lines `key: value`. Always there: `reason` (why somebody would
try it, or where it comes from), `run` (how: `tool`, `tools A B@session`, `web`,
`python`, `machine code` or `worker`) and `expect` (what must come of it):

    value: <JSON>     it runs, and all it gets is this harmless value
    error: <part>     the code fails with a message that has this part
    limit: <part>     it is stopped, and the message has this part
    killed            the kernel ends the process for a forbidden system call
    returns           a control: this must work, or the other verdicts mean nothing

The rest is said where it is read: `modules`, `limits`, `reaches`, `trial` in `tools.py`;
`names`, `allow`, `addresses` in `web.py`; `level`, `machine` in `python.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from msgspec import Struct

PYTHON = ".txt"
"""Python that only a locked worker runs, with names of its own: no module of this program."""
CORPUS = Path(__file__).parents[2] / "bundled" / "attacks"

Kind = Literal["value", "error", "limit", "killed", "returns"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FAMILIES: Mapping[str, str] = {
    "language": "Lua code that wants out of its environment",
    "native": "system calls after the interpreter was broken",
    "resources": "memory, time and depth bombs",
    "protocol": "a worker that lies to the runtime",
    "deputies": "tools and libraries that misuse each other",
    "host_calls": "what the runtime does for a tool, misused",
    "ssrf": "requests to where a tool may not go",
    "python": "CPython code that wants to reach the kernel, with ctypes",
    "workspace": "CPython code that wants to reach other files than its workspace",
}
CPYTHON = frozenset({"python", "workspace"})
"""Families that attack the workers of Python tools; the others attack those of Lua."""


class Attack(Struct, frozen=True, kw_only=True):
    """One file of the corpus."""

    family: str
    name: str
    run: str
    kind: Kind
    what: str
    """Of the expectation: the JSON or the part of a message."""
    facts: Mapping[str, str]
    """All lines of the head."""
    source: str

    @property
    def id(self) -> str:
        return f"{self.family}/{self.name}"


def read(file: Path) -> Attack:
    """Read one attack; a file without a proper head is our mistake."""
    text = file.read_text("utf-8")
    mark = "# " if file.suffix == PYTHON else "-- "
    facts: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.removeprefix(mark).partition(":")
        if not line.startswith(mark) or not colon or " " in key:
            break
        facts[key] = value.strip()
    for key in ("reason", "run", "expect"):
        assert facts.get(key), f"{file}: the head lacks `{key}`"
    kind, _, what = facts["expect"].partition(":")
    assert kind in KINDS, f"{file}: `{kind}` is no expectation"
    return Attack(
        family=file.parent.name,
        name=file.stem,
        run=facts["run"],
        kind=kind,
        what=what.strip(),
        facts=facts,
        source=text,
    )


def load(family: str) -> list[Attack]:
    """Return a family's attacks, by name."""
    return [read(file) for file in sorted((CORPUS / family).glob("*.*"))]
