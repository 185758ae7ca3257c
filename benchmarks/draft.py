"""From a draft to a tool's first result: checked, tried, written, loaded, called. No model time."""

import asyncio
import statistics
import time
from dataclasses import dataclass

from benchmarks.compare import Size
from benchmarks.server import Server
from benchmarks.table import Row, absolute
from micro_agi.agent.session import Session
from micro_agi.llm.providers.scripted import Asked, Call, ScriptedReply
from micro_agi.messages import AnyEvent, StepFinished, ToolCallFinished, ToolCreated, ToolLoaded
from micro_agi.testing.transcript import scripted_runtime

TITLE = "draft: from the model's create_tool call to the new tool's first result, durable"
SOURCE = """\
local function handler(args)
  return {sum = args.left + args.right}
end
return {handler = handler}
"""
SCHEMA = {
    "type": "object",
    "properties": {"left": {"type": "number"}, "right": {"type": "number"}},
    "required": ["left", "right"],
    "additionalProperties": False,
}
ARGUMENTS = {"left": 2, "right": 3}


@dataclass(frozen=True, slots=True)
class Birth:
    """When the stages of one tool were over, in milliseconds after the model's call."""

    created: float
    loaded: float
    called: float


def rows(server: Server, size: Size) -> list[Row]:
    """Let an agent make tools, one in a turn, in a session of its own each."""
    births = asyncio.run(_births(size.turns))
    created, loaded, called = (
        statistics.median(getattr(b, stage) for b in births)
        for stage in ("created", "loaded", "called")
    )
    return [
        absolute("draft to entry", created, "ms"),
        absolute("draft to loaded", loaded, "ms"),
        absolute("draft to first result", called, "ms", goal=25),
    ]


async def _births(count: int) -> list[Birth]:
    async with scripted_runtime(_answer) as played:
        await played.runtime.pool.start()
        births = []
        for number in range(count + 1):
            session = await played.runtime.session(None)
            births.append(await _birth(session, f"add_{number}"))
        return births[1:]


def _answer(asked: Asked) -> ScriptedReply:
    """Play the model: make the tool that the user names, load it, call it, say the sum."""
    name = next(m.text for m in asked.messages if m.role == "user")
    done = sum(m.role == "tool" for m in asked.messages)
    test = {"args": ARGUMENTS, "expect": {"sum": 5}}
    steps: list[ScriptedReply] = [
        Call(
            "create_tool",
            {
                "name": name,
                "description": "Add two numbers.",
                "source": SOURCE,
                "input_schema": SCHEMA,
                "tests": [test],
            },
        ),
        Call("load_tool", {"id": f"app.generated:{name}"}),
        Call(name, ARGUMENTS),
        "Five.",
    ]
    return steps[done]


async def _birth(session: Session, name: str) -> Birth:
    times: dict[type[AnyEvent], float] = {}

    def listen(event: AnyEvent) -> None:
        if isinstance(event, ToolCallFinished):
            assert event.error is None, event.error
        called = isinstance(event, ToolCallFinished) and event.name == name
        if called or isinstance(event, StepFinished | ToolCreated | ToolLoaded):
            times.setdefault(type(event), time.perf_counter())

    await session.run(name, listen)
    start = times[StepFinished]
    created, loaded, called = (
        (times[kind] - start) * 1000 for kind in (ToolCreated, ToolLoaded, ToolCallFinished)
    )
    return Birth(created, loaded, called)
