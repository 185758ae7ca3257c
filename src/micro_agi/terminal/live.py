"""The screen of a real terminal: colours, streamed Markdown, a spinner while waiting.

The same lines as the plain screen, drawn on a `Canvas`. Drawing is bounded: a frame at
most every 50 ms, and never more than a tenth of the time when the unfinished block is
long. While a person is being asked nothing is drawn; what happens then comes after.
"""

import asyncio
import re
import time
from collections.abc import Callable

from rich.cells import cell_len
from rich.text import Text

from micro_agi.messages import (
    AnyEvent,
    Delegated,
    LimitHit,
    StepFinished,
    StepStarted,
    TextDelta,
    ThinkingDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolCreated,
    ToolLoaded,
    TurnFinished,
)
from micro_agi.terminal.canvas import BLANK, Canvas, Line, line
from micro_agi.terminal.markdown import Stream, console, render, render_code
from micro_agi.terminal.text import first_line, printable, seconds
from micro_agi.terminal.wording import (
    delegated_line,
    ending,
    loaded_line,
    remark,
    spent,
    tool_outcome,
)

FRAME_S = 0.05
SHARE = 10
"""A frame that took long makes the next one wait this many times as long."""
PATIENCE_S = 0.12
"""What is done sooner needs no spinner."""
SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SPIN_S = 0.1
SLOW_S = 2.0
"""After this long the spinner says how long it has been."""
THOUGHT_CHARS = 200
FIRST_COLUMN = re.compile(r"\S+(?: \S+)* {2,}")
"""Of a row with two columns: the second is wrapped under itself."""


class LiveScreen:
    """Draws one session."""

    def __init__(self, canvas: Canvas, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._canvas = canvas
        self._clock = clock
        self._answer = Stream()
        self._printed = False
        """A block of this answer stands above already: the next needs a blank line."""
        self._said = False
        self._waiting = ""
        """What the spinner names; "" draws none."""
        self._since = 0.0
        self._held = 0
        """Prompts that have the terminal now."""
        self._later: list[Line] = []
        self._running: list[str] = []
        self._thought = ""
        self._hit: LimitHit | None = None
        self._began = 0.0
        self._frame: asyncio.TimerHandle | None = None
        self._next_frame = 0.0

    @property
    def columns(self) -> int:
        """How wide a line may be."""
        return self._canvas.columns

    def show(self, event: AnyEvent) -> None:
        """Show one event."""
        match event:
            case TextDelta():
                self._text(event.text)
                return
            case ThinkingDelta():
                self._think(event.text)
                return
            case StepStarted():
                self._said, self._thought = False, ""
                self._wait(first_line(event.model))
            case StepFinished():
                self._step(event)
            case ToolCallStarted():
                self._started(event)
            case ToolCallFinished():
                self._tool(event)
            case ToolCreated():
                verb = "updated" if event.updated else "wrote"
                words = f"      {verb} {first_line(event.tool)}, version {event.version}"
                self._put(self._styled(words, "dim"))
            case ToolLoaded():
                self._put(self._styled(loaded_line(event), "bold green"))
            case Delegated():
                if line := delegated_line(event):
                    self._put(self._styled(line, "dim"))
            case LimitHit():
                self._hit = event
            case TurnFinished():
                self._finish(event)
        note = remark(event)
        if note:
            self._put(self._remark(note))

    def begin(self) -> None:
        """Show that the message was taken."""
        self._hit, self._said, self._running = None, False, []
        self._began = self._clock()
        self._wait("…")

    def end(self) -> None:
        """Leave the terminal as a prompt needs it."""
        self._held, self._waiting = 0, ""
        self._settle()
        self._release()
        if self._frame is not None:
            self._frame.cancel()
            self._frame = None
        self._canvas.draw([])
        self._canvas.flush()

    def hold(self) -> None:
        """Stop drawing; what happens until `resume` is printed then."""
        self._settle()
        self._held += 1
        self._canvas.draw([])
        self._canvas.flush()

    def resume(self) -> None:
        """Print what happened meanwhile, and draw again."""
        self._held -= 1
        self._release()
        self._redraw()

    def say(self, text: str) -> None:
        """Show what a command answers."""
        self._canvas.print(self._styled(printable(text), ""))
        self._canvas.flush()

    def code(self, source: str, language: str) -> None:
        """Show a source text in colours."""
        self._canvas.print(render_code(printable(source), language, self.columns))

    def remark(self, text: str) -> None:
        """Tell something beside the conversation; an empty text is nothing."""
        if text:
            self._canvas.print(self._remark(text))
            self._canvas.flush()

    def _text(self, text: str) -> None:
        if not self._said:
            text = text.lstrip("\n")
        if not text:
            return
        self._said, self._waiting = True, ""
        self._answer.add(printable(text))
        self._redraw()

    def _think(self, text: str) -> None:
        self._thought = (self._thought + printable(text).replace("\n", " "))[-THOUGHT_CHARS:]
        self._redraw()

    def _step(self, event: StepFinished) -> None:
        if not self._said and event.message.text:
            self._answer.add(printable(event.message.text))
        self._settle()
        self._thought, self._running = "", []
        self._wait("…")

    def _started(self, event: ToolCallStarted) -> None:
        self._running.append(f"[{first_line(event.name, 40)}]")
        self._wait(" ".join(self._running))

    def _tool(self, event: ToolCallFinished) -> None:
        self._running.clear()
        self._wait("…")
        words = Text.assemble(
            ("[", "dim"),
            (first_line(event.name), "cyan"),
            ("] ", "dim"),
            (tool_outcome(event), "green" if event.error is None else "red"),
            (f"  {seconds(event.duration_s)}", "dim"),
        )
        self._put(self._wrapped(words, "  ", "      "))

    def _release(self) -> None:
        """Print what happened while a person was being asked."""
        if self._later and not self._held:
            self._canvas.print(self._later)
            self._later = []

    def _finish(self, event: TurnFinished) -> None:
        self._settle()
        self._waiting = ""
        note = ending(event, self._hit)
        lines = self._remark(note) if note else []
        if event.steps:
            took = seconds(self._clock() - self._began)
            used = event.usage.window or event.usage.completion
            said = f"{spent(event.usage, event.cost_usd)} · {took}" if used else took
            lines += self._styled(f"  {said}", "dim")
        self._put(lines)

    def _wait(self, what: str) -> None:
        """Name what is waited for; the time since then is shown when it gets long."""
        if what != self._waiting:
            self._waiting, self._since = what, self._clock()
            self._redraw()

    def _settle(self) -> None:
        """Print what is left of the answer; the next text begins a new one."""
        self._block(self._answer.finished() + self._answer.rest())
        self._printed = False

    def _block(self, source: str) -> None:
        """Print finished Markdown in place of the tail that showed it so far."""
        if source.strip():
            lines = render(source, self.columns)
            self._canvas.put([BLANK, *lines] if self._printed else lines, [])
            self._printed = True

    def _redraw(self) -> None:
        """Draw now, or as soon as a frame is due."""
        if self._held:
            return
        due = self._next_frame - self._clock()
        if due <= 0:
            self._draw()
        else:
            self._schedule(due)

    def _schedule(self, in_s: float) -> None:
        """Draw in a while, at the latest."""
        loop = asyncio.get_running_loop()
        if self._frame is not None:
            # Deltas come in thousands: a timer that is early enough stays.
            if self._frame.when() <= loop.time() + in_s:
                return
            self._frame.cancel()
        self._frame = loop.call_later(in_s, self._draw)

    def _draw(self) -> None:
        if self._frame is not None:
            self._frame.cancel()
            self._frame = None
        if self._held:
            return
        start = self._clock()
        self._block(self._answer.finished())
        tail = self._answer.tail
        lines = render(tail, self.columns) if tail.strip() else []
        if lines and self._printed:
            lines.insert(0, BLANK)
        if self._waiting and start - self._began >= PATIENCE_S:
            lines.append(self._spinner(start))
        self._canvas.draw(lines)
        now = self._clock()
        self._next_frame = now + max(FRAME_S, (now - start) * SHARE)
        if self._waiting:
            self._schedule(SPIN_S)

    def _spinner(self, now: float) -> Line:
        sign = SPIN[int(now / SPIN_S) % len(SPIN)]
        waited = now - self._since
        words = f"  {sign} {self._waiting}" + (f"  {int(waited)} s" if waited >= SLOW_S else "")
        text = Text(words, style="dim", no_wrap=True)
        if self._thought:
            room = max(10, self.columns - text.cell_len - 4)
            text.append(f"  …{self._thought[-room:]}", "italic")
        text.truncate(self.columns, overflow="ellipsis")
        return self._ansi(text)[0]

    def _remark(self, text: str) -> list[Line]:
        """Colour a remark by what it is; the facts below the first line are quiet."""
        first, *more = text.split("\n")
        bad = first.startswith(("error:", "stopped:"))
        lines = self._styled(first, "red" if bad else "yellow")
        for item in more:
            alarming = item.lstrip().startswith("careful")
            lines += self._styled(item, "bold red" if alarming else "")
        return lines

    def _styled(self, text: str, style: str) -> list[Line]:
        """Wrap each line of a text under its own indentation."""
        lines: list[Line] = []
        for raw in text.split("\n"):
            body = raw.lstrip(" ")
            indent = raw[: len(raw) - len(body)]
            first = None if style else FIRST_COLUMN.match(body)
            if first is not None and first.end() < self.columns // 2:
                indent, body = indent + first.group(), body[first.end() :]
                hang = " " * cell_len(indent)
            else:
                hang = indent + "  "
            lines += self._wrapped(Text(body, style=style), indent, hang)
        return lines

    def _wrapped(self, text: Text, indent: str, hang: str) -> list[Line]:
        room = max(10, self.columns - len(hang))
        first, *more = text.wrap(console(self.columns), room) or [Text("")]
        return [
            line(prefix + item.text)
            for prefix, part in [(indent, first), *((hang, part) for part in more)]
            for item in self._ansi(part)
        ]

    def _ansi(self, text: Text) -> list[Line]:
        screen = console(self.columns)
        with screen.capture() as captured:
            screen.print(text, soft_wrap=True, end="")
        return [line(part) for part in captured.get().split("\n")]

    def _put(self, lines: list[Line]) -> None:
        """Print what an event says, or keep it until the person has answered."""
        if self._held:
            self._later += lines
        else:
            self._canvas.print(lines)
