"""The process that is measured: ours or the hand loop, one turn for each line it reads.

`python -m benchmarks.client JOB` takes a `Job` as JSON; each line on its standard input is
a number of turns to run; it answers with their `Sample`s. CPU is that of this process
alone, all threads; server and sandbox workers are other processes.
"""

import asyncio
import atexit
import gc
import os
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Any

from msgspec import Struct, json

from benchmarks.waits import WAITS

QUESTION = "Please look at everything, one thing after the other, and tell me what you found."
PROMPT = "You are an agent. Use the tools you have, and answer in two or three sentences."


class Job(Struct, frozen=True, kw_only=True):
    """What a client does."""

    ours: bool
    base_url: str
    tool: str = ""
    """`echo`, `wait`, or `lua` for `echo` in the sandbox (only ours); "" for none."""
    history: int = 0
    """Messages in the conversation before the turn, a multiple of four."""
    home: str = ""
    """Where ours keeps its state."""
    more: int = 0
    """Tools besides, that nobody calls."""
    together: int = 0
    """Turns at a time, each in a new session; a sample is then all of them. 0 is one after the
    other, in sessions that are there already."""
    budget: int = 0
    """Tools that ours shows before the model has to search; 0 is all."""


class Sample(Struct, frozen=True, kw_only=True):
    """One turn, in a conversation of its own."""

    cpu_s: float
    wall_s: float
    first_text_s: tuple[float, ...]
    """From the question, or the result of the last call, to the first text of each step."""
    tools_s: float
    """From the end of the last reply with calls to the arrival of the request after it; only
    for the tool `wait`."""
    steps: int


class Measured:
    """Measures a block; `gc.collect` before it, so that nobody pays for what was before."""

    def __enter__(self) -> "Measured":
        gc.collect()
        WAITS.begin()
        self.start = time.perf_counter()
        self.cpu = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_s = time.process_time() - self.cpu
        self.wall_s = time.perf_counter() - self.start

    def sample(self, *, tools_s: float, steps: int) -> Sample:
        """Return what was measured."""
        return Sample(
            cpu_s=self.cpu_s,
            wall_s=self.wall_s,
            first_text_s=tuple(WAITS.seconds),
            tools_s=tools_s,
            steps=steps,
        )


async def echo(text: str) -> str:
    """Return the text that was given."""
    WAITS.go_on()
    return text


async def wait(text: str) -> str:
    """Take 50 ms and return the text that was given."""
    await asyncio.sleep(0.05)
    return text


TOOLS = {"echo": echo, "wait": wait}
NULL = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process lives
atexit.register(NULL.close)


def more_schema(number: int) -> dict[str, Any]:
    """Return the parameters of one of many tools, each a little different."""
    return {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": f"What matter {number} is about"},
            "count": {"type": "integer", "minimum": 0},
        },
        "required": ["text"],
        "additionalProperties": False,
    }


def more_tool(number: int) -> dict[str, Any]:
    """Describe one of many tools as the SDK wants it."""
    return {
        "type": "function",
        "function": {
            "name": f"matter_{number}",
            "description": f"Take care of matter {number}, in the way that it needs.",
            "parameters": more_schema(number),
        },
    }


def schema(name: str) -> dict[str, Any]:
    """Describe a tool as the SDK wants it."""
    parameters = {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
        "additionalProperties": False,
    }
    function = {"name": name, "description": TOOLS[name].__doc__, "parameters": parameters}
    return {"type": "function", "function": function}


def told(number: int) -> str:
    """Return a text of an earlier message, each a little different."""
    return f"This is what was said in exchange {number} about the matter at hand, in some words."


async def hand_loop(job: Job) -> Callable[[], Awaitable[Sample]]:
    """Prepare the hand loop; return what runs one turn."""
    # Each client imports only its own side: the other one's libraries are not its memory.
    from benchmarks.hand_loop import HandLoop

    loop = HandLoop(
        job.base_url,
        schemas=[
            *([schema(job.tool)] if job.tool else []),
            *(more_tool(n) for n in range(job.more)),
        ],
        tools=dict(TOOLS),
        out=NULL,
        on_text=WAITS.text,
    )
    history = [m for n in range(job.history // 4) for m in exchange(n)]

    async def one(each: HandLoop) -> None:
        messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": QUESTION}]
        await each.turn(messages)

    async def all_at_once() -> Sample:
        # What a turn remembers is a loop's own; the connections are shared.
        loops = [copy(loop) for _ in range(job.together)]
        with Measured() as measured:
            await asyncio.gather(*map(one, loops))
        steps = sum(each.steps for each in loops)
        return measured.sample(tools_s=0.0, steps=steps)

    async def turn() -> Sample:
        messages = [{"role": "system", "content": PROMPT}, *history]
        with Measured() as measured:
            messages.append({"role": "user", "content": QUESTION})
            await loop.turn(messages)
        return measured.sample(
            tools_s=tools_s(job, loop.called_at),
            steps=loop.steps,
        )

    return all_at_once if job.together else turn


def exchange(number: int) -> list[dict[str, Any]]:
    """Return four messages of an earlier turn: question, call, result, answer."""
    arguments = f'{{"text":"{told(number)}"}}'
    call = {
        "id": f"call_h{number:08}",
        "type": "function",
        "function": {"name": "echo", "arguments": arguments},
    }
    return [
        {"role": "user", "content": told(number)},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": told(number)},
        {"role": "assistant", "content": told(number)},
    ]


def tools_s(job: Job, called_at: float) -> float:
    """Ask the server when the last request came, which is the same clock."""
    if job.tool != "wait":
        return 0.0
    with urllib.request.urlopen(f"{job.base_url}/last") as response:
        return json.decode(response.read(), type=float) - called_at


async def ours(job: Job) -> Callable[[], Awaitable[Sample]]:
    """Prepare our runtime; return what runs one turn."""
    from benchmarks.our_loop import OurLoop

    loop = await OurLoop.open(job, out=NULL)

    async def all_at_once() -> Sample:
        with Measured() as measured:
            steps = await asyncio.gather(
                *(loop.session(QUESTION, NULL) for _ in range(job.together))
            )
        return measured.sample(tools_s=0.0, steps=sum(steps))

    async def turn() -> Sample:
        session = await loop.conversation(job.history)
        with Measured() as measured:
            await loop.turn(session, QUESTION)
        return measured.sample(
            tools_s=tools_s(job, loop.called_at),
            steps=loop.steps,
        )

    return all_at_once if job.together else turn


async def main(job: Job) -> None:
    """Run turns as asked, until standard input ends."""
    turn = await (ours(job) if job.ours else hand_loop(job))
    for line in iter(sys.stdin.readline, ""):
        samples = [await turn() for _ in range(int(line))]
        sys.stdout.write(json.encode(samples).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(json.decode(sys.argv[1], type=Job)))
    # The runtime of this process is not closed: what is measured here is turns.
    os._exit(0)
