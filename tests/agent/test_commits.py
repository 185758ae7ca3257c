"""What is in the journal when something with an effect starts."""

import asyncio

import pytest

from micro_agi.errors import StoreFailed
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import (
    StepFinished,
    StepStarted,
    ToolCallFinished,
    ToolCallStarted,
    TurnFinished,
    TurnStarted,
)
from micro_agi.testing.transcript import scripted_runtime


def kinds(recorded):
    return [type(r.event) for r in recorded]


def test_everything_before_a_request_or_a_call_is_journalled_when_it_starts():
    seen = []

    async def scenario():
        async def look(asked):
            seen.append(kinds(await played.runtime.journal.read("s")))
            return Call("peek") if asked.number == 0 else "done"

        async def peek() -> str:
            """Look into the journal."""
            seen.append(kinds(await played.runtime.journal.read("s")))
            return "seen"

        async with scripted_runtime(look) as played:
            played.runtime.tool(peek)
            session = await played.runtime.session("s")
            session.agent.add_tools(["app.native:peek"])
            await session.run("go", lambda _: None)
            return kinds(await played.runtime.journal.read("s"))

    journal = asyncio.run(scenario())
    start = [TurnStarted, StepStarted]
    called = [*start, StepFinished, ToolCallStarted]
    asked_again = [*called, ToolCallFinished, StepStarted]
    assert seen == [start, called, asked_again]
    assert journal == [*asked_again, StepFinished, TurnFinished]


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
