"""Watch a step as it streams: thinking, text piece by piece, and then the whole.

`on_event` gets every piece in order, before the step returns. The connection breaks off in
the second step: the model goes on from where it stopped, and nothing is shown twice.

Prints:
    (thinking: A capital. Easy.)
    Par|is.|
    the whole: Paris. (stop, 3 tokens)
    It has | warning: the model's reply broke off before its end; going on from there
    two million people.|
    the whole: It has two million people. (stop)
"""

import asyncio
import tempfile
from pathlib import Path

from micro_agi.api import Parts, Prompt, open_runtime
from micro_agi.llm.request import ModelEvent
from micro_agi.messages import TextDelta, ThinkingDelta, Usage, Warned
from micro_agi.testing.scripted import (
    PROVIDER,
    Broken,
    ScriptedModel,
    Spent,
    Thinking,
    scripted_card,
)

APP = Path(__file__).parent / "apps" / "streaming"
SCRIPT = [
    [Thinking("A capital. Easy."), "Par", "is.", Spent(Usage(prompt=20, completion=3))],
    ["It has ", Broken()],
    "two million people.",
]


def show(event: ModelEvent) -> None:
    """Print a piece as it comes."""
    match event:
        case TextDelta(text=text):
            print(text, end="|")
        case ThinkingDelta(text=text):
            print(f"(thinking: {text})")
        case Warned(text=text):
            print(f" warning: {text.partition(' in 0')[0]}")


async def main() -> None:
    parts = Parts(providers={PROVIDER: ScriptedModel(SCRIPT)}, card=scripted_card(), offline=True)
    with tempfile.TemporaryDirectory() as home:
        async with open_runtime(app=str(APP), home=home, parts=parts) as rt:
            rt.trust()
            runner = await rt.agent_context().load_agent("assistant")
            prompt = Prompt().add_user("What is the capital of France?")
            response = await runner.step(prompt, on_event=show)
            tokens = response.tokens.completion
            print(f"\nthe whole: {response.result} ({response.finish_reason}, {tokens} tokens)")
            prompt.add_assistant(response.result).add_user("How many people live there?")
            response = await runner.step(prompt, on_event=show)
            print(f"\nthe whole: {response.result} ({response.finish_reason})")


asyncio.run(main())
