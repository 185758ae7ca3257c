"""Where a session stands is what its whole journal adds up to, whatever was stored of it."""

import asyncio
from itertools import chain

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_agi.errors import StoreFailed
from micro_agi.messages import (
    ApprovalAnswered,
    ApprovalAsked,
    Circling,
    Compacted,
    Delegated,
    Message,
    Question,
    Recalled,
    Shortened,
    ShortenedResult,
    StepFinished,
    Text,
    ToolCall,
    ToolCallFinished,
    ToolCallStarted,
    ToolLoaded,
    TurnFinished,
    TurnResumed,
    TurnStarted,
    Usage,
    Warned,
    message,
)
from micro_agi.sessions import rows
from micro_agi.sessions.conversation import derive
from micro_agi.sessions.journal import Journal
from micro_agi.sessions.standing import EVERY, FORMAT, Standing, standing
from micro_agi.store.blobs import blob_hash
from micro_agi.store.database import Database

NAMES = st.sampled_from(["look", "pay", "ask\u2028", ""])
TEXTS = st.sampled_from(["", "a", "ä😀\n", "long " * 30])
USAGES = st.builds(Usage, prompt=st.integers(0, 9), cached=st.integers(0, 9))
COSTS = st.sampled_from([None, 0.1, 0.2, 1e-9])
ASKED = Question(agent="agent:a", tool="app:t", tool_hash="h", action="x", resource="r")


@st.composite
def turns(draw, depth=0):
    """The events of one turn, as sessions journal them; it may have no end."""
    events = [TurnStarted(turn=draw(st.integers(1, 9)), message=user(draw), agent="app:a")]
    for number in range(draw(st.integers(0, 4 - 2 * depth))):
        events += draw(steps(number, depth))
    if draw(st.booleans()):
        outcome = draw(st.sampled_from(["answered", "cancelled", "failed"]))
        seconds = draw(st.floats(0, 5))
        ended = TurnFinished(turn=1, outcome=outcome, usage=draw(USAGES), text="", seconds=seconds)
        events.append(ended)
    return events


def user(draw):
    return message("user", draw(TEXTS), name=draw(NAMES))


@st.composite
def steps(draw, number, depth):
    """One reply, what became of its calls, and what may happen between steps."""
    wanted = draw(st.lists(st.tuples(NAMES, TEXTS), max_size=3))
    calls = [
        # Some models give two calls of one reply the same id.
        ToolCall(id=f"{number}.{min(n, 1)}", name=name, arguments=text)
        for n, (name, text) in enumerate(wanted)
    ]
    text = draw(TEXTS)
    said = Message(role="assistant", parts=(Text(text),) if text else (), tool_calls=tuple(calls))
    done = [
        StepFinished(
            step=number + 1,
            model="m",
            message=said,
            finish_reason="stop",
            usage=draw(USAGES),
            cost_usd=draw(COSTS),
            truncated=not calls and draw(st.booleans()),
        )
    ]
    for call in calls:
        done.append(
            ToolCallStarted(
                call_id=call.id, name=call.name, tool="app:t", arguments={"n": 2**70, "f": 0.1}
            )
        )
    for call in draw(st.permutations(calls))[: draw(st.integers(0, 3))]:
        if depth == 0 and draw(st.booleans()):
            inner = draw(turns(depth=1))
            done += [Delegated(call_id=call.id, agent="app:b", event=event) for event in inner]
        asked = {"call_id": f"1.1/{call.id}", "question": ASKED}
        if draw(st.booleans()):
            done.append(ApprovalAsked(**asked))
            done.append(ApprovalAnswered(**asked, approval="once", by="person"))
        error = draw(st.sampled_from([None, {"code": "tool.failed"}]))
        result = ToolCallFinished(
            call_id=call.id, name=call.name, tool="app:t", content=draw(TEXTS), error=error
        )
        done.append(result)
    return [*done, *draw(st.lists(BETWEEN, max_size=2))]


BETWEEN = st.one_of(
    st.builds(ToolLoaded, call_id=st.just("1"), tool=NAMES, name=NAMES),
    st.builds(Recalled, message=st.builds(message, st.just("developer"), TEXTS)),
    st.just(Circling(steps=1, rounds=4, stops_at=8)),
    st.just(TurnResumed(turn=1)),
    st.just(Warned(text="w")),
    st.builds(
        Compacted,
        summary=TEXTS,
        dropped=st.integers(0, 3),
        restated=st.just((message("user", "u"),)),
        kept=st.just(1),
        tokens_before=st.just(1),
        by=st.just("m"),
        usage=USAGES,
        cost_usd=COSTS,
    ),
    st.just(Shortened(results=(ShortenedResult(at=0, text="s"),), chars_before=2, chars_after=1)),
)
JOURNALS = st.lists(turns(), max_size=2).map(lambda all_turns: list(chain(*all_turns)))


@pytest.mark.requirement("006/resume/quick")
@settings(max_examples=40, deadline=None)
@given(JOURNALS)
def test_wherever_a_journal_is_cut_what_was_stored_there_goes_on_to_the_same(events):
    whole, so_far = Standing(), Standing()
    for at, event in enumerate(events):
        whole.take(event, at / 7)
    assert whole.conversation == derive(events)
    for number, event in enumerate(events):
        stored = msgspec.json.decode(msgspec.json.encode(so_far), type=Standing)
        assert stored == so_far
        for at, later in enumerate(events[number:], number):
            stored.take(later, at / 7)
        assert stored == whole
        so_far.take(event, number / 7)


def long_journal(turns=EVERY // 3):
    """Turns of four events each, more than are needed for a stored standing."""
    for turn in range(1, turns):
        call = ToolCall(id="c", name="look", arguments="{}")
        said = Message(role="assistant", tool_calls=(call,))
        yield [
            TurnStarted(turn=turn, message=message("user", "hi"), agent="app:a"),
            StepFinished(step=1, model="m", message=said, finish_reason="stop", usage=Usage()),
            ToolCallFinished(call_id="c", name="look", tool="app:t", content=str(turn)),
            TurnFinished(turn=turn, outcome="answered", text="", usage=Usage(), seconds=0.5),
        ]


@pytest.fixture(scope="module")
def long_home(tmp_path_factory):
    """A state database with one long session."""
    path = tmp_path_factory.mktemp("long") / "state.db"

    async def play():
        session = Journal(database).start("s", agent="a")
        for number, events in enumerate(long_journal()):
            await session.append(events, turn=number + 1)

    database = Database.open(path)
    asyncio.run(play())
    yield database
    database.close()


def stands(database):
    return asyncio.run(Journal(database).standing("s"))


def test_a_long_session_stores_where_it_stands_and_opens_from_there(long_home):
    whole = standing(chain(*long_journal()))
    assert stands(long_home) == whole
    [(seq,)] = long_home.read_now(lambda db: db.execute("SELECT seq FROM standings").fetchall())
    assert whole.seq - EVERY <= seq < whole.seq
    # What lies before it is not read: a row that cannot be read would be told.
    long_home.write_now(lambda db: db.execute("UPDATE journal SET schema = 99 WHERE seq = 7"))
    try:
        assert stands(long_home) == whole
    finally:
        long_home.write_now(lambda db: db.execute("UPDATE journal SET schema = 1 WHERE seq = 7"))


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM standings",
        "UPDATE standings SET body = CAST(replace(body, 'hi', 'ho') AS BLOB)",
        "UPDATE standings SET format = format + 1",
        "UPDATE standings SET hash = ''",
        "DELETE FROM journal WHERE seq > (SELECT seq FROM standings) - 3",
        "DELETE FROM journal WHERE seq = (SELECT seq FROM standings) + 1",
    ],
)
def test_a_stored_standing_that_is_gone_or_not_of_this_journal_is_not_used(long_home, change):
    copy = Database.open(None)
    try:
        copy.write_now(lambda db: db.execute("DELETE FROM standings"))
        copy_rows(long_home, copy)
        copy.write_now(lambda db: db.execute(change))
        events = [r.event for r in asyncio.run(Journal(copy).read("s"))]
        assert stands(copy).conversation == standing(events).conversation
    finally:
        copy.close()


def copy_rows(database, copy):
    for table, columns in (("standings", 5), ("journal", 8)):
        places = ", ".join("?" * columns)
        rows = database.read_now(lambda db, t=table: db.execute(f"SELECT * FROM {t}").fetchall())
        copy.write_now(
            lambda db, t=table, p=places, r=rows: db.executemany(f"INSERT INTO {t} VALUES ({p})", r)
        )


def test_a_damaged_row_keeps_nobody_from_appending(long_home):
    copy = Database.open(None)
    try:
        copy_rows(long_home, copy)
        copy.write_now(lambda db: db.execute("DELETE FROM standings"))

        async def append():
            journal = Journal(copy)
            session = await journal.open("s", agent="a")
            await copy.write(lambda db: db.execute("UPDATE journal SET body = x'00' WHERE seq = 9"))
            await session.append([Warned(text="w")], turn=999)
            with pytest.raises(StoreFailed, match="event 9 of session"):
                await journal.standing("s")
            return len(await copy.read(lambda db: rows.read(db, "s")))

        assert asyncio.run(append()) == stands(long_home).seq + 1
    finally:
        copy.close()


def test_a_removed_session_leaves_no_standing(long_home):
    copy = Database.open(None)
    try:
        copy_rows(long_home, copy)
        asyncio.run(Journal(copy).delete("s"))
        left = copy.read_now(lambda db: db.execute("SELECT count(*) FROM standings").fetchone())
        assert left == (0,)
    finally:
        copy.close()


def replied(text, *calls, **fields):
    said = Message(role="assistant", parts=(Text(text),) if text else (), tool_calls=calls)
    return StepFinished(
        step=1, model="m", message=said, finish_reason="stop", usage=Usage(prompt=7), **fields
    )


def filled(value):
    """A value without what is empty in it: fields that are new and have their default."""
    if isinstance(value, dict):
        return {key: filled(part) for key, part in value.items() if part not in ("", 0, None, [])}
    return list(map(filled, value)) if isinstance(value, list) else value


def test_what_events_add_up_to_does_not_change_without_a_new_format():
    """If this fails: what older programs stored is not the same now, so raise `FORMAT`."""
    one, two = (ToolCall(id=c, name="look", arguments="{}") for c in "ab")
    error = {"code": "tool.failed"}
    events = [
        TurnStarted(turn=1, message=message("user", "hi"), agent="app:a"),
        TurnStarted(turn=2, message=message("user", "again"), agent="app:a"),
        replied(""),
        replied("cut", truncated=True),
        replied("", one, two, cost_usd=0.5),
        ToolCallFinished(call_id="b", name="look", tool="app:t", content="no", error=error),
        ToolCallFinished(call_id="a", name="look", tool="app:t", content="yes"),
        Circling(steps=1, rounds=4, stops_at=8),
        ToolLoaded(call_id="a", tool="app:t", name="t"),
        Compacted(summary="sum", dropped=3, kept=5, tokens_before=9, by="m"),
        Shortened(results=(ShortenedResult(at=3, text="s"),), chars_before=2, chars_after=1),
        replied("", one),
    ]
    interrupted = derive([*events, TurnStarted(turn=3, message=message("user", ""), agent="a")])
    body = msgspec.json.encode(filled(msgspec.to_builtins([standing(events), interrupted])))
    assert (FORMAT, blob_hash(body)[:16]) == (1, "65334619b8977fe6")
