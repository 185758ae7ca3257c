"""One conversation with a scripted server, for every provider in every wire form."""

import asyncio
from dataclasses import dataclass

from micro_agi.errors import ProviderRefused, ProviderUnavailable
from micro_agi.llm.catalogue import ModelCard, Pricing
from micro_agi.llm.gateway import Gateway
from micro_agi.llm.providers.openai import OpenAi
from micro_agi.llm.providers.table import (
    ANTHROPIC,
    GOOGLE,
    OPENAI,
    OPENAI_COMPATIBLE,
    build_providers,
)
from micro_agi.llm.request import ModelOptions, ModelRequest, ProviderAccess
from micro_agi.messages import (
    TextDelta,
    ToolSpec,
    Warned,
    message,
)
from micro_agi.net.client import Client
from micro_agi.testing.clock import FakeClock
from micro_agi.testing.model_server import ScriptedServer
from micro_agi.values import Secret

CLOCK = ToolSpec(id="app:clock", name="clock", description="Tells time.", schema={})
TOOLS = (CLOCK, ToolSpec(id="app:dice", name="dice", description="Rolls.", schema={}))
SPENT = {"prompt": 100, "cached": 60, "completion": 20, "thinking": 5}


MODEL_AT = dict.fromkeys(("chat", "responses", "anthropic"), "served-m")
MODEL_AT["google"] = "/v1beta/models/served-m:streamGenerateContent"[-40:]


@dataclass(frozen=True)
class Kind:
    """One provider in one wire form."""

    provider: str
    wire: str
    official: bool = False

    @property
    def card(self):
        return self.able(())

    def able(self, capabilities):
        return ModelCard(
            name="m",
            provider=self.provider,
            provider_model="served-m",
            capabilities=capabilities,
            pricing=Pricing(input=1.0, output=10.0, cached_input=0.1),
            options={"api": self.wire} if self.wire == "responses" else {},
        )

    def build(self, access):
        if self.official:  # as at its own address: a key is needed, developer messages stay
            return {self.provider: OpenAi(access, compatible=False)}
        return build_providers({self.provider: access})


KINDS = {
    "openai-chat": Kind(OPENAI, "chat", official=True),
    "openai-responses": Kind(OPENAI, "responses", official=True),
    "compatible": Kind(OPENAI_COMPATIBLE, "chat"),
    "anthropic": Kind(ANTHROPIC, "anthropic"),
    "google": Kind(GOOGLE, "google"),
}


class Asked:
    """What one conversation with a scripted server gave."""

    def __init__(self, script, kind, *, key="k", server_key="", timeout_s=5.0, times=1, **request):
        self.events = []
        self.clock = FakeClock()
        self.replies = []
        self.error = None
        self.keep_cut = request.pop("keep_cut", False)
        self.talk = request.pop("messages", None) or [message("user", "hello")]
        self.server = ScriptedServer(script, key=server_key)
        asyncio.run(asyncio.wait_for(self._run(kind, key, timeout_s, times, request), 20))

    async def _run(self, kind, key, timeout_s, times, request):
        client = Client(offline=True)
        async with self.server:
            url = self.server.address(kind.wire) + "/"
            access = ProviderAccess(base_url=url, api_key=Secret(key))
            gateway = Gateway(client, kind.build(access), sleep=self._sleep, random=lambda: 1.0)
            options = ModelOptions(timeout_s=timeout_s, **request)
            wanted = ModelRequest(
                model=kind.card,
                system="Be brief.",
                messages=self.talk,
                tools=TOOLS,
                options=options,
            )
            try:
                for _ in range(times):
                    prepared = gateway.prepare(wanted)
                    show = self.events.append
                    reply = await gateway.send(prepared, show, keep_cut=self.keep_cut)
                    self.replies.append(reply)
                    if reply.tool_calls:
                        self.talk.append(reply.message)
                        self.talk += [
                            message("tool", f"of {c.name}", tool_call_id=c.id, name=c.name)
                            for c in reply.tool_calls
                        ]
            except (ProviderRefused, ProviderUnavailable) as error:
                self.error = error
            finally:
                await client.close()

    async def _sleep(self, seconds):
        self.clock.slept.append(seconds)

    @property
    def reply(self):
        assert self.error is None, self.error
        return self.replies[-1]

    @property
    def shown(self):
        return "".join(e.text for e in self.events if isinstance(e, TextDelta))

    @property
    def warnings(self):
        return [e for e in self.events if isinstance(e, Warned)]
