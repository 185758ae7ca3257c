"""One step: a compiled agent, a model and a conversation make one model request.

`prepare` and `send` are apart so that a session can commit the intent, with the hash of
the exact request, between them. Embedders call `step`, which does both.
Source: spec/agent.md 3.2, the parts that issue 2 needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from micro_agi.agent.compile import CompiledAgent
from micro_agi.agent.prompt import Prompt
from micro_agi.errors import InputInvalid
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.gateway import Gateway
from micro_agi.llm.request import ModelOptions, ModelRequest, OnEvent, PreparedRequest, Reply
from micro_agi.messages import (
    FinishReason,
    Message,
    ToolCall,
    ToolSpec,
    Usage,
)
from micro_agi.values import nearest

CHOICES = ("auto", "any", "required", "none")


def ignore(_: object) -> None:
    """Drop an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The outcome of one step."""

    result: str
    """The text, possibly empty."""
    tool_calls: tuple[ToolCall, ...]
    tokens: Usage
    finish_reason: FinishReason
    cost_usd: float | None
    thinking: str
    truncated: bool
    """Cut at the token limit inside tool calls, which were dropped."""
    message: Message
    """What to add to the conversation: `Conversation.apply` does."""


class Runner:
    """Runs steps of one compiled agent on one model."""

    def __init__(self, compiled: CompiledAgent, card: ModelCard, gateway: Gateway) -> None:
        self.compiled = compiled
        self.card = card
        self.tools: Mapping[str, ToolSpec] = {t.name: t for t in compiled.tools}
        self.total = Usage()
        self._gateway = gateway

    def prepare(
        self, messages: Sequence[Message], *, tool_call: str | None = None
    ) -> PreparedRequest:
        """Build the request of the next step.

        Raises: InputInvalid when `tool_call` is neither a choice nor a tool's name.
        """
        if tool_call not in (None, *CHOICES) and tool_call not in self.tools:
            near = ", ".join([*CHOICES, *nearest(str(tool_call), self.tools)])
            raise InputInvalid(
                f"Tool '{tool_call}' not found in available tools",
                where="tool_call",
                fix=f"use one of: {near}",
            )
        spec = self.compiled.spec
        return self._gateway.prepare(
            ModelRequest(
                model=self.card,
                system=self.compiled.system,
                messages=messages,
                tools=self.compiled.tools,
                options=ModelOptions(
                    max_tokens=spec.max_tokens,
                    temperature=spec.temperature,
                    thinking_effort=spec.thinking_effort,
                    tool_choice=tool_call or "auto",
                ),
            )
        )

    async def send(self, prepared: PreparedRequest, on_event: OnEvent = ignore) -> Response:
        """Send a prepared request and return its outcome.

        Raises: ProviderRefused, ProviderUnavailable.
        """
        reply = await self._gateway.send(prepared, on_event)
        self.total = self.total.plus(reply.usage)
        return _response(reply)

    async def step(
        self,
        prompt: Prompt | Sequence[Message],
        *,
        tool_call: str | None = None,
        on_event: OnEvent = ignore,
    ) -> Response:
        """Run one step over a conversation, which is not changed."""
        messages = prompt.messages if isinstance(prompt, Prompt) else prompt
        return await self.send(self.prepare(messages, tool_call=tool_call), on_event)

    def get_stats(self) -> dict[str, object]:
        """Return id, name and the tokens of all steps; `completion` includes `thinking`."""
        total = self.total
        return {
            "id": self.compiled.spec.id,
            "name": self.compiled.spec.name,
            "total_tokens": {
                "prompt": total.window,
                "completion": total.completion,
                "thinking": total.thinking,
                "total": total.window + total.completion,
            },
        }


def _response(reply: Reply) -> Response:
    truncated = reply.finish_reason == "length" and bool(reply.tool_calls)
    calls = () if truncated else reply.tool_calls
    return Response(
        result=reply.text,
        tool_calls=calls,
        tokens=reply.usage,
        finish_reason=reply.finish_reason,
        cost_usd=reply.cost_usd,
        thinking=reply.thinking,
        truncated=truncated,
        message=msgspec.structs.replace(reply.message, tool_calls=calls),
    )
