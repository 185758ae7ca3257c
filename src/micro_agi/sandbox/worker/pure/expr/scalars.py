"""The functions on numbers, strings and bits, and the ways between kinds.

Each takes a budget and its arguments. Source: spec/runtime.md 6.9.
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from micro_agi.sandbox.worker.pure.expr.limits import (
    ITEM_BYTES,
    VALUE_DEPTH,
    Budget,
    ExpressionError,
)
from micro_agi.sandbox.worker.pure.expr.patterns import as_bytes
from micro_agi.sandbox.worker.pure.expr.values import (
    is_number,
    kind_of,
    scalar_text,
    text_of,
    whole,
    wrapped,
)

BLANKS = " \t\n\r\v\f"
MOST_DIGITS = 20


def need(value: Any, kind: str, name: str) -> Any:
    """Return the value if it is of this kind (`number` is either sort).

    Raises:
        ExpressionError: it is of another.
    """
    if kind_of(value) != kind and not (kind == "number" and is_number(value)):
        raise ExpressionError(f"{name} needs a {kind}, got {kind_of(value)}")
    return value


def _length(budget: Budget, value: Any) -> int:
    if type(value) not in (str, list, dict):
        raise ExpressionError(f"invalid argument for len (type {kind_of(value)})")
    return len(value)


def _type(budget: Budget, value: Any) -> str:
    return kind_of(value)


def _abs(budget: Budget, value: Any) -> Any:
    number = need(value, "number", "abs")
    return wrapped(abs(number)) if type(number) is int else abs(number)


def _rounder(name: str, work: Callable[[float], float]) -> Callable[[Budget, Any], float]:
    def rounded(budget: Budget, value: Any) -> float:
        number = float(need(value, "number", name))
        # Beyond 2^52 every float is whole; infinity and "not a number" stay as they are.
        return float(work(number)) if abs(number) < 2.0**52 else number

    return rounded


def _half_away(number: float) -> float:
    nearest = math.floor(abs(number))
    return math.copysign(nearest + 1 if abs(number) - nearest >= 0.5 else nearest, number)


def _int(budget: Budget, value: Any) -> int:
    if type(value) is str:
        if len(value) <= MOST_DIGITS and value.isascii() and "_" not in value:
            try:
                found = int(value) if value.strip() == value else None
            except ValueError:
                found = None
            if found is not None and wrapped(found) == found:
                return found
        raise ExpressionError(f"invalid operation: int({value[:40]!r})")
    return whole(need(value, "number", "int"))


def _float(budget: Budget, value: Any) -> float:
    if type(value) is str:
        try:
            if value.strip() == value and "_" not in value and len(value) < 400:
                return float(value)
        except ValueError:
            pass
        raise ExpressionError(f"invalid operation: float({value[:40]!r})")
    return float(need(value, "number", "float"))


def _string(budget: Budget, value: Any) -> str:
    return text_of(value, budget)


def _trim(budget: Budget, text: Any, characters: Any = None) -> str:
    if characters is None:
        return str(need(text, "string", "trim").strip())
    return str(need(text, "string", "trim").strip(need(characters, "string", "trim") or None))


def _trim_prefix(budget: Budget, text: Any, prefix: Any = " ") -> str:
    return str(
        need(text, "string", "trimPrefix").removeprefix(need(prefix, "string", "trimPrefix"))
    )


def _trim_suffix(budget: Budget, text: Any, suffix: Any = " ") -> str:
    return str(
        need(text, "string", "trimSuffix").removesuffix(need(suffix, "string", "trimSuffix"))
    )


def _upper(budget: Budget, text: Any) -> str:
    budget.text(3 * len(need(text, "string", "upper")))
    return str(text.upper())


def _lower(budget: Budget, text: Any) -> str:
    budget.text(3 * len(need(text, "string", "lower")))
    return str(text.lower())


def _split(budget: Budget, text: Any, separator: Any, most: Any = -1) -> list[str]:
    return _parts("split", budget, text, separator, most, "")


def _split_after(budget: Budget, text: Any, separator: Any, most: Any = -1) -> list[str]:
    kept = need(separator, "string", "splitAfter")
    return _parts("splitAfter", budget, text, separator, most, kept)


def _parts(name: str, budget: Budget, text: Any, separator: Any, most: Any, kept: str) -> list[str]:
    text, separator = need(text, "string", name), need(separator, "string", name)
    limit = need(most, "int", name)
    if limit == 0:
        return []
    budget.items(text.count(separator) + 1)
    budget.text(len(text))
    if separator:
        parts = text.split(separator, limit - 1 if limit > 0 else -1)
    elif 0 < limit < len(text):
        parts = [*text[: limit - 1], text[limit - 1 :]]
    else:
        parts = list(text)
    return [*(part + kept for part in parts[:-1]), *parts[-1:]]


def _replace(budget: Budget, text: Any, old: Any, new: Any, most: Any = -1) -> str:
    text, old = need(text, "string", "replace"), need(old, "string", "replace")
    new, limit = need(new, "string", "replace"), need(most, "int", "replace")
    count = text.count(old) if limit < 0 else min(limit, text.count(old))
    budget.text(len(text) + count * len(new))
    return str(text.replace(old, new, count))


def _repeat(budget: Budget, text: Any, times: Any) -> str:
    text, count = need(text, "string", "repeat"), need(times, "int", "repeat")
    if count < 0:
        raise ExpressionError("repeat needs a count that is not negative")
    budget.text(len(text) * count)
    return str(text * count)


def _join(budget: Budget, parts: Any, separator: Any = "") -> str:
    parts = [] if parts == {} else need(parts, "array", "join")
    separator = need(separator, "string", "join")
    budget.step(len(parts))
    for part in parts:
        need(part, "string", "join")
    budget.text(sum(map(len, parts)) + len(separator) * len(parts))
    return str(separator.join(parts))


def _index_of(budget: Budget, text: Any, part: Any) -> int:
    return int(need(text, "string", "indexOf").find(need(part, "string", "indexOf")))


def _last_index_of(budget: Budget, text: Any, part: Any) -> int:
    return int(need(text, "string", "lastIndexOf").rfind(need(part, "string", "lastIndexOf")))


def _has_prefix(budget: Budget, text: Any, part: Any) -> bool:
    return bool(need(text, "string", "hasPrefix").startswith(need(part, "string", "hasPrefix")))


def _has_suffix(budget: Budget, text: Any, part: Any) -> bool:
    return bool(need(text, "string", "hasSuffix").endswith(need(part, "string", "hasSuffix")))


def _to_json(budget: Budget, value: Any) -> str:
    return _json(value, budget, 0)


def _json(value: Any, budget: Budget, depth: int) -> str:
    """Compact, with sorted keys: the same text for the same value."""
    budget.step()
    if depth > VALUE_DEPTH:
        raise ExpressionError(f"values nested more than {VALUE_DEPTH} levels")
    if type(value) is list:
        found = "[" + ",".join(_json(item, budget, depth + 1) for item in value) + "]"
    elif type(value) is dict:
        names = sorted(value, key=str)
        pairs = (f"{_quoted(str(k))}:{_json(value[k], budget, depth + 1)}" for k in names)
        found = "{" + ",".join(pairs) + "}"
    elif type(value) is float:
        if not math.isfinite(value):
            raise ExpressionError("JSON has no infinite numbers")
        found = scalar_text(value)
    elif value is None or type(value) in (bool, int):
        found = json.dumps(value)
    else:
        found = _quoted(scalar_text(value))
    budget.text(len(found) + ITEM_BYTES)
    return found


def _quoted(text: str) -> str:
    return json.dumps(as_bytes(text).decode("utf-8", "replace"), ensure_ascii=False)


def _from_json(budget: Budget, text: Any) -> Any:
    text = need(text, "string", "fromJSON")
    # The costliest text is a list of small lists: about fifty bytes for two characters.
    budget.text(32 * len(text))
    try:
        found = json.loads(text, parse_int=_saturated, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ExpressionError(f"invalid JSON: {error}") from None
    return _measured(found, budget, 0)


def _saturated(digits: str) -> int:
    # Long ones take quadratic time, and all that are too large read as the largest.
    number = int(digits[:MOST_DIGITS])
    return max(-(1 << 63), min((1 << 63) - 1, number))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _measured(value: Any, budget: Budget, depth: int) -> Any:
    budget.step()
    if depth > VALUE_DEPTH:
        raise ExpressionError(f"values nested more than {VALUE_DEPTH} levels")
    for item in value if type(value) is list else value.values() if type(value) is dict else ():
        _measured(item, budget, depth + 1)
    return value


def _to_base64(budget: Budget, text: Any) -> str:
    data = as_bytes(need(text, "string", "toBase64"))
    budget.text(2 * len(data))
    return base64.b64encode(data).decode()


def _from_base64(budget: Budget, text: Any) -> str:
    budget.text(len(need(text, "string", "fromBase64")))
    try:
        data = base64.b64decode(as_bytes(text), validate=True)
    except binascii.Error as error:
        raise ExpressionError(f"invalid base64: {error}") from None
    return data.decode("utf-8", "surrogateescape")


def _bits(name: str, work: Callable[[int, int], int]) -> Callable[..., int]:
    def combined(budget: Budget, a: Any, b: Any) -> int:
        return wrapped(work(need(a, "int", name), need(b, "int", name)))

    return combined


def _bitnot(budget: Budget, value: Any) -> int:
    return ~int(need(value, "int", "bitnot"))


def _shift(name: str, work: Callable[[int, int], int]) -> Callable[..., int]:
    def shifted(budget: Budget, value: Any, by: Any) -> int:
        need(value, "int", name)
        if need(by, "int", name) < 0:
            raise ExpressionError(f"{name}: negative shift count {by}")
        return wrapped(work(value, min(by, 64)))

    return shifted


SCALARS: Mapping[str, Callable[..., Any]] = {
    **{"len": _length, "type": _type, "abs": _abs, "int": _int, "float": _float},
    **{"string": _string, "trim": _trim, "trimPrefix": _trim_prefix, "trimSuffix": _trim_suffix},
    **{"upper": _upper, "lower": _lower, "split": _split, "splitAfter": _split_after},
    **{"replace": _replace, "repeat": _repeat, "join": _join, "indexOf": _index_of},
    **{"lastIndexOf": _last_index_of, "hasPrefix": _has_prefix, "hasSuffix": _has_suffix},
    **{"toJSON": _to_json, "fromJSON": _from_json, "bitnot": _bitnot},
    **{"toBase64": _to_base64, "fromBase64": _from_base64},
    "ceil": _rounder("ceil", math.ceil),
    "floor": _rounder("floor", math.floor),
    "round": _rounder("round", _half_away),
    "bitand": _bits("bitand", lambda a, b: a & b),
    "bitor": _bits("bitor", lambda a, b: a | b),
    "bitxor": _bits("bitxor", lambda a, b: a ^ b),
    "bitnand": _bits("bitnand", lambda a, b: a & ~b),
    "bitshl": _shift("bitshl", lambda a, b: a << b),
    "bitshr": _shift("bitshr", lambda a, b: a >> b),
    "bitushr": _shift("bitushr", lambda a, b: (a % (1 << 64)) >> b),
}
