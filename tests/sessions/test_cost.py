"""What a session took, from its journal."""

import asyncio

import pytest

from benchmarks.long_turn import with_agents
from micro_agi.llm.catalogue import Pricing
from micro_agi.llm.providers.scripted import Call, Spent
from micro_agi.messages import Usage
from micro_agi.sessions.cost import costs
from micro_agi.testing.transcript import scripted_runtime


@pytest.mark.requirement("issue-6/cost")
def test_models_and_tools_are_added_up_with_what_delegates_used():
    def script(asked):
        results = sum(m.role == "tool" for m in asked.messages)
        if "You are coder" in asked.request.system:
            return ["written", Spent(Usage(prompt=1_000_000, completion=7))]
        replies = [
            [Call("look", {}), Call("look", {"at": "x"}), Spent(Usage(prompt=10, cached=4))],
            None,
            [Call("ask_coder", {"message": "x"}), Spent(Usage(completion=3))],
            ["done", Spent(Usage())],
        ]
        return replies[results]

    async def scenario():
        async with scripted_runtime(script, card={"pricing": Pricing(input=2.0)}) as play:
            runtime = play.runtime

            async def look(at: str) -> str:
                """Look."""
                await asyncio.sleep(0)
                return at

            runtime.tool(replayable=True)(look)
            await with_agents(runtime)
            session = await runtime.session("s", agent="app:boss")
            session.agent.add_tools("app.native:look")
            await session.run("go", lambda _: None)
            return costs(await runtime.journal.read("s"))

    found = asyncio.run(scenario())
    [model] = found.models
    assert (model.calls, model.failed, model.usage) == (
        4,
        0,
        Usage(prompt=1_000_010, cached=4, completion=10),
    )
    assert model.usd == pytest.approx(2.000028, abs=1e-6)
    assert model.seconds > 0
    tools = {c.name: c for c in found.tools}
    look, coder = tools["app.native:look"], tools["app:coder"]
    assert (look.calls, look.failed, look.usage, look.usd) == (2, 1, Usage(), None)
    assert look.seconds > 0
    assert (coder.calls, coder.usage.prompt, coder.usd) == (1, 1_000_000, pytest.approx(2.0))
