"""Find regular expressions for `text.regexp`, with RE2: the time is linear in the text.

Positions go out, not texts: what is made of them (a substring, a replacement, a split) is
made in Lua, inside the call's heap limit. A text that is not UTF-8 is searched too, but no
pattern matches its broken bytes.

Which matches count is the rule of the documents' runtime: leftmost-first, not overlapping,
and an empty match right behind another match is no match. `re2.finditer` follows Python's
other rule, so the loop is here. Source: spec/runtime.md 6.8.
"""

from array import array
from collections.abc import Callable
from typing import Any

import re2

from micro_agi.sandbox.worker.pure.lists import pack

CACHED = 8
MAX_MEMORY = 4 << 20
"""Bytes one pattern may use, compiled and while it runs; RE2 falls back to less greedy
machines before it reaches them. All cached ones together stay within the worker's slack,
so that one call's patterns cannot starve the next call."""

REFUSED = b"E"
COMPILED = b"V"

_compiled: dict[bytes, Any] = {}


def _options() -> Any:
    options = re2.Options()
    # Errors are returned; a message on stderr would be a system call the worker may not make.
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    return options


def _compile(pattern: bytes) -> Any:
    """Return the compiled pattern; the one used longest ago makes room for a new one."""
    found = _compiled.pop(pattern, None)
    if found is None:
        found = re2.compile(pattern, _options())
        # The library keeps 128 of its own, which would be half a gigabyte.
        re2.purge()
        if len(_compiled) >= CACHED:
            _compiled.pop(next(iter(_compiled)))
    _compiled[pattern] = found
    return found


def check(pattern: bytes) -> bytes:
    """Return `COMPILED` and the packed names of the groups from 1, or `REFUSED` and why."""
    try:
        regexp = _compile(pattern)
    except re2.error as error:
        reason = error.args[0]
        return REFUSED + (reason if isinstance(reason, bytes) else str(reason).encode())
    names = {number: name for name, number in regexp.groupindex.items()}
    return COMPILED + pack(names.get(n, b"") for n in range(1, regexp.groups + 1))


def find(pattern: bytes, text: bytes, most: bytes) -> bytes:
    """Return where at most `most` matches are (`-1`: all).

    Shape: for the match and each group two 32-bit numbers: the byte where it starts, from
    0, and the byte behind its end; -1 twice for a group that took no part.
    """
    regexp, wanted = _compile(pattern), int(most)
    groups = range(regexp.groups + 1)
    spans = array("i")
    at, end, last, count = 0, len(text), -1, 0
    while at <= end and count != wanted:
        match = regexp.search(text, at)
        if match is None:
            break
        start, stop = match.span()
        if start == stop and _inside(text, start):
            # RE2 sees bytes: an empty match between the bytes of one character is none.
            at = start + 1
            continue
        if start != stop or start != last:
            for group in groups:
                spans.extend(match.span(group))
            count += 1
        at = stop if stop > at else at + _width(text, at)
        last = stop
    return spans.tobytes()


def _inside(text: bytes, at: int) -> bool:
    """Whether `at` is between the bytes of one character."""
    return at < len(text) and text[at] & 0xC0 == 0x80


def _width(text: bytes, at: int) -> int:
    """Return how many bytes the character at `at` has."""
    stop = at + 1
    while stop < len(text) and text[stop] & 0xC0 == 0x80:
        stop += 1
    return stop - at


# The first search of a process sets up the engine's tables: before the lock, not after.
find(rb"(?i)\bw(\pL+)?|$", "wärmt".encode(), b"-1")

ACCELERATORS: dict[str, Callable[..., bytes]] = {"regexp_check": check, "regexp_find": find}
