"""The functions that run a closure for the items of a list: `filter`, `map`, `reduce` …"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from micro_agi.sandbox.worker.pure.expr.limits import Budget, ExpressionError
from micro_agi.sandbox.worker.pure.expr.lists import as_list, map_key, ordered, total
from micro_agi.sandbox.worker.pure.expr.nodes import Call, Node
from micro_agi.sandbox.worker.pure.expr.scalars import need


class Runner(Protocol):
    """What these functions need of the evaluator."""

    budget: Budget

    def value(self, node: Node) -> Any: ...
    def each(self, node: Node, value: Any, index: int, acc: Any = None) -> Any: ...


def _results(run: Runner, call: Call) -> Iterator[tuple[Any, Any]]:
    """Walk the items with what the closure says of each."""
    assert call.closure is not None, "the parser asks for one"
    for index, item in enumerate(as_list(run.value(call.arguments[0]), call.name)):
        run.budget.step()
        yield item, run.each(call.closure, item, index)


def _hits(run: Runner, call: Call) -> Iterator[tuple[Any, bool]]:
    for item, found in _results(run, call):
        yield item, need(found, "bool", f"the closure of {call.name}")


def _all(run: Runner, call: Call) -> bool:
    return all(hit for _, hit in _hits(run, call))


def _any(run: Runner, call: Call) -> bool:
    return any(hit for _, hit in _hits(run, call))


def _none(run: Runner, call: Call) -> bool:
    return not _any(run, call)


def _one(run: Runner, call: Call) -> bool:
    return sum(hit for _, hit in _hits(run, call)) == 1


def _filter(run: Runner, call: Call) -> list[Any]:
    return _kept(run, (item for item, hit in _hits(run, call) if hit))


def _map(run: Runner, call: Call) -> list[Any]:
    return _kept(run, (found for _, found in _results(run, call)))


def _kept(run: Runner, items: Iterator[Any]) -> list[Any]:
    found = []
    for item in items:
        run.budget.items(1)
        found.append(item)
    return found


def _count(run: Runner, call: Call) -> int:
    if call.closure is None:
        items = as_list(run.value(call.arguments[0]), "count")
        return sum(need(item, "bool", "count without a closure") for item in items)
    return sum(hit for _, hit in _hits(run, call))


def _sum(run: Runner, call: Call) -> Any:
    if call.closure is None:
        return total(as_list(run.value(call.arguments[0]), "sum"), run.budget)
    return total(_map(run, call), run.budget)


def _find(run: Runner, call: Call) -> Any:
    return next((item for item, hit in _hits(run, call) if hit), None)


def _find_index(run: Runner, call: Call) -> int:
    return next((n for n, (_, hit) in enumerate(_hits(run, call)) if hit), -1)


def _find_last(run: Runner, call: Call) -> Any:
    hits = _filter(run, call)
    return hits[-1] if hits else None


def _find_last_index(run: Runner, call: Call) -> int:
    last = -1
    for n, (_, hit) in enumerate(_hits(run, call)):
        last = n if hit else last
    return last


def _group_by(run: Runner, call: Call) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for item, key in _results(run, call):
        run.budget.items(2)
        groups.setdefault(map_key(key), []).append(item)
    return groups


def _sort_by(run: Runner, call: Call) -> list[Any]:
    pairs = list(_results(run, call))
    order = run.value(call.options["order"]) if "order" in call.options else "asc"
    items, keys = [item for item, _ in pairs], [key for _, key in pairs]
    return ordered(items, keys, order, "sortBy", run.budget)


def _reduce(run: Runner, call: Call) -> Any:
    assert call.closure is not None, "the parser asks for one"
    items = as_list(run.value(call.arguments[0]), "reduce")
    start = 0
    if "initial" in call.options:
        acc = run.value(call.options["initial"])
    elif items:
        acc, start = items[0], 1
    else:
        raise ExpressionError("reduce of an empty array needs an initial value")
    for index in range(start, len(items)):
        run.budget.step()
        acc = run.each(call.closure, items[index], index, acc)
    return acc


CLOSURE_FUNCTIONS: Mapping[str, Callable[[Any, Call], Any]] = {
    **{"all": _all, "any": _any, "none": _none, "one": _one, "filter": _filter, "map": _map},
    **{"count": _count, "sum": _sum, "find": _find, "findIndex": _find_index},
    **{"findLast": _find_last, "findLastIndex": _find_last_index, "groupBy": _group_by},
    **{"sortBy": _sort_by, "reduce": _reduce},
}
