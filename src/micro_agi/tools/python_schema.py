"""Derive a tool's input schema from the type hints of its function, without running it.

The hints are read as syntax. What a hint means is looked up by its last name, so
`typing.List[int]`, `t.List[int]` and `"list[int]"` are the same; dataclasses, TypedDicts and
aliases of the same source become what they stand for.

Source: spec/local-agent.md 7.2, which turns the losses of 3.2 into support or a refusal.
"""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from micro_agi.tools.python_source import Function, refused

Schema = dict[str, Any]

PLAIN: Mapping[str, Schema] = {
    **{"str": {"type": "string"}, "int": {"type": "integer"}, "float": {"type": "number"}},
    **{"bool": {"type": "boolean"}, "None": {"type": "null"}, "NoneType": {"type": "null"}},
    **{"Any": {}, "object": {}},
}
LISTS = frozenset({"list", "List", "Sequence", "Iterable", "Collection"})
SETS = frozenset({"set", "Set", "frozenset", "FrozenSet"})
MAPS = frozenset({"dict", "Dict", "Mapping", "MutableMapping"})
TUPLES = frozenset({"tuple", "Tuple"})
MOST_NESTED = 16
"""Of hints within hints; an alias that contains itself ends here too."""
SUPPORTED = (
    "str, int, float, bool, None, list[…], dict[str, …], tuple[…], set[…], Optional[…], "
    "X | Y, Literal[…], Any, a TypedDict or dataclass of this source"
)

_PARAMETER = re.compile(r"^(?::param\s+)?\*{0,2}(?P<name>\w+)(?:\s*\([^)]*\))?\s*:\s*(?P<text>.+)$")
_SECTION = re.compile(r"^(Args|Arguments|Parameters|Params):?\s*$")
_OTHER_SECTION = re.compile(r"^(Returns?|Raises|Yields?|Examples?|Notes?):")


def schema_of(tree: ast.Module, function: Function) -> Schema:
    """Return the schema of a typed function's arguments.

    Raises: EntryInvalid naming the rule and the line.
    """
    docstring = ast.get_docstring(function)
    if not docstring:
        raise refused(
            "docstring", function.lineno, f"`{function.name}` has no docstring", "say what it does"
        )
    _check_shape(function)
    return _Reader(tree).arguments(function, _parameter_texts(docstring))


def _check_shape(function: Function) -> None:
    arguments = function.args
    for star in (arguments.vararg, arguments.kwarg):
        if star is not None:
            raise refused(
                "varargs",
                star.lineno,
                f"`*{star.arg}` has no schema",
                "name each parameter, or give `input_schema` and `def handler(args)`",
            )
    for each in arguments.posonlyargs:
        raise refused(
            "positional-only",
            each.lineno,
            f"`{each.arg}` cannot be given by name",
            "remove the `/`",
        )


class _Reader:
    """Reads hints with the classes and aliases of one source."""

    def __init__(self, tree: ast.Module) -> None:
        self._classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
        self._aliases = dict(_aliases(tree))
        self._depth = 0

    def arguments(self, function: Function, texts: Mapping[str, str]) -> Schema:
        given = function.args
        plain = list(zip(reversed(given.args), reversed(given.defaults), strict=False))
        defaults: dict[str, ast.expr | None] = {a.arg: d for a, d in plain}
        defaults |= {
            a.arg: d for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True) if d
        }
        properties: dict[str, Schema] = {}
        for each in (*given.args, *given.kwonlyargs):
            if each.annotation is None:
                raise refused(
                    "unannotated",
                    each.lineno,
                    f"parameter `{each.arg}` has no type",
                    f"write `{each.arg}: str`, or another of {SUPPORTED}",
                )
            schema = dict(self.schema(each.annotation))
            if each.arg in texts:
                schema["description"] = texts[each.arg]
            default = defaults.get(each.arg)
            if default is not None:
                schema["default"] = _literal(default, each.arg)
            properties[each.arg] = schema
        return _object(properties, [name for name in properties if name not in defaults])

    def schema(self, hint: ast.expr) -> Schema:
        """Return what one hint allows.

        Raises: EntryInvalid by rule `annotation`.
        """
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise _unsupported(hint, "is nested too deeply, or contains itself")
        try:
            return self._schema(hint)
        finally:
            self._depth -= 1

    def _schema(self, hint: ast.expr) -> Schema:
        match hint:
            case ast.Constant(value=None):
                return dict(PLAIN["None"])
            case ast.Constant(value=str(text)):
                return self.schema(_quoted(text, hint))
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self._union(_flat(left, right), hint)
            case ast.Name() | ast.Attribute():
                return self._named(_last(hint), hint)
            case ast.Subscript(value=ast.Name() | ast.Attribute() as base, slice=inner):
                parts = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
                return self._generic(_last(base), parts, hint)
        raise _unsupported(hint)

    def _named(self, name: str, hint: ast.expr) -> Schema:
        if name in self._classes:
            return self._class(self._classes[name], hint)
        if name in self._aliases:
            return self.schema(self._aliases[name])
        if name in PLAIN:
            return dict(PLAIN[name])
        if name in LISTS | TUPLES:
            return {"type": "array"}
        if name in SETS:
            return {"type": "array", "uniqueItems": True}
        if name in MAPS:
            return {"type": "object"}
        raise _unsupported(hint)

    def _generic(self, name: str, parts: list[ast.expr], hint: ast.expr) -> Schema:
        if name == "Optional":
            return self._union([*parts, ast.Constant(value=None)], hint)
        if name == "Union":
            return self._union(parts, hint)
        if name == "Literal":
            return {"enum": [_literal(part, "Literal") for part in parts]}
        if name == "Annotated":
            return self._annotated(parts)
        if name in ("Required", "NotRequired", "Final", "ReadOnly"):
            return self.schema(parts[0])
        if name in LISTS and len(parts) == 1:
            return {"type": "array", "items": self.schema(parts[0])}
        if name in SETS and len(parts) == 1:
            return {"type": "array", "items": self.schema(parts[0]), "uniqueItems": True}
        if name in MAPS and len(parts) == 2:
            if not isinstance(parts[0], ast.Name) or parts[0].id != "str":
                raise _unsupported(hint, "has keys that are no `str`, as JSON's are")
            return {"type": "object", "additionalProperties": self.schema(parts[1])}
        if name in TUPLES:
            return self._tuple(parts)
        raise _unsupported(hint)

    def _annotated(self, parts: list[ast.expr]) -> Schema:
        schema = self.schema(parts[0])
        texts = [p.value for p in parts[1:] if isinstance(p, ast.Constant)]
        described = [text for text in texts if isinstance(text, str)]
        return {**schema, "description": described[0]} if described else schema

    def _tuple(self, parts: list[ast.expr]) -> Schema:
        if len(parts) == 2 and isinstance(parts[1], ast.Constant) and parts[1].value is ...:
            return {"type": "array", "items": self.schema(parts[0])}
        size = len(parts)
        each = [self.schema(part) for part in parts]
        return {
            "type": "array",
            "prefixItems": each,
            "items": False,
            "minItems": size,
            "maxItems": size,
        }

    def _union(self, parts: list[ast.expr], hint: ast.expr) -> Schema:
        schemas: list[Schema] = []
        for part in parts:
            schema = self.schema(part)
            if not schema:
                return {}
            if schema not in schemas:
                schemas.append(schema)
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

    def _class(self, node: ast.ClassDef, hint: ast.expr) -> Schema:
        bases = {_last(b) for b in node.bases if isinstance(b, ast.Name | ast.Attribute)}
        marks = {_last(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list}
        typed = "TypedDict" in bases
        if not typed and "dataclass" not in marks:
            raise _unsupported(hint, "is a class, but no TypedDict or dataclass")
        total = not any(
            k.arg == "total" and isinstance(k.value, ast.Constant) and k.value.value is False
            for k in node.keywords
        )
        properties: dict[str, Schema] = {}
        required = []
        for each in node.body:
            if not isinstance(each, ast.AnnAssign) or not isinstance(each.target, ast.Name):
                continue
            name = each.target.id
            properties[name] = self.schema(each.annotation)
            needed = total and not _marked(each.annotation, "NotRequired") if typed else True
            if (needed or _marked(each.annotation, "Required")) and each.value is None:
                required.append(name)
        return _object(properties, required)


def _object(properties: Schema, required: list[str]) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def _marked(hint: ast.expr, mark: str) -> bool:
    return (
        isinstance(hint, ast.Subscript)
        and isinstance(hint.value, ast.Name | ast.Attribute)
        and _last(hint.value) == mark
    )


def _aliases(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value


def _last(hint: ast.expr) -> str:
    match hint:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _flat(*parts: ast.expr) -> list[ast.expr]:
    flat: list[ast.expr] = []
    for part in parts:
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.BitOr):
            flat += _flat(part.left, part.right)
        else:
            flat.append(part)
    return flat


def _quoted(text: str, hint: ast.expr) -> ast.expr:
    try:
        inner = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _unsupported(hint) from error
    return ast.copy_location(inner, hint)


def _literal(node: ast.expr, name: str) -> Any:
    """Return a default or an enum value, if JSON has it."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise _no_json(node, name) from error
    if not _is_json(value):
        raise _no_json(node, name)
    return list(value) if isinstance(value, tuple) else value


def _no_json(node: ast.expr, name: str) -> Exception:
    what = f"the value `{ast.unparse(node)[:80]}` of `{name}` is no JSON"
    fix = "write a string, number, True, False, None, or a list or dict of those"
    return refused("default", getattr(node, "lineno", 1), what, fix)


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_json(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(_is_json(item) for item in value)
    if isinstance(value, float):
        return value == value and abs(value) != float("inf")
    return value is None or isinstance(value, str | int)


def _unsupported(hint: ast.expr, why: str = "has no JSON schema") -> Exception:
    what = f"the type `{ast.unparse(hint)[:80]}` {why}"
    return refused("annotation", getattr(hint, "lineno", 1), what, f"use {SUPPORTED}")


def _parameter_texts(docstring: str) -> dict[str, str]:
    """Return what a docstring says of each parameter: Google's style, and `:param x: …`."""
    texts: dict[str, str] = {}
    inside, name, indent = False, "", 0
    for line in inspect.cleandoc(docstring).splitlines():
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        if _SECTION.match(text):
            inside, name, indent = True, "", 0
            continue
        if _OTHER_SECTION.match(text) or (inside and text and depth == 0):
            inside = False
        found = _PARAMETER.match(text) if inside or text.startswith(":param ") else None
        # A deeper line continues the text above it, even if it looks like `word: …`.
        if found and not (name and inside and depth > indent):
            name, indent = found["name"], depth
            texts[name] = found["text"].strip()
        elif name and inside and text:
            texts[name] += " " + text
        elif not text or not inside:
            name = ""
    return texts
