"""The conversation that events add up to."""

import pytest

from micro_agi.messages import (
    Compacted,
    Message,
    StepFinished,
    Text,
    ToolCall,
    ToolCallFinished,
    ToolLoaded,
    TurnStarted,
    Usage,
    message,
)
from micro_agi.sessions.conversation import INTERRUPTED, SUMMARY_TITLE, derive


def user(text, turn=1):
    return TurnStarted(turn=turn, message=message("user", text), agent="app:a")


def said(text, *calls, usage=None):
    made = tuple(ToolCall(id=c, name=f"tool_{c}", arguments="{}") for c in calls)
    msg = Message(role="assistant", parts=(Text(text),) if text else (), tool_calls=made)
    return StepFinished(
        step=1, model="m", message=msg, finish_reason="stop", usage=usage or Usage()
    )


def result(call_id, content="ok"):
    return ToolCallFinished(call_id=call_id, name=f"tool_{call_id}", tool="x:y", content=content)


def roles(events):
    return [m.role for m in derive(events).messages]


def test_a_turn_with_calls_becomes_pairs_in_order():
    events = [user("hi"), said("", "a", "b"), result("a"), result("b"), said("done")]
    messages = derive(events).messages
    assert [m.role for m in messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert [m.tool_call_id for m in messages if m.role == "tool"] == ["a", "b"]


def test_a_call_without_an_outcome_is_answered_before_the_next_message():
    messages = derive([user("hi"), said("", "a", "b"), result("a"), user("again", 2)]).messages
    assert [m.role for m in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert messages[3].text == INTERRUPTED
    assert messages[3].tool_call_id == "b"


def test_a_failed_call_is_marked_for_services_that_tell_them_apart():
    failed = ToolCallFinished(
        call_id="b", name="tool_b", tool="x:y", content="no", error={"code": "tool.failed"}
    )
    messages = derive([user("hi"), said("", "a", "b"), result("a"), failed]).messages
    assert [m.metadata for m in messages[2:]] == [{}, {"error": True}]


def test_two_user_messages_in_a_row_are_joined():
    messages = derive([user("one"), user("two", 2)]).messages
    assert [m.text for m in messages] == ["one\n\ntwo"]


def test_a_summary_stands_for_what_was_dropped_and_restates_what_must_stay():
    restated = message("user", "the task")
    compacted = Compacted(
        summary="what happened",
        dropped=3,
        restated=(restated,),
        kept=1,
        tokens_before=100,
        by="m",
    )
    events = [user("the task"), said("", "a"), result("a"), said("", "b"), result("b")]
    messages = derive([*events[:4], compacted, *events[4:]]).messages
    assert [m.role for m in messages] == ["system", "user", "assistant", "tool"]
    assert messages[0].text == SUMMARY_TITLE + "what happened"
    assert messages[1] == restated


def test_loaded_tools_are_kept_once_and_in_order():
    loads = [ToolLoaded(call_id="c", tool=t, name=t) for t in ("x:b", "x:a", "x:b")]
    assert derive(loads).loaded == ["x:b", "x:a"]


def test_usage_adds_up_over_turns():
    usage = Usage(prompt=10, completion=2, cached=5)
    conversation = derive([user("hi"), said("a", usage=usage), said("b", usage=usage)])
    assert conversation.usage == Usage(prompt=20, completion=4, cached=10)


@pytest.mark.parametrize("cut_at", range(1, 6))
def test_a_journal_cut_anywhere_never_leaves_a_call_without_a_result(cut_at):
    events = [user("hi"), said("", "a", "b"), result("a"), result("b"), said("done")]
    conversation = derive([*events[:cut_at], user("go on", 2)])
    called = {c.id for m in conversation.messages for c in m.tool_calls}
    answered = {m.tool_call_id for m in conversation.messages if m.role == "tool"}
    assert called == answered
