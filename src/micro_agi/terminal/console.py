"""Both directions of one terminal: what is drawn on it, what is read from it, who is asked.

Decides once what kind of terminal this is. Live needs a terminal on both sides that can
move its cursor, and nobody who said `--plain`; then rich and prompt_toolkit are imported,
the first only when something is drawn, so that the first prompt need not wait for it.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from msgspec import Struct, field

from micro_agi.settings import Settings
from micro_agi.terminal.approve import choose_approver
from micro_agi.terminal.input import End, LineReader, Reader, quiet
from micro_agi.terminal.output import Output
from micro_agi.terminal.render import PlainScreen, Screen
from micro_agi.terminal.text import printable

YES = frozenset({"y", "yes"})
WARM_AFTER_S = 0.1


class Streams(Struct, frozen=True, kw_only=True):
    """The three streams of a program."""

    input: TextIO = field(default_factory=lambda: sys.stdin)
    output: TextIO = field(default_factory=lambda: sys.stdout)
    errors: TextIO = field(default_factory=lambda: sys.stderr)


class Console:
    """One person's terminal, or the pipe in its place."""

    def __init__(
        self,
        settings: Settings,
        *,
        reader: Reader,
        output: Output,
        screen: Screen | None,
        descriptor: int = -1,
    ) -> None:
        """Take the parts; `open` makes them. Without a screen, a live one is made when needed."""
        self.reader = reader
        self.output = output
        self.interrupted: Callable[[], None] = leave
        """What Ctrl-C at a question does besides refusing; the loop sets it."""
        self._screen = screen
        self._descriptor = descriptor
        self.approver = choose_approver(settings, reader.interactive, self.ask_line, self.remark)

    @classmethod
    def open(cls, settings: Settings, *, streams: Streams | None = None) -> "Console":
        """Look at the streams and make what fits them."""
        streams = streams or Streams()
        output, errors = Output(streams.output), Output(streams.errors)
        descriptor = streams.input.fileno()
        if _is_live(settings, streams):
            # Only a real terminal pays for the import (0.1 s).
            from micro_agi.terminal.prompt import PromptReader

            return cls(
                settings,
                reader=PromptReader(),
                output=output,
                screen=None,
                descriptor=descriptor,
            )
        return cls(
            settings,
            reader=LineReader(descriptor, prompts=output, questions=errors),
            output=output,
            screen=PlainScreen(output, remarks=errors),
        )

    @property
    def live(self) -> bool:
        """Whether this is a real terminal that is drawn on."""
        return self._descriptor >= 0

    @property
    def screen(self) -> Screen:
        """What events are shown on."""
        if self._screen is None:
            # Imports rich (0.15 s): not before something has to be drawn.
            from micro_agi.terminal.canvas import Canvas
            from micro_agi.terminal.live import LiveScreen

            self._screen = LiveScreen(Canvas(self.output))
        return self._screen

    async def warm(self) -> None:
        """Import what drawing needs while the person is typing."""
        if self._screen is None:
            # The thread would slow down the drawing of the first prompt.
            await asyncio.sleep(WARM_AFTER_S)
            await asyncio.to_thread(_import_live)

    def print(self, text: str) -> None:
        """Write lines that need no colour: the banner, and what is said before it."""
        self.output.write(printable(text) + "\n")

    def remark(self, text: str) -> None:
        """Tell the person something beside the conversation."""
        self.screen.remark(text)

    async def ask_line(self, prompt: str) -> str | None:
        """Ask for one line, also in the middle of a turn; None when no answer will come."""
        self.screen.hold()
        try:
            line = await self.reader.ask(prompt)
        finally:
            self.screen.resume()
        if line is End.INTERRUPT:
            self.interrupted()
        return None if isinstance(line, End) else line

    async def confirm(self, question: str) -> bool:
        """Put a question to the person that yes or no answers; anything else is no."""
        if not self.reader.interactive:
            return False
        self.remark(printable(question))
        answer = await self.ask_line("  y/n > ")
        return answer is not None and answer.strip().lower() in YES

    @contextlib.contextmanager
    def turn(self) -> Iterator[Screen]:
        """Give the screen to a turn: typed keys wait, and the terminal is left as it was."""
        screen = self.screen
        with quiet(self._descriptor) if self.live else contextlib.nullcontext():
            screen.begin()
            try:
                yield screen
            finally:
                screen.end()


def _is_live(settings: Settings, streams: Streams) -> bool:
    if settings.plain or not (streams.input.isatty() and streams.output.isatty()):
        return False
    # Part of prompt_toolkit, which every live terminal imports anyway.
    from prompt_toolkit.utils import is_dumb_terminal

    return not is_dumb_terminal()


def _import_live() -> None:
    from micro_agi.terminal import canvas, live

    assert canvas, live


def leave() -> None:
    """End the program, as Ctrl-C does where no loop has anything else to stop."""
    raise KeyboardInterrupt
