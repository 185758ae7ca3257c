"""What is dropped, what stays, and what happens when no model can summarise."""

from hypothesis import given
from hypothesis import strategies as st

from micro_agi.agent.compress import KEPT_MESSAGES, cut, extract, lost_facts
from micro_agi.messages import Message, Text, ToolCall, message


def step(number):
    call = ToolCall(id=f"c{number}", name="t", arguments="{}")
    result = Message(role="tool", parts=(Text("r"),), tool_call_id=call.id, name="t")
    return [Message(role="assistant", tool_calls=(call,)), result]


def turn(text, steps):
    return [message("user", text), *(m for n in range(steps) for m in step(n))]


def test_at_a_turns_end_the_last_user_message_and_its_answer_stay():
    messages = [*turn("old", 3), message("assistant", "a"), *turn("new", 1)]
    dropped, restated = cut(messages, running=False)
    assert messages[dropped].text == "new"
    assert restated == []


def test_a_long_running_turn_restates_its_user_message_and_keeps_the_newest_pairs():
    messages = turn("the task", 20)
    dropped, restated = cut(messages, running=True)
    assert [m.text for m in restated] == ["the task"]
    assert len(messages) - dropped <= KEPT_MESSAGES
    assert messages[dropped].role == "assistant"


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.booleans())
def test_no_call_is_ever_parted_from_its_result(turns, running):
    messages = [m for n, steps in enumerate(turns) for m in turn(f"t{n}", steps)]
    dropped, restated = cut(messages, running=running)
    rest = [*restated, *messages[dropped:]]
    called = [c.id for m in rest for c in m.tool_calls]
    answered = [m.tool_call_id for m in rest if m.role == "tool"]
    assert called == answered
    assert [m.text for m in rest if m.role == "user"][-1] == f"t{len(turns) - 1}"


def test_facts_that_a_summary_lost_are_found():
    before = "see app.generated:clock and /etc/hosts, https://x.example/a?b=1, 20260213, a1b2c3d4e5"
    lost = lost_facts(before, "the tool app.generated:clock was made")
    assert set(lost) == {"/etc/hosts", "https://x.example/a?b=1", "20260213", "a1b2c3d4e5"}


@given(st.lists(st.text(max_size=200), max_size=30), st.integers(50, 2000))
def test_an_extract_keeps_to_its_length(blocks, target):
    assert len(extract("\n\n".join(blocks), target)) <= target
