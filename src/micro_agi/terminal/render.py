"""Turn events into lines: `Screen` is what every rendering offers, `PlainScreen` the plain one.

Plain means a pipe, a file, `--plain`: no colour, no cursor movement, nothing drawn twice.
Its transcript is seed 000's exactly: answers and tool lines on one stream, in the order
of events. Remarks go to the other, so that `2>/dev/null` leaves the transcript.
"""

from typing import Protocol

from micro_agi.errors import MicroAgiError
from micro_agi.messages import (
    AnyEvent,
    Delegated,
    LimitHit,
    StepFinished,
    TextDelta,
    ThinkingDelta,
    ToolCallFinished,
    ToolLoaded,
    TurnFinished,
)
from micro_agi.terminal.output import Output
from micro_agi.terminal.text import facts, indented, printable
from micro_agi.terminal.wording import delegated_line, ending, loaded_line, remark, tool_line


class Screen(Protocol):
    """What the loop and its commands draw on."""

    def show(self, event: AnyEvent) -> None:
        """Show one event of a turn."""
        ...

    def begin(self) -> None:
        """A turn begins."""
        ...

    def end(self) -> None:
        """The turn is over; the next thing shown is a prompt."""
        ...

    def hold(self) -> None:
        """Stop drawing: a prompt takes the terminal until `resume`."""
        ...

    def resume(self) -> None:
        """Go on, with what happened meanwhile."""
        ...

    def say(self, text: str) -> None:
        """Show what a command answers, ended by a newline."""
        ...

    def code(self, source: str, language: str) -> None:
        """Show a source text."""
        ...

    def remark(self, text: str) -> None:
        """Tell the person something beside the conversation."""
        ...

    @property
    def columns(self) -> int:
        """How wide a line may be."""
        ...


class PlainScreen:
    """Writes each thing once, as text."""

    columns = 100
    """A pipe has no width; lists are cut here so that they stay lists."""

    def __init__(
        self,
        answers: Output,
        *,
        remarks: Output,
        tools: Output | None = None,
        stream: bool = True,
    ) -> None:
        """Take where to write.

        `stream=False` is for a pipe that wants the answer alone: a step's text is held until
        the step ends, and goes to `remarks` when it only led to tool calls.
        """
        self._answers = answers
        self._remarks = remarks
        self._tools = tools or answers
        self._stream = stream
        self._open = False
        """Text was written and its line is not ended."""
        self._newlines = ""
        """Newlines at the end of the text so far: written only if text follows."""
        self._held: list[str] = []
        self._said = False
        """The step's text came in pieces."""
        self._hit: LimitHit | None = None

    def show(self, event: AnyEvent) -> None:
        """Show one event; deltas first, for there are thousands of them."""
        if isinstance(event, TextDelta):
            self._text(event.text)
            return
        if isinstance(event, ThinkingDelta):
            return
        match event:
            case StepFinished():
                self._step(event)
            case ToolCallFinished():
                self._line(self._tools, tool_line(event))
            case ToolLoaded():
                self._line(self._tools, loaded_line(event))
            case Delegated():
                if line := delegated_line(event):
                    self._line(self._tools, line)
            case LimitHit():
                self._hit = event
            case TurnFinished():
                self._release(self._answers)
                self.remark(ending(event, self._hit))
        self.remark(remark(event))

    def begin(self) -> None:
        """Forget the last turn."""
        self._said, self._hit = False, None

    def end(self) -> None:
        """End the answer's line, and have everything written."""
        self._end_text()
        self._answers.flush()

    def hold(self) -> None:
        """End the line under way, so that a question starts its own."""
        self.end()

    def resume(self) -> None:
        """Go on; nothing was kept back."""

    def say(self, text: str) -> None:
        """Write text on the transcript's stream."""
        self._line(self._answers, printable(text))

    def code(self, source: str, language: str) -> None:
        """Write a source text, indented."""
        self._line(self._answers, indented(printable(source.rstrip("\n")), "    "))

    def remark(self, text: str) -> None:
        """Write a line beside the transcript; an empty one is nothing."""
        if text:
            self._line(self._remarks, text)
            self._remarks.flush()

    def _text(self, text: str) -> None:
        self._said = True
        if not self._stream:
            self._held.append(text)
            return
        self._write(self._answers, text)

    def _write(self, output: Output, text: str) -> None:
        text = printable(text)
        if not self._open:
            text = text.lstrip("\n")
        kept = text.rstrip("\n")
        if not kept:
            self._newlines += text if self._open else ""
            return
        output.write(self._newlines + kept)
        self._newlines, self._open = text[len(kept) :], True

    def _step(self, event: StepFinished) -> None:
        if not self._said and event.message.text:
            self._text(event.message.text)
        self._said = False
        if event.message.tool_calls:
            self._release(self._remarks)
        self._end_text()

    def _release(self, output: Output) -> None:
        """Write the text that was held; nothing is ever held while streaming."""
        if self._held:
            text, self._held = "".join(self._held), []
            self._write(output, text)
            if self._open:
                self._open, self._newlines = False, ""
                output.write("\n")

    def _line(self, output: Output, text: str) -> None:
        self._end_text()
        if output is not self._answers:
            # Both may be one terminal: keep the order of events.
            self._answers.flush()
        output.write(text + "\n")

    def _end_text(self) -> None:
        if self._open:
            self._open, self._newlines = False, ""
            self._answers.write("\n")


def error_text(error: MicroAgiError) -> str:
    """Return an error in its three facts, as every command prints it."""
    return facts(f"error: {error.what}", where=error.where, fix=error.fix)
