"""The contract of a compaction: what goes, what stays, and what happens without a summariser."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_agi.agent.compress import (
    KEPT_MESSAGES,
    Compressor,
    as_transcript,
    cut,
    extract,
    is_summary,
    size,
)
from micro_agi.agent.facts import facts, mentions
from micro_agi.agent.pins import FACTS_PART, LONG_PART, SAID_PART, prose
from micro_agi.errors import ProviderRefused
from micro_agi.llm.gateway import Gateway
from micro_agi.llm.providers.scripted import Call, ScriptedModel, Spent, scripted_card
from micro_agi.messages import Compacted, Message, Text, ToolCall, ToolLoaded, Usage, message
from micro_agi.sessions.conversation import Conversation
from micro_agi.store.blobs import blob_hash
from micro_agi.testing.transcript import run_transcript, scripted_runtime

ROOMY = 10**9


def step(number, result="r", arguments="{}"):
    call = ToolCall(id=f"c{number}", name="t", arguments=arguments)
    answer = Message(role="tool", parts=(Text(result),), tool_call_id=call.id, name="t")
    return [Message(role="assistant", tool_calls=(call,)), answer]


def turn(text, steps):
    return [message("user", text), *(m for n in range(steps) for m in step(n))]


def test_at_a_turns_end_the_last_user_message_and_its_answer_stay():
    messages = [*turn("old", 3), message("assistant", "a"), *turn("new", 1)]
    dropped, restated = cut(messages, running=False, room=ROOMY)
    assert messages[dropped].text == "new"
    assert restated == []


def test_a_long_running_turn_restates_its_user_message_and_keeps_the_newest_pairs():
    messages = turn("the task", 20)
    dropped, restated = cut(messages, running=True, room=ROOMY)
    assert [m.text for m in restated] == ["the task"]
    assert len(messages) - dropped <= KEPT_MESSAGES
    assert messages[dropped].role == "assistant"


def test_of_a_step_that_is_too_long_the_results_are_shortened():
    messages = [message("user", "go"), *step(1, "a" * 50_000), *step(2, "b" * 50_000)]
    dropped, restated = cut(messages, running=True, room=3000)
    assert dropped == len(messages)
    assert [m.role for m in restated] == ["user", "assistant", "tool"]
    assert size(restated) <= 3000
    assert "50000 characters" in restated[-1].text


WORDS = ["look", "order", "invoice", "why", "please", "never", "always", "file", "late", "agreed"]
NAMED = ["app.generated:clock", "/srv/orders/4711.json", "2026-11-21", "PAY-1729", "1,250.00"]
texts = st.lists(st.sampled_from([*WORDS, *NAMED]), min_size=1, max_size=60).map(" ".join)
results = st.one_of(texts, st.integers(1, 400).map(lambda n: f"row {n * 7919} " * n))
steps = st.tuples(texts, results)
turns = st.lists(st.tuples(texts, st.lists(steps, max_size=12)), min_size=1, max_size=6)


def conversation(drawn):
    messages = []
    for number, (said, made) in enumerate(drawn):
        messages.append(message("user", f"{said} #{1000 + number}"))
        for arguments, result in made:
            messages += step(len(messages), result, f'{{"q":"{arguments}"}}')
        messages.append(message("assistant", f"done with {said}"))
    return Conversation(messages=messages)


@dataclass
class Summariser:
    """A gateway to a model that summarises in one of many ways."""

    manner: str
    kept: dict = field(default_factory=dict)

    def answer(self, asked):
        text = asked.messages[0].text
        return {
            "well": " ".join(text.split()[:40]),
            "empty": "",
            "rubbish": "lorem ipsum dolor sit amet consectetur adipiscing elit sed do",
            "the same word": "order " * 500,
            "too long": text * 3,
            "refuses": ProviderRefused("no summaries today"),
        }[self.manner]

    def compact(self, made, *, window, running=False, usage=None):
        card = scripted_card(max_tokens=window)
        model = ScriptedModel(self.answer)
        gateway = Gateway(None, {"scripted": model}, retries=0)

        async def same(card):
            return card

        def keep(body):
            key = blob_hash(body)
            self.kept[key[:16]] = body.decode()
            return key

        compressor = Compressor(gateway=gateway, cheap=same)
        room = compressor.room(made, usage or Usage(), card)
        event = asyncio.run(
            compressor.compact(made, usage or Usage(), card, running=running, keep=keep)
        )
        return event, room


MANNERS = ["well", "empty", "rubbish", "the same word", "too long", "refuses"]


@pytest.mark.requirement(
    *("006/compaction/pinned", "006/compaction/pairs", "006/compaction/budget"),
    "006/compaction/summariser",
)
@settings(max_examples=60, deadline=None)
@given(
    turns,
    st.sampled_from(MANNERS),
    st.booleans(),
    st.sampled_from([2000, 8000, 32_000]),
    st.integers(1, 3),
)
def test_the_contract_holds_whatever_the_summariser_does(drawn, manner, running, window, times):
    summariser, made = Summariser(manner), conversation(drawn)
    if running:
        made.messages.pop()  # the last answer has not come yet
    for number in range(times):
        before = list(made.messages)
        event, room = summariser.compact(made, window=window, running=running)
        if event is None:
            return
        made.apply(event)
        check(event, before, made, room, summariser)
        made.messages += [message("user", f"and #{2000 + number}?"), message("assistant", "yes")]


def check(event, before, made, room, summariser):
    after, users = made.messages, [m for m in before if m.role == "user"]
    # The last user message stays word for word, and only the newest step may be longer than all.
    assert users[-1] in after
    newest = next(n for n in range(len(after) - 1, -1, -1) if after[n].role != "tool")
    whole = [m for m in after[newest:] if m.role != "tool"]
    floors = 300 * sum(m.role == "tool" for m in after[newest:])
    assert size(after) <= room + size([users[-1], *whole]) + floors + 400
    # Calls have their results, in order.
    called = [c.id for m in after for c in m.tool_calls]
    assert called == [m.tool_call_id for m in after if m.role == "tool"]
    # What the event says is pinned is there; what is gone is counted.
    text = "\n".join([after[0].text, as_transcript(after[1:])])
    for pinned in (*event.pinned, *event.tasks):
        assert pinned in text
    for said in event.said:
        assert said.replace("\n", "\n> ") in text
    gone = [f for f in dict.fromkeys(facts(as_transcript(before))) if not mentions(text, f)]
    assert not gone or event.unlisted
    target = min(4000, room // 3)
    old = before[: event.dropped]
    words = [m.text for m in old if m.role == "user" and m not in after]
    room_for_words = target * SAID_PART * LONG_PART
    if before[0].role != "system" and sum(len(w) + 3 for w in words) <= room_for_words:
        assert [w for w in words if w not in text] == []
    listed = sum(len(f) + 2 for f in event.pinned)
    assert listed <= target * FACTS_PART
    # All that went is behind the handle.
    assert event.handle in after[0].text
    assert summariser.kept[event.handle] == as_transcript(old)
    assert (event.by == "extractive") or summariser.manner in ("well", "too long")


@pytest.mark.requirement("006/compaction/pinned")
@pytest.mark.parametrize("manner", MANNERS)
def test_what_the_user_asked_for_survives_every_compaction(manner):
    """Instructions of the first message, after twenty compactions by whatever summariser."""
    summariser = Summariser(manner)
    first = "Always answer in German, never touch /etc, and the budget is 4,711 EUR."
    made = Conversation(messages=[message("user", first), message("assistant", "gut")])
    for number in range(20):
        made.messages += turn(f"go on with part {number}", 4)
        made.messages += [message("assistant", "words " * 400)]
        event, _ = summariser.compact(made, window=8000)
        if event is not None:
            made.apply(event)
    assert first in made.messages[0].text
    assert "part 18" in made.messages[0].text


def test_open_tasks_stay_until_they_are_done():
    summariser = Summariser("rubbish")
    made = Conversation(
        messages=[
            message("user", "- [ ] write the test\n- [ ] send the mail\nTODO: call Anna"),
            message("assistant", "- [x] write the test"),
            *turn("next", 1),
        ]
    )
    event, _ = summariser.compact(made, window=8000)
    assert event.tasks == ("send the mail", "call Anna")
    made.apply(event)
    made.messages += [message("assistant", "DONE: call Anna"), *turn("and then", 1)]
    made.messages[1:1] = [message("assistant", "x " * 2000)]
    event, _ = summariser.compact(made, window=8000)
    assert event.tasks == ("send the mail",)
    assert "- [ ] send the mail" in event.summary


def test_a_summary_is_not_summarised_again_for_nothing():
    summariser = Summariser("well")
    made = Conversation(messages=[*turn("one " * 500, 3), *turn("two", 1)])
    event, _ = summariser.compact(made, window=8000)
    made.apply(event)
    made.messages.append(message("user", "three"))
    assert summariser.compact(made, window=8000)[0] is None


def test_the_summariser_sees_its_own_words_and_not_the_lists_below_them():
    event, _ = Summariser("well").compact(
        Conversation(messages=[*turn("see /srv/a and 4711 " * 300, 3), *turn("two", 1)]),
        window=8000,
    )
    assert "4711" in event.summary
    assert prose("Conversation summary:\n\n" + event.summary) == " ".join(
        as_transcript(turn("see /srv/a and 4711 " * 300, 3)).split()[:40]
    )


@pytest.mark.parametrize(
    ("summary", "verdict"),
    [
        ("", False),
        ("ok", False),
        ("As a language model, lovely weather outside today, bananas everywhere forever", False),
        ("order " * 100, False),
        ("The user wants order 4711 shipped; the invoice is late and Anna has to be called.", True),
        ("Die Bestellung 4711 von Anna ist noch offen, Rechnung fehlt, bitte anrufen.", True),
        ("用户想要订单四七一一,发票迟到了,需要给安娜打电话,然后发邮件。4711", True),
    ],
)
def test_rubbish_is_told_from_a_summary(summary, verdict):
    text = "user: ship order 4711 please, the invoice is late; call Anna\n\nassistant: I will"
    assert is_summary(summary, text) is verdict


@given(st.lists(st.text(max_size=200), max_size=30), st.integers(50, 2000))
def test_an_extract_keeps_to_its_length(blocks, target):
    assert len(extract("\n\n".join(blocks), target)) <= target


def test_an_extract_has_the_beginning_and_the_newest():
    blocks = [f"user: message {n} " + "x" * 100 for n in range(200)]
    found = extract("\n\n".join(blocks), 2000)
    assert found.startswith("user: message 0 ")
    assert "user: message 199 " in found
    assert "user: message 100 " not in found


PAGES = [f"modules/{name}" for name in ("http_client", "store", "events", "time", "registry")]


@pytest.mark.requirement("006/compaction/long", "006/compaction/recall")
@pytest.mark.parametrize("fails", [False, True])
def test_a_long_real_conversation_keeps_its_task_and_can_be_recalled(fails):
    """Pages of the documentation through a small window: many compactions in one turn."""
    task = "Compare how modules report errors; the report goes to /srv/out/report-2026.md."
    asked_for = []

    def script(asked):
        if asked.request.system.startswith("You shorten"):
            return ProviderRefused("no") if fails else "The user compares modules; pages were read."
        done = len(asked_for)
        if done < 30:
            asked_for.append(PAGES[done % len(PAGES)])
            return Call("doc_search", {"query": f"{asked_for[-1]} example {done}"})
        if done == 30:
            asked_for.append("recall")
            handle = asked.messages[0].text.split("with handle ")[1][:16]
            return Call("recall", {"handle": handle, "find": "with handle"})
        if done == 31:
            asked_for.append("chain")
            found = asked.last.text.split("with handle ")[1][:16]
            return Call("recall", {"handle": found})
        return "compared"

    async def scenario():
        async with scripted_runtime(
            script, card={"max_tokens": 6000}, max_steps=50, compress_to_chars=1500
        ) as played:
            [turn] = await run_transcript(played.runtime, task, session="s")
            return turn, played.model.requests

    turn, requests = asyncio.run(scenario())
    compacted = turn.of(Compacted)
    assert turn.finished.text == "compared"
    assert len(compacted) >= 3
    assert {c.by == "extractive" for c in compacted} == {fails}
    assert {e.tool for e in turn.of(ToolLoaded)} == {"system:read_result", "system:recall"}
    steps = [r for r in requests if not r.system.startswith("You shorten")]
    for request in steps:
        assert task in [m.text for m in request.messages if m.role == "user"]
        assert sum(len(m.text) for m in request.messages) <= 6000 * 4
    results = [m.text for m in steps[-1].messages if m.role == "tool"]
    assert '"total_chars"' in results[-1]
    assert "tool result doc_search" in results[-1]


def test_what_the_summariser_takes_counts_for_the_turn_and_the_session():
    def script(asked):
        if asked.request.system.startswith("You shorten"):
            return ["They talked about whales and whales.", Spent(Usage(prompt=50, completion=5))]
        big = Spent(Usage(prompt=760, completion=5))
        return ["w" * 6000, big] if asked.last.text == "whales?" else ["whales " * 300, big]

    async def scenario():
        async with scripted_runtime(script, card={"max_tokens": 1000}) as played:
            turns = await run_transcript(played.runtime, "hello", "whales?", session="s")
            session = await played.runtime.session("s")
            asked = [r for r in played.model.requests if r.system.startswith("You shorten")]
            return turns, session.conversation, len(asked)

    turns, conversation, asked = asyncio.run(scenario())
    compacted = [e for t in turns for e in t.of(Compacted)]
    assert sum(e.usage.prompt for e in compacted) == 50 * asked > 0
    assert sum(t.finished.usage.prompt for t in turns) == 2 * 760 + 50 * asked
    assert conversation.usage == Usage(prompt=1520 + 50 * asked, completion=10 + 5 * asked)
