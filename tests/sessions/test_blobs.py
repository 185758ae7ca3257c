"""What sessions refer to: stored once, read by its own sessions, gone with the last of them."""

import asyncio

import pytest

from micro_agi.errors import EntryConflict, EntryNotFound
from micro_agi.messages import TurnFinished, TurnStarted, Usage, message
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext
from micro_agi.security.policy import Scope
from micro_agi.sessions.journal import Journal
from micro_agi.store.database import Database
from micro_agi.tools.results import Results

LONG = "a line of a long result\n" * 1000


@pytest.fixture
def database():
    opened = Database.open(None)
    yield opened
    opened.close()


async def a_turn(journal, name, *, ends=True):
    session = await journal.open(name, agent="a")
    started = TurnStarted(turn=1, message=message("user", "hi"), agent="a")
    ended = TurnFinished(turn=1, outcome="answered", text="", usage=Usage())
    session.keep(b"shared input")
    await session.append([started, ended] if ends else [started], turn=1)


def rows(database, table):
    return database.read_now(lambda db: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.mark.requirement("006/results/owned")
def test_a_result_is_stored_once_and_goes_with_its_last_session(database):
    async def scenario():
        journal, results = Journal(database), Results(database, limit_bytes=1000)
        for name in ("one", "two"):
            await a_turn(journal, name)
            shown = await results.shown(LONG, session=name)
        counts = [rows(database, "blobs")]
        freed = [await journal.delete("one")]
        counts.append(rows(database, "blobs"))
        freed.append(await journal.delete("two"))
        return shown, [*counts, rows(database, "blobs"), rows(database, "journal")], freed

    shown, counts, freed = asyncio.run(scenario())
    assert len(shown) < 1500
    assert counts == [2, 2, 0, 0]
    assert freed == [0, len(LONG) + len(b"shared input")]


@pytest.mark.requirement("006/results/owned")
def test_another_session_cannot_read_it(database):
    async def scenario():
        results = Results(database, limit_bytes=1000)
        shown = await results.shown(LONG, session="mine")
        handle = shown.split("result_handle ")[1][:16]
        mine, theirs = (
            CallContext(actor=Actor("agent:a"), scope=Scope(), session=name)
            for name in ("mine", "theirs")
        )
        found = await results.page({"handle": handle, "find": "LONG RESULT"}, mine)
        page = await results.page({"handle": handle, "offset": 5}, mine)
        for wanted in (handle, handle[:4], ""):
            with pytest.raises(EntryNotFound):
                await results.page({"handle": wanted}, theirs)
        return found, page

    found, page = asyncio.run(scenario())
    assert (len(found["found"]), found["more"]) == (20, True)
    assert (page["offset"], page["total_chars"]) == (5, len(LONG))


def test_a_session_that_runs_a_turn_is_not_removed(database):
    async def scenario():
        journal = Journal(database)
        await a_turn(journal, "busy", ends=False)
        with pytest.raises(EntryConflict, match="in the middle of a turn"):
            await journal.delete("busy")
        return await journal.read("busy")

    assert len(asyncio.run(scenario())) == 1
