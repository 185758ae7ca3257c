"""A server with the fake model on a real socket, and the official client that drives it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from micro_agi.modelserver.serve import listen, serving
from micro_agi.modelserver.server import Server
from micro_agi.values import Secret
from tests.modelserver.fake import FakeEngine

TOKEN = "a-token"


class Served:
    """What a scenario gets."""

    def __init__(self, sdk: Any, engine: FakeEngine, client: Any, address: str) -> None:
        self.sdk = sdk
        """The official client's module, for its errors."""
        self.engine = engine
        self.client = client
        self.address = address

    async def say(self, *messages: dict[str, Any] | str, **options: Any) -> Any:
        """Ask for a reply to messages; a text is one of the user."""
        wire = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
        return await self.client.chat.completions.create(
            **{"model": self.engine.name, "messages": wire, **options}
        )

    async def health(self) -> dict[str, Any]:
        reply = await self.client.get("/../health", cast_to=object)
        return dict(reply)


Scenario = Callable[[Served], Awaitable[Any]]


@pytest.fixture
def play() -> Callable[..., Any]:
    """Run a scenario against a server with this engine."""

    # Here, not at the top: it takes a second, and every process of a test run imports this file.
    import openai

    def play(engine: FakeEngine, scenario: Scenario, **options: Any) -> Any:
        async def main() -> Any:
            server = Server(engine, Secret(TOKEN), **options)
            async with (
                serving(server, listen("127.0.0.1", 0)) as address,
                openai.AsyncOpenAI(
                    api_key=TOKEN, base_url=address, max_retries=0, timeout=20
                ) as client,
            ):
                try:
                    return await asyncio.wait_for(
                        scenario(Served(openai, engine, client, address)), 20
                    )
                finally:
                    engine.open_the_gate()

        return asyncio.run(main())

    return play
