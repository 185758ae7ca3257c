"""A turn with everything in it: effects, a tool that is made, an approval, a delegate, compaction.

The model's script reads its place from the conversation alone, as a real model would, so a
turn can be killed in one process and go on in another. The kill test of the suite
(`tests/agent/killed.py`) and the chaos run (`chaos.py`) play it.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from micro_agi.app import Runtime
from micro_agi.messages import Usage

AGENTS: list[dict[str, Any]] = [
    {
        "id": f"app:{name}",
        "kind": "registry.entry",
        "meta": {"type": "agent.gen1", "name": name},
        "data": {"prompt": f"You are {name}.", "tools": tools, "delegates": delegates},
    }
    for name, tools, delegates in (
        (
            "boss",
            ["app.tools:create_tool", "app.tools:load_tool"],
            [{"id": "app:coder", "name": "ask_coder"}],
        ),
        ("coder", ["app.native:look"], []),
    )
]
LONG = "The order 4711 is in /srv/orders/4711.json. " * 40
FULL = Usage(prompt=90_000, completion=10)
"""More than three quarters of the window of `CARD`: the next thing is a compaction."""
CARD = {"max_tokens": 100_000}


def draft(name: str) -> dict[str, Any]:
    """Return a tool that a person is asked about."""
    return {
        "name": name,
        "description": "Fetch",
        "source": 'local http = require("http_client")\n'
        'return { handler = function(a) return http.get("http://example.com/" .. a.path) end }',
        "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
        "modules": ["http_client"],
        "hosts": ["http://example.com/*"],
    }


async def with_agents(runtime: Runtime) -> bool:
    """Write the two agents; False when they were there."""
    if runtime.registry.find({".id": "app:boss"}):
        return False
    changes = runtime.registry.snapshot().changes()
    for entry in AGENTS:
        changes.create(entry)
    await changes.apply(runtime.root())
    return True


def mount(runtime: Runtime, ledger: Path) -> list[str]:
    """Give the runtime the two functions of the program; returns their ids."""

    async def pay(order: str) -> str:
        """Pay an order: an effect that must not be repeated."""
        with ledger.open("a") as file:
            file.write(f"{order}\n")
        return f"paid {order}"

    async def look(at: str) -> str:
        """Look at something: no effect."""
        return LONG + at

    runtime.tool(pay)
    runtime.tool(replayable=True)(look)
    return ["app.native:pay", "app.native:look"]


def forked(work: Callable[[], None]) -> int:
    """Run `work()` in a forked process and return its id; it ends with 1 if that raises."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def in_a_child(work: Callable[[], None]) -> bool:
    """Run `work()` in a forked process to its end; returns whether it was killed."""
    status = os.waitstatus_to_exitcode(os.waitpid(forked(work), 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit("the turn raised an error")
    return status != 0


def run(work: Any) -> None:
    """Run a coroutine to its end."""
    asyncio.run(work)
