"""Give an agent a memory: a function that is asked before a step what is worth knowing.

Whose memory it is comes from the session's context, and what it says stays in the
conversation as a developer message, each memory once.

Prints:
    ada, turn 1: nothing is remembered
    ada, turn 2: Ada drinks tea
    ada, turn 3: nothing new
    bob, turn 2: Bob drinks milk
    a memory that fails: `app:recall` is a warning, and the answer comes
"""

import asyncio
import tempfile
from pathlib import Path

from micro_agi.api import Parts, Runtime, open_runtime
from micro_agi.messages import AnyEvent, Recalled, Warned
from micro_agi.testing.scripted import PROVIDER, ScriptedModel, scripted_card

APP = Path(__file__).parent / "apps" / "memory"


async def talk(rt: Runtime, user: str, *texts: str) -> list[str]:
    """Run turns of a user's session; return what was remembered in each."""
    session = await rt.session(user, agent="app:companion", context={"user_id": user})
    recalled = []
    for text in texts:
        events: list[AnyEvent] = []
        await session.run(text, events.append)
        memories = [e.message.text.partition("- ")[2] for e in events if isinstance(e, Recalled)]
        recalled.append("".join(memories))
    return recalled


async def broken(rt: Runtime) -> None:
    """Let the memory fail."""
    changes = rt.registry.snapshot().changes()
    entry = rt.registry.get("app:recall").as_dict()
    entry["data"]["source"] = "return { handler = function() error('no disk') end }"
    await changes.update(entry).apply(rt.root(), reason="to see what happens")
    session = await rt.session("carl", agent="app:companion", context={"user_id": "carl"})
    events: list[AnyEvent] = []
    for text in ("hello", "what do I drink?"):
        finished = await session.run(text, events.append)
    [warned] = [e for e in events if isinstance(e, Warned)]
    assert finished.outcome == "answered"
    assert "no disk" in warned.text
    print("a memory that fails: `app:recall` is a warning, and the answer comes")


async def main() -> None:
    model = ScriptedModel(lambda asked: "All right.")
    parts = Parts(providers={PROVIDER: model}, card=scripted_card(), offline=True)
    with tempfile.TemporaryDirectory() as home:
        async with open_runtime(app=str(APP), home=home, parts=parts) as rt:
            rt.trust()
            first, second, third = await talk(rt, "ada", "hi", "what do I drink?", "and to drink?")
            print(f"ada, turn 1: {first or 'nothing is remembered'}")
            print(f"ada, turn 2: {second}")
            print(f"ada, turn 3: {third or 'nothing new'}")
            print(f"bob, turn 2: {(await talk(rt, 'bob', 'hi', 'what do I drink?'))[1]}")
            await broken(rt)


asyncio.run(main())
