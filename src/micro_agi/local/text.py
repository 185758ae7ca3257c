"""Bytes of a file as text and back, without changing what was not meant to change.

A byte order mark and the encoding stay as they were; line endings are the caller's business
and are found out here. What holds NUL bytes and is no UTF-16 is binary, and no text at all.
"""

import codecs
from typing import Literal

from msgspec import Struct

from micro_agi.errors import ToolFailed

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
FALLBACK = "cp1252"
"""What text that is no UTF-8 most likely is; five bytes mean nothing in it."""
LOOK_AT = 8192
"""Bytes in which a NUL makes a file binary: the same look that git takes."""
KINDS = (
    *((b"\x89PNG", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image")),
    *((b"%PDF", "a PDF document"), (b"PK\x03\x04", "a zip archive"), (b"\x1f\x8b", "gzip")),
    *((b"\x7fELF", "a program"), (b"SQLite format 3", "a SQLite database"), (b"PAR1", "parquet")),
)

Newline = Literal["\n", "\r\n", "mixed"]


class Text(Struct, frozen=True, kw_only=True):
    """What a file says, and how it says it."""

    text: str
    """With the line endings that the file has, without a byte order mark."""
    encoding: str
    bom: bytes = b""

    @property
    def newline(self) -> Newline:
        """How lines end: one way, or mixed."""
        windows = self.text.count("\r\n")
        if not windows:
            return "\n"
        return "\r\n" if windows == self.text.count("\n") else "mixed"

    def bytes_with(self, text: str) -> bytes:
        """Return another text the way this file writes.

        Raises: ToolFailed when its encoding lacks a character.
        """
        try:
            return self.bom + text.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise ToolFailed(
                f"the file is {self.encoding}, which has no {text[error.start]!r}",
                where=f"character {error.start}",
                fix="use other characters, or write the whole file anew as UTF-8",
            ) from error


def is_binary(head: bytes) -> bool:
    """Whether bytes from the beginning of a file are no text."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    return b"\0" in head[:LOOK_AT]


def kind_of(head: bytes) -> str:
    """Return what a binary file seems to be."""
    return next((kind for magic, kind in KINDS if head.startswith(magic)), "binary data")


def encoding_of(head: bytes) -> tuple[str, bytes]:
    """Return the encoding and the byte order mark that the beginning of a file shows."""
    for bom, name in BOMS:
        if head.startswith(bom):
            return name, bom
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(head)  # a character may be cut at the end of what was read
    except UnicodeDecodeError:
        return FALLBACK, b""
    return "utf-8", b""


def decode(data: bytes, shown: str) -> Text:
    """Read a whole file's bytes as text.

    Raises: ToolFailed for a binary one, saying what it is.
    """
    if is_binary(data):
        raise binary(shown, data)
    encoding, bom = encoding_of(data)
    try:
        return Text(text=data[len(bom) :].decode(encoding), encoding=encoding, bom=bom)
    except UnicodeDecodeError:
        # Every byte is a character in Latin 1, so this file goes back as it came.
        return Text(text=data.decode("latin-1"), encoding="latin-1")


def binary(shown: str, head: bytes) -> ToolFailed:
    """Return the error of a text tool for a binary file."""
    return ToolFailed(
        f"`{shown}` is no text but {kind_of(head)}",
        where=shown,
        fix="use a tool for such files: data_view for tables, pyexe for the rest",
    )
