"""Keep agents in a database, each user's own: a resolver.

The app binds the contract `wippy.agent:resolver` to a function of this program. It is asked
first, with the agent's identifier, and sees in the call's context whose session it is;
when it knows nothing, the registry is asked by id and by name. What it raises is final:
nobody gets another agent than the one that was meant.

Prints:
    ada: You are Ada's pirate. [custom:helper]
    bob: You are Bob's gardener. [custom:helper]
    ada: You are everybody's assistant. [app:assistant]
    carl: failed to resolve agent: carl has no agent `helper`
    ada after an update: You are Ada's navigator. [custom:helper]
"""

import asyncio
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from micro_agi.api import Parts, Runtime, open_runtime
from micro_agi.errors import EntryNotFound, MicroAgiError
from micro_agi.security.context import CallContext
from micro_agi.testing.scripted import PROVIDER, ScriptedModel, scripted_card

APP = Path(__file__).parent / "apps" / "resolver"
CUSTOM = "custom:"


def database() -> sqlite3.Connection:
    """Return a database with agents of two users."""
    agents = sqlite3.connect(":memory:")
    agents.execute("CREATE TABLE agents (owner TEXT, name TEXT, prompt TEXT)")
    rows = [
        ("ada", "helper", "You are Ada's pirate."),
        ("bob", "helper", "You are Bob's gardener."),
    ]
    agents.executemany("INSERT INTO agents VALUES (?, ?, ?)", rows)
    return agents


def offer(rt: Runtime, agents: sqlite3.Connection) -> None:
    """Make the function that the app's binding names."""

    @rt.tool
    async def find_agent(agent_id: str, context: CallContext) -> dict[str, Any] | None:
        """Find an agent of the user who asks."""
        if not agent_id.startswith(CUSTOM):
            return None
        user, name = context.values["user_id"], agent_id.removeprefix(CUSTOM)
        query = "SELECT prompt FROM agents WHERE owner = ? AND name = ?"
        row = agents.execute(query, (user, name)).fetchone()
        if row is None:
            raise EntryNotFound(f"{user} has no agent `{name}`", fix="create it first")
        return {"id": agent_id, "name": name, "prompt": row[0], "model": "class:balanced"}


async def ask(rt: Runtime, user: str, agent: str) -> str:
    """Ask an agent as a user; return its answer, or why there is none."""
    try:
        session = await rt.session(None, agent=agent, context={"user_id": user})
        return (await session.run("Who are you?", lambda _: None)).text
    except MicroAgiError as error:
        return error.what


async def main() -> None:
    model = ScriptedModel(lambda asked: asked.request.system)
    parts = Parts(providers={PROVIDER: model}, card=scripted_card(), offline=True)
    agents = database()
    with tempfile.TemporaryDirectory() as home:
        async with open_runtime(app=str(APP), home=home, parts=parts) as rt:
            rt.trust()
            offer(rt, agents)
            print(f"ada: {await ask(rt, 'ada', 'custom:helper')} [custom:helper]")
            print(f"bob: {await ask(rt, 'bob', 'custom:helper')} [custom:helper]")
            print(f"ada: {await ask(rt, 'ada', 'assistant')} [app:assistant]")
            print(f"carl: {await ask(rt, 'carl', 'custom:helper')}")
            agents.execute("UPDATE agents SET prompt = 'You are Ada''s navigator.' WHERE rowid = 1")
            print(f"ada after an update: {await ask(rt, 'ada', 'custom:helper')} [custom:helper]")


asyncio.run(main())
