"""Split texts into chunks for `text.splitter`.

A chunk is as many neighbouring pieces as fit; pieces come from the first separator that the
text has, and a piece that is too long is split again by the separators behind it. The next
chunk begins with the last pieces of the one before, as many as the overlap holds.

Lengths are characters. Source: spec/runtime.md 6.8; the method is the recursive character
splitter of the libraries that the documents name, measured with its quirk: white space at
both ends of a joined chunk goes.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from micro_agi.sandbox.worker.pure.lists import pack, unpack

MAX_OUTPUT = 16 << 20
"""Characters in all chunks: overlap can make much out of little."""

TOO_MUCH = b"E"
SPLIT = b"V"


class TooMuch(Exception):
    """The chunks would take more than `MAX_OUTPUT`."""


@dataclass(slots=True)
class Splitter:
    """Sizes, separators, and what is left of the output limit."""

    size: int
    overlap: int
    separators: Sequence[str]
    keep: bool = False
    left: int = MAX_OUTPUT

    def split(self, text: str) -> list[str]:
        """Return the chunks of `text`.

        Raises: TooMuch.
        """
        return self._split(text, 0)

    def _split(self, text: str, first: int) -> list[str]:
        at = self._usable(text, first)
        separator = self.separators[at]
        pieces = list(text) if separator == "" else text.split(separator)
        if self.keep and separator:
            pieces = [pieces[0], *(separator + piece for piece in pieces[1:])]
            separator = ""
        chunks: list[str] = []
        fitting: list[str] = []
        for piece in pieces:
            if len(piece) < self.size:
                fitting.append(piece)
                continue
            chunks += self.join(fitting, separator)
            fitting = []
            if at + 1 < len(self.separators):
                chunks += self._split(piece, at + 1)
            else:
                self._spend(len(piece))
                chunks.append(piece)
        return chunks + self.join(fitting, separator)

    def _usable(self, text: str, first: int) -> int:
        """Return the index of the first separator the text has, else of the last one."""
        last = len(self.separators) - 1
        return next((n for n in range(first, last) if self.separators[n] in text), last)

    def join(self, pieces: Sequence[str], separator: str) -> list[str]:
        """Join neighbours into chunks of at most `size`, each beginning with the overlap."""
        chunks: list[str] = []
        window: deque[str] = deque()
        length, gap = 0, len(separator)
        for piece in pieces:
            if window and length + gap + len(piece) > self.size:
                self._add(separator.join(window), chunks)
                while window and (length > self.overlap or length + gap + len(piece) > self.size):
                    length -= len(window.popleft()) + (gap if window else 0)
            length += len(piece) + (gap if window else 0)
            window.append(piece)
        self._add(separator.join(window), chunks)
        return chunks

    def _add(self, chunk: str, chunks: list[str]) -> None:
        chunk = chunk.strip()
        if chunk:
            self._spend(len(chunk))
            chunks.append(chunk)

    def _spend(self, characters: int) -> None:
        self.left -= characters
        if self.left < 0:
            raise TooMuch


def too_much() -> bytes:
    """Return the answer for a text whose chunks are too much."""
    return TOO_MUCH + f"the chunks would hold more than {MAX_OUTPUT} characters".encode()


def recursive(size: bytes, overlap: bytes, keep: bytes, separators: bytes, text: bytes) -> bytes:
    """Return `SPLIT` and the packed chunks, or `TOO_MUCH` and why."""
    words = [word.decode() for word in unpack(separators)]
    try:
        chunks = Splitter(int(size), int(overlap), words, keep == b"1").split(text.decode())
    except TooMuch:
        return too_much()
    return SPLIT + pack(chunk.encode() for chunk in chunks)


ACCELERATORS: dict[str, Callable[..., bytes]] = {"split_recursive": recursive}
