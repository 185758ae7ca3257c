"""The loop, through a session: what a turn does, and what it does when things go wrong."""

import asyncio

import pytest

from micro_agi.errors import ProviderRefused, ToolFailed
from micro_agi.llm.providers.scripted import Call, Finish, Spent
from micro_agi.messages import (
    Errored,
    LimitHit,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    TurnFinished,
    TurnStarted,
    Usage,
)
from micro_agi.sessions.conversation import STOPPED
from micro_agi.testing.transcript import run_transcript, scripted_runtime


def play(script, *messages, tools=(), **options):
    """Run messages against a script, with native tools that every session has loaded."""

    async def scenario():
        async with scripted_runtime(script, **options) as played:
            for tool in tools:
                played.runtime.tool(tool)
            session = await played.runtime.session("s")
            session.agent.add_tools([f"app.native:{tool.__name__}" for tool in tools])
            turns = []
            for text in messages:
                events = []
                finished = await session.run(text, events.append)
                turns.append((finished, events))
            journal = [r.event for r in await played.runtime.journal.read("s")]
            return turns, journal, played.model.requests

    return asyncio.run(scenario())


def of(events, kind):
    return [e for e in events if isinstance(e, kind)]


@pytest.mark.requirement("000/loop/streaming", "000/build/streams")
def test_an_answer_streams_and_is_journalled_whole():
    [(finished, events)], journal, _ = play([["Hel", "lo"]], "hi")
    assert finished.outcome == "answered"
    assert finished.text == "Hello"
    assert [e.text for e in events if type(e).__name__ == "TextDelta"] == ["Hel", "lo"]
    assert [type(e) for e in journal] == [TurnStarted, StepStarted, StepFinished, TurnFinished]


def test_the_intent_of_a_step_is_journalled_before_its_outcome_with_the_request_hash():
    _, journal, requests = play(["yes"], "hi")
    (intent,) = of(journal, StepStarted)
    assert len(intent.request_hash) == 64
    assert journal.index(intent) < journal.index(of(journal, StepFinished)[0])
    assert len(requests) == 1


@pytest.mark.requirement("000/loop/errors")
def test_a_failing_tool_is_told_to_the_model_and_the_turn_goes_on():
    async def broken() -> str:
        """Fail."""
        raise ToolFailed("the disk is on fire", fix="pour water")

    [(finished, events)], _, requests = play([Call("broken"), "It failed."], "do", tools=[broken])
    assert finished.text == "It failed."
    (result,) = of(events, ToolCallFinished)
    assert result.error["what"] == "the disk is on fire"
    assert '"fix":"pour water"' in requests[1].messages[-1].text


def test_a_bug_in_a_tool_does_not_end_the_loop():
    async def buggy() -> str:
        """Divide by zero."""
        return str(1 // 0)

    [(finished, events)], _, _ = play([Call("buggy"), "ok"], "do", tools=[buggy])
    assert finished.outcome == "answered"
    assert "ZeroDivisionError" in of(events, ToolCallFinished)[0].error["what"]


def test_calls_of_one_step_run_together_and_results_keep_their_order():
    together = asyncio.Barrier(3)

    async def meet(name: str) -> str:
        """Wait until all three are here."""
        await together.wait()
        return name

    calls = [Call("meet", {"name": n}) for n in "abc"]
    [(_, events)], _, requests = play([calls, "done"], "go", tools=[meet])
    assert sorted(e.content for e in of(events, ToolCallFinished)) == ["a", "b", "c"]
    assert [m.text for m in requests[1].messages[-3:]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (Call("nothing_like_it"), "there is no tool `nothing_like_it`"),
        (Call("add", "{broken"), "are not JSON"),
        (Call("add", "[1]"), "no JSON object"),
        (Call("add", {"a": "x", "c": 1}), "do not fit the schema"),
    ],
)
def test_a_bad_call_gets_an_error_that_the_model_can_act_on(call, what):
    async def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    [(finished, events)], _, _ = play([call, "sorry"], "go", tools=[add])
    (result,) = of(events, ToolCallFinished)
    assert what in result.error["what"]
    assert result.error["fix"]
    assert finished.outcome == "answered"


def test_every_violation_of_the_schema_is_listed_with_its_path():
    async def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    [(_, events)], _, _ = play([Call("add", {"a": "x", "b": [1]}), "sorry"], "go", tools=[add])
    what = of(events, ToolCallFinished)[0].error["what"]
    assert "$.a:" in what
    assert "$.b:" in what


def test_the_step_limit_is_an_outcome_and_the_session_goes_on():
    async def again() -> str:
        """Do it again."""
        return "again"

    def script(asked):
        return "fine" if asked.last.text == "stop" else Call("again")

    turns, _, _ = play(script, "loop", "stop", tools=[again], max_steps=3)
    assert turns[0][0].outcome == "limit_reached"
    assert turns[0][0].steps == 3
    assert of(turns[0][1], LimitHit)[0] == LimitHit(limit="steps", value=3, unit="steps")
    assert turns[1][0].text == "fine"


def test_a_token_budget_ends_the_turn():
    async def again() -> str:
        """Do it again."""
        return "again"

    spent = Spent(Usage(prompt=900, completion=200))
    [(finished, events)], _, _ = play(
        lambda asked: [Call("again"), spent], "go", tools=[again], turn_budget_tokens=1000
    )
    assert finished.outcome == "limit_reached"
    assert of(events, LimitHit)[0].limit == "tokens"


def test_the_wall_clock_ends_a_turn_that_hangs():
    async def hang() -> str:
        """Never return."""
        await asyncio.Event().wait()
        return ""

    [(finished, events)], journal, _ = play([Call("hang")], "go", tools=[hang], turn_timeout_s=1.0)
    assert finished.outcome == "limit_reached"
    assert of(events, LimitHit)[0].limit == "wall clock"
    assert isinstance(journal[-1], TurnFinished)


def test_a_call_that_fails_again_and_again_is_refused_in_the_end():
    attempts = []

    async def broken() -> str:
        """Fail."""
        attempts.append(1)
        raise ToolFailed("no")

    script = [*[Call("broken")] * 5, "gave up"]
    [(finished, events)], _, _ = play(script, "go", tools=[broken])
    assert finished.text == "gave up"
    assert len(attempts) == 3
    assert "refused for this turn" in of(events, ToolCallFinished)[3].error["what"]


def test_a_reply_cut_inside_its_calls_is_told_and_tried_again():
    script = [["I will", Call("add", {"a": 1}), Finish("length")], "shorter"]
    [(finished, events)], _, requests = play(script, "go")
    assert finished.text == "shorter"
    assert of(events, ToolCallStarted) == []
    assert of(events, StepFinished)[0].truncated
    assert requests[1].messages[-1].role == "developer"


def test_a_model_that_refuses_fails_the_turn_and_keeps_the_message():
    turns, _, requests = play([ProviderRefused("quota used up"), "hello"], "one", "two")
    assert turns[0][0].outcome == "failed"
    assert of(turns[0][1], Errored)[0].error["what"] == "quota used up"
    assert [m.text for m in requests[1].messages] == ["one\n\ntwo"]


def test_what_was_shown_before_a_turn_was_stopped_stays_and_is_gone_on_from():
    async def scenario():
        shown = asyncio.Event()

        async def half():
            yield "Half of "
            yield "the answer"
            await asyncio.Event().wait()

        async with scripted_runtime([half(), ", and the rest"]) as played:
            session = await played.runtime.session("s")
            events = []

            def show(event):
                events.append(event)
                if "answer" in "".join(e.text for e in events if isinstance(e, TextDelta)):
                    shown.set()

            turn = asyncio.create_task(session.run("go", show))
            await shown.wait()
            assert session.cancel()
            finished = await turn
            await session.run("go on", lambda _: None)
            again = await played.runtime.session("s")
            await again.load()
            return finished, events, played.model.requests[1].messages, again.conversation.messages

    finished, events, asked, kept = asyncio.run(scenario())
    assert finished.outcome == "cancelled"
    (step,) = of(events, StepFinished)
    assert (step.finish_reason, step.message.text) == ("stopped", "Half of the answer")
    assert step.usage.completion > 0
    assert finished.usage == step.usage
    assert [(m.role, m.text) for m in asked] == [
        ("user", "go"),
        ("assistant", "Half of the answer"),
        ("developer", STOPPED),
        ("user", "go on"),
    ]
    assert [m.text for m in kept][:4] == [m.text for m in asked]


def test_cancelling_a_turn_journals_it_and_answers_its_calls():
    async def scenario():
        started = asyncio.Event()

        async def hang() -> str:
            """Never return."""
            started.set()
            await asyncio.Event().wait()
            return ""

        async with scripted_runtime([Call("hang"), "later"]) as played:
            played.runtime.tool(hang)
            session = await played.runtime.session("s")
            session.agent.add_tools("app.native:hang")
            turn = asyncio.create_task(session.run("go", lambda _: None))
            await started.wait()
            assert session.cancel()
            finished = await turn
            after = await session.run("and now?", lambda _: None)
            return finished, after, played.model.requests[1].messages

    finished, after, messages = asyncio.run(scenario())
    assert finished.outcome == "cancelled"
    assert after.text == "later"
    assert [m.role for m in messages] == ["user", "assistant", "tool", "user"]
    assert "outcome unknown" in messages[2].text


def test_a_session_goes_on_in_another_process(tmp_path):
    async def turn(script, text):
        async with scripted_runtime(script, home=str(tmp_path)) as played:
            (transcript,) = await run_transcript(played.runtime, text, session="s")
            return transcript, played.model.requests[-1].messages

    asyncio.run(turn(["my name is Ada"], "who are you?"))
    _, messages = asyncio.run(turn(["Ada, as I said"], "again?"))
    assert [m.text for m in messages] == ["who are you?", "my name is Ada", "again?"]


@pytest.mark.requirement(
    *("000/compression/trigger", "000/compression/replaces", "000/compression/target"),
    "000/build/compresses",
)
def test_a_conversation_above_three_quarters_of_the_window_is_summarised():
    def script(asked):
        if asked.request.system.startswith("You shorten"):
            return "They talked about whales."
        big = Spent(Usage(prompt=700, cached=60, completion=5))
        return ["w" * 6000, big] if asked.last.text == "whales?" else ["fine", Spent(Usage())]

    turns, _, requests = play(script, "hello", "whales?", "go on", card={"max_tokens": 1000})
    compacted = next(e for e in turns[1][1] if type(e).__name__ == "Compacted")
    assert compacted.tokens_before == 760
    summary = requests[-1].messages[0]
    assert summary.role == "system"
    assert summary.text.startswith("Conversation summary:\n\n")
    assert [m.text for m in requests[-1].messages[1:] if m.role == "user"] == ["whales?", "go on"]


def test_a_failing_summariser_does_not_lose_the_conversation():
    def script(asked):
        if asked.request.system.startswith("You shorten"):
            return ProviderRefused("no summaries today")
        return ["x" * 5000, Spent(Usage(prompt=900))]

    turns, _, _ = play(script, "remember 4711", "two", card={"max_tokens": 1000})
    compacted = next(e for e in turns[1][1] if type(e).__name__ == "Compacted")
    assert compacted.by == "extractive"
    assert "4711" in compacted.summary
    assert turns[1][0].outcome == "answered"
