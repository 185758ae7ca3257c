"""The plain values that every part passes around: JSON, entry ids, hashes, secrets.

Pure: no state, no input or output.
"""

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"


class EntryId(NamedTuple):
    """A parsed entry id; `str(id)` is its text `namespace:name`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}:{self.name}"


def parse_id(text: str, *, default_namespace: str = "") -> EntryId:
    """Split `namespace:name` at the first colon; without one, use `default_namespace`.

    Never fails: ids have no forbidden characters (spec/runtime.md 1.1).

    >>> parse_id("app.tools:x")
    EntryId(namespace='app.tools', name='x')
    >>> parse_id("agent_security", default_namespace="app")
    EntryId(namespace='app', name='agent_security')
    """
    namespace, colon, name = text.partition(":")
    return EntryId(namespace, name) if colon else EntryId(default_namespace, text)


_canonical = msgspec.json.Encoder(order="deterministic")


def canonical_json(value: Any) -> bytes:
    """Encode JSON with sorted keys and no spaces, so that equal values have equal bytes."""
    return _canonical.encode(value)


def content_hash(value: Any) -> str:
    """Return the SHA-256 of `canonical_json(value)`, in hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def nearest(wanted: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """Return the known names most like `wanted`, best first, for the `fix` of an error."""
    return difflib.get_close_matches(wanted, list(known), n=count, cutoff=0.5)


class Secret:
    """A string that never prints: only `reveal()` gives it away.

    It has no equality, no hash of its content and cannot be encoded, so a slip shows as
    an error or as `Secret('***')`, not as the key.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text; call it only where the secret goes onto its own wire."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled or copied out of the process")


def as_object(value: Any) -> Mapping[str, Any]:
    """Return `value` if it is a mapping, else an empty one; for optional parts of parsed data."""
    return value if isinstance(value, Mapping) else {}
