"""Say a JSON Schema in the words that Anthropic's output format enforces, as far as they go.

What only narrows a value (a minimum, a pattern, a length) is left out: the answer is checked
against the whole schema anyway. What would forbid values that the schema allows has no such
words, and then there is none: the answer is an object, objects have no properties but those
that are listed, so a map with free keys cannot be said, and nothing may refer to itself.

Source: Anthropic's documentation of structured outputs, read in November 2026.
"""

from collections.abc import Mapping
from typing import Any

KEPT = frozenset(("type", "title", "description", "const", "default", "required"))
"""Mean the same there."""
NARROWING = frozenset(
    (
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType"),
        *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
        *("examples", "deprecated", "readOnly", "writeOnly", "$schema", "$id", "$comment"),
    )
)
FORMATS = frozenset(("date-time", "time", "date", "email", "uri", "uuid", "ipv4", "ipv6"))
_DEFINITIONS = ("$defs", "definitions")
_CHOICES = ("anyOf", "oneOf")
"""One of several, or exactly one: the second is checked by us."""


DEEPEST = 64


class _CannotSay(Exception):
    """The schema allows what the format would forbid."""


def closed_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema to send, or None when the service has no words for it.

    >>> closed_schema({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}})
    {'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'additionalProperties': False}
    >>> closed_schema({"type": "object"}) is None
    True
    """
    if schema.get("type") != "object":
        return None
    try:
        return _Closing(schema).node(schema, ())
    except _CannotSay:
        return None


class _Closing:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._followed: set[str] = set()
        """References that were found to lead nowhere near themselves."""
        self._depth = 0

    def node(self, value: Any, inside: tuple[str, ...]) -> dict[str, Any]:
        """Say one schema; `inside` are the references that led to it."""
        if not isinstance(value, Mapping) or not value or self._depth > DEEPEST:
            raise _CannotSay
        self._depth += 1
        said = self._said(value, inside)
        self._depth -= 1
        return said

    def _said(self, value: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for key, item in value.items():
            if key in KEPT:
                said[key] = item
            elif key == "enum":
                if any(isinstance(each, Mapping | list) for each in _list(item)):
                    raise _CannotSay
                said[key] = item
            elif key in _CHOICES:
                said["anyOf"] = [self.node(each, inside) for each in _list(item)]
            elif key == "items":
                said[key] = self.node(item, inside)
            elif key == "properties":
                said[key] = {name: self.node(each, inside) for name, each in _map(item).items()}
            elif key == "$ref":
                said[key] = self._reference(item, inside)
            elif key in _DEFINITIONS:
                said[key] = {
                    name: self.node(each, (*inside, f"#/{key}/{name}"))
                    for name, each in _map(item).items()
                }
            elif key == "format" and item in FORMATS:
                said[key] = item
            elif key not in NARROWING and key != "additionalProperties":
                raise _CannotSay
        if "properties" in value or _is_object(value):
            if not _map(value.get("properties")) or value.get("additionalProperties"):
                raise _CannotSay
            said["additionalProperties"] = False
        return said

    def _reference(self, reference: Any, inside: tuple[str, ...]) -> str:
        """Follow a reference, to see that it does not lead to itself."""
        parts = str(reference).split("/")
        if len(parts) != 3 or parts[0] != "#" or parts[1] not in _DEFINITIONS:
            raise _CannotSay
        if reference in inside:
            raise _CannotSay
        if reference not in self._followed:
            self.node(_map(self._root.get(parts[1])).get(parts[2]), (*inside, str(reference)))
            self._followed.add(str(reference))
        return str(reference)


def _is_object(value: Mapping[str, Any]) -> bool:
    kind = value.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _CannotSay
    return value
