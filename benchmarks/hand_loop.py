"""The peer: the agent loop that one would write by hand on the `openai` SDK.

As a program (`python benchmarks/hand_loop.py URL [--stay]`) it asks one question, which is what
our `ask` is compared with; so it imports nothing but the SDK and the standard library.
With `--stay` it waits for the end of its standard input, so that its memory can be read.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, TextIO

from openai import AsyncOpenAI

Tool = Callable[..., Awaitable[Any]]


class HandLoop:
    """Runs turns: stream a reply, run its calls together, go on until there are none."""

    def __init__(
        self,
        base_url: str,
        *,
        schemas: list[dict[str, Any]],
        tools: dict[str, Tool],
        out: TextIO,
        on_text: Callable[[], None] = lambda: None,
    ) -> None:
        self.client = AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)
        self.schemas = schemas
        self.tools = tools
        self.out = out
        self.steps = 0
        self.on_text = on_text
        self.called_at = 0.0
        """When the last reply with calls had come, on the machine's clock."""

    async def turn(self, messages: list[dict[str, Any]]) -> str:
        """Run one turn over `messages`, which grow; return the answer."""
        self.steps, self.called_at = 0, 0.0
        while True:
            text, calls = await self.step(messages)
            self.steps += 1
            if not calls:
                return text
            self.called_at = time.monotonic()
            results = await asyncio.gather(*(self.call(call) for call in calls))
            for call, result in zip(calls, results, strict=True):
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})

    async def step(self, messages: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
        """Make one request and take its stream apart."""
        create: Any = self.client.chat.completions.create
        optional = {"tools": self.schemas} if self.schemas else {}
        stream = await create(
            model="bench",
            messages=messages,
            max_tokens=2048,
            stream=True,
            stream_options={"include_usage": True},
            **optional,
        )
        pieces: list[str] = []
        calls: dict[int, dict[str, Any]] = {}
        async for chunk in stream:
            for choice in chunk.choices[:1]:
                if choice.delta.content:
                    self.on_text()
                    pieces.append(choice.delta.content)
                    self.out.write(choice.delta.content)
                    self.out.flush()
                for delta in choice.delta.tool_calls or ():
                    add(calls, delta)
        text = "".join(pieces)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if calls:
            message["tool_calls"] = list(calls.values())
        messages.append(message)
        return text, list(calls.values())

    async def call(self, call: dict[str, Any]) -> str:
        """Run one tool call and return its result as text."""
        function = call["function"]
        result = await self.tools[function["name"]](**json.loads(function["arguments"]))
        return result if isinstance(result, str) else json.dumps(result)


def add(calls: dict[int, dict[str, Any]], delta: Any) -> None:
    """Add one piece of a tool call."""
    call = calls.setdefault(
        delta.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
    )
    call["id"] = delta.id or call["id"]
    if delta.function is not None:
        call["function"]["name"] += delta.function.name or ""
        call["function"]["arguments"] += delta.function.arguments or ""


async def ask(base_url: str) -> None:
    """Ask one question and print the answer."""
    loop = HandLoop(base_url, schemas=[], tools={}, out=sys.stdout)
    await loop.turn([{"role": "user", "content": "hello"}])
    print(flush=True)
    if "--stay" in sys.argv:
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(ask(sys.argv[1]))
