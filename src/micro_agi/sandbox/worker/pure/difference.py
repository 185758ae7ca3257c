"""Compare texts and make and apply patches for `text.diff`, with diff-match-patch.

Texts arrive as valid UTF-8 (Lua checks) and are compared by characters. A comparison stops
refining at its timeout, so its result is right in any case but not always the shortest.
"""

import struct
from collections.abc import Callable
from typing import Any

from diff_match_patch import diff_match_patch

from micro_agi.sandbox.worker.pure.lists import pack, unpack

OPTIONS = struct.Struct("<dqdqdq")

FAILED = b"E"
PARTLY = b"P"
WHOLLY = b"V"


def _differ(options: bytes) -> Any:
    """Return the library's object with options in the order of the documents."""
    differ = diff_match_patch()
    (
        differ.Diff_Timeout,
        differ.Diff_EditCost,
        differ.Match_Threshold,
        differ.Match_Distance,
        differ.Patch_DeleteThreshold,
        differ.Patch_Margin,
    ) = OPTIONS.unpack(options)
    return differ


def compare(options: bytes, old: bytes, new: bytes) -> bytes:
    """Return the differences, packed: `-`, `=` or `+` and the text."""
    found = _differ(options).diff_main(old.decode(), new.decode(), False)
    return pack(b"-=+"[sign + 1 : sign + 2] + text.encode() for sign, text in found)


def make(options: bytes, old: bytes, new: bytes) -> bytes:
    """Return the texts of the patches that turn `old` into `new`, packed."""
    patches = _differ(options).patch_make(old.decode(), new.decode())
    return pack(str(patch).encode() for patch in patches)


def apply(options: bytes, patches: bytes, text: bytes) -> bytes:
    """Return `WHOLLY` or `PARTLY` and the patched text, or `FAILED` and why."""
    differ = _differ(options)
    try:
        parsed = differ.patch_fromText("\n".join(p.decode() for p in unpack(patches)))
        patched, applied = differ.patch_apply(parsed, text.decode())
        return (WHOLLY if all(applied) else PARTLY) + bytes(patched.encode())
    except (ValueError, IndexError, RecursionError) as error:
        return FAILED + str(error).encode("utf-8", "replace")


ACCELERATORS: dict[str, Callable[..., bytes]] = {
    "diff_compare": compare,
    "patch_make": make,
    "patch_apply": apply,
}
