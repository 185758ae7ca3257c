"""Give the agent a function of your own program.

`@rt.tool` makes an entry of a typed async function: its name is the tool's, the first line
of its docstring tells the model what it does, the type hints become its schema. It runs in
this process with all you may do, so it is for code that you wrote.

Prints:
    app.native:find_order takes ['number']
    Order 7 is on its way.
"""

import asyncio
import tempfile

from micro_agi.api import Parts, open_runtime
from micro_agi.testing.scripted import PROVIDER, Call, ScriptedModel, scripted_card

SCRIPT = [
    Call("find_order", {"number": 7}),
    lambda asked: "Order 7 is on its way." if "shipped" in asked.last.text else "I do not know.",
]


async def main() -> None:
    parts = Parts(providers={PROVIDER: ScriptedModel(SCRIPT)}, card=scripted_card(), offline=True)
    with tempfile.TemporaryDirectory() as home:
        async with open_runtime(app="bundled", home=home, parts=parts) as rt:

            @rt.tool
            async def find_order(number: int) -> dict[str, str]:
                """Find an order by its number."""
                return {"number": str(number), "state": "shipped"}

            entry = rt.registry.get("app.native:find_order")
            print(f"{entry.id} takes {list(entry.meta['input_schema']['properties'])}")
            session = await rt.session("shop")
            session.agent.add_tools("app.native:find_order")
            finished = await session.run("where is order 7?", lambda event: None)
            print(finished.text)


asyncio.run(main())
