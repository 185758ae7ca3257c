"""Host functions of the module `llm`: models for Lua code.

Only the operator's entries can be granted the module, so using it needs no allow; what a
policy denies (`llm.generate` on a model's name, …) is refused (the rule of `tools/host.py`).
Keys and addresses never reach the worker. Source: spec/agent.md 6.2, 6.15.
"""

from collections.abc import Mapping
from typing import Any

from micro_agi.errors import InputInvalid, MicroAgiError
from micro_agi.framework.conversation import (
    Said,
    metadata_for_lua,
    read_conversation,
    reply_for_lua,
    tokens,
)
from micro_agi.framework.failure import typed
from micro_agi.framework.state import Frames
from micro_agi.framework.stream import streamer
from micro_agi.llm.compress import Manner
from micro_agi.llm.facade import Llm, LlmParts, card_as_dict, ignore
from micro_agi.llm.options import read_options, read_tools
from micro_agi.llm.usage import UsageRecord
from micro_agi.messages import Usage
from micro_agi.sandbox.host.calls import HostCall, HostFunction
from micro_agi.sandbox.host.process import Mailboxes
from micro_agi.security.context import CallContext
from micro_agi.values import as_object

COMPRESS_OPTIONS = frozenset(("temperature", "chunk_overlap", "max_attempts", "skip_refinement"))


def llm_functions(parts: LlmParts, mailboxes: Mailboxes, frames: Frames) -> dict[str, HostFunction]:
    """Return the host functions of the module."""
    models = _Models(parts, mailboxes, frames)
    inside = {
        "llm.available_models": models.available_models,
        "llm.get_classes": models.get_classes,
    }
    outside = {
        "llm.generate": models.generate,
        "llm.structured_output": models.structured_output,
        "llm.embed": models.embed,
        "llm.status": models.status,
        "llm.track_usage": models.track_usage,
        "llm.compress": models.compress,
        "llm.measure": models.measure,
    }
    return {
        name: HostFunction(run=typed(run), module="llm", outside=name in outside)
        for name, run in (inside | outside).items()
    }


def llm_for(parts: LlmParts, context: CallContext) -> Llm:
    """Return models on behalf of the actor of a call, within its policies."""

    def allow(action: str, model: str) -> None:
        context.forbid_denied(action, model)

    return Llm(parts, actor=context.actor.id, allow=allow, values=context.values)


class _Models:
    def __init__(self, parts: LlmParts, mailboxes: Mailboxes, frames: Frames) -> None:
        self._parts = parts
        self._mailboxes = mailboxes
        self._frames = frames

    def _said(self, call: HostCall) -> Said:
        return self._frames.of(call.frame).said

    async def generate(self, call: HostCall) -> Any:
        """`generate(messages, options)` → the normalised response."""
        given = dict(as_object(call.argument(1)))
        tools = read_tools(given.pop("tools", None))
        sink = streamer(call, given.pop("stream", None), self._mailboxes)
        wanted = read_options(given, tools=tools)
        said = self._said(call)
        messages = read_conversation(call.argument(0), said)
        try:
            answered = await llm_for(self._parts, call.context).answer(
                messages, wanted, sink or ignore
            )
        except MicroAgiError as error:
            if sink is not None:
                await sink.failed(error)
            raise
        reply = answered.reply
        said.remember(reply.message)
        if sink is not None:
            meta = {"finish_reason": reply.finish_reason, "model": reply.model}
            await sink.done(reply.tool_calls, meta)
        facts = reply_for_lua(reply, {tool.name: tool for tool in tools})
        return _with_record(facts, answered.usage_id)

    async def structured_output(self, call: HostCall) -> Any:
        """`structured_output(schema, messages, options)` → `result` is the value."""
        messages = read_conversation(call.argument(1), self._said(call))
        wanted = read_options(as_object(call.argument(2)))
        schema = _schema(call.argument(0))
        found = await llm_for(self._parts, call.context).structure(schema, messages, wanted)
        last = found.replies[-1]
        used = Usage()
        for reply in found.replies:
            used = used.plus(reply.usage)
        return {
            "result": found.value,
            "tokens": tokens(used),
            "finish_reason": last.finish_reason,
            "metadata": {**metadata_for_lua(last), "rounds": len(found.replies)},
        }

    async def embed(self, call: HostCall) -> Any:
        """`embed(text or list, options)` → `result` is a list of vectors."""
        options = as_object(call.argument(1))
        dimensions = options.get("dimensions")
        wanted = read_options({k: v for k, v in options.items() if k != "dimensions"})
        found = await llm_for(self._parts, call.context).embed(
            call.argument(0),
            model=wanted.model,
            provider_id=wanted.provider_id,
            dimensions=dimensions if isinstance(dimensions, int) else None,
        )
        return {"result": found.vectors, "tokens": tokens(found.usage), "metadata": {}}

    async def status(self, call: HostCall) -> Any:
        """`status(options)` → whether the model's service answers."""
        wanted = read_options(as_object(call.argument(0)))
        found = await llm_for(self._parts, call.context).status(
            model=wanted.model, provider_id=wanted.provider_id
        )
        return {"success": found.success, "status": found.status, "message": found.message}

    async def available_models(self, call: HostCall) -> Any:
        """`available_models(capability?)` → cards, without those that a policy hides."""
        context = call.context
        cards = llm_for(self._parts, context).available_models(str(call.argument(0) or ""))
        return [
            card_as_dict(c)
            for c in cards
            if context.evaluate("llm.generate", c.name).answer != "deny"
        ]

    async def get_classes(self, call: HostCall) -> Any:
        """`get_classes()` → classes by name."""
        return llm_for(self._parts, call.context).get_classes()

    async def track_usage(self, call: HostCall) -> Any:
        """`track_usage(model, prompt, completion, thinking, cache_read, cache_write, options?)`."""
        numbers = [_count(call, n) for n in range(1, 6)]
        options = as_object(call.argument(6))
        at = options.get("timestamp")
        prompt, completion, thinking, cached, written = numbers
        # Tokens written to a cache were read as prompt all the same.
        used = Usage(
            prompt=prompt + written, completion=completion, thinking=thinking, cached=cached
        )
        record = UsageRecord(
            model=str(call.argument(0) or ""),
            usage=used,
            actor=call.context.actor.id,
            at=float(at) if isinstance(at, int | float) else 0.0,
            metadata=as_object(options.get("metadata")),
        )
        return {"usage_id": await llm_for(self._parts, call.context).track_usage(record)}

    async def compress(self, call: HostCall) -> Any:
        """`compress(model, text, target, options)` → the shorter text."""
        model, text, target, given = (call.argument(n) for n in range(4))
        if not isinstance(model, str) or not model:
            raise InputInvalid("Model name is required", where="compress", fix="name a model")
        manner = _manner(as_object(given))
        return await llm_for(self._parts, call.context).to_size(model, text, target, manner)

    async def measure(self, call: HostCall) -> Any:
        """`measure(model, text, target)` → what compressing it would take."""
        model, text, target = (call.argument(n) for n in range(3))
        if not isinstance(model, str) or not model:
            raise InputInvalid("Model name is required", where="compress", fix="name a model")
        found = await llm_for(self._parts, call.context).measure(model, text, target)
        return found.as_dict()


def _manner(given: Mapping[str, Any]) -> Manner:
    for name in given:
        if name not in COMPRESS_OPTIONS:
            raise InputInvalid(
                f"`{name}` is no option of compress",
                where="options",
                fix=f"use one of: {', '.join(sorted(COMPRESS_OPTIONS))}",
            )
    usual = Manner()
    temperature = given.get("temperature")
    warm = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    refinements = _whole(given, "max_attempts", usual.refinements, most=10)
    return Manner(
        temperature=temperature if warm else usual.temperature,
        overlap_chars=_whole(given, "chunk_overlap", usual.overlap_chars, most=10_000),
        refinements=0 if given.get("skip_refinement") is True else refinements,
    )


def _whole(given: Mapping[str, Any], name: str, usual: int, *, most: int) -> int:
    value = given.get(name)
    if value is None:
        return usual
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise InputInvalid(f"`{name}` is no whole number from 0 to {most}", where=f"options.{name}")
    return value


def _schema(value: Any) -> Any:
    """Undo what a trip through Lua does to a schema: an empty table is an empty map.

    Keywords whose value is a list are lists again.
    """
    if isinstance(value, list):
        return [_schema(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: [] if key in ("required", "enum", "examples") and item == {} else _schema(item)
        for key, item in value.items()
    }


def _count(call: HostCall, position: int) -> int:
    value = call.argument(position)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise InputInvalid(
            f"argument {position + 1} is no number of tokens", where="llm.track_usage"
        )
    return int(value)


def _with_record(facts: dict[str, Any], usage_id: str) -> dict[str, Any]:
    return {**facts, "usage_record": {"usage_id": usage_id}} if usage_id else facts
