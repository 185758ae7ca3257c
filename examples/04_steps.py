"""Drive an agent step by step, with a loop of your own.

A step is one model request. An agent context loads an agent, adds tools to it and makes
the runner; what the model asks for is yours to do. Sessions (01 to 03) do this for you,
with policies, approvals, limits and a journal.

Prints:
    the agent has 5 tools, and add_tools gave it tell_time
    step 1 asks for tell_time with {}
    step 2 says: It is noon.
    tokens counted: True
"""

import asyncio
import json
import tempfile

from micro_agi.api import Parts, Prompt, open_runtime
from micro_agi.testing.scripted import PROVIDER, Call, ScriptedModel, scripted_card

SCRIPT = [Call("tell_time"), lambda asked: f"It is {asked.last.text}."]


async def main() -> None:
    parts = Parts(providers={PROVIDER: ScriptedModel(SCRIPT)}, card=scripted_card(), offline=True)
    with tempfile.TemporaryDirectory() as home:
        async with open_runtime(app="bundled", home=home, parts=parts) as rt:

            @rt.tool
            async def tell_time() -> str:
                """Tell the time of day."""
                return "noon"

            context = rt.agent_context().add_tools("app.native:tell_time")
            runner = await context.load_agent("app:dev_assistant")
            print(f"the agent has {len(runner.tools) - 1} tools, and add_tools gave it tell_time")

            prompt = Prompt().add_user("what time is it?")
            response = await runner.step(prompt)
            [call] = response.tool_calls
            print(f"step 1 asks for {call.name} with {call.arguments}")

            result = await rt.call(runner.tools[call.name].id, json.loads(call.arguments))
            prompt.add_function_call(call.name, call.arguments, call.id)
            prompt.add_function_result(call.name, result, call.id)
            response = await runner.step(prompt)
            print(f"step 2 says: {response.result}")
            print(f"tokens counted: {runner.get_stats()['total_tokens']['total'] > 0}")


asyncio.run(main())
