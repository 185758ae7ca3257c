"""A turn that was cut off goes on, and nothing is lost or done twice."""

import asyncio
import sqlite3
import subprocess
import sys
from collections import Counter

import pytest

from benchmarks.long_turn import AGENTS
from micro_agi.errors import EntryConflict, InputInvalid
from micro_agi.llm.providers.scripted import Call, Spent
from micro_agi.messages import (
    ApprovalAsked,
    Circling,
    Delegated,
    LimitHit,
    StepFinished,
    ToolCallFinished,
    TurnFinished,
    TurnResumed,
    Usage,
)
from micro_agi.sessions.standing import standing
from micro_agi.store.database import Database
from micro_agi.testing.transcript import scripted_runtime

DRAFT = {
    "name": "far",
    "description": "Far",
    "source": 'local http = require("http_client")\n'
    'return { handler = function() return http.get("http://example.com/") end }',
    "input_schema": {"type": "object"},
    "modules": ["http_client"],
    "hosts": ["http://example.com/*"],
}
CHARGE = {
    "id": "app:charge",
    "kind": "function.lua",
    "meta": {"type": "tool", "idempotent": True, "input_schema": {"type": "object"}},
    "data": {
        "source": 'local ctx, funcs = require("ctx"), require("funcs")\n'
        "return { handler = function()\n"
        '  return funcs.call("app.native:note", { key = ctx.get("idempotency_key") })\n'
        "end }",
        "modules": ["ctx", "funcs"],
        "method": "handler",
    },
}


@pytest.mark.timeout(120)
def test_killed_at_every_write_a_turn_goes_on_without_loss_and_without_repetition(tmp_path):
    command = [sys.executable, "-m", "tests.agent.killed", str(tmp_path), "short"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout.splitlines()[-1].split()[0]) > 15


class Cut:
    """Plays a turn, keeps its state as it is at one moment, and goes on from there."""

    name = "tester"

    def __init__(self, tmp_path, script, *, cut_in="pay", time=1):
        self.called = Counter()
        self.asked = Counter()
        self._script = script
        self._cut_in, self._times_left = cut_in, time
        self._homes = [tmp_path / "first", tmp_path / "second"]
        self._played = None
        self.requests = []
        self.keys = []
        self.now, self.look_s = 1e9, 0

    async def ask(self, question):
        """Answer any question with yes."""
        self.asked[question.resource] += 1
        self.save("ask")
        return "once"

    def save(self, place):
        """Copy the state, as `kill -9` would leave it here; done once."""
        state = self._played.runtime.database.path
        self._times_left -= place == self._cut_in
        if place != self._cut_in or self._times_left or self._homes[1].exists():
            return
        copy = self._homes[1] / state.relative_to(self._homes[0])
        copy.parent.mkdir(parents=True)
        with sqlite3.connect(state) as source, sqlite3.connect(copy) as to:
            source.backup(to)
            to.execute("UPDATE leases SET holder = '0:gone'")

    async def _play(self, home, work, **settings):
        settings |= {"home": str(home), "approver": self, "parts": {"clock": lambda: self.now}}
        async with scripted_runtime(self._script, **settings) as played:
            self._played, runtime = played, played.runtime

            async def pay(order: int = 0) -> str:
                """Pay: an effect."""
                self.called["pay"] += 1
                self.save("pay")
                return f"paid {order}"

            async def look() -> str:
                """Look: no effect."""
                self.called["look"] += 1
                self.now += self.look_s
                self.save("look")
                return "seen"

            async def last() -> str:
                """End when the other calls have ended."""
                self.called["last"] += 1
                while not any(isinstance(e, ToolCallFinished) for e in await self._events()):
                    await asyncio.sleep(0)
                self.save("last")
                return "last"

            async def note(key: str) -> str:
                """Remember the key that a call came with."""
                self.keys.append(key)
                self.save("note")
                return key

            runtime.tool(note)
            runtime.tool(pay)
            runtime.tool(last)
            runtime.tool(replayable=True)(look)
            if home == self._homes[0]:
                changes = runtime.registry.snapshot().changes()
                for entry in (*AGENTS, CHARGE):
                    changes.create(entry)
                await changes.apply(runtime.root())
            session = await runtime.session("s", agent="app:boss")
            session.agent.add_tools([f"app.native:{n}" for n in ("pay", "look", "last")])
            session.agent.add_tools("app:charge")
            result = await work(session)
            self.requests = played.model.requests
            return result, await self._events()

    async def _events(self):
        return [r.event for r in await self._played.runtime.journal.read("s")]

    def go(self, again=None, **settings):
        """Play it to its end, then from the cut on; returns how it ended and all events."""

        async def first(session):
            await session.run("go", lambda _: None)

        async def resumed(session):
            return await session.resume(lambda _: None)

        asyncio.run(self._play(self._homes[0], first))
        self.before, self.called = self.called, Counter()
        return asyncio.run(self._play(self._homes[1], again or resumed, **settings))


def of(events, kind):
    return [e for e in events if isinstance(e, kind)]


def by_tool(*replies, done="done"):
    """A script: the reply with the number of results that the model has seen."""

    def answer(asked):
        steps = sum(m.role == "assistant" for m in asked.messages)
        return replies[steps] if steps < len(replies) else done

    return answer


def test_a_call_with_an_effect_is_not_repeated_and_the_model_is_told(tmp_path):
    cut = Cut(tmp_path, by_tool([Call("pay", {"order": 7})]))
    finished, events = cut.go()
    assert (finished.outcome, finished.text, finished.steps) == ("answered", "done", 2)
    assert (cut.before["pay"], cut.called["pay"]) == (1, 0)
    [result] = of(events, ToolCallFinished)
    assert result.error["code"] == "tool.interrupted"
    assert "interrupted, outcome unknown" in cut.requests[-1].messages[-1].text
    [resumed] = of(events, TurnResumed)
    assert (resumed.again, len(resumed.unknown)) == ((), 1)


def test_a_call_without_an_effect_runs_again(tmp_path):
    cut = Cut(tmp_path, by_tool([Call("look")]), cut_in="look")
    finished, events = cut.go()
    assert (cut.called["look"], finished.text) == (1, "done")
    assert [r.content for r in of(events, ToolCallFinished)] == ["seen"]
    assert len(of(events, StepFinished)) == 2


def test_an_idempotent_tool_runs_again_under_the_same_key(tmp_path):
    cut = Cut(tmp_path, by_tool([Call("charge")]), cut_in="note")
    finished, events = cut.go()
    [result] = of(events, ToolCallFinished)
    assert (finished.text, result.error) == ("done", None)
    assert cut.keys == [result.result] * 2
    assert len(result.result) == 32


def test_an_effect_that_ended_beside_a_longer_call_is_kept(tmp_path):
    cut = Cut(tmp_path, by_tool([Call("last"), Call("pay")]), cut_in="last")
    _, events = cut.go()
    assert cut.called == Counter()
    results = {r.name: r.error for r in of(events, ToolCallFinished)}
    assert results["pay"] is None
    assert results["last"]["code"] == "tool.interrupted"
    assert [m.name for m in cut.requests[-1].messages if m.role == "tool"] == ["last", "pay"]


def test_a_call_that_waited_for_a_person_asks_again_and_runs(tmp_path):
    script = by_tool(
        [Call("create_tool", DRAFT)],
        [Call("load_tool", {"id": "app.generated:far"})],
        [Call("far")],
    )
    cut = Cut(tmp_path, script, cut_in="ask")
    finished, events = cut.go()
    assert finished.outcome == "answered"
    assert len(of(events, ApprovalAsked)) == 2
    assert cut.asked == {"http://example.com/*": 2}
    assert "example.com" in of(events, ToolCallFinished)[-1].error["what"]


def test_a_delegate_goes_on_where_it_was(tmp_path):
    def script(asked):
        coder = "You are coder" in asked.request.system
        results = sum(m.role == "tool" for m in asked.messages)
        if coder:
            return ["coded" if results else Call("look"), Spent(Usage(prompt=5))]
        return ["done" if results else Call("ask_coder", {"message": "x"}), Spent(Usage(prompt=2))]

    cut = Cut(tmp_path, script, cut_in="look")
    finished, events = cut.go()
    inner = [e.event for e in of(events, Delegated)]
    assert [len(of(inner, kind)) for kind in (TurnResumed, TurnFinished)] == [1, 1]
    assert [s.message.text for s in of(inner, StepFinished)] == ["", "coded"]
    assert [r.content for r in of(events, ToolCallFinished)] == ["coded"]
    assert (finished.text, finished.usage.prompt, finished.steps) == ("done", 14, 2)


def test_a_new_message_leaves_the_old_turn_as_it_is(tmp_path):
    async def again(session):
        assert session.unfinished.started.message.text == "go"
        finished = await session.run("never mind", lambda _: None)
        with pytest.raises(InputInvalid, match="has ended"):
            await session.resume(lambda _: None)
        return finished

    finished, events = Cut(tmp_path, by_tool([Call("pay")])).go(again)
    assert (finished.turn, finished.text) == (2, "done")
    assert standing(events).unfinished is None


def test_a_holder_that_woke_up_too_late_cannot_write_to_the_registry(tmp_path):
    async def scenario():
        async with scripted_runtime(by_tool([Call("overtaken")]), home=str(tmp_path)) as played:
            runtime = played.runtime

            async def overtaken() -> str:
                """Let another process take the session over, as after a long sleep."""
                other = Database.open(runtime.database.path)
                other.write_now(lambda db: db.execute("UPDATE leases SET token = token + 1"))
                other.close()
                return "slept"

            runtime.tool(replayable=True)(overtaken)
            session = await runtime.session("s")
            session.agent.add_tools("app.native:overtaken")
            with pytest.raises(EntryConflict, match="continued by another process"):
                await session.run("go", lambda _: None)
            context = runtime.root().narrowed(session="s", fence=1)
            changes = runtime.registry.snapshot().changes()
            changes.create({"id": "app.generated:x", "kind": "registry.entry"})
            with pytest.raises(EntryConflict, match="continued by another process"):
                await changes.apply(context)
            return runtime.registry.find({".ns": "app.generated"})

    assert asyncio.run(scenario()) == []


@pytest.mark.requirement("006/loops/restart")
@pytest.mark.parametrize(("cut_in", "time"), [("look", 3), ("model", 5), ("look", 6)])
def test_a_circle_is_counted_on_over_a_restart_and_told_once(tmp_path, cut_in, time):
    def script(asked):
        cut.save("model")
        return Call("look")

    cut = Cut(tmp_path, script, cut_in=cut_in, time=time)
    finished, events = cut.go()
    assert (finished.outcome, finished.steps) == ("limit_reached", 8)
    assert of(events, LimitHit) == [LimitHit(limit="same calls", value=8, unit="rounds")]
    assert of(events, Circling) == [Circling(steps=1, rounds=4, stops_at=8)]


@pytest.mark.requirement("006/loops/restart")
def test_failures_are_counted_on_over_a_restart(tmp_path):
    bad, pay = Call("look", {"no": "such"}), Call("pay")
    cut = Cut(tmp_path, by_tool([bad], [bad], [pay], [bad], [bad]))
    _, events = cut.go()
    failed = [r.content for r in of(events, ToolCallFinished) if r.name == "look"]
    assert ["failed 3 times" in content for content in failed] == [False, False, True, True]
    assert ["refused for this turn" in content for content in failed[2:]] == [False, True]


@pytest.mark.requirement("006/loops/restart")
def test_the_time_that_a_turn_ran_counts_over_a_restart_and_the_time_between_does_not(tmp_path):
    def go(place, **settings):
        cut = Cut(tmp_path / place, by_tool([Call("look")], [Call("look")], [Call("pay")]))
        cut.look_s = 100
        return cut.go(**settings)

    finished, _ = go("enough", turn_timeout_s=500)
    assert finished.outcome == "answered"
    assert 200 <= finished.seconds < 300
    finished, events = go("little", turn_timeout_s=150)
    assert finished.outcome == "limit_reached"
    assert of(events, LimitHit) == [LimitHit(limit="wall clock", value=150, unit="s")]
