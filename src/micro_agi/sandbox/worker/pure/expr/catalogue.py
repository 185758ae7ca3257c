"""List the operators and functions of the language with what the parser must know of them.

The functions themselves are in `scalars`, `lists` and `moments`; a test compares the names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

BINARY: Mapping[str, int] = {
    "|": 0,
    **{"or": 10, "||": 10, "and": 15, "&&": 15},
    **dict.fromkeys(("==", "!=", "<", ">", "<=", ">="), 20),
    **dict.fromkeys(("in", "contains", "startsWith", "endsWith", "matches"), 20),
    **{"..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60},
    **{"**": 100, "^": 100, "??": 500},
}
"""How strongly an operator binds. All lean left but the powers."""
UNARY: Mapping[str, int] = {"not": 50, "!": 50, "-": 90, "+": 90}
RIGHT = frozenset({"**", "^"})
NEGATABLE = frozenset({"in", "contains", "startsWith", "endsWith", "matches"})
COMPARISONS = frozenset({"<", ">", "<=", ">="})
SYNONYMS: Mapping[str, str] = {"||": "or", "&&": "and", "!": "not", "^": "**"}


@dataclass(frozen=True, slots=True)
class Arity:
    """How many arguments a function takes."""

    least: int
    most: int | None
    """None: as many as there are."""


@dataclass(frozen=True, slots=True)
class Closure:
    """A function over a list with a closure, and the arguments behind it."""

    required: bool = True
    options: tuple[str, ...] = ()


CLOSURES: Mapping[str, Closure] = {
    **{name: Closure() for name in ("all", "none", "any", "one", "filter", "map", "groupBy")},
    **{name: Closure() for name in ("find", "findIndex", "findLast", "findLastIndex")},
    **{"count": Closure(required=False), "sum": Closure(required=False)},
    **{"sortBy": Closure(options=("order",)), "reduce": Closure(options=("initial",))},
}


def _arities() -> dict[str, Arity]:
    exactly = {
        0: "",
        1: "len type abs ceil floor round int float string upper lower toJSON fromJSON toBase64 "
        "fromBase64 duration timezone first last keys values toPairs fromPairs reverse uniq "
        "flatten bitnot",
        2: "repeat indexOf lastIndexOf hasPrefix hasSuffix get take bitand bitor bitxor bitnand "
        "bitshl bitshr bitushr",
    }
    found = {name: Arity(n, n) for n, names in exactly.items() for name in names.split()}
    found |= {name: Arity(1, 2) for name in ("trim", "trimPrefix", "trimSuffix", "join", "sort")}
    found |= {name: Arity(2, 3) for name in ("split", "splitAfter")}
    found |= {name: Arity(1, None) for name in ("max", "min", "mean", "median", "concat")}
    return found | {"replace": Arity(3, 4), "now": Arity(0, 0), "date": Arity(1, 3)}


ARITIES: Mapping[str, Arity] = _arities()
NAMES: tuple[str, ...] = (*CLOSURES, *ARITIES)
