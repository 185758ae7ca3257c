"""Share prompts, tools and behaviour between agents: traits.

The agent of this app has two. `time_aware` is built in; the other one has functions in Lua:
one that is asked when the agent is loaded, two at every step, and a wrapper around its tools.

Prints:
    You are a helpful assistant.
    You know the user's projects.
    Show at most 3 of them.
    ## Your memory contains:
    - User prefers concise answers
    - Always cite sources when possible
    The current date and time is … America/New_York.
    Today's key is value.
    the model asked for 99 projects and got: whales, ships, maps
"""

import asyncio
import tempfile
from pathlib import Path

from micro_agi.api import Parts, open_runtime
from micro_agi.messages import AnyEvent, ToolCallFinished
from micro_agi.testing.scripted import PROVIDER, Call, ScriptedModel, scripted_card

APP = Path(__file__).parent / "apps" / "traits"
SCRIPT = [Call("projects", {"limit": 99}), "Three of them."]


def show(event: AnyEvent) -> None:
    """Print results of tools."""
    if isinstance(event, ToolCallFinished):
        print(f"the model asked for 99 projects and got: {event.content}")


async def main() -> None:
    model = ScriptedModel(SCRIPT)
    parts = Parts(providers={PROVIDER: model}, card=scripted_card(), offline=True)
    with tempfile.TemporaryDirectory() as home:
        async with open_runtime(app=str(APP), home=home, parts=parts) as rt:
            rt.trust()
            lines: list[str] = []
            session = await rt.session("projects", agent="app:assistant")
            events: list[AnyEvent] = []
            await session.run("What am I working on?", events.append)
            for line in model.requests[0].system.splitlines():
                if line.startswith("The current date"):
                    zone = line.partition(". ")[0].rpartition(" ")[2]
                    line = f"The current date and time is … {zone}."
                lines += [line] if line else []
            print("\n".join(lines))
            for event in events:
                show(event)


asyncio.run(main())
