"""Turn a formula and its variables into a value.

One walk over the nodes; every node costs a step. There is no way from here to Python's own
attributes, names or calls: what is not in the tables is an error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from micro_agi.sandbox.worker.pure.expr.closures import CLOSURE_FUNCTIONS
from micro_agi.sandbox.worker.pure.expr.dates import DATES, METHODS
from micro_agi.sandbox.worker.pure.expr.limits import Budget, ExpressionError
from micro_agi.sandbox.worker.pure.expr.lists import LISTS, contains, cut, element, map_key, span
from micro_agi.sandbox.worker.pure.expr.moments import LOCAL, Moment, Span
from micro_agi.sandbox.worker.pure.expr.nodes import (
    Binary,
    Call,
    Chain,
    Condition,
    Let,
    ListOf,
    Literal,
    MapOf,
    Member,
    Method,
    Name,
    Node,
    Pointer,
    Slice,
    Unary,
)
from micro_agi.sandbox.worker.pure.expr.patterns import as_bytes, compiled
from micro_agi.sandbox.worker.pure.expr.scalars import SCALARS, need
from micro_agi.sandbox.worker.pure.expr.values import (
    ARITHMETIC,
    compare,
    equal,
    is_number,
    kind_of,
    mismatch,
    wrapped,
)

FUNCTIONS: Mapping[str, Callable[..., Any]] = {**SCALARS, **LISTS, **DATES}


class _CutShort:
    """What `a?.b` gives for nil, until the whole chain is left."""


CUT_SHORT = _CutShort()


@dataclass(slots=True)
class Item:
    """What `#`, `#index` and `#acc` mean in a closure."""

    value: Any
    index: int
    acc: Any = None


@dataclass(slots=True)
class Evaluator:
    """One run."""

    variables: Mapping[str, Any] | None
    """None: no table was passed, and no name may be mentioned."""
    now_ns: int
    budget: Budget = field(default_factory=Budget)
    _locals: dict[str, Any] = field(default_factory=dict)
    _items: list[Item] = field(default_factory=list)

    def value(self, node: Node) -> Any:
        """Return the node's value.

        Raises:
            ExpressionError: it has none.
        """
        self.budget.step()
        return WALKERS[type(node)](self, node)

    def each(self, node: Node, value: Any, index: int, acc: Any = None) -> Any:
        """Return the value of a closure's body for one item."""
        self._items.append(Item(value, index, acc))
        found = self.value(node)
        self._items.pop()
        return found

    def _literal(self, node: Literal) -> Any:
        return node.value

    def _name(self, node: Name) -> Any:
        if node.name in self._locals:
            return self._locals[node.name]
        if self.variables is None:
            raise ExpressionError(f"cannot fetch {node.name} from nil: no variables were passed")
        if node.name == "$env":
            return self.variables
        return self.variables.get(node.name)

    def _pointer(self, node: Pointer) -> Any:
        item = self._items[-1]
        if node.name == "index":
            return item.index
        return item.acc if node.name == "acc" else item.value

    def _list(self, node: ListOf) -> list[Any]:
        self.budget.items(len(node.items))
        return [self.value(item) for item in node.items]

    def _map(self, node: MapOf) -> dict[Any, Any]:
        self.budget.items(2 * len(node.pairs))
        return {map_key(self.value(key)): self.value(value) for key, value in node.pairs}

    def _unary(self, node: Unary) -> Any:
        operand = self.value(node.operand)
        if node.operator == "not":
            return not need(operand, "bool", "`not`")
        if type(operand) is Span and node.operator == "-":
            return Span(wrapped(-operand.ns))
        if not is_number(operand):
            raise ExpressionError(f"invalid operation: {node.operator} {kind_of(operand)}")
        if node.operator == "+":
            return operand
        return wrapped(-operand) if type(operand) is int else -operand

    def _binary(self, node: Binary) -> Any:
        """Walk down the left side, then back up: a long sum is no recursion."""
        spine: list[Binary] = []
        left: Node = node
        while isinstance(left, Binary):
            spine.append(left)
            left = left.left
        value = self.value(left)
        for link in reversed(spine):
            self.budget.step()
            value = self._operate(link, value)
        return value

    def _operate(self, node: Binary, left: Any) -> Any:
        operator = node.operator
        if operator in ("and", "or"):
            if need(left, "bool", f"`{operator}`") is (operator == "or"):
                return left
            return need(self.value(node.right), "bool", f"`{operator}`")
        if operator == "??":
            return self.value(node.right) if left is None else left
        right = self.value(node.right)
        if operator in ARITHMETIC:
            return ARITHMETIC[operator](left, right, self.budget)
        if operator in ("==", "!="):
            return equal(left, right, self.budget) is (operator == "==")
        if operator == "in":
            return contains(left, right, self.budget)
        if operator == "..":
            return span(left, right, self.budget)
        if operator in TEXT_TESTS:
            if type(left) is not str or type(right) is not str:
                raise mismatch(operator, left, right)
            self.budget.step(len(left) >> 8)
            return TEXT_TESTS[operator](left, right)
        if operator == "matches":
            return self._matches(node, left, right)
        return compare(operator, left, right)

    def _matches(self, node: Binary, text: Any, pattern: Any) -> bool:
        if text is None:
            return False
        if type(text) is not str or type(pattern) is not str:
            raise mismatch("matches", text, pattern)
        self.budget.step(1 + (len(text) >> 6))
        if not node.pattern:
            # Compiling costs as much as a thousand other steps.
            self.budget.step(1000)
        expression = node.pattern or compiled(pattern)
        return expression.search(as_bytes(text)) is not None

    def _condition(self, node: Condition) -> Any:
        test = need(self.value(node.test), "bool", "a condition")
        return self.value(node.yes if test else node.no)

    def _member(self, node: Member) -> Any:
        of = self.value(node.of)
        if of is CUT_SHORT or (of is None and node.optional):
            return CUT_SHORT
        return element(of, self.value(node.key))

    def _chain(self, node: Chain) -> Any:
        found = self.value(node.inner)
        return None if found is CUT_SHORT else found

    def _slice(self, node: Slice) -> Any:
        of = self.value(node.of)
        if of is CUT_SHORT:
            return of
        start = None if node.start is None else self.value(node.start)
        stop = None if node.stop is None else self.value(node.stop)
        return cut(of, start, stop, self.budget)

    def _method(self, node: Method) -> Any:
        of = self.value(node.of)
        if of is CUT_SHORT or (of is None and node.optional):
            return CUT_SHORT
        methods = METHODS.get(type(of), {})
        if node.name not in methods:
            hint = f"; it has {', '.join(sorted(methods))}" if methods else ""
            raise ExpressionError(f"a {kind_of(of)} has no method {node.name}{hint}")
        arguments = [self.value(argument) for argument in node.arguments]
        try:
            return methods[node.name](of, *arguments)
        except TypeError:
            raise ExpressionError(f"wrong number of arguments to call {node.name}") from None

    def _call(self, node: Call) -> Any:
        if node.name in CLOSURE_FUNCTIONS:
            return CLOSURE_FUNCTIONS[node.name](self, node)
        if node.name == "now":
            return Moment(self.now_ns, LOCAL)
        arguments = [self.value(argument) for argument in node.arguments]
        return FUNCTIONS[node.name](self.budget, *arguments)

    def _let(self, node: Let) -> Any:
        value = self.value(node.value)
        before = dict(self._locals) if node.name else self._locals
        self.budget.step(len(before))
        if node.name:
            self._locals = {**before, node.name: value}
        found = self.value(node.body)
        self._locals = before
        return found


TEXT_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startsWith": lambda text, part: text.startswith(part),
    "endsWith": lambda text, part: text.endswith(part),
}
WALKERS: Mapping[type, Callable[[Evaluator, Any], Any]] = {
    Literal: Evaluator._literal,
    Name: Evaluator._name,
    Pointer: Evaluator._pointer,
    ListOf: Evaluator._list,
    MapOf: Evaluator._map,
    Unary: Evaluator._unary,
    Binary: Evaluator._binary,
    Condition: Evaluator._condition,
    Member: Evaluator._member,
    Slice: Evaluator._slice,
    Chain: Evaluator._chain,
    Method: Evaluator._method,
    Call: Evaluator._call,
    Let: Evaluator._let,
}
