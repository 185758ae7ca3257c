"""Open a runtime, talk to its agent, print what happens.

The model is a script, so that the example needs no key and no network; everything else is
what a real model would get. Leave `parts` out and give `base_url=` and `model=` for a real one.

Prints:
    You said: hello
    answered after 1 step
"""

import asyncio
import tempfile

from micro_agi.api import Parts, open_runtime
from micro_agi.messages import TextDelta, TurnFinished
from micro_agi.testing.scripted import PROVIDER, ScriptedModel, scripted_card


async def main() -> None:
    model = ScriptedModel(lambda asked: ["You said: ", asked.last.text])
    parts = Parts(providers={PROVIDER: model}, card=scripted_card(), offline=True)
    with tempfile.TemporaryDirectory() as home:
        async with open_runtime(app="bundled", home=home, parts=parts) as rt:
            session = await rt.session("hello")
            async for event in session.send("hello"):
                match event:
                    case TextDelta(text=text):
                        print(text, end="")
                    case TurnFinished(outcome=outcome, steps=steps):
                        print(f"\n{outcome} after {steps} step")


asyncio.run(main())
