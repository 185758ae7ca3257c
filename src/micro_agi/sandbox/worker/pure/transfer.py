"""Encode and decode base64, strictly: the standard alphabet with padding."""

import binascii
from collections.abc import Callable

INVALID = b"\0"
VALID = b"\1"


def encode(data: bytes) -> bytes:
    """Return the base64 text of `data`, without line breaks."""
    return binascii.b2a_base64(data, newline=False)


def decode(text: bytes) -> bytes:
    """Return `VALID` and the data, or `INVALID`; carriage returns and line feeds are ignored."""
    text = text.translate(None, b"\r\n")
    # Strict mode lets padding behind a complete group of four pass.
    if len(text) % 4:
        return INVALID
    try:
        return VALID + binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return INVALID


ACCELERATORS: dict[str, Callable[..., bytes]] = {"base64_encode": encode, "base64_decode": decode}
