"""The sessions of a chaos run: what they do again and again, and the judgment at the end.

Each session plays one turn after the other (`long_turn.py`). A session that finds a turn cut
off goes on with it first. The journal and the ledger of payments outlive every process, so
the judgment needs nothing but them.
"""

import asyncio
import importlib
import json
import os
import re
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.long_turn import CARD, FULL, draft, mount, with_agents
from micro_agi.agent.session import Session
from micro_agi.app import Runtime
from micro_agi.llm.providers.scripted import Asked, Call, ScriptedReply, Spent
from micro_agi.messages import (
    AnyEvent,
    StepFinished,
    ToolCallFinished,
    TurnFinished,
    TurnStarted,
)
from micro_agi.testing.transcript import scripted_runtime
from micro_agi.tools.approve import YesOnce

TASK = re.compile(r"Do turn (\d+) of (\w+)")
PLACE = re.compile(r"turn (\d+), stage (\d+)")
TRIES = 3
"""Of a stage whose tool could not be made or loaded, because its worker was killed."""
NEEDED = ("create_tool", "load_tool")


async def play(home: Path, sessions: int, *, seconds: float) -> None:
    """Resume every session's turn, then play new ones for that long."""
    # A thread imports it beside the first turns, and would have a file open at any moment.
    importlib.import_module("micro_agi.net.exchange")
    before = _descriptors()
    ends = time.monotonic() + seconds
    async with scripted_runtime(
        answer,
        home=str(home),
        approver=YesOnce(),
        card=CARD,
        model_retries=0,
    ) as played:
        tools = mount(played.runtime, home / "ledger")
        await with_agents(played.runtime)
        opened = []
        for number in range(sessions):
            began = time.perf_counter()
            session = await played.runtime.session(f"s{number}", agent="app:boss")
            session.agent.add_tools(tools)
            await session.load()
            if session.unfinished is not None:
                _note(home, recovery_ms=(time.perf_counter() - began) * 1000)
            opened.append(session)
        await asyncio.gather(*(_keep_busy(session, ends) for session in opened))
    # Reached only by a process that nobody killed.
    _note(home, descriptors=dict(_descriptors() - before))


async def _keep_busy(session: Session, ends: float) -> None:
    if session.unfinished is not None:
        await session.resume(_ignore)
    while time.monotonic() < ends:
        await session.run(f"Do turn {session.conversation.turn + 1} of {session.id}", _ignore)


def answer(asked: Asked) -> ScriptedReply:
    """Play the model: the next stage of the turn, as far as the conversation shows."""
    texts = [asked.request.system, *(m.text for m in asked.messages)]
    places = [(int(t), int(s)) for text in texts for t, s in PLACE.findall(text)]
    if any("You shorten" in text for text in texts):
        turn, stage = max(places)
        return f"The user wants it done; this was turn {turn}, stage {stage}"
    if "You are coder" in asked.request.system:
        return "Written." if asked.last.role == "tool" else Call("look", {"at": "the code"})
    task = next(found for text in reversed(texts) if (found := TASK.search(text)))
    turn, session = int(task[1]), task[2]
    stage = max((s for t, s in places if t == turn), default=0)
    calls = stages(turn, session)
    again = f"Again turn {turn}, stage {stage}."
    if _failed(asked) and sum(again in text for text in texts) < TRIES:
        return [again, *calls[stage - 1]]
    return [f"This is turn {turn}, stage {stage + 1}.", *(calls[stage] if stage < 5 else [])]


def stages(turn: int, session: str) -> list[list[Any]]:
    """Return the replies of one turn: every kind of call, and one that fills the window."""
    name = f"page_{session}"
    written = {**draft(name), "description": f"Written in turn {turn}"}
    return [
        [Call("pay", {"order": f"{session}.{turn}.1"}), Call("look", {"at": "orders"})],
        [Call("create_tool", written)],
        [Call("load_tool", {"id": f"app.generated:{name}"})],
        [
            Call("ask_coder", {"message": "write it"}),
            Call("pay", {"order": f"{session}.{turn}.2"}),
            Spent(FULL),
        ],
        [Call(name, {"path": "x"})],
    ]


def _failed(asked: Asked) -> bool:
    """Whether the newest results say that the tool could not be made or loaded."""
    for message in reversed(asked.messages):
        if message.role != "tool":
            return False
        if message.name in NEEDED and '"error"' in message.text:
            return True
    return False


def judge(home: Path, sessions: int, counts: Counter[str]) -> tuple[dict[str, float], list[str]]:
    """Return the figures of a run, and every wrong thing in words."""
    journals, broken = asyncio.run(_journals(home, sessions))
    ledger = home / "ledger"
    paid = Counter(ledger.read_text().split() if ledger.exists() else ())
    repeated = [f"paid {n} times: {order}" for order, n in paid.items() if n > 1]
    lost: list[str] = []
    wrong = [broken] if broken else []
    turns = resumed = 0
    for session, events in journals.items():
        started = [e for e in events if isinstance(e, TurnStarted)]
        ended = [e for e in events if isinstance(e, TurnFinished)]
        turns += sum(e.outcome == "answered" for e in ended)
        resumed += sum(type(e).__name__ == "TurnResumed" for e in events)
        if [e.turn for e in started] != [e.turn for e in ended if e.outcome == "answered"]:
            bad = [(e.turn, e.outcome) for e in ended if e.outcome != "answered"]
            lost.append(f"{session}: {len(started)} turns, {len(ended)} ended, not well: {bad}")
        wrong += [f"{session}: {said}" for said in _wrong_results(events, paid)]
    notes = [json.loads(line) for line in (home / "notes").read_text().splitlines()]
    recovery = [n["recovery_ms"] for n in notes if "recovery_ms" in n] or [0.0, 0.0]
    left = sum((Counter(n.get("descriptors", {})) for n in notes), Counter())
    cuts = statistics.quantiles([*recovery, recovery[0]], n=20)
    found = {
        "turns": turns,
        "resumed": resumed,
        "lost turns": len(lost),
        "repeated effects": len(repeated),
        "wrong outcomes": len(wrong) + counts["wrong outcomes"],
        "orphans": counts["orphans"],
        "descriptors": left.total(),
        "recovery": statistics.median(recovery),
        "recovery 95": cuts[-1],
        **{f"killed {kind}": counts[f"killed {kind}"] for kind in ("process", "worker", "zygote")},
    }
    unclosed = [f"{number} descriptors left open: {kind}" for kind, number in left.items()]
    return found, [*lost, *repeated, *wrong, *unclosed]


def _wrong_results(events: list[AnyEvent], paid: Counter[str]) -> list[str]:
    """Say which calls have no outcome, two, or one that is not what happened."""
    wrong = []
    results: dict[str, list[ToolCallFinished]] = {}
    for event in events:
        if isinstance(event, ToolCallFinished):
            results.setdefault(event.call_id, []).append(event)
    for step in events:
        for call in step.message.tool_calls if isinstance(step, StepFinished) else ():
            found = results.get(call.id, [])
            if len(found) != 1:
                wrong.append(f"{call.name} has {len(found)} outcomes")
            elif call.name == "pay":
                error = found[0].error
                if error is None and paid[json.loads(call.arguments)["order"]] != 1:
                    wrong.append("a payment is reported that was not made")
                if error is not None and error["code"] != "tool.interrupted":
                    wrong.append(f"pay: {error}")
    return wrong


async def _journals(home: Path, sessions: int) -> tuple[dict[str, list[AnyEvent]], str]:
    """Return the events of every session, and what is wrong with the registry."""
    async with scripted_runtime([], home=str(home)) as played:
        runtime = played.runtime
        events = {
            f"s{n}": [r.event for r in await runtime.journal.read(f"s{n}")] for n in range(sessions)
        }
        return events, _registry(runtime, sessions)


def _registry(runtime: Runtime, sessions: int) -> str:
    """Say whether the chain of versions is whole, and each tool was written once a turn."""
    history = runtime.registry.history
    broken = history.verify()
    if broken is not None:
        return f"the registry is broken: {broken}"
    for number in range(sessions):
        hashes = [r.hash for r in history.of_entry(f"app.generated:page_s{number}")]
        if len(set(hashes)) != len(hashes):
            return f"page_s{number} was written twice in one turn"
    return ""


def _descriptors() -> Counter[str]:
    """Return how many descriptors of each kind are open."""
    kinds = (_kind(name) for name in os.listdir("/proc/self/fd"))
    return Counter(kind for kind in kinds if kind)


def _kind(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{name}").partition(":[")[0]
    except OSError:
        return ""  # the one that listed them


def _note(home: Path, **values: Any) -> None:
    with (home / "notes").open("a") as file:
        file.write(json.dumps(values) + "\n")


def _ignore(_: AnyEvent) -> None:
    """Drop an event: the journal has it."""
