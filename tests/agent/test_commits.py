"""What is in the journal when something with an effect starts."""

import asyncio

import pytest

from micro_agi.errors import StoreFailed
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import (
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    TurnFinished,
    TurnStarted,
)
from micro_agi.testing.transcript import scripted_runtime


def kinds(recorded):
    return [type(r.event) for r in recorded]


def in_journal(database):
    """Return the kinds of events that are committed, read on another connection."""
    query = "SELECT kind FROM journal ORDER BY seq"
    return [kind for (kind,) in database.read_now(lambda db: db.execute(query).fetchall())]


def test_everything_before_a_call_and_before_an_answer_is_seen_is_journalled():
    at_call, at_delta = [], []

    async def scenario():
        async def peek() -> str:
            """Look into the journal."""
            at_call.append(kinds(await played.runtime.journal.read("s")))
            return "seen"

        def listen(event):
            if isinstance(event, TextDelta):
                at_delta.append(in_journal(played.runtime.database))

        async with scripted_runtime([Call("peek"), "done"]) as played:
            played.runtime.tool(peek)
            session = await played.runtime.session("s")
            session.agent.add_tools(["app.native:peek"])
            await session.run("go", listen)
            return kinds(await played.runtime.journal.read("s"))

    journal = asyncio.run(scenario())
    called = [TurnStarted, StepStarted, StepFinished, ToolCallStarted]
    asked_again = [*called, ToolCallFinished, StepStarted]
    assert at_call == [called]
    assert at_delta == [[kind.__struct_config__.tag for kind in asked_again]]
    assert journal == [*asked_again, StepFinished, TurnFinished]


def test_a_request_whose_intent_cannot_be_journalled_ends_at_once_and_shows_nothing():
    shown, answered = [], []

    async def scenario():
        async def slow(asked):
            await asyncio.Event().wait()
            answered.append(asked)
            return "too late"

        async with scripted_runtime([slow, "yes"]) as played:
            session = await played.runtime.session("s")
            await session.load()
            pages(played.runtime.database, 0)
            async with asyncio.timeout(5) as patience:
                with pytest.raises(StoreFailed, match="the disk is full"):
                    await session.run("word " * 1000, shown.append)
            assert (shown, answered, patience.expired()) == ([], [], False)
            pages(played.runtime.database, 100_000)
            await session.run("again", shown.append)
            return await played.runtime.journal.read("s")

    assert kinds(asyncio.run(scenario())) == [
        TurnStarted,
        *(TurnStarted, StepStarted, StepFinished, TurnFinished),
    ]


def pages(database, spare):
    """Let the state file grow by that many pages and no more."""

    def limit(db):
        used = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {used + spare}")

    database.write_now(limit)


def test_what_could_not_be_journalled_is_not_shown_and_is_journalled_with_the_next_turn():
    shown = []

    async def scenario():
        async with scripted_runtime(["yes"]) as played:
            session = await played.runtime.session("s")
            await session.load()
            pages(played.runtime.database, 2)
            with pytest.raises(StoreFailed, match="the disk is full"):
                await session.run("word " * 100_000, shown.append)
            assert (shown, played.model.requests) == ([], [])
            pages(played.runtime.database, 100_000)
            await session.run("again", shown.append)
            return await played.runtime.journal.read("s")

    recorded = asyncio.run(scenario())
    first, second, *rest = [r.event for r in recorded]
    assert (first.message.text[:5], second.message.text) == ("word ", "again")
    assert kinds(recorded)[2:] == [StepStarted, StepFinished, TurnFinished]
    assert [e for e in shown if type(e).__name__ != "TextDelta"] == [first, second, *rest]


@pytest.mark.parametrize("replayable", [True, False])
def test_an_effect_is_on_disk_before_it_happens_and_its_outcome_right_after(replayable):
    commits = []

    async def scenario():
        async def act() -> str:
            """Do something."""
            return "done"

        async with scripted_runtime([Call("act"), "ok"]) as played:
            runtime = played.runtime
            runtime.tool(replayable=replayable)(act)
            session = await runtime.session("s")
            session.agent.add_tools("app.native:act")
            events = []
            await session.run("go", events.append)
            started = next(e for e in events if isinstance(e, ToolCallStarted))
            commits.extend(kinds(await runtime.journal.read("s")))
            return started.replayable

    assert asyncio.run(scenario()) is replayable
    assert commits == [
        *(TurnStarted, StepStarted, StepFinished, ToolCallStarted, ToolCallFinished),
        *(StepStarted, StepFinished, TurnFinished),
    ]
