"""Carry a list of byte strings through one: how accelerators take and return several.

Each item is its length, four bytes little-endian, and its bytes: Lua reads it with the
format `s4` of `string.unpack`.
"""

import struct
from collections.abc import Iterable

LENGTH = struct.Struct("<I")


def pack(items: Iterable[bytes]) -> bytes:
    """Return the items behind each other, each with its length."""
    parts: list[bytes] = []
    for item in items:
        parts += (LENGTH.pack(len(item)), item)
    return b"".join(parts)


def unpack(packed: bytes) -> list[bytes]:
    """Return the items that trusted Lua packed."""
    items, at = [], 0
    while at < len(packed):
        (length,) = LENGTH.unpack_from(packed, at)
        at += LENGTH.size
        items.append(packed[at : at + length])
        at += length
    return items
