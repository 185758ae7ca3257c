"""An immutable map whose changed copies share almost everything with the original.

A tree of 64-way nodes over the key's hash, with small dictionaries as leaves. A change
copies one leaf and the two or three nodes above it, whatever the size; a look-up costs a
few hundred nanoseconds. Keys are strings; order means nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

V = TypeVar("V")
Node: TypeAlias = "dict[str, Any] | tuple[Node, ...]"

BITS = 6
FAN_OUT = 1 << BITS
LEAF = 96
"""Entries of a leaf at most: copying a dictionary of this size costs about 1 µs."""
DEPTH = 10
"""60 bits of hash; keys that share all of them stay in one leaf, however many."""


class PersistentMap(Generic[V]):
    """A map that is never changed: `changed` returns another one."""

    __slots__ = ("_root", "_size")

    def __init__(self, items: Mapping[str, V] | None = None) -> None:
        self._size = len(items or {})
        self._root: Node = _build(dict(items or {}), 0)

    def get(self, key: str) -> V | None:
        """Return the value, or None."""
        node = self._root
        rest = hash(key)
        while type(node) is tuple:
            node = node[rest & FAN_OUT - 1]
            rest >>= BITS
        return node.get(key)  # type: ignore[union-attr]  # only a leaf is no tuple

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def values(self) -> Iterator[V]:
        """Yield all values, in no order."""
        return _values(self._root)

    def changed(self, key: str, value: V | None) -> "PersistentMap[V]":
        """Return a copy with `key` set, or without it when `value` is None."""
        old = self.get(key)
        if value is None and old is None:
            return self
        copy: PersistentMap[V] = PersistentMap()
        copy._root = _set(self._root, key, value, hash(key), 0)
        copy._size = self._size + (old is None) - (value is None)
        return copy


def _build(items: dict[str, Any], depth: int) -> Node:
    if len(items) <= LEAF or depth == DEPTH:
        return items
    parts: list[dict[str, Any]] = [{} for _ in range(FAN_OUT)]
    shift = depth * BITS
    for key, value in items.items():
        parts[hash(key) >> shift & FAN_OUT - 1][key] = value
    return tuple(_build(part, depth + 1) for part in parts)


def _set(node: Node, key: str, value: Any, rest: int, depth: int) -> Node:
    if isinstance(node, dict):
        leaf = dict(node)
        if value is None:
            del leaf[key]
            return leaf
        leaf[key] = value
        return _build(leaf, depth)
    at = rest & FAN_OUT - 1
    child = _set(node[at], key, value, rest >> BITS, depth + 1)
    return (*node[:at], child, *node[at + 1 :])


def _values(node: Node) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.values()
        return
    for child in node:
        yield from _values(child)
