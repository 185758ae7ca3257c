"""Read what a person or a pipe says, one line at a time, without losing any of it.

`Reader` is what the loop needs; `LineReader` reads any descriptor line by line. The
editing one for real terminals is in `prompt.py`, so that a pipe never imports it.

Reads wait on the event loop, not in a thread: a thread that blocks in `read` cannot be
stopped when the program is told to end.
"""

import asyncio
import codecs
import contextlib
import os
import termios
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Protocol

from micro_agi.terminal.output import Output

CHUNK_BYTES = 65_536

Choices = Callable[[str], Iterable[tuple[str, str]]]
"""From the text before the cursor to (word, meaning) pairs that could end it."""


class End(Enum):
    """Why there is no line."""

    EOF = "eof"
    INTERRUPT = "interrupt"
    """Ctrl-C."""


class Reader(Protocol):
    """Where lines come from."""

    @property
    def interactive(self) -> bool:
        """Whether a person is there to answer questions."""
        ...

    async def read(self, prompt: str) -> str | End:
        """Read a message; it may have several lines where the reader allows that."""
        ...

    async def ask(self, prompt: str) -> str | End:
        """Read the answer to a question: one line, kept out of the history."""
        ...

    def interrupt(self) -> bool:
        """End the read under way with `INTERRUPT`; False when nothing is being read."""
        ...

    def learn(self, *, history: Path | None, choices: Choices) -> None:
        """Keep a history there, and complete with these words, if the reader can."""
        ...


class LineReader:
    """Lines of a descriptor: a pipe, a file, or a terminal without editing."""

    def __init__(self, descriptor: int, *, prompts: Output, questions: Output) -> None:
        self.interactive = os.isatty(descriptor)
        self._descriptor = descriptor
        self._prompts = prompts
        self._questions = questions
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._ended = False
        self._waiting: asyncio.Future[bool] | None = None

    async def read(self, prompt: str) -> str | End:
        """Read a line; one from a pipe is echoed, so that the output is the whole transcript."""
        return await self._line(prompt, self._prompts)

    async def ask(self, prompt: str) -> str | End:
        """Read an answer."""
        return await self._line(prompt, self._questions)

    def interrupt(self) -> bool:
        """End the read under way."""
        if self._waiting is None or self._waiting.done():
            return False
        self._waiting.set_result(False)
        return True

    def learn(self, *, history: Path | None, choices: Choices) -> None:
        """Neither is of use without editing."""

    async def _line(self, prompt: str, output: Output) -> str | End:
        output.write(prompt)
        output.flush()
        line = await self._next()
        if isinstance(line, End):
            output.write("\n")
        elif not self.interactive:
            output.write(line + "\n")
        output.flush()
        return line

    async def _next(self) -> str | End:
        searched = 0
        while (at := self._text.find("\n", searched)) < 0:
            searched = len(self._text)
            if self._ended:
                rest, self._text = self._text, ""
                return rest or End.EOF
            if not await self._readable():
                return End.INTERRUPT
            self._take()
        line, self._text = self._text[:at], self._text[at + 1 :]
        return line.removesuffix("\r")

    def _take(self) -> None:
        """Read what there is; the end stays the end, since a pipe would say it for ever."""
        try:
            chunk = os.read(self._descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            # The terminal was hung up.
            chunk = b""
        self._text += self._decoder.decode(chunk, final=not chunk)
        self._ended = not chunk

    async def _readable(self) -> bool:
        """Wait until there is something to read; False when interrupted."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        self._waiting = waiting

        def ready() -> None:
            if not waiting.done():
                waiting.set_result(True)

        try:
            loop.add_reader(self._descriptor, ready)
        except PermissionError:
            # A plain file cannot be waited for: it is always ready.
            return True
        try:
            return await waiting
        finally:
            loop.remove_reader(self._descriptor)
            self._waiting = None


class GivenLines:
    """Lines known beforehand, shown as if they had been typed: demonstrations and tests."""

    interactive = False

    def __init__(self, lines: Iterable[str], *, prompts: Output) -> None:
        self._lines = iter(lines)
        self._prompts = prompts

    async def read(self, prompt: str) -> str | End:
        """Return the next line."""
        line = next(self._lines, None)
        if line is None:
            return End.EOF
        self._prompts.write(f"{prompt}{line}\n")
        return line

    async def ask(self, prompt: str) -> str | End:
        """Answer nothing."""
        return End.EOF

    def interrupt(self) -> bool:
        """There is never a read to end."""
        return False

    def learn(self, *, history: Path | None, choices: Choices) -> None:
        """Neither is of use here."""


@contextlib.contextmanager
def quiet(descriptor: int) -> Iterator[None]:
    """Keep typed keys off the screen while a turn draws on it; they are read by the next prompt.

    Ctrl-C still interrupts.
    """
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    silent = termios.tcgetattr(descriptor)
    silent[3] &= ~(termios.ECHO | termios.ICANON)
    # TCSANOW keeps what was typed already; flushing would lose it.
    termios.tcsetattr(descriptor, termios.TCSANOW, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
