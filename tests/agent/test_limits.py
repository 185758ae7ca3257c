"""Circles, the limits of a session, and long turns whose steps stay as cheap as their first."""

import asyncio
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro_agi.llm.catalogue import Pricing
from micro_agi.llm.providers.scripted import Call, Spent
from micro_agi.messages import (
    Circling,
    Compacted,
    LimitHit,
    Message,
    StepFinished,
    Text,
    ToolCall,
    Usage,
)
from micro_agi.sessions.circle import LONGEST, Circles
from micro_agi.store.database import Database
from micro_agi.testing.transcript import run_transcript, scripted_runtime


def play(script, *messages, tools=(), **settings):
    """Run turns with native tools; each is `name: function`."""

    async def scenario():
        async with scripted_runtime(script, **settings) as played:
            runtime = played.runtime
            for tool in tools:
                runtime.tool(replayable=True)(tool)
            session = await runtime.session("s")
            session.agent.add_tools([f"app.native:{tool.__name__}" for tool in tools])
            turns = await run_in(session, messages)
            return turns, played.model.requests, session

    return asyncio.run(scenario())


async def run_in(session, messages):
    turns = []
    for text in messages:
        events = []
        finished = await session.run(text, events.append)
        turns.append((finished, events))
    return turns


def of(events, kind):
    return [e for e in events if isinstance(e, kind)]


async def see(at: str) -> str:
    """Always the same."""
    return f"nothing new at {at}"


numbers = count()


async def wait() -> int:
    """Something else each time."""
    return next(numbers)


@pytest.mark.requirement("006/loops/circle")
@pytest.mark.parametrize("places", ["a", "ab", "abcde"])
def test_a_circle_is_told_once_and_ends_the_turn_and_the_person_can_go_on(places):
    def script(asked):
        if asked.last.text == "go on":
            return "found another way"
        return Call("see", {"at": places[asked.number % len(places)]})

    turns, requests, _ = play(script, "look", "go on", tools=[see], max_steps=100)
    (stopped, events), (answered, _) = turns
    assert (stopped.outcome, stopped.steps) == ("limit_reached", 8 * len(places))
    assert of(events, LimitHit) == [LimitHit(limit="same calls", value=8, unit="rounds")]
    assert of(events, Circling) == [Circling(steps=len(places), rounds=4, stops_at=8)]
    told = [m.text for m in requests[-1].messages if m.role == "developer"]
    assert len(told) == 1
    assert "4 times with the same arguments" in told[0]
    assert (answered.outcome, answered.text) == ("answered", "found another way")


def test_a_model_that_is_told_and_leaves_the_circle_goes_on():
    def script(asked):
        return "enough" if asked.last.role == "developer" else Call("see", {"at": "a"})

    [(finished, events)], _, _ = play(script, "look", tools=[see])
    assert (finished.outcome, finished.steps) == ("answered", 5)
    assert of(events, LimitHit) == []


@pytest.mark.parametrize("call", [Call("wait"), Call("wait", {"x": 1})])
def test_polling_is_no_circle_while_the_answer_changes(call):
    script = [Call("wait")] * 20 + ["done"]
    [(finished, events)], _, _ = play(script, "poll", tools=[wait])
    assert (finished.outcome, of(events, Circling)) == ("answered", [])


def test_without_a_limit_of_rounds_nothing_is_said():
    script = [Call("see", {"at": "a"})] * 20 + ["done"]
    [(finished, events)], _, _ = play(script, "look", tools=[see], max_rounds=0)
    assert (finished.outcome, of(events, Circling)) == ("answered", [])


def step(name):
    call = ToolCall(id="c", name="t", arguments=name)
    return [
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", parts=(Text("r"),), tool_call_id="c", name="t"),
    ]


@given(
    st.lists(st.sampled_from("xyz"), max_size=20),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=LONGEST, unique=False),
    st.integers(3, 6),
)
def test_every_circle_is_found_wherever_it_begins(before, around, rounds):
    circles = Circles()
    for name in before:
        circles.step(step(name))
    found = [circles.step(step(name)) for name in around * rounds]
    assert found[-1] is not None
    assert found[-1].rounds >= rounds
    length = found[-1].steps
    newest = ([*before, *around * rounds])[-length * rounds :]
    assert newest == newest[:length] * rounds


@given(st.lists(st.integers(), unique=True, max_size=60))
def test_steps_that_are_all_different_are_no_circle(names):
    circles = Circles()
    assert [circles.step(step(str(name))) for name in names] == [None] * len(names)


PAID = Spent(Usage(prompt=900, completion=100))


@pytest.mark.requirement("006/budgets/session")
@pytest.mark.parametrize(
    ("setting", "value", "limit", "unit"),
    [
        ("session_max_steps", 3, "session steps", "steps"),
        ("session_max_tool_calls", 1, "session tool calls", "calls"),
        ("session_budget_tokens", 3000, "session tokens", "tokens"),
        ("session_budget_usd", 3.0, "session money", "USD"),
    ],
)
def test_a_session_has_limits_over_all_its_turns(setting, value, limit, unit):
    script = [
        [Call("wait"), PAID],
        ["one", PAID],
        ["two", PAID],
        ["three", PAID],
    ]
    if setting == "session_max_tool_calls":
        script.insert(1, [Call("wait"), PAID])
    card = {"pricing": Pricing(input=1000.0, output=1000.0)}
    settings = {setting: value, "card": card, "tools": [wait]}
    turns, _, session = play(script, "a", "b", "c", **settings)
    finished, events = next((f, e) for f, e in turns if f.outcome != "answered")
    assert finished.outcome == "limit_reached"
    assert of(events, LimitHit) == [LimitHit(limit=limit, value=value, unit=unit)]
    assert turns[-1][0].outcome == "limit_reached"
    assert session.conversation.steps <= 3


@pytest.mark.requirement("006/budgets/session")
def test_the_time_of_all_turns_counts_and_a_raised_limit_lets_the_session_go_on(tmp_path):
    async def scenario():
        home = str(tmp_path)
        never = asyncio.Event()

        async def hang(asked):
            await never.wait()

        async with scripted_runtime([hang, hang], home=home, session_timeout_s=0.05) as played:
            turns = await run_transcript(played.runtime, "a", "b", session="s")
        async with scripted_runtime(["there"], home=home, session_timeout_s=60) as played:
            return [*turns, *await run_transcript(played.runtime, "go on", session="s")]

    first, second, third = asyncio.run(scenario())
    hit = LimitHit(limit="session wall clock", value=0.05, unit="s")
    assert (first.of(LimitHit), second.of(LimitHit)) == ([hit], [hit])
    assert first.finished.seconds >= 0.05
    assert second.of(StepFinished) == []
    assert third.finished.text == "there"


async def read(row: int) -> str:
    """Read a row."""
    return "some words of a row, as rows have them. " * 20 + f"row {row}"


@pytest.mark.requirement("006/budgets/flat")
def test_the_last_of_many_calls_costs_no_more_work_than_the_first():
    """Counted, not timed: messages and characters of a request, statements of a step."""
    steps, row = 240, count()
    messages, characters, statements, marks = [], [], [], []

    def script(asked):
        if "You shorten" in asked.request.system:
            return "The user wants it done."
        messages.append(len(asked.messages))
        characters.append(sum(len(m.text) for m in asked.messages))
        marks.append(len(statements))
        return Call("read", {"row": next(row)}) if len(marks) <= steps else "done"

    async def scenario():
        async with scripted_runtime(
            script,
            card={"max_tokens": 4000},
            parts={"database": Database.open(None, trace=statements.append)},
            max_steps=1000,
            max_tool_calls=0,
        ) as played:
            played.runtime.tool(replayable=True)(read)
            session = await played.runtime.session("s")
            session.agent.add_tools("app.native:read")
            events = []
            finished = await session.run("read all rows", events.append)
            assert (finished.outcome, finished.steps) == ("answered", steps + 1)
            # Long enough to be opened from a stored standing, which is of the turn's middle.
            again = await played.runtime.session("s")
            assert again.conversation == session.conversation
            return of(events, Compacted)

    assert len(asyncio.run(scenario())) > 5
    half = steps // 2
    each = [b - a for a, b in pairwise(marks)]
    for work in (messages, characters, each):
        assert sum(work[half : 2 * half]) <= sum(work[:half]) * 1.1
