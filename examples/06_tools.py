"""Run the tool calls of an agent yourself: check them, execute them, feed them back.

The app beside this file has a calculator and a search in Lua. `tool_caller` does what a
session does with calls: it validates the arguments, runs an exclusive call alone, gives
each tool its context and acts as the agent, with its policies.

Prints:
    tools: calculate, finish, search, web_search
    calculate {'expression': '6 * 7'} -> {"result":42}
    web_search {'query': 'whales'} -> {"found":"whales","index":"nature"}
    calculate refused: the arguments do not fit the schema of `calculate`: …
    finish {} -> done
    calculate -> skipped: another call of this reply has to run alone
    answer: It is 42.
"""

import asyncio
import tempfile
from pathlib import Path

from micro_agi.api import Parts, Prompt, open_runtime
from micro_agi.testing.scripted import PROVIDER, Call, ScriptedModel, scripted_card

APP = Path(__file__).parent / "apps" / "tools"
SCRIPT = [
    [Call("calculate", {"expression": "6 * 7"}), Call("web_search", {"query": "whales"})],
    Call("calculate", {"formula": "6 * 7"}),
    [Call("finish"), Call("calculate", {"expression": "1"})],
    "It is 42.",
]


async def main() -> None:
    parts = Parts(providers={PROVIDER: ScriptedModel(SCRIPT)}, card=scripted_card(), offline=True)
    with tempfile.TemporaryDirectory() as home:
        async with open_runtime(app=str(APP), home=home, parts=parts) as rt:
            rt.trust()  # somebody read this app
            context = rt.agent_context(context={"index": "nature"})
            runner = await context.load_agent("app:assistant")
            caller = context.tool_caller().set_strategy("parallel")
            print(f"tools: {', '.join(runner.tools)}")

            prompt = Prompt().add_user("What is 6 times 7?")
            while (response := await runner.step(prompt)).tool_calls:
                checked = await caller.validate(runner, response.tool_calls)
                results = await caller.execute(checked)
                for call, result in zip(checked, results, strict=True):
                    if call.valid:
                        print(f"{call.name} {call.args} -> {result.content}")
                    elif "skipped" in call.error:
                        print(f"{call.name} -> {call.error}")
                    else:
                        print(f"{call.name} refused: {call.error.partition(':')[0]}: …")
                    prompt.add_function_call(call.name, call.call.arguments, call.call_id)
                    prompt.add_function_result(call.name, result.content, call.call_id)
            print(f"answer: {response.result}")


asyncio.run(main())
