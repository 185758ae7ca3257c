"""Check a value that a worker sent and make it JSON; nothing else goes further.

A compromised worker can send any msgpack: extension types, timestamps, keys that are no
strings, deep nesting. All that is refused. What honest Lua code can produce and JSON cannot
hold is changed: NaN and infinities become null, bytes that are not UTF-8 become text with
replacement characters (or stay bytes, for the host functions that want them).

Source: spec/sandbox.md 2.3 and 6 "Protocol".
"""

import math
from typing import Any

LARGEST = (1 << 63) - 1


class NotPlain(ValueError):
    """The value is nothing that a worker may send; the worker is not to be trusted."""


def plain(value: Any, nesting: int, keep_bytes: bool = False) -> Any:
    """Return `value` as JSON.

    Raises:
        NotPlain: it holds something that no honest worker sends.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if -LARGEST - 1 <= value <= LARGEST:
            return value
        raise NotPlain("an integer of more than 64 bits")
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is bytes:
        return value if keep_bytes else value.decode("utf-8", "replace")
    if nesting < 0:
        raise NotPlain("nested too deeply")
    if kind is list:
        return [plain(item, nesting - 1, keep_bytes) for item in value]
    if kind is dict:
        return {_key(key): plain(item, nesting - 1, keep_bytes) for key, item in value.items()}
    raise NotPlain(f"a {kind.__name__}")


def _key(key: Any) -> str:
    if type(key) is str:
        return key
    if type(key) is bytes:
        return key.decode("utf-8", "replace")
    raise NotPlain(f"a key that is a {type(key).__name__}")
