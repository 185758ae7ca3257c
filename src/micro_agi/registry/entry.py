"""An entry: the unit of everything the registry holds.

Values are shared between snapshots and callers: read them, never change them. Whoever
wants to change one takes `as_dict()`, edits that copy and sends it through a change set.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from micro_agi.errors import EntryInvalid
from micro_agi.values import EntryId, content_hash, parse_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry. Two with the same id, kind, meta and data are equal."""

    id: str
    """`namespace:name`."""
    kind: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Searchable annotations, JSON."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Configuration as the kind wants it, JSON."""
    revision: int | None = field(default=None, compare=False)
    """Number of the version that wrote it; None outside a snapshot and for mounted entries."""
    _hash: str = field(default="", init=False, repr=False, compare=False)

    __hash__ = None  # type: ignore[assignment]  # it holds dictionaries; key by `id` or `hash`

    @property
    def namespace(self) -> str:
        """The part of the id before the first colon."""
        return self.id.partition(":")[0]

    @property
    def name(self) -> str:
        """The part of the id after the first colon."""
        return self.id.partition(":")[2]

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical content: id, kind, meta, data. Computed once."""
        if not self._hash:
            object.__setattr__(self, "_hash", content_hash(self.as_content()))
        return self._hash

    def as_dict(self) -> dict[str, Any]:
        """Return `{id, kind, meta, data}` as a deep copy, for wires and for editing."""
        return copy.deepcopy(self.as_content())

    def at_revision(self, revision: int | None) -> "Entry":
        """Return the same content as written by another version."""
        if revision == self.revision:
            return self
        copied = Entry(
            id=self.id, kind=self.kind, meta=self.meta, data=self.data, revision=revision
        )
        object.__setattr__(copied, "_hash", self._hash)
        return copied

    def as_content(self) -> dict[str, Any]:
        """Return `{id, kind, meta, data}` sharing its values: for encoding, not for editing."""
        return {
            "id": self.id,
            "kind": self.kind,
            "meta": dict(self.meta),
            "data": dict(self.data),
        }


def from_dict(value: Any) -> Entry:
    """Read an entry from Lua, JSON or a model; the input is copied.

    Shape: `id` is `"ns:name"` or `{ns, name}`; `meta` counts only if it is a map, and of it
    only string keys; `data` may be missing.
    Raises: EntryInvalid for a missing id or kind, or for values that are no JSON.
    """
    if not isinstance(value, Mapping):
        raise EntryInvalid("an entry must be a table", fix="give id, kind, meta and data")
    entry_id = read_id(value.get("id"))
    kind = value.get("kind")
    if not isinstance(kind, str) or not kind:
        raise EntryInvalid("entry must have kind field", where=str(entry_id))
    meta = value.get("meta")
    data = value.get("data")
    if data is not None and not isinstance(data, Mapping) and data != []:
        raise EntryInvalid(
            f"data must be a map, not {type(data).__name__}", where=f"{entry_id} at data"
        )
    return Entry(
        id=str(entry_id),
        kind=kind,
        meta=_json({k: v for k, v in meta.items() if isinstance(k, str)}, entry_id, "meta")
        if isinstance(meta, Mapping)
        else {},
        data=_json(dict(data or {}), entry_id, "data"),
    )


def read_id(value: Any) -> EntryId:
    """Read an id given as text or as `{ns, name}`.

    The parts are joined and split again, so that a namespace with a colon in it cannot
    mean one thing to a policy and another to the store.
    Raises: EntryInvalid.
    """
    if isinstance(value, str) and value:
        return parse_id(value)
    if isinstance(value, Mapping):
        namespace, name = value.get("ns"), value.get("name")
        if isinstance(namespace, str) and isinstance(name, str) and namespace and name:
            return parse_id(f"{namespace}:{name}")
        raise EntryInvalid("id requires ns and name fields", fix='write id = "namespace:name"')
    raise EntryInvalid("entry must have valid id field", fix='write id = "namespace:name"')


def decode(content: bytes, revision: int | None) -> Entry:
    """Rebuild an entry from the bytes that a version's row holds."""
    value = msgspec.json.decode(content)
    return Entry(
        id=value["id"],
        kind=value["kind"],
        meta=value["meta"],
        data=value["data"],
        revision=revision,
    )


def _json(value: dict[str, Any], entry_id: EntryId, part: str) -> dict[str, Any]:
    """Copy by way of JSON: what cannot be stored fails here, with its entry's id."""
    try:
        copied: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise EntryInvalid(f"{part} is no JSON: {error}", where=f"{entry_id} at {part}") from error
    return copied
