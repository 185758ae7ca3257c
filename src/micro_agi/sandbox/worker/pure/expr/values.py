"""Say what kind a value has, compare values, and do arithmetic on them.

Values are None, bool, int (64 bits, wrapping as Lua's do), float, str, list, dict, `Moment`,
`Span` and `Zone`. Python's habit of taking True for 1 is kept out by comparing exact types.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

from micro_agi.sandbox.worker.pure.expr.layouts import TEXT, write
from micro_agi.sandbox.worker.pure.expr.limits import (
    ITEM_BYTES,
    VALUE_DEPTH,
    Budget,
    ExpressionError,
)
from micro_agi.sandbox.worker.pure.expr.moments import Moment, Span, Zone

KINDS: Mapping[type, str] = {
    **{type(None): "nil", bool: "bool", int: "int", float: "float", str: "string"},
    **{list: "array", dict: "map", Moment: "time", Span: "duration", Zone: "timezone"},
}
NUMBERS = (int, float)


def kind_of(value: Any) -> str:
    """Return the name of a value's kind, as messages have it."""
    return KINDS[type(value)]


def wrapped(value: int) -> int:
    """Return the low 64 bits, as a signed number."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def is_number(value: Any) -> bool:
    """Whether it is an int or a float, and no bool."""
    return type(value) in NUMBERS


def is_empty(value: Any) -> bool:
    """Whether it is an empty map: Lua has one empty table, so it may be a list as well."""
    return type(value) is dict and not value


def equal(a: Any, b: Any, budget: Budget, depth: int = 0) -> bool:
    """Compare deeply; 1 and 1.0 are equal, true and 1 are not."""
    budget.step()
    if depth > VALUE_DEPTH:
        raise ExpressionError(f"values nested more than {VALUE_DEPTH} levels")
    if is_number(a) and is_number(b):
        return bool(a == b)
    if (is_empty(a) and type(b) is list) or (is_empty(b) and type(a) is list):
        return len(a) == len(b)
    if type(a) is not type(b):
        return False
    if type(a) is list:
        pairs = zip(a, b, strict=False)
        return len(a) == len(b) and all(equal(x, y, budget, depth + 1) for x, y in pairs)
    if type(a) is dict:
        return a.keys() == b.keys() and all(equal(a[k], b[k], budget, depth + 1) for k in a)
    return bool(a == b)


def compare(operator: str, a: Any, b: Any) -> bool:
    """Order two numbers, strings, instants or durations."""
    comparable = is_number(a) and is_number(b)
    if not comparable and not (type(a) is type(b) and type(a) in (str, Moment, Span)):
        raise mismatch(operator, a, b)
    if operator == "<":
        return bool(a < b)
    if operator == ">":
        return bool(b < a)
    # Not `not b < a`: nothing is smaller or equal to what is not a number.
    return bool(a <= b if operator == "<=" else b <= a)


def mismatch(operator: str, a: Any, b: Any) -> ExpressionError:
    """Build the error of an operator that does not go with these values."""
    return ExpressionError(mismatch_text(operator, kind_of(a), kind_of(b)))


def mismatch_text(operator: str, left: str, right: str) -> str:
    """Say that an operator does not go with these kinds, and what would."""
    hint = ""
    if operator == "+" and {left, right} in ({"string", "int"}, {"string", "float"}):
        hint = "; make text of a number with string(x)"
    if operator == "in" and right == "string":
        hint = "; for text write `a contains b`"
    return f"invalid operation: {operator} (mismatched types {left} and {right}){hint}"


def _add(a: Any, b: Any, budget: Budget) -> Any:
    if type(a) is str and type(b) is str:
        budget.text(len(a) + len(b))
        return a + b
    if type(a) is Moment and type(b) is Span:
        return a.plus(b.ns)
    if type(a) is Span and type(b) is Moment:
        return b.plus(a.ns)
    if type(a) is Span and type(b) is Span:
        return Span(wrapped(a.ns + b.ns))
    return _numeric("+", a, b, lambda x, y: x + y)


def _subtract(a: Any, b: Any, budget: Budget) -> Any:
    if type(a) is Moment and type(b) is Moment:
        return a.since(b)
    if type(a) is Moment and type(b) is Span:
        return a.plus(-b.ns)
    if type(a) is Span and type(b) is Span:
        return Span(wrapped(a.ns - b.ns))
    return _numeric("-", a, b, lambda x, y: x - y)


def _multiply(a: Any, b: Any, budget: Budget) -> Any:
    if type(a) is Span and is_number(b):
        return Span(whole(a.ns * b))
    if is_number(a) and type(b) is Span:
        return Span(whole(a * b.ns))
    return _numeric("*", a, b, lambda x, y: x * y)


def _numeric(operator: str, a: Any, b: Any, work: Callable[[Any, Any], Any]) -> Any:
    if type(a) is int and type(b) is int:
        return wrapped(work(a, b))
    if not (is_number(a) and is_number(b)):
        raise mismatch(operator, a, b)
    return work(float(a), float(b))


def _divide(a: Any, b: Any, budget: Budget) -> float:
    if type(a) is Span and type(b) is Span:
        a, b = a.ns, b.ns
    if not (is_number(a) and is_number(b)):
        raise mismatch("/", a, b)
    a, b = float(a), float(b)
    if b == 0:
        if a == 0 or a != a:
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    return float(a / b)


def _remainder(a: Any, b: Any, budget: Budget) -> int:
    if type(a) is not int or type(b) is not int:
        raise mismatch("%", a, b)
    if b == 0:
        raise ExpressionError("integer divide by zero")
    # The sign is the left side's, unlike Python's.
    return int(math.copysign(1, a)) * (abs(a) % abs(b))


def _power(a: Any, b: Any, budget: Budget) -> float:
    if not (is_number(a) and is_number(b)):
        raise mismatch("**", a, b)
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        return math.inf if a == 0 else math.nan


ARITHMETIC: Mapping[str, Callable[[Any, Any, Budget], Any]] = {
    **{"+": _add, "-": _subtract, "*": _multiply},
    **{"/": _divide, "%": _remainder, "**": _power},
}


def whole(value: float) -> int:
    """Cut a number to an integer of 64 bits.

    Raises:
        ExpressionError: it is too large, infinite or no number.
    """
    if type(value) is float and not -(2.0**63) <= value < 2.0**63:
        raise ExpressionError(f"{value} does not fit into an integer")
    return wrapped(int(value))


def sort_key(values: list[Any], what: str) -> Callable[[Any], Any]:
    """Return a key to sort values by that are all numbers, or all of one ordered kind.

    Raises:
        ExpressionError: they have no order.
    """
    kinds = {"number" if is_number(value) else kind_of(value) for value in values}
    if len(kinds) > 1 or not kinds <= {"number", "string", "time", "duration"}:
        raise ExpressionError(f"{what} cannot order {' and '.join(sorted(kinds))}")
    # Without this, one "not a number" would leave the rest in any order.
    if kinds == {"number"}:
        return functools.partial(_nan_first)
    return lambda value: value


def _nan_first(value: float) -> tuple[bool, float]:
    return (value == value, value if value == value else 0)


def text_of(value: Any, budget: Budget, depth: int = 0) -> str:
    """Return what `string(value)` gives: text as it is, numbers without a needless `.0`."""
    budget.step()
    if depth > VALUE_DEPTH:
        raise ExpressionError(f"values nested more than {VALUE_DEPTH} levels")
    if type(value) is str:
        return value
    if type(value) is list:
        found = "[" + " ".join(text_of(item, budget, depth + 1) for item in value) + "]"
    elif type(value) is dict:
        pairs = (
            f"{key}:{text_of(value[key], budget, depth + 1)}" for key in sorted(value, key=str)
        )
        found = "map[" + " ".join(pairs) + "]"
    else:
        found = scalar_text(value)
    budget.text(len(found) + ITEM_BYTES)
    return found


def scalar_text(value: Any) -> str:
    """Return the text of anything but lists and maps."""
    if value is None:
        return "nil"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is float:
        return float_text(value)
    if type(value) is Moment:
        return write(TEXT, value)
    return str(value)


def float_text(value: float) -> str:
    """Return the shortest text that reads back as the same number; exponents from 1e21 on."""
    if value != value:
        return "NaN"
    if value in (math.inf, -math.inf):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    mantissa, mark, exponent = text.partition("e")
    return f"{mantissa.removesuffix('.0')}{mark}{exponent}"
