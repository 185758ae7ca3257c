"""Keep what a tool prints, up to a bound, apart from the value it returns."""

import io

HEAD = TAIL = 16_000
"""Characters kept of the beginning and of the end."""


class Output(io.TextIOBase):
    """A text stream that remembers its beginning and its end."""

    def __init__(self) -> None:
        self._head: list[str] = []
        self._head_size = 0
        self._tail = ""
        self._total = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        size = len(text)
        self._total += size
        room = HEAD - self._head_size
        if room > 0:
            self._head.append(text[:room])
            self._head_size += min(size, room)
            text = text[room:]
        if text:
            self._tail = (self._tail + text[-TAIL:])[-TAIL:]
        return size

    def text(self) -> str:
        """Return what was written, with a note in place of what was cut out."""
        if not self._total:
            return ""
        cut = self._total - self._head_size - len(self._tail)
        note = f"\n… {cut} characters cut …\n" if cut else ""
        # A lone surrogate can be printed, and is no UTF-8.
        whole = "".join(self._head) + note + self._tail
        return whole.encode("utf-8", "replace").decode()
