"""Read YAML strictly: what is written is what is meant, or it is an error with its place.

Only JSON's values come out. `on`, `yes` and `1:30` are texts, dates are texts, a key may
occur once and must be a text. Nesting, size and what aliases expand to are bounded, so a
small file cannot become a large value. Every error names file, line, column and key path.

The parser is libyaml's; the values are built from its events here, since the events carry
the places and need no recursion in C. Source: DESIGN 5, 14; YAML 1.2 core schema.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from msgspec import Struct, field

from micro_agi.errors import InputInvalid

MAX_BYTES = 32 << 20
MAX_DEPTH = 64
MAX_VALUES = 5_000_000
"""Values in one document, counting what aliases repeat."""

Path = tuple[str | int, ...]
Place = tuple[int, int]
"""Line and column, from 1."""

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_BASED = re.compile(r"0(o[0-7]+|x[0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_TAG = "tag:yaml.org,2002:"


class Document(Struct, frozen=True):
    """One file's value, and where each part of it stands."""

    file: str
    value: Any
    places: Mapping[Path, Place] = field(default_factory=dict)

    def where(self, path: Path) -> str:
        """Return `file:line:column at key.path` for a part, or for what is nearest around it."""
        at = path
        while at and at not in self.places:
            at = at[:-1]
        place = self.places.get(at)
        position = f"{self.file}:{place[0]}:{place[1]}" if place else self.file
        return f"{position} at {path_text(path)}" if path else position


def path_text(path: Path) -> str:
    """Write a path as people do: `entries[2].policy.effect`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def load(text: str, file: str) -> Document:
    """Read one YAML document; an empty file is None.

    Raises: InputInvalid.
    """
    if len(text) > MAX_BYTES:
        raise InputInvalid(
            f"the file has {len(text)} characters", where=file, fix=f"{MAX_BYTES} are read"
        )
    reader = _Reader(text, file)
    try:
        return reader.read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise InputInvalid(
            f"this is no YAML: {error.problem or error.context}",
            where=f"{position} at {path_text(reader.path)}" if reader.path else position,
            fix="check the indentation and the quotes at this place",
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputInvalid(
            f"this is no YAML: {error.reason}", where=f"{file}:{line}", fix="remove the character"
        ) from error
    finally:
        reader.close()


class _Anchor(Struct):
    value: Any
    values: int
    """How many values it holds, itself included."""
    depth: int


class _Reader:
    """Builds one value from the parser's events, keeping the path to where it is."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._loader = yaml.CSafeLoader(text)
        self._anchors: dict[str, _Anchor | None] = {}
        self._places: dict[Path, Place] = {}
        self._values = 0
        self.path: Path = ()

    def close(self) -> None:
        self._loader.dispose()

    def read(self) -> Document:
        self._next()  # the stream's start
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            return Document(self._file, None)
        value, _ = self._value(self._next(), 0)
        self._next()  # the document's end
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._error(event, "a second document starts here", "keep one in a file")
        return Document(self._file, value, self._places)

    def _next(self) -> Any:
        return self._loader.get_event()

    def _value(self, event: Any, depth: int) -> tuple[Any, int]:
        """Return a value and how deep it is nested."""
        self._places[self.path] = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        self._count(event, 1)
        if depth > MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH}", "write it flatter")
        before = self._values - 1
        if event.anchor:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            value, deep = self._scalar(event), 0
        elif isinstance(event, yaml.SequenceStartEvent):
            value, deep = self._sequence(event, depth)
        else:
            value, deep = self._mapping(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(value, self._values - before, deep)
        return value, deep

    def _alias(self, event: Any, depth: int) -> tuple[Any, int]:
        if event.anchor not in self._anchors:
            raise self._error(event, f"`*{event.anchor}` stands for nothing", "define it before")
        anchor = self._anchors[event.anchor]
        if anchor is None:
            raise self._error(event, f"`*{event.anchor}` holds itself", "write the value out")
        self._count(event, anchor.values)
        if depth + anchor.depth > MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH}", "write it flatter")
        return anchor.value, anchor.depth

    def _sequence(self, event: Any, depth: int) -> tuple[list[Any], int]:
        self._check_tag(event, "seq")
        items: list[Any] = []
        deepest, outer = 0, self.path
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            self.path = (*outer, len(items))
            item, deep = self._value(event, depth + 1)
            items.append(item)
            deepest = max(deepest, deep + 1)
        self.path = outer
        return items, deepest

    def _mapping(self, event: Any, depth: int) -> tuple[dict[str, Any], int]:
        self._check_tag(event, "map")
        items: dict[str, Any] = {}
        deepest, outer = 0, self.path
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event, items)
            self.path = (*outer, key)
            item, deep = self._value(self._next(), depth + 1)
            items[key] = item
            deepest = max(deepest, deep + 1)
            self.path = outer
        return items, deepest

    def _key(self, event: Any, items: Mapping[str, Any]) -> str:
        key = self._scalar(event) if isinstance(event, yaml.ScalarEvent) else None
        if not isinstance(key, str):
            raise self._error(event, "a key must be a text", "put it in quotes")
        if key == "<<" and not event.style:
            raise self._error(event, "`<<` does not merge here", "write the keys out")
        if key in items:
            raise self._error(event, f"the key `{key}` occurs twice", "remove one of them")
        return key

    def _scalar(self, event: Any) -> Any:
        if event.tag not in (None, "!"):
            return self._tagged(event)
        if event.tag == "!" or not event.implicit[0]:
            return event.value  # quoted, a block, or said to be a text
        return self._plain(event)

    def _plain(self, event: Any) -> Any:
        """Resolve a word without quotes by YAML 1.2's core schema."""
        text: str = event.value
        if _NULL.fullmatch(text):
            return None
        if _TRUE.fullmatch(text):
            return True
        if _FALSE.fullmatch(text):
            return False
        if _INT.fullmatch(text):
            return self._integer(event, text, 10)
        if _BASED.fullmatch(text):
            return self._integer(event, text[2:], 8 if text[1] == "o" else 16)
        if _FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit():
            return self._float(event, text)
        if _NOT_JSON.fullmatch(text):
            raise self._error(event, f"{text} is no JSON number", "put it in quotes")
        return text

    def _integer(self, event: Any, digits: str, base: int) -> int:
        if len(digits) <= 20:
            number = int(digits, base)
            if -(1 << 63) <= number < 1 << 64:
                return number
        raise self._error(event, "the number does not fit in 64 bits", "put it in quotes")

    def _float(self, event: Any, text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise self._error(event, f"{text} is too large for a number", "put it in quotes")
        return number

    def _tagged(self, event: Any) -> Any:
        """Allow the tags of JSON's types where the text is one of that type."""
        name = event.tag.removeprefix(_TAG)
        if name == "str":
            return event.value
        expected: Mapping[str, Callable[[Any], bool]] = {
            "null": lambda v: v is None,
            "bool": lambda v: isinstance(v, bool),
            "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
            "float": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
        }
        if name in expected:
            value = self._plain(event)
            if expected[name](value):
                return float(value) if name == "float" else value
            raise self._error(event, f"`{event.value}` is no {name}", "correct it or its tag")
        raise self._tag_error(event)

    def _check_tag(self, event: Any, name: str) -> None:
        if event.tag not in (None, "!", _TAG + name):
            raise self._tag_error(event)

    def _tag_error(self, event: Any) -> InputInvalid:
        return self._error(event, f"the tag `{event.tag}` is not read", "leave the tag out")

    def _count(self, event: Any, values: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise self._error(
                event, f"it stands for more than {MAX_VALUES} values", "write less in one file"
            )

    def _error(self, event: Any, what: str, fix: str) -> InputInvalid:
        mark = event.start_mark
        position = f"{self._file}:{mark.line + 1}:{mark.column + 1}"
        where = f"{position} at {path_text(self.path)}" if self.path else position
        return InputInvalid(what, where=where, fix=fix)
