"""What a person sees on a real terminal, at different widths and with hostile text."""

import asyncio

import pytest
from rich.cells import cell_len

from micro_agi.messages import (
    LimitHit,
    Message,
    StepFinished,
    StepStarted,
    TextDelta,
    ThinkingDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolCreated,
    ToolLoaded,
    TurnFinished,
    Usage,
    message,
)
from micro_agi.terminal.canvas import Canvas, line
from micro_agi.terminal.live import LiveScreen
from micro_agi.testing.clock import FakeClock
from tests.terminal.emulator import Emulator

ANSWER = """\
# Title

Some **bold** words and a [link](https://example.com/path), long enough to be wrapped. \
汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字。

- one
- two

1. first
2. second

```lua
local a = 1


return a
```

| a | b |
|---|--:|
| x | 1 |

<script>not hidden</script>

https://example.com/averyveryveryveryveryveryveryveryveryveryveryveryveryveryverylongword

The end."""


class Drawn:
    """A screen whose time moves only when a test says so."""

    def __init__(self, **size):
        self.terminal = Emulator(**size)
        self.clock = FakeClock()
        self.screen = LiveScreen(Canvas(self.terminal), clock=self.clock.monotonic)
        self.screen.begin()

    async def pieces(self, text, size=7):
        for at in range(0, len(text), size):
            await self.clock.advance(0.2)
            self.screen.show(TextDelta(text=text[at : at + size]))

    def answer(self, text):
        step = message("assistant", text)
        self.screen.show(
            StepFinished(step=1, model="m", message=step, finish_reason="stop", usage=Usage())
        )

    def finish(self, outcome="answered", **fields):
        usual = {"turn": 1, "text": "x", "usage": Usage(prompt=1200, completion=34), "steps": 2}
        self.screen.show(TurnFinished(outcome=outcome, **(usual | fields)))
        self.screen.end()


def live(play, **size):
    """Draw a scene and return the terminal after it."""

    async def scenario():
        drawn = Drawn(**size)
        await play(drawn)
        drawn.screen.end()
        return drawn.terminal

    return asyncio.run(scenario())


def call(name, error=None):
    return ToolCallFinished(
        call_id="1", name=name, tool="a:b", content="", error=error, duration_s=1.25
    )


@pytest.mark.parametrize("columns", [20, 60, 61, 100])
@pytest.mark.parametrize("rows", [6, 24])
def test_a_streamed_answer_looks_as_if_it_had_come_whole(columns, rows):
    async def streamed(drawn):
        await drawn.pieces(ANSWER)
        drawn.answer(ANSWER)

    async def whole(drawn):
        drawn.answer(ANSWER)

    one, other = (live(play, columns=columns, rows=rows) for play in (streamed, whole))
    assert one.shown == other.shown
    assert all(cell_len(row) <= columns for row in one.lines)
    assert one.cursor_shown


def test_nothing_of_an_answer_is_hidden():
    async def play(drawn):
        drawn.answer(ANSWER)

    shown = live(play, columns=100).shown
    for part in ("<script>not hidden</script>", "link (https://example.com/path)", "averylong"):
        assert part in shown or part == "averylong"
    assert "https://example.com/averyvery" in shown
    assert "local a = 1\n\n\n  return a" in shown


def test_text_is_seen_before_its_block_is_finished():
    async def play(drawn):
        await drawn.pieces("Half a sentence", size=100)
        assert "Half a sentence" in drawn.terminal.shown
        assert not drawn.terminal.cursor_shown

    live(play)


def test_finished_blocks_are_written_once():
    async def play(drawn):
        await drawn.pieces("first block\n\nsecond block\n\nthird")

    written = "".join(live(play).written)
    assert written.count("first block") <= 3
    assert written.count("third") <= 2


def test_tool_lines_are_the_seeds_with_a_duration():
    async def play(drawn):
        drawn.screen.show(
            ToolCallStarted(call_id="1", name="create_tool", tool="a:b", arguments={})
        )
        drawn.screen.show(call("create_tool"))
        drawn.screen.show(ToolCreated(call_id="1", tool="a.g:c", version=3, updated=False))
        drawn.screen.show(call("clock", {"what": "no\nmore"}))
        drawn.screen.show(ToolLoaded(call_id="1", tool="a.g:c", name="c"))

    assert live(play).shown == (
        "  [create_tool] ok  1.2 s\n"
        "      wrote a.g:c, version 3\n"
        "  [clock] error: no  1.2 s\n"
        "  [+] a.g:c"
    )


def test_waiting_is_seen_and_leaves_nothing_behind():
    async def play(drawn):
        await drawn.clock.advance(1)
        drawn.screen.show(StepStarted(step=1, model="gpt", request_hash="", registry_version=1))
        assert drawn.terminal.shown.endswith("gpt")
        await drawn.clock.advance(3)
        drawn.screen.show(ThinkingDelta(text="hm " * 100))
        assert "gpt  3 s  …" in drawn.terminal.shown
        assert cell_len(drawn.terminal.shown) < 60

    assert live(play).shown == ""


def test_a_turn_ends_with_what_it_cost():
    async def play(drawn):
        await drawn.clock.advance(4.2)
        drawn.finish(cost_usd=0.00123)

    assert live(play).shown == "  1,200 in · 34 out · $0.0012 · 4.2 s"


def test_a_limit_is_told_with_its_fix():
    async def play(drawn):
        drawn.screen.show(LimitHit(limit="steps", value=32, unit="steps"))
        drawn.finish("limit_reached", text="", steps=0)

    shown = live(play, columns=60).shown
    assert shown.startswith("stopped: the limit of one turn was reached: steps, 32\n  fix: say")
    assert all(len(row) <= 60 for row in shown.splitlines())


def test_nothing_is_drawn_while_a_person_is_asked():
    async def play(drawn):
        drawn.screen.remark("  may it?")
        drawn.screen.hold()
        before = list(drawn.terminal.written)
        drawn.screen.show(call("other"))
        await drawn.clock.advance(5)
        drawn.screen.show(TextDelta(text="late"))
        assert drawn.terminal.written == before
        assert drawn.terminal.cursor_shown
        drawn.screen.resume()
        assert "[other] ok" in drawn.terminal.shown

    shown = live(play).shown
    assert shown.index("may it?") < shown.index("[other] ok") < shown.index("late")


def test_a_row_of_two_columns_wraps_under_its_second():
    async def play(drawn):
        drawn.screen.say("  /tool NAME  show a tool with its source and its versions")

    assert live(play, columns=40).shown == (
        "  /tool NAME  show a tool with its\n              source and its versions"
    )


def test_hostile_text_stays_text():
    async def play(drawn):
        drawn.screen.show(TextDelta(text="\x1b[2J\x1b]0;title\x07 and\r more"))
        drawn.screen.show(call("x\x1b[1A"))

    shown = live(play).shown
    assert "␛[2J␛]0;title␇ and more" in shown
    assert "[x␛[1A] ok" in shown


def test_a_narrower_window_leaves_no_rests_of_the_old_frame():
    async def scenario():
        terminal = Emulator(columns=40)
        canvas = Canvas(terminal)
        canvas.draw([line("x" * 30)])
        # The terminal wraps what is on it anew, as real ones do.
        terminal.columns = 20
        terminal.lines, terminal.at, terminal.column = ["x" * 20, "x" * 10], 1, 10
        canvas.draw([line("y" * 10)])
        return terminal.shown

    assert asyncio.run(scenario()) == "y" * 10


def test_only_the_changed_part_of_the_live_area_is_written_again():
    terminal = Emulator()
    canvas = Canvas(terminal)
    canvas.draw([line("same"), line("old")])
    terminal.written.clear()
    canvas.draw([line("same"), line("new")])
    canvas.draw([line("same"), line("new")])
    assert "same" not in "".join(terminal.written)
    assert len(terminal.written) == 1
    assert terminal.shown == "same\nnew"


def test_more_live_lines_than_rows_show_the_last_ones():
    terminal = Emulator(rows=6)
    canvas = Canvas(terminal)
    canvas.draw([line(str(n)) for n in range(100)])
    canvas.put([line("above")], [line("z")])
    assert terminal.shown == "above\nz"


def test_a_message_without_text_draws_nothing():
    async def play(drawn):
        drawn.answer("")

    assert live(play).shown == ""
    assert Message(role="assistant").text == ""
