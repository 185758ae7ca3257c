"""The filter language of `find`: a table of criteria that must all hold.

`{".kind": "function.*", "meta.type": "tool", "*meta.tags": "time"}`. A key that is not
understood is an error: ignoring it would return more than was asked for, and callers act
on what they get.

Source: spec/runtime.md 1.6. Differs: `kind`, `name`, `ns`, `namespace`, `id` and
`meta = {…}` are accepted; unknown keys, operands of a wrong type and invalid patterns
are errors, where the documents' runtime ignores the criterion (DESIGN 5).
"""

from collections.abc import Callable, Mapping
from typing import Any

import re2
from msgspec import Struct

from micro_agi.errors import EntryInvalid
from micro_agi.registry.entry import Entry
from micro_agi.values import nearest

FIELDS = {
    ".kind": "kind",
    ".name": "name",
    ".ns": "namespace",
    ".id": "id",
    "kind": "kind",
    "name": "name",
    "ns": "namespace",
    "namespace": "namespace",
    "id": "id",
}
OPERATORS = ("*", "^", "$", "~")
KNOWN = (*FIELDS, "meta", "meta.<field>", *(f"{o}meta.<field>" for o in OPERATORS))

EXACT = ("id", "namespace", "kind")
"""Fields with an index, when the glob has no star."""

Test = Callable[[Entry], bool]


class Filter(Struct, frozen=True):
    """A compiled filter: what must be equal, for an index to use, and what else must hold."""

    equal: Mapping[str, str]
    """Exact `id`, `namespace`, `kind` or `meta.type` that every hit has."""
    tests: tuple[Test, ...]

    def matches(self, entry: Entry) -> bool:
        """Whether all criteria hold."""
        return all(test(entry) for test in self.tests)


def compile_filter(criteria: Mapping[str, Any] | None) -> Filter:
    """Read a filter; an empty one matches everything.

    Raises: EntryInvalid naming the key, and the known ones.
    """
    if criteria is not None and not isinstance(criteria, Mapping):
        raise EntryInvalid("filter criteria table required", where="find")
    equal: dict[str, str] = {}
    tests: list[Test] = []
    for key, wanted in _flat(criteria or {}):
        tests.append(_criterion(key, wanted))
        name = FIELDS.get(key, key)
        exact = name == "meta.type" or (name in EXACT and "*" not in str(wanted))
        if exact and isinstance(wanted, str):
            equal[name] = wanted
    return Filter(equal, tuple(tests))


def _flat(criteria: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Unfold `meta = {type = "tool"}` into `meta.type`."""
    flat: list[tuple[str, Any]] = []
    for key, wanted in criteria.items():
        if key != "meta":
            flat.append((key, wanted))
        elif isinstance(wanted, Mapping):
            flat += [(f"meta.{name}", value) for name, value in wanted.items()]
        elif wanted != []:  # an empty Lua table
            raise _wrong("meta", "a table of fields", wanted)
    return flat


def _criterion(key: Any, wanted: Any) -> Test:
    if key in FIELDS:
        if not isinstance(wanted, str):
            raise _wrong(key, "a string, where * stands for anything", wanted)
        return _glob(FIELDS[key], wanted)
    if isinstance(key, str):
        operator = key[0] if key[:1] in OPERATORS else ""
        prefix, _, name = key[len(operator) :].partition(".")
        if prefix == "meta" and name:
            return _operator(operator, key, name, wanted) if operator else _equality(name, wanted)
    near = nearest(str(key), KNOWN) or list(KNOWN)
    if isinstance(key, str) and key.isidentifier():
        near = [f"meta.{key}", *near]
    raise EntryInvalid(
        f"`{key}` is no criterion of find", where="find", fix=f"known are: {', '.join(near)}"
    )


def _wrong(key: str, expected: str, got: Any) -> EntryInvalid:
    return EntryInvalid(
        f"`{key}` wants {expected}, not {type(got).__name__}",
        where=f"find at {key}",
        fix=f"known criteria are: {', '.join(KNOWN)}",
    )


def _glob(name: str, pattern: str) -> Test:
    """Only the first star is special, anywhere; the rest is literal."""
    before, star, after = pattern.partition("*")
    if not star:
        return lambda entry: getattr(entry, name) == pattern
    shortest = len(before) + len(after)

    def matches(entry: Entry) -> bool:
        text: str = getattr(entry, name)
        return len(text) >= shortest and text.startswith(before) and text.endswith(after)

    return matches


def _equality(name: str, wanted: Any) -> Test:
    if isinstance(wanted, list | tuple):

        def has_all(entry: Entry) -> bool:
            items = entry.meta.get(name)
            return isinstance(items, list) and all(
                any(same(item, want) for item in items) for want in wanted
            )

        return has_all
    return lambda entry: same(entry.meta.get(name), wanted)


def same(left: Any, right: Any) -> bool:
    """Compare JSON values: numbers by value, 42 and 42.0 alike; true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def _operator(operator: str, key: str, name: str, wanted: Any) -> Test:
    if not isinstance(wanted, str):
        raise _wrong(key, "a string", wanted)
    if operator == "*":
        return lambda entry: _contains(entry.meta.get(name), wanted)
    if operator == "~":
        search = _pattern(key, wanted)
        return lambda entry: _text(entry, name) is not None and search(_text(entry, name))
    if operator == "^":
        return lambda entry: (_text(entry, name) or "").startswith(wanted) and _has(entry, name)
    return lambda entry: (_text(entry, name) or "").endswith(wanted) and _has(entry, name)


def _contains(value: Any, wanted: str) -> bool:
    if isinstance(value, str):
        return wanted in value
    if isinstance(value, list):
        return any(isinstance(item, str) and wanted in item for item in value)
    return False


def _text(entry: Entry, name: str) -> str | None:
    value = entry.meta.get(name)
    return value if isinstance(value, str) else None


def _has(entry: Entry, name: str) -> bool:
    return isinstance(entry.meta.get(name), str)


def _pattern(key: str, wanted: str) -> Callable[[str | None], bool]:
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(wanted, options)
    except re2.error as error:
        raise EntryInvalid(
            f"`{wanted}` is no pattern: {_message(error)}",
            where=f"find at {key}",
            fix="patterns are RE2: no look-around, no back-references",
        ) from error
    return lambda text: text is not None and compiled.search(text) is not None


def _message(error: Exception) -> str:
    """RE2 gives bytes."""
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
