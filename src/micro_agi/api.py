"""The facade for programs that embed the runtime.

    async with open_runtime(home="state") as rt:
        session = await rt.session("s1")
        async for event in session.send("what time is it?"):
            print(event)

`Runtime` has `registry`, `call`, `agent_context`, `session` and the decorator `tool`.
A test keeps the exact list of names that this module offers.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from micro_agi.agent.prompt import Prompt
from micro_agi.app import Parts, Runtime
from micro_agi.settings import load

OFFERED = (Parts, Prompt, Runtime)
"""Classes that embedders import from here, beside `open_runtime`."""


@asynccontextmanager
async def open_runtime(
    app: str | None = None, home: str | None = None, *, parts: Parts | None = None, **settings: Any
) -> AsyncIterator[Runtime]:
    """Open a runtime for the length of an `async with` block.

    `app` is an app directory (None: the current one if it is an app, else the bundled one),
    `home` where state lives; further settings by their names in `micro_agi.settings`. The
    environment is not read: a program says itself what it wants.
    Raises: SettingInvalid, and the errors of the loader and the store.
    """
    loaded = load(flags={"app": app, "home": home, **settings})
    async with await Runtime.open(loaded, parts=parts) as runtime:
        yield runtime
