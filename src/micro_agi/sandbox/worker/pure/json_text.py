"""Parse JSON text for `json.decode`: the standard library's scanner, then `marshal`.

Both are C, and both are loaded anyway. `msgspec` is faster, but keeps the last of two equal
names without a word, and costs 20 ms at the zygote's start. What comes out is marshal's second
format, which is stable and simple enough for Lua to read in one step per value.

The scanner decides nothing on its own that the documents' rules decide otherwise: objects
come out as pairs, so that Lua sees duplicates; numbers that are no JSON are refused here;
whatever is refused, or may hold half a surrogate pair, Lua's own decoder reads again and
words the error.

Source: spec/runtime.md 6.2.
"""

import json
import marshal
import re
from collections.abc import Callable
from typing import Any

REFUSED = b""
FORMAT = 2
END = b"\0"
"""Lua reads the type of the next value together with each value, so there is one more."""
# `\ud83d` is half of a pair or half of nothing: which, Lua's decoder finds out.
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _refuse(word: str) -> Any:
    raise ValueError(word)


# An object becomes a tuple of pairs, where an array is a list.
_decode = json.JSONDecoder(object_pairs_hook=tuple, parse_constant=_refuse).raw_decode


def decode(text: bytes) -> bytes:
    """Return the first value of `text` in marshal's format, or `REFUSED`."""
    if b"\\" in text and SURROGATE.search(text):
        return REFUSED
    try:
        value, _ = _decode(text.decode().lstrip(" \t\r\n"))
        return marshal.dumps(value, FORMAT) + END
    except (ValueError, RecursionError):
        return REFUSED


ACCELERATORS: dict[str, Callable[..., bytes]] = {"json_decode": decode}
