"""The journal: append only, one writer a session, nothing secret in it."""

import asyncio

import pytest

from micro_agi.errors import EntryConflict, EntryNotFound, StoreFailed
from micro_agi.messages import TextDelta, TurnFinished, TurnStarted, Usage, Warned, message
from micro_agi.sessions.journal import Journal
from micro_agi.store.database import Database
from micro_agi.values import Secret


@pytest.fixture
def database():
    opened = Database.open(None)
    yield opened
    opened.close()


def started(turn=1, text="hi"):
    return TurnStarted(turn=turn, message=message("user", text), agent="app:a")


def test_events_come_back_in_order_with_their_turn(database):
    async def scenario():
        journal = Journal(database, clock=lambda: 7.0)
        session = await journal.open("s", agent="app:a")
        finished = TurnFinished(turn=1, outcome="answered", text="yes", usage=Usage())
        await session.append([started(), TextDelta(text="y")], turn=1)
        await session.append([finished], turn=1)
        return await journal.read("s"), finished

    rows, finished = asyncio.run(scenario())
    assert [(r.seq, r.turn, r.at) for r in rows] == [(1, 1, 7.0), (2, 1, 7.0)]
    assert [r.event for r in rows] == [started(), finished]


def test_a_session_goes_on_where_it_stopped(database):
    async def scenario():
        journal = Journal(database)
        await (await journal.open("s", agent="a")).append([started()], turn=1)
        await (await journal.open("s", agent="a")).append([started(2)], turn=2)
        return [r.seq for r in await journal.read("s")]

    assert asyncio.run(scenario()) == [1, 2]


def test_a_holder_that_was_overtaken_cannot_append(database):
    async def scenario():
        journal = Journal(database)
        stale = await journal.open("s", agent="a")
        await (await journal.open("s", agent="a")).append([started(text="winner")], turn=1)
        with pytest.raises(EntryConflict, match="continued by another process"):
            await stale.append([started(text="loser")], turn=1)
        return [r.event for r in await journal.read("s")]

    assert asyncio.run(scenario()) == [started(text="winner")]


def test_a_registered_secret_is_scrubbed_from_events(database):
    async def scenario():
        journal = Journal(database, secrets=[Secret("sk-canary-123")])
        session = await journal.open("s", agent="a")
        clean = session.scrubbed(Warned(text="the key sk-canary-123 leaked"))
        untouched = Warned(text="nothing here")
        return clean, session.scrubbed(untouched) is untouched

    clean, same = asyncio.run(scenario())
    assert clean == Warned(text="the key *** leaked")
    assert same


def test_a_session_is_listed_from_its_first_word_on_under_that_word(database):
    async def scenario():
        journal = Journal(database)
        session = await journal.open("s", agent="a")
        before = await journal.sessions()
        await session.append([Warned(text="first a warning")], turn=0)
        await session.append([started(text="what is it?\nand why")], turn=1)
        await session.append([started(2, text="something else")], turn=2)
        return before, await journal.sessions()

    before, (row,) = asyncio.run(scenario())
    assert before == []
    assert (row.id, row.title, row.turns) == ("s", "what is it?", 2)


def test_an_unreadable_event_is_named_with_its_place(database):
    async def scenario():
        journal = Journal(database)
        await (await journal.open("s", agent="a")).append([started()], turn=1)
        await database.write(lambda db: db.execute("UPDATE journal SET schema = 99"))
        with pytest.raises(StoreFailed, match="event 1 of session `s`") as failed:
            await journal.read("s")
        return failed.value

    assert "upgrade" in asyncio.run(scenario()).fix


def test_an_unknown_session_lists_the_nearest(database):
    async def scenario():
        journal = Journal(database)
        await (await journal.open("morning", agent="a")).append([started()], turn=1)
        with pytest.raises(EntryNotFound) as missing:
            await journal.find("mornin")
        return missing.value.fix

    assert asyncio.run(scenario()) == "did you mean: morning"
