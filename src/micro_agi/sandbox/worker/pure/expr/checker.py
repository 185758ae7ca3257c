"""Find what must fail before anything runs: unknown names and kinds that do not go together.

`compile` with an environment checks names and kinds of it; without one a name may be
anything. A kind is a name of `values.KINDS`, or "any" where only the run can tell. Of a list
the kind of its items is known only where the formula itself made it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from micro_agi.sandbox.worker.pure.expr.lexer import error_at
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
from micro_agi.sandbox.worker.pure.expr.parser import nearest
from micro_agi.sandbox.worker.pure.expr.values import kind_of, mismatch_text


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a value."""

    name: str
    item: str = "any"
    """Of a list: the kind of its items."""


ANY, NIL, BOOL, INT, FLOAT = Kind("any"), Kind("nil"), Kind("bool"), Kind("int"), Kind("float")
STRING, ARRAY, MAP, TIME = Kind("string"), Kind("array"), Kind("map"), Kind("time")
DURATION, ZONE, INTS = Kind("duration"), Kind("timezone"), Kind("array", "int")
STRINGS = Kind("array", "string")
NUMBERS = frozenset({"int", "float"})
ORDERED = (NUMBERS, frozenset({"string"}), frozenset({"time"}), frozenset({"duration"}))
CLOSURE_RESULTS = {
    **dict.fromkeys(("all", "any", "none", "one"), BOOL),
    **{"count": INT, "findIndex": INT, "findLastIndex": INT, "groupBy": MAP},
    **{"filter": ARRAY, "sortBy": ARRAY},
}
BOOLEAN_CLOSURES = frozenset(
    {"all", "any", "none", "one", "filter", "find", "findIndex", "findLast", "findLastIndex"}
    | {"count"}
)

# What functions accept in each place, and give. "number" is either sort; the last repeats.
SIGNATURES: Mapping[str, tuple[tuple[str, ...], Kind]] = {
    **dict.fromkeys(("ceil", "floor", "round"), (("number",), FLOAT)),
    **dict.fromkeys(("upper", "lower"), (("string",), STRING)),
    **dict.fromkeys(("trim", "trimPrefix", "trimSuffix"), (("string",), STRING)),
    **dict.fromkeys(("indexOf", "lastIndexOf"), (("string",), INT)),
    **dict.fromkeys(("hasPrefix", "hasSuffix"), (("string",), BOOL)),
    **dict.fromkeys(("split", "splitAfter"), (("string", "string", "int"), STRINGS)),
    **dict.fromkeys(("bitand", "bitor", "bitxor", "bitnand"), (("int",), INT)),
    **dict.fromkeys(("bitnot", "bitshl", "bitshr", "bitushr"), (("int",), INT)),
    **dict.fromkeys(("reverse", "uniq", "concat", "flatten"), (("array",), ARRAY)),
    **dict.fromkeys(("first", "last"), (("array",), ANY)),
    **dict.fromkeys(("keys", "values", "toPairs"), (("map",), ARRAY)),
    **dict.fromkeys(("mean", "median"), (("any",), FLOAT)),
    **{"len": (("any",), INT), "type": (("any",), STRING), "abs": (("number",), ANY)},
    **{"int": (("any",), INT), "float": (("any",), FLOAT), "string": (("any",), STRING)},
    **{"toJSON": (("any",), STRING), "fromJSON": (("string",), ANY)},
    **{"toBase64": (("string",), STRING), "fromBase64": (("string",), STRING)},
    **{"replace": (("string", "string", "string", "int"), STRING)},
    **{"repeat": (("string", "int"), STRING), "join": (("array", "string"), STRING)},
    **{"sort": (("array", "string"), ARRAY), "take": (("array", "int"), ARRAY)},
    **{"get": (("any",), ANY), "max": (("any",), ANY), "min": (("any",), ANY)},
    **{
        "fromPairs": (("array",), MAP),
        "now": ((), TIME),
        "date": (("string", "string", "any"), TIME),
    },
    **{"duration": (("string",), DURATION), "timezone": (("any",), ZONE)},
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean at one place."""

    names: Mapping[str, str] | None
    """Kinds of the environment; None: not known, so every name may be anything."""
    local: Mapping[str, Kind] = field(default_factory=dict)
    item: Kind = ANY


def check(node: Node, source: str, names: Mapping[str, str] | None) -> None:
    """Return quietly if nothing is known to be wrong.

    Raises:
        ExpressionError: with the place.
    """
    _Checker(source).kind(node, Scope(names))


class _Checker:
    def __init__(self, source: str) -> None:
        self.source = source

    def kind(self, node: Node, scope: Scope) -> Kind:
        return CHECKS[type(node)](self, node, scope)

    def _fail(self, node: Node, what: str) -> NoReturn:
        raise error_at(self.source, node.at, what)

    def _expect(self, node: Node, scope: Scope, allowed: str, what: str) -> Kind:
        found = self.kind(node, scope)
        fits = found.name in ("any", allowed) or allowed == "any"
        if not fits and not (allowed == "number" and found.name in NUMBERS):
            self._fail(node, f"{what} needs a {allowed}, got {found.name}")
        return found

    def _literal(self, node: Literal, scope: Scope) -> Kind:
        return Kind(kind_of(node.value))

    def _name(self, node: Name, scope: Scope) -> Kind:
        if node.name in scope.local:
            return scope.local[node.name]
        if scope.names is None or node.name == "$env":
            return ANY
        if node.name not in scope.names:
            known = (*scope.names, *scope.local)
            hint = nearest(node.name, known)
            if not hint and known:
                hint = f"; known: {', '.join(sorted(known)[:20])}"
            self._fail(node, f"unknown name {node.name}{hint}")
        return Kind(scope.names[node.name])

    def _pointer(self, node: Pointer, scope: Scope) -> Kind:
        return {"index": INT, "acc": ANY}.get(node.name, scope.item)

    def _list(self, node: ListOf, scope: Scope) -> Kind:
        kinds = {self.kind(item, scope).name for item in node.items}
        return Kind("array", kinds.pop() if len(kinds) == 1 else "any")

    def _map(self, node: MapOf, scope: Scope) -> Kind:
        for key, value in node.pairs:
            self.kind(key, scope)
            self.kind(value, scope)
        return MAP

    def _unary(self, node: Unary, scope: Scope) -> Kind:
        if node.operator == "not":
            self._expect(node.operand, scope, "bool", "`not`")
            return BOOL
        found = self.kind(node.operand, scope)
        if found.name not in ("any", "int", "float", "duration"):
            self._fail(node, f"invalid operation: {node.operator} (mismatched type {found.name})")
        return found

    def _binary(self, node: Binary, scope: Scope) -> Kind:
        spine: list[Binary] = []
        left: Node = node
        while isinstance(left, Binary):
            spine.append(left)
            left = left.left
        found = self.kind(left, scope)
        for link in reversed(spine):
            right = self.kind(link.right, scope)
            result = _combined(link.operator, found, right)
            if result is None:
                self._fail(link, mismatch_text(link.operator, found.name, right.name))
            found = result
        return found

    def _condition(self, node: Condition, scope: Scope) -> Kind:
        self._expect(node.test, scope, "bool", "a condition")
        yes, no = self.kind(node.yes, scope), self.kind(node.no, scope)
        return yes if yes == no else ANY

    def _member(self, node: Member, scope: Scope) -> Kind:
        of, key = self.kind(node.of, scope), self.kind(node.key, scope)
        if of.name in ("array", "string") and key.name not in ("any", "int"):
            self._fail(node, f"an index of a {of.name} is an int, got {key.name}")
        if of.name in ("bool", "int", "float", "time", "duration", "timezone"):
            self._fail(node, f"a {of.name} has no fields")
        return Kind(of.item) if of.name == "array" else STRING if of.name == "string" else ANY

    def _slice(self, node: Slice, scope: Scope) -> Kind:
        of = self.kind(node.of, scope)
        if of.name not in ("any", "array", "string"):
            self._fail(node, f"cannot slice a {of.name}")
        for bound in (node.start, node.stop):
            if bound is not None:
                self._expect(bound, scope, "int", "a slice")
        return of

    def _chain(self, node: Chain, scope: Scope) -> Kind:
        self.kind(node.inner, scope)
        return ANY

    def _method(self, node: Method, scope: Scope) -> Kind:
        self.kind(node.of, scope)
        for argument in node.arguments:
            self.kind(argument, scope)
        return ANY

    def _let(self, node: Let, scope: Scope) -> Kind:
        value = self.kind(node.value, scope)
        if not node.name:
            return self.kind(node.body, scope)
        return self.kind(node.body, replace(scope, local={**scope.local, node.name: value}))

    def _call(self, node: Call, scope: Scope) -> Kind:
        if node.name not in SIGNATURES:
            return self._closure_call(node, scope)
        allowed, result = SIGNATURES[node.name]
        for place, argument in enumerate(node.arguments):
            self._expect(argument, scope, allowed[min(place, len(allowed) - 1)], node.name)
        return result

    def _closure_call(self, node: Call, scope: Scope) -> Kind:
        of = self._expect(node.arguments[0], scope, "array", node.name)
        inside = replace(scope, item=Kind(of.item))
        for option in node.options.values():
            self.kind(option, scope)
        if node.closure is None:
            return CLOSURE_RESULTS.get(node.name, ANY)
        if node.name in BOOLEAN_CLOSURES:
            self._expect(node.closure, inside, "bool", f"the closure of {node.name}")
            return of if node.name == "filter" else CLOSURE_RESULTS.get(node.name, ANY)
        found = self.kind(node.closure, inside)
        if node.name == "map":
            return Kind("array", found.name)
        return CLOSURE_RESULTS.get(node.name, ANY)


def _combined(operator: str, left: Kind, right: Kind) -> Kind | None:
    """Return the kind of the result, or None if the operator cannot take these."""
    names = {left.name, right.name}
    if operator in ("and", "or"):
        return BOOL if names <= {"any", "bool"} else None
    if operator == "??":
        return right if left in (right, NIL) else ANY
    if operator in ("==", "!="):
        return BOOL if _comparable(names) else None
    if operator == "in":
        return BOOL if right.name in ("any", "array", "map", "nil") else None
    if operator == "..":
        return INTS if names <= {"any", "int"} else None
    if operator in ("contains", "startsWith", "endsWith"):
        return BOOL if names <= {"any", "string"} else None
    if operator == "matches":
        return BOOL if names <= {"any", "string", "nil"} else None
    if operator in ("<", ">", "<=", ">="):
        known = names - {"any"}
        return BOOL if any(known <= sort for sort in ORDERED) else None
    return _arithmetic(operator, left.name, right.name)


def _comparable(names: set[str]) -> bool:
    known = names - {"any", "nil"}
    return len(known) < 2 or known <= NUMBERS or known == {"array", "map"}


def _arithmetic(operator: str, left: str, right: str) -> Kind | None:
    names = {left, right}
    if "any" in names:
        other = (names - {"any"}) or {"any"}
        usable = {"any", "int", "float", "duration", "time"} | (
            {"string"} if operator == "+" else set()
        )
        return ANY if other <= usable else None
    if names <= NUMBERS:
        if operator == "%":
            return INT if names == {"int"} else None
        return FLOAT if operator in ("/", "**") or "float" in names else INT
    return MIXED.get((operator, left, right))


MIXED: Mapping[tuple[str, str, str], Kind] = {
    ("+", "string", "string"): STRING,
    ("+", "time", "duration"): TIME,
    ("+", "duration", "time"): TIME,
    ("+", "duration", "duration"): DURATION,
    ("-", "time", "time"): DURATION,
    ("-", "time", "duration"): TIME,
    ("-", "duration", "duration"): DURATION,
    ("/", "duration", "duration"): FLOAT,
    **{("*", "duration", number): DURATION for number in ("int", "float")},
    **{("*", number, "duration"): DURATION for number in ("int", "float")},
}
CHECKS: Mapping[type, Callable[[_Checker, Any, Scope], Kind]] = {
    Literal: _Checker._literal,
    Name: _Checker._name,
    Pointer: _Checker._pointer,
    ListOf: _Checker._list,
    MapOf: _Checker._map,
    Unary: _Checker._unary,
    Binary: _Checker._binary,
    Condition: _Checker._condition,
    Member: _Checker._member,
    Slice: _Checker._slice,
    Chain: _Checker._chain,
    Method: _Checker._method,
    Call: _Checker._call,
    Let: _Checker._let,
}
