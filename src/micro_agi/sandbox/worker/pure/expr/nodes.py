"""Hold the shapes a formula can have. Pure values; `at` is a character of the source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any
    """None, bool, int, float or str."""
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    """A variable: of `let`, or of the caller's table."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Pointer:
    """The item of the innermost closure: `#`, `#index`, `#acc`."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class ListOf:
    items: tuple["Node", ...]
    at: int


@dataclass(frozen=True, slots=True)
class MapOf:
    pairs: tuple[tuple["Node", "Node"], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: "Node"
    at: int


@dataclass(frozen=True, slots=True)
class Binary:
    """Left-leaning: checker and evaluator walk the left side in a loop, however long it is."""

    operator: str
    left: "Node"
    right: "Node"
    at: int
    pattern: Any = None
    """Of `matches` with a literal on its right: compiled once."""


@dataclass(frozen=True, slots=True)
class Condition:
    test: "Node"
    yes: "Node"
    no: "Node"
    at: int


@dataclass(frozen=True, slots=True)
class Member:
    """`of.name`, `of[key]`; with `?.` nil ends the whole chain."""

    of: "Node"
    key: "Node"
    optional: bool
    at: int


@dataclass(frozen=True, slots=True)
class Slice:
    of: "Node"
    start: "Node | None"
    stop: "Node | None"
    at: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Around members of which one is optional: what it cuts short is nil."""

    inner: "Node"
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the tables, with its closure where it takes one."""

    name: str
    arguments: tuple["Node", ...]
    at: int
    closure: "Node | None" = None
    options: Mapping[str, "Node"] = field(default_factory=dict)
    """What follows the closure: `order` of sortBy, `initial` of reduce."""


@dataclass(frozen=True, slots=True)
class Method:
    """`of.name(…)`: instants and durations have some."""

    of: "Node"
    name: str
    arguments: tuple["Node", ...]
    optional: bool
    at: int


@dataclass(frozen=True, slots=True)
class Let:
    name: str
    value: "Node"
    body: "Node"
    at: int


Node = (
    Literal
    | Name
    | Pointer
    | ListOf
    | MapOf
    | Unary
    | Binary
    | Condition
    | Member
    | Slice
    | Chain
    | Call
    | Method
    | Let
)
