"""The functions on lists and maps that take no closure.

A list that Lua sent empty looks like an empty map: every function takes it for either.
Source: spec/runtime.md 6.9.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from micro_agi.sandbox.worker.pure.expr.limits import VALUE_DEPTH, Budget, ExpressionError
from micro_agi.sandbox.worker.pure.expr.scalars import need
from micro_agi.sandbox.worker.pure.expr.values import (
    ARITHMETIC,
    equal,
    is_empty,
    is_number,
    kind_of,
    mismatch,
    sort_key,
)


def as_list(value: Any, name: str) -> list[Any]:
    """Return the list a function was given.

    Raises:
        ExpressionError: it is something else.
    """
    if type(value) is list:
        return value
    if is_empty(value):
        return []
    raise ExpressionError(f"{name} needs an array, got {kind_of(value)}")


def _as_map(value: Any, name: str) -> dict[Any, Any]:
    if value == [] or type(value) is dict:
        return dict(value)
    raise ExpressionError(f"{name} needs a map, got {kind_of(value)}")


def element(of: Any, key: Any) -> Any:
    """Return `of[key]`: negative indexes count from the end, a missing name is nil.

    Raises:
        ExpressionError: the index is out of range, or `of` has no elements.
    """
    if type(of) is dict:
        if type(key) not in (str, int):
            raise ExpressionError(f"a map has no key of kind {kind_of(key)}")
        return of.get(key, of.get(str(key)) if type(key) is int else None)
    if type(of) in (list, str):
        if type(key) is not int:
            shown = f" {key!r}" if type(key) is str else ""
            raise ExpressionError(f"cannot fetch{shown} from {kind_of(of)}: an index is an int")
        if not -len(of) <= key < len(of):
            raise ExpressionError(f"index out of range: {key} (length is {len(of)})")
        return of[key]
    shown = key if type(key) is str else kind_of(key)
    raise ExpressionError(f"cannot fetch {shown} from {kind_of(of)}")


def cut(of: Any, start: Any, stop: Any, budget: Budget) -> Any:
    """Return `of[start:stop]`, bounds cut to what there is."""
    if type(of) is not str:
        of = as_list(of, "a slice")
    first = 0 if start is None else need(start, "int", "a slice")
    last = len(of) if stop is None else need(stop, "int", "a slice")
    first, last = (n + len(of) if n < 0 else n for n in (first, last))
    first, last = max(first, 0), min(max(last, 0), len(of))
    made = of[first:last]
    _account(made, budget)
    return made


def _account(made: Any, budget: Budget) -> None:
    if type(made) is str:
        budget.text(len(made))
    else:
        budget.items(len(made))


def contains(item: Any, of: Any, budget: Budget) -> bool:
    """Return `item in of`: an item of a list, or a name of a map."""
    if of is None:
        return False
    if type(of) is dict:
        return type(item) in (str, int) and item in of
    if type(of) is not list:
        raise mismatch("in", item, of)
    return any(equal(item, one, budget) for one in of)


def span(first: Any, last: Any, budget: Budget) -> list[int]:
    """Return `first..last`, both included."""
    start, stop = need(first, "int", "`..`"), need(last, "int", "`..`")
    budget.items(max(stop - start + 1, 0))
    return list(range(start, stop + 1))


def _numbers(values: tuple[Any, ...], name: str, budget: Budget, depth: int = 0) -> Iterator[Any]:
    """Walk numbers and lists of numbers."""
    if depth > VALUE_DEPTH:
        raise ExpressionError(f"values nested more than {VALUE_DEPTH} levels")
    for value in values:
        budget.step()
        if type(value) is list or is_empty(value):
            yield from _numbers(tuple(value), name, budget, depth + 1)
        elif is_number(value):
            yield value
        else:
            raise ExpressionError(f"{name} needs numbers, got {kind_of(value)}")


def _max(budget: Budget, *values: Any) -> Any:
    return max(_numbers(values, "max", budget), default=None)


def _min(budget: Budget, *values: Any) -> Any:
    return min(_numbers(values, "min", budget), default=None)


def _mean(budget: Budget, *values: Any) -> float:
    found = [float(number) for number in _numbers(values, "mean", budget)]
    return sum(found) / len(found) if found else 0.0


def _median(budget: Budget, *values: Any) -> float:
    found = sorted(float(number) for number in _numbers(values, "median", budget))
    if not found:
        return 0.0
    half = len(found) // 2
    return found[half] if len(found) % 2 else (found[half - 1] + found[half]) / 2


def total(values: list[Any], budget: Budget) -> Any:
    """Return the sum: 0 of nothing, an int of ints; durations add up too."""
    if not values:
        return 0
    found = values[0]
    if not is_number(found) and kind_of(found) != "duration":
        raise ExpressionError(f"sum needs numbers, got {kind_of(found)}")
    for value in values[1:]:
        budget.step()
        found = ARITHMETIC["+"](found, value, budget)
    return found


def _first(budget: Budget, values: Any) -> Any:
    found = as_list(values, "first")
    return found[0] if found else None


def _last(budget: Budget, values: Any) -> Any:
    found = as_list(values, "last")
    return found[-1] if found else None


def _get(budget: Budget, of: Any, key: Any) -> Any:
    if of is None:
        return None
    try:
        return element(of, key)
    except ExpressionError:
        return None


def _take(budget: Budget, values: Any, count: Any) -> list[Any]:
    if need(count, "int", "take") < 0:
        raise ExpressionError("take needs a count that is not negative")
    return list(cut(as_list(values, "take"), 0, count, budget))


def _keys(budget: Budget, of: Any) -> list[Any]:
    budget.items(len(_as_map(of, "keys")))
    return sorted(of, key=str)


def _values(budget: Budget, of: Any) -> list[Any]:
    return [of[key] for key in _keys(budget, of)]


def _to_pairs(budget: Budget, of: Any) -> list[Any]:
    budget.items(3 * len(_as_map(of, "toPairs")))
    return [[key, of[key]] for key in _keys(budget, of)]


def _from_pairs(budget: Budget, pairs: Any) -> dict[Any, Any]:
    budget.items(2 * len(as_list(pairs, "fromPairs")))
    found = {}
    for pair in pairs:
        if type(pair) is not list or len(pair) != 2:
            raise ExpressionError("fromPairs needs pairs: [name, value]")
        found[map_key(pair[0])] = pair[1]
    return found


def map_key(value: Any) -> Any:
    """Return a value as the name of a map: text or a whole number.

    Raises:
        ExpressionError: lists, maps and nil name nothing.
    """
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is float and value == value and abs(value) < 2.0**53 and value == int(value):
        return int(value)
    if type(value) not in (str, int):
        raise ExpressionError(f"a map has no key of kind {kind_of(value)}")
    return value


def _reverse(budget: Budget, values: Any) -> list[Any]:
    budget.items(len(as_list(values, "reverse")))
    return as_list(values, "reverse")[::-1]


def _uniq(budget: Budget, values: Any) -> list[Any]:
    found: list[Any] = []
    seen: set[tuple[str, Any]] = set()
    others: list[Any] = []
    for value in as_list(values, "uniq"):
        budget.items(1)
        if type(value) in (list, dict):
            new = not any(equal(value, other, budget) for other in others)
            others += [value] if new else []
        else:
            sort = "number" if is_number(value) else kind_of(value)
            new = (sort, value) not in seen
            seen.add((sort, value))
        found += [value] if new else []
    return found


def _concat(budget: Budget, *lists: Any) -> list[Any]:
    parts = [as_list(one, "concat") for one in lists]
    budget.items(sum(map(len, parts)))
    return [item for part in parts for item in part]


def _flatten(budget: Budget, values: Any, depth: int = 0) -> list[Any]:
    if depth > VALUE_DEPTH:
        raise ExpressionError(f"values nested more than {VALUE_DEPTH} levels")
    found: list[Any] = []
    for value in as_list(values, "flatten"):
        budget.items(1)
        found += _flatten(budget, value, depth + 1) if type(value) is list else [value]
    return found


def _sort(budget: Budget, values: Any, order: Any = "asc") -> list[Any]:
    return ordered(as_list(values, "sort"), as_list(values, "sort"), order, "sort", budget)


def ordered(values: list[Any], keys: list[Any], order: Any, name: str, budget: Budget) -> list[Any]:
    """Return the values in the order of their keys; equal ones keep theirs.

    Raises:
        ExpressionError: the keys have no order, or `order` is not `asc` or `desc`.
    """
    if order not in ("asc", "desc"):
        raise ExpressionError(f"invalid order {order!r}; one of: asc, desc")
    budget.items(len(values))
    budget.step(len(values) * len(values).bit_length())
    key = sort_key(keys, name) if keys else None
    places = sorted(
        range(len(values)),
        key=lambda place: key(keys[place]) if key else place,
        reverse=order == "desc",
    )
    return [values[place] for place in places]


LISTS: Mapping[str, Callable[..., Any]] = {
    **{"max": _max, "min": _min, "mean": _mean, "median": _median, "first": _first},
    **{"last": _last, "get": _get, "take": _take, "keys": _keys, "values": _values},
    **{"toPairs": _to_pairs, "fromPairs": _from_pairs, "reverse": _reverse, "uniq": _uniq},
    **{"concat": _concat, "flatten": _flatten, "sort": _sort},
}
