"""Events on a plain terminal: the transcript on one stream, remarks on the other."""

import io

import pytest

from micro_agi.messages import (
    ApprovalAnswered,
    Compacted,
    Delegated,
    Errored,
    LimitHit,
    Question,
    StepFinished,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallFinished,
    ToolCreated,
    ToolLoaded,
    TurnFinished,
    Usage,
    Warned,
    message,
)
from micro_agi.terminal.output import Output
from micro_agi.terminal.render import PlainScreen
from micro_agi.terminal.wording import delegated_line


def step(text="", calls=(), **fields):
    said = message("assistant", text, tool_calls=tuple(calls))
    usual = {"step": 1, "model": "m", "finish_reason": "stop", "usage": Usage()}
    return StepFinished(message=said, **(usual | fields))


def finished(outcome="answered", text="done"):
    return TurnFinished(turn=1, outcome=outcome, text=text, usage=Usage(), steps=1)


def call(name, error=None):
    return ToolCallFinished(call_id="1", name=name, tool="a:b", content="", error=error)


def drawn(*events, stream=True, apart=False):
    """What is on stdout and on stderr after these events; `apart` puts tool lines on stderr."""
    out, err = io.StringIO(), io.StringIO()
    remarks = Output(err)
    screen = PlainScreen(
        Output(out), remarks=remarks, tools=remarks if apart else None, stream=stream
    )
    screen.begin()
    for event in events:
        screen.show(event)
    screen.end()
    return out.getvalue(), err.getvalue()


def test_tool_lines_are_the_seeds():
    refused = {"what": "it broke\nsecond line", "where": "x"}
    out, err = drawn(
        call("clock"), call("clock", refused), ToolLoaded(call_id="1", tool="a.g:c", name="c")
    )
    assert out == "  [clock] ok\n  [clock] error: it broke\n  [+] a.g:c\n"
    assert err == ""


def test_an_answer_is_streamed_and_ends_with_one_newline():
    out, _ = drawn(TextDelta(text="\n\nHel"), TextDelta(text="lo\n"), TextDelta(text="\n"), step())
    assert out == "Hello\n"


def test_newlines_between_pieces_stay():
    assert drawn(TextDelta(text="a\n"), TextDelta(text="\nb"), step())[0] == "a\n\nb\n"


def test_a_tool_line_never_joins_a_line_of_text():
    calls = [ToolCall(id="1", name="t", arguments="{}")]
    out, _ = drawn(TextDelta(text="Let me look."), step("Let me look.", calls), call("t"))
    assert out == "Let me look.\n  [t] ok\n"


def test_an_answer_that_was_not_streamed_is_shown_once():
    assert drawn(step("whole"), finished())[0] == "whole\n"
    assert drawn(TextDelta(text="whole"), step("whole"), finished())[0] == "whole\n"


def test_thinking_and_the_entry_of_a_tool_say_nothing_here():
    created = ToolCreated(call_id="1", tool="a:b", version=2, updated=False)
    assert drawn(ThinkingDelta(text="hm"), created) == ("", "")


def test_a_pipe_that_wants_the_answer_gets_only_the_answer():
    calls = [ToolCall(id="1", name="t", arguments="{}")]
    events = (
        TextDelta(text="Let me look."),
        step("Let me look.", calls),
        call("t"),
        TextDelta(text="It is 5."),
        step("It is 5."),
        finished(text="It is 5."),
    )
    out, err = drawn(*events, stream=False, apart=True)
    assert out == "It is 5.\n"
    assert err == "Let me look.\n  [t] ok\n"


def test_a_stopped_turn_still_gives_what_there_was_of_the_answer():
    out, err = drawn(TextDelta(text="Half of"), finished("cancelled", ""), stream=False)
    assert (out, err) == ("Half of\n", "  stopped; what was done up to here stays done\n")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Warned(text="slow", where="a:b", fix="wait"), "  warning: slow (a:b); wait\n"),
        (
            Compacted(summary="s" * 1200, dropped=40, kept=2, tokens_before=9, by="nano"),
            "  compacted: 40 messages became a summary of 1,200 characters, written by nano\n",
        ),
        (
            Errored(error={"what": "no key", "where": "openai", "fix": "set one"}),
            "error: no key\n  where: openai\n  fix: set one\n",
        ),
        (
            step(finish_reason="length"),
            "  warning: the answer is cut: the model reached the agent's max_tokens\n",
        ),
        (
            step(truncated=True),
            "  warning: the reply was cut inside its tool calls, so none of them was run\n",
        ),
        (
            step(finish_reason="cut", problem={"what": "the stream broke off"}),
            "  warning: the answer is cut: the stream broke off\n",
        ),
        (finished(text=" "), "  the model ended the turn without a word\n"),
        (finished("failed", ""), ""),
    ],
)
def test_what_happens_beside_the_answer_is_said_once_on_stderr(event, said):
    assert drawn(event) == ("", said)


@pytest.mark.parametrize(
    ("hit", "what", "raised"),
    [
        (LimitHit(limit="steps", value=32, unit="steps"), "steps, 32", "MAX_STEPS"),
        (LimitHit(limit="wall clock", value=900.0, unit="s"), "wall clock, 900 s", "TIMEOUT_S"),
        (LimitHit(limit="money", value=0.5, unit="USD"), "money, 0.5 USD", "BUDGET_USD"),
        (
            LimitHit(limit="model retries", value=3, unit="tries"),
            "model retries, 3 tries",
            "RETRIES",
        ),
        (LimitHit(limit="tokens", value=2e6, unit="tokens"), "tokens, 2,000,000", "TOKENS"),
    ],
)
def test_a_limit_says_which_one_and_how_to_go_on(hit, what, raised):
    _, err = drawn(hit, finished("limit_reached", ""))
    assert err.startswith(f"stopped: the limit of one turn was reached: {what}\n")
    assert "say `go on`" in err
    assert f"{raised} raises the limit" in err


def test_an_answer_that_no_person_gave_is_said():
    question = Question(
        agent="a:x",
        tool="a.g:t",
        tool_hash="h",
        action="http_client.request",
        resource="https://x/*",
    )
    facts = {"call_id": "1", "question": question}
    by_flag = ApprovalAnswered(approval="once", by="--yes", **facts)
    by_nobody = ApprovalAnswered(approval="refuse", by="nobody", **facts)
    by_person = ApprovalAnswered(approval="once", by="person", **facts)
    assert drawn(by_flag)[1] == "  allowed once by --yes: a.g:t may request https://x/*\n"
    assert drawn(by_nobody)[1].startswith("  refused, since no person is here")
    assert drawn(by_person)[1] == ""


def test_a_tool_cannot_forge_a_line():
    evil = {"what": "x\x1b[1A  [create_tool] ok"}
    out, _ = drawn(call("t\n  [u] ok", evil), TextDelta(text="\x1b[2J"), step())
    assert out == "  [t] error: x␛[1A  [create_tool] ok\n␛[2J\n"


def test_a_stream_that_cannot_hold_a_character_gets_a_replacement():
    raw = io.BytesIO()
    output = Output(io.TextIOWrapper(raw, encoding="latin-1"))
    output.write("é 汉\n")
    assert raw.getvalue() == b"\xe9 ?\n"


class Closed(io.StringIO):
    """A pipe whose reader went away."""

    def write(self, _):
        raise BrokenPipeError


def test_a_reader_that_went_away_is_noticed_and_never_an_error():
    output = Output(Closed())
    output.write("a")
    output.write("b")
    assert output.gone


def test_what_a_delegate_does_is_indented_by_its_depth():
    call = ToolCallFinished(call_id="c", name="look", tool="app:look", content="1", result=1)
    once = Delegated(call_id="d", agent="app:a", event=call)
    twice = Delegated(call_id="e", agent="app:b", event=once)
    text = Delegated(call_id="d", agent="app:a", event=TextDelta(text="not the caller's words"))
    assert [delegated_line(e) for e in (once, twice, text)] == [
        "    [look] ok",
        "      [look] ok",
        "",
    ]
