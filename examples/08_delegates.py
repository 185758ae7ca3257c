"""Let one agent ask another: it has its own prompt and tools, and its answer is a tool result.

A session runs delegates by itself and shows what happens inside. With a loop of your own
(`runner.step`) their calls come apart from the others, as `delegate_calls`.

Prints:
    coordinator sees: ask_coder, ask_mathematician, ask_writer
      app:math_agent calls multiply -> 42
      app:math_agent calls give_back -> agents ask each other in a circle: …
      app:math_agent says: It is 42.
    coordinator says: The mathematician says 42.
    by hand: ask_coder goes to app:code_agent with {"message":"sort a list"}
"""

import asyncio
import tempfile
from pathlib import Path

from micro_agi.api import Parts, Prompt, open_runtime
from micro_agi.messages import AnyEvent, Delegated, ToolCallFinished, TurnFinished
from micro_agi.testing.scripted import PROVIDER, Asked, Call, ScriptedModel, scripted_card

APP = Path(__file__).parent / "apps" / "delegates"
COORDINATOR = iter(
    [
        Call("ask_mathematician", {"message": "6 times 7"}),
        "The mathematician says 42.",
        Call("ask_coder", {"message": "sort a list"}),
    ]
)
MATHEMATICIAN = iter(
    [Call("multiply", {"a": 6, "b": 7}), Call("give_back", {"message": "6 times 7"}), "It is 42."]
)


def model(asked: Asked) -> str | Call:
    """Answer as the agent that is asked."""
    return next(MATHEMATICIAN if "mathematics" in asked.request.system else COORDINATOR)


def show(event: AnyEvent) -> None:
    """Print what happens inside of a delegate."""
    match event:
        case Delegated(agent=agent, event=ToolCallFinished(name=name, error=None) as result):
            print(f"  {agent} calls {name} -> {result.content}")
        case Delegated(agent=agent, event=ToolCallFinished(name=name, error=dict() as error)):
            print(f"  {agent} calls {name} -> {error['what'].partition(':')[0]}: …")
        case Delegated(agent=agent, event=TurnFinished(text=text)):
            print(f"  {agent} says: {text}")


async def main() -> None:
    parts = Parts(providers={PROVIDER: ScriptedModel(model)}, card=scripted_card(), offline=True)
    with tempfile.TemporaryDirectory() as home:
        async with open_runtime(app=str(APP), home=home, parts=parts) as rt:
            rt.trust()
            context = rt.agent_context()
            context.add_delegates([{"id": "app:code_agent", "name": "ask_writer"}])
            runner = await context.load_agent("app:coordinator")
            print(f"coordinator sees: {', '.join(runner.tools)}")

            session = await rt.session("team", agent="app:coordinator")
            finished = await session.run("What is 6 times 7?", show)
            print(f"coordinator says: {finished.text}")

            response = await runner.step(Prompt().add_user("How do I sort a list?"))
            for call in response.delegate_calls:
                target = runner.tools[call.name].delegate
                print(f"by hand: {call.name} goes to {target} with {call.arguments}")


asyncio.run(main())
