"""Cut a stream of server-sent events into the data of its frames, however the bytes arrive.

Only `data` fields are kept: both dialects name the event's type inside the JSON. Comments,
ids, names and retry times are dropped. Lines may end in LF, CRLF or CR, split anywhere.
A stream's memory is bounded by one frame.
"""

from micro_agi.errors import LimitReached

MAX_FRAME_BYTES = 32 << 20


class Frames:
    """Feed it bytes; it returns the data of every frame that became complete."""

    __slots__ = ("_pending", "_pending_bytes", "_skip_newline", "_started")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._skip_newline = False
        """The last piece ended in CR, so a LF at the start of the next belongs to it."""
        self._started = False

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next bytes and return the data of the frames they complete, in order.

        Raises: LimitReached when one frame is larger than 32 MiB.
        """
        if self._skip_newline and piece:
            self._skip_newline = False
            piece = piece.removeprefix(b"\n")
        if b"\r" in piece:
            self._skip_newline = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not piece:
            return []
        end = piece.rfind(b"\n\n")
        if end < 0 and not (
            self._pending and piece[:1] == b"\n" and self._pending[-1][-1:] == b"\n"
        ):
            self._keep(piece)
            return []
        # Joining only now keeps a frame that comes in many pieces linear.
        text = b"".join((*self._pending, piece))
        self._pending.clear()
        self._pending_bytes = 0
        *complete, rest = text.split(b"\n\n")
        if rest:
            self._keep(rest)
        return self._data(complete)

    def finish(self) -> list[bytes]:
        """Return the data of a last frame that the end of the stream cut short, if any."""
        rest = b"".join(self._pending)
        self._pending.clear()
        return self._data([rest])

    def _keep(self, piece: bytes) -> None:
        self._pending.append(piece)
        self._pending_bytes += len(piece)
        if self._pending_bytes > MAX_FRAME_BYTES:
            raise LimitReached(
                f"one event of the stream is over {MAX_FRAME_BYTES >> 20} MiB",
                fix="the server does not speak server-sent events; check --base-url",
            )

    def _data(self, frames: list[bytes]) -> list[bytes]:
        if not self._started and frames:
            self._started = True
            frames[0] = frames[0].removeprefix(b"\xef\xbb\xbf")
        found = []
        for frame in frames:
            # The usual frame is one `data:` line with one space.
            if frame.startswith(b"data: ") and b"\n" not in frame:
                found.append(frame[6:])
            elif frame:
                lines = [_value(line) for line in frame.split(b"\n") if _is_data(line)]
                if lines:
                    found.append(b"\n".join(lines))
        return found


def _is_data(line: bytes) -> bool:
    return line.startswith(b"data:") or line == b"data"


def _value(line: bytes) -> bytes:
    return line[5:].removeprefix(b" ")
