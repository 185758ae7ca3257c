"""The journal: append only, one writer a session, nothing secret in it."""

import asyncio
import subprocess
import sys

import pytest

from micro_agi.errors import EntryConflict, EntryNotFound, StoreFailed
from micro_agi.messages import (
    TextDelta,
    TurnFinished,
    TurnResumed,
    TurnStarted,
    Usage,
    Warned,
    message,
)
from micro_agi.sessions.journal import Journal
from micro_agi.store.database import Database
from micro_agi.store.leases import LEASE_S


@pytest.fixture
def database():
    opened = Database.open(None)
    yield opened
    opened.close()


def started(turn=1, text="hi"):
    return TurnStarted(turn=turn, message=message("user", text), agent="app:a")


def ended(turn=1):
    return TurnFinished(turn=turn, outcome="answered", text="yes", usage=Usage())


def test_events_come_back_in_order_with_their_turn(database):
    async def scenario():
        journal = Journal(database, clock=lambda: 7.0)
        session = await journal.open("s", agent="app:a")
        finished = ended()
        await session.append([started(), TextDelta(text="y")], turn=1)
        await session.append([finished], turn=1)
        return await journal.read("s"), finished

    rows, finished = asyncio.run(scenario())
    assert [(r.seq, r.turn, r.at) for r in rows] == [(1, 1, 7.0), (2, 1, 7.0)]
    assert [r.event for r in rows] == [started(), finished]


def test_a_session_goes_on_where_it_stopped(database):
    async def scenario():
        journal = Journal(database)
        await (await journal.open("s", agent="a")).append([started(), ended()], turn=1)
        await (await journal.open("s", agent="a")).append([started(2)], turn=2)
        return [r.seq for r in await journal.read("s")]

    assert asyncio.run(scenario()) == [1, 2, 3]


def test_a_holder_that_was_overtaken_cannot_append(database):
    async def scenario():
        journal = Journal(database)
        stale = await journal.open("s", agent="a")
        winner = await journal.open("s", agent="a")
        await winner.append([started(text="winner"), ended()], turn=1)
        with pytest.raises(EntryConflict, match="continued by another process"):
            await stale.append([started(text="loser")], turn=1)
        return [r.event for r in await journal.read("s")]

    assert asyncio.run(scenario()) == [started(text="winner"), ended()]


def test_what_was_read_before_somebody_else_appended_is_no_ground_to_append(database):
    async def scenario():
        journal = Journal(database)
        first = journal.start("s", agent="a")
        await first.append([started(), ended()], turn=1)
        read = await journal.standing("s")
        await first.append([started(2), ended(2)], turn=2)
        late = await journal.open("s", agent="a", after=read)
        with pytest.raises(EntryConflict, match="continued by another process"):
            await late.append([started(2, "late")], turn=2)
        return [r.seq for r in await journal.read("s")]

    assert asyncio.run(scenario()) == [1, 2, 3, 4]


def test_a_turn_that_runs_keeps_others_out_until_its_lease_ends(database):
    async def scenario():
        now = [1000.0]
        journal = Journal(database, clock=lambda: now[0])
        first = await journal.open("s", agent="a")
        await first.append([started()], turn=1)
        second = await journal.open("s", agent="a")
        with pytest.raises(EntryConflict, match="in the middle of a turn"):
            await second.append([started(2)], turn=2)
        now[0] += LEASE_S - 1
        await first.renew()
        now[0] += LEASE_S - 1
        third = await journal.open("s", agent="a")
        with pytest.raises(EntryConflict, match="in the middle of a turn"):
            await third.append([TurnResumed(turn=1)], turn=1)
        now[0] += 2
        fourth = await journal.open("s", agent="a")
        await fourth.append([TurnResumed(turn=1)], turn=1)
        for write in (first.append([ended()], turn=1), first.renew()):
            with pytest.raises(EntryConflict, match="continued by another process"):
                await write
        await fourth.append([ended()], turn=1)
        fifth = await journal.open("s", agent="a")
        await fifth.append([started(2)], turn=2)
        return [r.event for r in await journal.read("s")]

    assert asyncio.run(scenario()) == [started(), TurnResumed(turn=1), ended(), started(2)]


def test_the_lease_of_a_process_that_is_gone_is_free_at_once(database):
    child = subprocess.run(
        [sys.executable, "-c", "from micro_agi.store.leases import *; print(new_holder())"],
        capture_output=True,
        text=True,
        check=True,
    )
    gone = child.stdout.strip()

    async def scenario():
        journal = Journal(database)
        await (await journal.open("s", agent="a")).append([started()], turn=1)
        database.write_now(lambda db: db.execute("UPDATE leases SET holder = ?", (gone,)))
        await (await journal.open("s", agent="a")).append([TurnResumed(turn=1)], turn=1)

    asyncio.run(scenario())


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
