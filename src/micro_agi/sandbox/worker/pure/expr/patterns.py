"""Compile regular expressions with the linear-time engine, within bounds."""

from typing import Any

import re2

from micro_agi.sandbox.worker.pure.expr.limits import ExpressionError

MOST_CHARACTERS = 1000
MEMORY_BYTES = 1 << 20
"""For one compiled pattern; `((a{100}){100}){100}` would like more and is refused."""


def compiled(pattern: str) -> Any:
    """Return the pattern compiled.

    Raises:
        ExpressionError: it is no regular expression, or too long.
    """
    if len(pattern) > MOST_CHARACTERS:
        raise ExpressionError(f"a pattern longer than {MOST_CHARACTERS} characters")
    options = re2.Options()
    options.max_mem = MEMORY_BYTES
    # It would write to standard error, which the filter punishes.
    options.log_errors = False
    try:
        return re2.compile(as_bytes(pattern), options=options)
    except re2.error as error:
        # The engine's message is bytes where the pattern is.
        reason = error.args[0].decode("utf-8", "replace")
        raise ExpressionError(f"not a regular expression: {reason}") from None


def as_bytes(text: str) -> bytes:
    """Return the bytes that Lua sent: text that is not UTF-8 is escaped inside."""
    return text.encode("utf-8", "surrogateescape")
