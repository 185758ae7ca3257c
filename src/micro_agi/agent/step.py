"""One step: a compiled agent, a model and a conversation make one model request.

`prepare` and `send` are apart so that a session can commit the intent, with the hash of
the exact request, between them. Embedders call `step`, which does both.
Source: spec/agent.md 3. Differences: step functions run, cached tokens and thinking are counted
once, and a truncated step counts like others.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from micro_agi.agent.compile import CompiledAgent
from micro_agi.agent.extension_calls import Extensions
from micro_agi.agent.fit import reply_tokens
from micro_agi.agent.prompt import Prompt
from micro_agi.agent.recall import MARK, recall
from micro_agi.agent.traits import Call, StepFunction, utc_now
from micro_agi.errors import InputInvalid, MicroAgiError
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.gateway import Gateway
from micro_agi.llm.request import ModelOptions, ModelRequest, OnEvent, PreparedRequest, Reply
from micro_agi.messages import (
    FinishReason,
    Message,
    ToolCall,
    ToolSpec,
    Usage,
    Warned,
)
from micro_agi.registry.snapshot import Snapshot
from micro_agi.sessions.redact import Redactor
from micro_agi.values import nearest

TEXT_TOOL_CALLS = "text_tool_calls"
CHOICES = ("auto", "any", "required", "none")


def ignore(_: object) -> None:
    """Drop an event."""


class Response(Struct, frozen=True, kw_only=True):
    """The outcome of one step."""

    result: str
    """The text, possibly empty."""
    tool_calls: tuple[ToolCall, ...]
    """Calls of functions; `message` has all calls."""
    delegate_calls: tuple[ToolCall, ...]
    """Calls that another agent should answer: `Runner.tools[call.name].delegate` says which."""
    tokens: Usage
    finish_reason: FinishReason
    cost_usd: float | None
    thinking: str
    truncated: bool
    """Cut at the token limit inside tool calls, which were dropped."""
    problem: Mapping[str, Any] | None = None
    """Why the stream broke off for good, when `finish_reason` is `cut`; `result` is what came."""
    memory_prompt: Message | None = None
    """What memory said before this step: add it to the conversation before `message`."""
    message: Message
    """What to add to the conversation: `Conversation.apply` does."""

    @property
    def memory_recall(self) -> dict[str, Any] | None:
        """What memory said, in the form of spec/agent.md 3.2: `memory_ids` and their `count`."""
        if self.memory_prompt is None:
            return None
        ids = list(self.memory_prompt.metadata.get(MARK, ()))
        return {"memory_ids": ids, "count": len(ids)}


class Runner:
    """Runs steps of one compiled agent on one model."""

    def __init__(
        self,
        compiled: CompiledAgent,
        card: ModelCard,
        gateway: Gateway,
        *,
        call: Call,
        fill: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
        now: Callable[[], datetime] = utc_now,
        redactor: Redactor | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> None:
        """Take what steps need; `temperature` and `max_tokens` win over the agent's own."""
        spec = compiled.spec
        self.compiled = compiled
        self.card = card
        self.tools: Mapping[str, ToolSpec] = {t.name: t for t in compiled.tools}
        """All that it may call, also those that the model has to search first."""
        self._shown = {t.name for t in compiled.shown}
        self._delegates = {t.name for t in compiled.tools if t.delegate}
        self.total = Usage()
        self._gateway = gateway
        self._call = call
        self._fill = fill
        self._now = now
        self._redactor = redactor or Redactor()
        self._clean = (0, compiled.shown)
        """The tools that a model is shown, without so many secrets."""
        self._options = ModelOptions(
            max_tokens=reply_tokens(max_tokens or spec.max_tokens, card.max_tokens),
            temperature=spec.temperature if temperature is None else temperature,
            thinking_effort=spec.thinking_effort,
            text_tool_calls=self._reads_text(),
        )
        """One object for all steps: providers keep what they encoded from it."""

    def ready(self) -> None:
        """Encode now what all requests of this agent have in common, its tools above all."""
        request = ModelRequest(
            model=self.card,
            system=self._redactor.text(self.compiled.system),
            messages=(),
            tools=self._sent_tools(),
            options=self._options,
        )
        with suppress(MicroAgiError):  # the first step meets it again, and says so
            self._gateway.prepare(request)

    def prepare(
        self,
        messages: Sequence[Message],
        *,
        tool_call: str | None = None,
        system: str,
    ) -> PreparedRequest:
        """Build the request of the next step; `system` is what `opening` returned.

        Raises: InputInvalid when `tool_call` is neither a choice nor a tool's name.
        """
        if tool_call not in (None, *CHOICES) and tool_call not in self.tools:
            near = ", ".join([*CHOICES, *nearest(str(tool_call), self.tools)])
            raise InputInvalid(
                f"Tool '{tool_call}' not found in available tools",
                where="tool_call",
                fix=f"use one of: {near}",
            )
        tools = self._sent_tools()
        if tool_call and tool_call in self.tools and tool_call not in self._shown:
            tools = (*tools, *self._redactor.tools((self.tools[tool_call],)))
        options = self._options
        if tool_call not in (None, options.tool_choice):
            options = replace(options, tool_choice=tool_call)
        return self._gateway.prepare(
            ModelRequest(
                model=self.card,
                system=self._redactor.text(system),
                messages=messages,
                tools=tools,
                options=options,
            )
        )

    def _sent_tools(self) -> tuple[ToolSpec, ...]:
        """Return the tools to send: one object, as long as no more secrets become known."""
        known = self._redactor.known
        if self._clean[0] != known:
            self._clean = (known, self._redactor.tools(self.compiled.shown))
        return self._clean[1]

    async def recall(
        self,
        messages: Sequence[Message],
        *,
        context: Mapping[str, Any] | None = None,
        known: Sequence[str | int] = (),
        on_event: OnEvent = ignore,
    ) -> Message | None:
        """Return what the agent's memory has to say now, as a message to be kept, or None.

        `known` are ids of memories that came up before this conversation. A memory that
        fails is a `Warned` event.
        """
        contract = self.compiled.memory
        if contract is None:
            return None
        contract = replace(contract, context=self._fill(contract.context))
        values = {**(context or {}), "agent_id": self.compiled.spec.id}
        try:
            return await recall(contract, messages, call=self._call, values=values, before=known)
        except MicroAgiError as error:
            on_event(Warned(text=error.what, where=error.where, fix=error.fix))
            return None

    async def send(self, prepared: PreparedRequest, on_event: OnEvent = ignore) -> Response:
        """Send a prepared request and return its outcome.

        A stream that breaks off for good after some text is an outcome: `finish_reason` is `cut`.
        Raises: ProviderRefused, ProviderUnavailable.
        """
        reply = await self._gateway.send(prepared, on_event, keep_cut=True)
        self.total = self.total.plus(reply.usage)
        return _response(reply, self._delegates)

    async def step(
        self,
        prompt: Prompt | Sequence[Message],
        *,
        tool_call: str | None = None,
        context: Mapping[str, Any] | None = None,
        disable_memory_recall: bool = False,
        previous_memory_ids: Sequence[str | int] = (),
        on_event: OnEvent = ignore,
    ) -> Response:
        """Run one step over a conversation, which is not changed.

        In this order: prompt functions, step functions, memory, the model. All three see
        `context` over their own.
        Raises: InputInvalid for a `tool_call` that is none; ProviderRefused,
            ProviderUnavailable.
        """
        messages = prompt.messages if isinstance(prompt, Prompt) else prompt
        system = await self.opening(context=context, on_event=on_event)
        memory = None
        if not disable_memory_recall:
            memory = await self.recall(
                messages, context=context, known=previous_memory_ids, on_event=on_event
            )
        all_messages = [*messages, memory] if memory else messages
        prepared = self.prepare(all_messages, tool_call=tool_call, system=system)
        response = await self.send(prepared, on_event)
        if response.problem is not None:
            what, where, fix = (str(response.problem[key]) for key in ("what", "where", "fix"))
            on_event(Warned(text=f"{what}; the answer is cut", where=where, fix=fix))
        return replace(response, memory_prompt=memory)

    def _reads_text(self) -> bool:
        """Return whether calls in the model's text count: the agent says, else the model."""
        usual = self.card.options.get(TEXT_TOOL_CALLS, False)
        return self.compiled.options.get(TEXT_TOOL_CALLS, usual) is True

    async def opening(
        self, *, context: Mapping[str, Any] | None = None, on_event: OnEvent = ignore
    ) -> str:
        """Return the system prompt of one step, and run the step functions of its traits.

        A function that fails is a `Warned` event, and the step goes on without it.
        """
        context, compiled = context or {}, self.compiled
        parts = [compiled.system, *(clock.text(self._now()) for clock in compiled.clocks)]
        for function in compiled.prompt_functions:
            text = await self._trait(function, context, on_event)
            if isinstance(text, str):
                parts.append(text)
            elif text is not None:
                said = f"prompt function `{function.id}` returned no text"
                on_event(Warned(text=said, where=function.trait, fix="return a string"))
        for function in compiled.step_functions:
            await self._trait(function, context, on_event)
        return "\n\n".join(part for part in parts if part)

    async def _trait(
        self, function: StepFunction, context: Mapping[str, Any], on_event: OnEvent
    ) -> Any:
        """Call a trait's function; a failure is told and counts as no answer."""
        values = {**function.context, **context, "agent_id": self.compiled.spec.id}
        try:
            return await self._call(function.id, [], values)
        except MicroAgiError as error:
            said = f"function `{function.id}` of trait `{function.trait}` failed: {error.what}"
            on_event(Warned(text=said, where=error.where, fix=error.fix))
            return None

    def extensions(self, snapshot: Snapshot) -> Extensions:
        """Return what the agent's traits want called around steps and calls, to be called."""
        return Extensions(self.compiled.extensions, call=self._call, snapshot=snapshot)

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


def _response(reply: Reply, delegates: set[str]) -> Response:
    truncated = reply.finish_reason == "length" and bool(reply.tool_calls)
    calls = () if truncated else reply.tool_calls
    return Response(
        result=reply.text,
        tool_calls=tuple(c for c in calls if c.name not in delegates),
        delegate_calls=tuple(c for c in calls if c.name in delegates),
        tokens=reply.usage,
        finish_reason=reply.finish_reason,
        cost_usd=reply.cost_usd,
        thinking=reply.thinking,
        truncated=truncated,
        problem=reply.problem,
        message=msgspec.structs.replace(reply.message, tool_calls=calls),
    )
