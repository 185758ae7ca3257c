"""Change the registry through its door, look at what changed, and go back.

A change set is applied whole or not at all, as a version with who, when and why. Going
back is a new version too. An agent's context gets through the same door only with what
the policies allow.

Prints:
    version 1: hello is 'Hello, Ada!'
    version 2: hello is 'Good day, Ada!'
    -      return 'Hello, ' .. args.name .. '!'
    +      return 'Good day, ' .. args.name .. '!'
    version 3: hello is 'Hello, Ada!'
    an agent may not do that: `registry.create` on `app:mine` is not allowed
"""

import asyncio
import tempfile

from micro_agi.api import Runtime, open_runtime
from micro_agi.errors import PolicyDenied
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext
from micro_agi.security.policy import Scope

SOURCE = """\
local function handler(args)
    return '{greeting}, ' .. args.name .. '!'
end
return {{ handler = handler }}
"""


def hello(greeting: str, *, entry_id: str = "app.generated:hello") -> dict[str, object]:
    """Return a tool's entry as data."""
    source = SOURCE.format(greeting=greeting)
    return {
        "id": entry_id,
        "kind": "function.lua",
        "meta": {"type": "tool", "llm_alias": "hello", "llm_description": "Greet somebody"},
        "data": {"source": source, "method": "handler", "modules": []},
    }


async def greet(rt: Runtime) -> None:
    """Call the tool as it is now."""
    said = await rt.call("app.generated:hello", {"name": "Ada"})
    print(f"version {rt.registry.version}: hello is {said!r}")


async def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        async with open_runtime(app="bundled", home=home) as rt:
            changes = rt.registry.snapshot().changes().create(hello("Hello"))
            await changes.apply(rt.root(), reason="first greeting")
            await greet(rt)

            changes = rt.registry.snapshot().changes().update(hello("Good day"))
            await changes.apply(rt.root(), reason="more formal")
            await greet(rt)
            for line in rt.registry.history.diff("app.generated:hello", 1, 2).splitlines():
                if "return '" in line:
                    print(line)

            await rt.registry.rollback("app.generated:hello", to=1, context=rt.root())
            await greet(rt)

            agent = CallContext(actor=Actor("agent:app:dev_assistant"), scope=Scope())
            changes = rt.registry.snapshot().changes().create(hello("Hi", entry_id="app:mine"))
            try:
                await changes.apply(agent)
            except PolicyDenied as refusal:
                print(f"an agent may not do that: {refusal.what}")


asyncio.run(main())
