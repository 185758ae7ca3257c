"""A turn that SIGKILL ends at a chosen statement of the state database, and goes on.

`python -m tests.agent.killed HOME [short]` kills one process at each statement that begins
or commits a write, one after the other, and lets a second process finish the turn; then it
checks that nothing is lost and nothing was done twice. The model's script reads its place in
the turn from the conversation alone, as a real model would, so it works across processes.
"""

import asyncio
import importlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.long_turn import CARD, FULL, draft, in_a_child, mount, run, with_agents
from micro_agi.llm.providers.scripted import Call, Spent
from micro_agi.messages import (
    Delegated,
    StepFinished,
    ToolCallFinished,
    TurnFinished,
)
from micro_agi.store.database import Database
from micro_agi.testing.transcript import scripted_runtime
from micro_agi.tools.approve import YesOnce

DRAFT = draft("get_page")
STAGE = re.compile(r"stage (\d+)")


REPLIES = [
    [Call("pay", {"order": "1"}), Call("look", {"at": "orders"})],
    [Call("create_tool", DRAFT)],
    [Call("load_tool", {"id": "app.generated:get_page"})],
    [Call("ask_coder", {"message": "write it"}), Call("pay", {"order": "2"}), Spent(FULL)],
    [Call("get_page", {"path": "x"})],
]
"""With a tool that is made and loaded, an approval, a delegate and, at `FULL`, a compaction."""
SHORT = REPLIES[:2]


def script(replies):
    """Answer by the stage that the conversation has reached."""

    def answer(asked):
        text = asked.request.system + "".join(m.text for m in asked.messages)
        if "You shorten" in text:
            return f"The user wants it done; this was stage {reached(text)}"
        if "You are coder" in text:
            return "Written." if asked.last.role == "tool" else Call("look", {"at": "the code"})
        stage = reached(text)
        more = replies[stage] if stage < len(replies) else []
        return [f"This is stage {stage + 1}.", *more]

    return answer


def reached(text):
    """The highest stage that a text names."""
    return max(map(int, STAGE.findall(text)), default=0)


async def play(home, replies, *, kill_at=0, resume=False):
    """Run the turn, or go on with it; returns the seconds until it could go on."""
    count = 0

    def trace(statement):
        nonlocal count
        count += statement.startswith(("BEGIN IMMEDIATE", "COMMIT"))
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    database = Database.open(home / "state.db", trace=trace if kill_at else None)
    async with scripted_runtime(
        script(replies),
        home=str(home),
        approver=YesOnce(),
        card=CARD,
        parts={"database": database},
        model_retries=0,
    ) as played:
        runtime = played.runtime
        tools = mount(runtime, home / "ledger")
        if await with_agents(runtime):
            return None
        began = time.perf_counter()
        session = await runtime.session("s", agent="app:boss")
        session.agent.add_tools(tools)
        await session.load()
        seconds = time.perf_counter() - began
        if not resume:
            await session.run("do it", lambda _: None)
        elif session.unfinished is not None:
            await session.resume(lambda _: None)
        return seconds


def events_of(home):
    """The journal of the session, and how many versions the made tool has."""
    database = Database.open(home / "state.db")

    async def read():
        async with scripted_runtime([], home=str(home), parts={"database": database}) as played:
            recorded = await played.runtime.journal.read("s")
            played.runtime.registry.history.verify()
            made = played.runtime.registry.history.of_entry("app.generated:get_page")
            return [r.event for r in recorded], len(made)

    return asyncio.run(read())


def check(home, replies):
    """Say what is wrong with the state that a killed turn left once it went on; "" if nothing.

    A turn whose message was not accepted yet has left nothing.
    """
    events, versions = events_of(home)
    ledger = home / "ledger"
    paid = Counter(ledger.read_text().split() if ledger.exists() else ())
    if not events:
        return "an effect of a turn that nobody knows of" if paid or versions else ""

    def of(kind):
        return [e for e in events if isinstance(e, kind)]

    wrong = []
    stages = [e.message.text for e in of(StepFinished)]
    results = {e.call_id: e for e in of(ToolCallFinished)}
    calls = [c for e in of(StepFinished) for c in e.message.tool_calls]
    if [e.outcome for e in of(TurnFinished)] != ["answered"]:
        wrong.append(f"turns ended: {of(TurnFinished)}")
    if stages != [f"This is stage {n + 1}." for n in range(len(replies) + 1)]:
        wrong.append(f"replies: {stages}")
    if len(results) != len(of(ToolCallFinished)):
        wrong.append(f"results: {list(results)}")
    if versions != 1:
        wrong.append(f"the tool was written {versions} times")
    if any(count > 1 for count in paid.values()):
        wrong.append(f"paid twice: {paid}")
    for call in calls:
        error = results[call.id].error if call.id in results else {"code": "missing"}
        known = call.name == "get_page" or error is None
        unknown = call.name == "pay" and error and error["code"] == "tool.interrupted"
        if not known and not unknown:
            wrong.append(f"{call.name} ended with {error}")
        if call.name == "pay" and known and paid[json.loads(call.arguments)["order"]] != 1:
            wrong.append("a payment is reported that was not made")
    inner = [e.event for e in of(Delegated) if isinstance(e.event, TurnFinished)]
    if len(replies) > len(SHORT) and len(inner) != 1:
        wrong.append(f"the delegate ended {len(inner)} times")
    return "; ".join(wrong)


def killed_at(home, before, replies, number):
    """Kill a turn at one statement and let it go on; returns whether it came so far."""
    shutil.copytree(before, home)
    killed = in_a_child(lambda: run(play(home, replies, kill_at=number)))
    in_a_child(lambda: run(play(home, replies, resume=True)))
    return killed


def main(base, size=""):
    """Kill at one statement after the other until a turn is over before its number comes."""
    replies = SHORT if size else REPLIES
    killed, number, wrong = True, 0, 0
    # What every session imports on its way, once for all the children.
    importlib.import_module("micro_agi.net.exchange")
    before = Path(base) / "before"
    before.mkdir(parents=True)
    in_a_child(lambda: run(play(before, replies)))  # the agents
    while killed:
        number += 1
        home = Path(base) / str(number)
        killed = killed_at(home, before, replies, number)
        said = check(home, replies)
        wrong += bool(said)
        print(f"{number}: {said or 'ok'}", flush=True)
    print(f"{number - 1} kills, {wrong} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
