"""Host functions of the module `agents`: agent contexts and runners for Lua code.

They are the same `AgentContext` and `Runner` that sessions use; here they belong to one call
in flight (`state.py`). An agent that Lua code loads acts for the caller: what its traits' and
memory's functions may do is the intersection of its own scope and the caller's.

Only the operator's entries can be granted the module. What a policy denies is refused:
`agent.load` on the agent's id, `llm.generate` on the model's name.

Source: spec/agent.md 2, 3, 1.3, 1.8.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from micro_agi.agent.context import AgentContext
from micro_agi.agent.discovery import Discovery
from micro_agi.agent.select import select_agent
from micro_agi.agent.step import Response, Runner
from micro_agi.errors import InputInvalid, MicroAgiError
from micro_agi.framework.conversation import (
    call_for_lua,
    message_for_lua,
    read_conversation,
    tokens,
)
from micro_agi.framework.failure import typed
from micro_agi.framework.state import Frames, Held
from micro_agi.framework.stream import streamer
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.facade import LlmParts
from micro_agi.llm.request import ModelEvent
from micro_agi.llm.usage import UsageRecord
from micro_agi.messages import ToolCall, Warned
from micro_agi.registry.registry import Registry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.sandbox.host.calls import HostCall, HostFunction
from micro_agi.sandbox.host.process import Mailboxes
from micro_agi.security.context import CallContext
from micro_agi.tools.resolve import tool_spec
from micro_agi.values import as_object, nearest

NewAgent = Callable[[Mapping[str, Any], CallContext], AgentContext]
"""Makes an agent context with base values, which acts for the call with this context."""

NEW_OPTIONS = ("context", "delegate_tools", "memory_contract", "enable_cache")
DELEGATE_OPTIONS = ("enabled", "description_suffix", "default_schema")
STEP_OPTIONS = (
    *("context", "stream_target", "tool_call", "disable_memory_recall", "previous_memory_ids"),
)

log = logging.getLogger("micro_agi.framework")


class AgentDoor(Struct, frozen=True, kw_only=True):
    """What the module needs."""

    registry: Registry
    new_agent: NewAgent
    llm: LlmParts
    mailboxes: Mailboxes
    frames: Frames


def agents_functions(door: AgentDoor) -> dict[str, HostFunction]:
    """Return the host functions of the module."""
    agents = _Agents(door)
    inside = {
        "agents.new": agents.new,
        "agents.change": agents.change,
        "agents.config": agents.config,
        "agents.current": agents.current,
        "agents.stats": agents.stats,
        "agents.tool": agents.tool,
        "agents.tools": agents.tools,
    }
    # Choosing a model may look for servers, and functions of traits may run.
    outside = {
        "agents.load": agents.load,
        "agents.switch": agents.switch,
        "agents.step": agents.step,
        "agents.select": agents.select,
    }
    functions = {
        name: HostFunction(run=run, module="agents", outside=False) for name, run in inside.items()
    }
    for name, run in outside.items():
        functions[name] = HostFunction(
            run=typed(run), module="agents", outside=True, needs="worker"
        )
    return functions


class _Agents:
    def __init__(self, door: AgentDoor) -> None:
        self._door = door

    def _held(self, call: HostCall) -> Held:
        return self._door.frames.of(call.frame)

    async def new(self, call: HostCall) -> Any:
        """`new(options)` → the context's number."""
        options = as_object(call.argument(0))
        _known(options, NEW_OPTIONS, "agent_context.new")
        # What its functions do happens inside this call, and not beyond its end.
        caller = call.context.narrowed(depth=call.context.depth + 1, deadline=call.frame.ends)
        context = self._door.new_agent(as_object(options.get("context")), caller)
        offer = options.get("delegate_tools")
        if offer is not None:
            _configure(context, offer)
        if options.get("memory_contract") is not None:
            context.set_memory_contract(as_object(options["memory_contract"]))
        context.enable_cache = options.get("enable_cache") is not False
        return self._held(call).add_context(context)

    async def change(self, call: HostCall) -> Any:
        """`change(context, method, value)` → true."""
        context = self._held(call).context(call.argument(0))
        method, value = call.argument(1), call.argument(2)
        match method:
            case "add_tools":
                context.add_tools(value)
            case "add_delegates":
                context.add_delegates(value)
            case "configure_delegate_tools":
                _configure(context, value)
            case "set_memory_contract":
                context.set_memory_contract(None if value is None else as_object(value))
            case "set_active_tools":
                context.set_active_tools(value)
            case "set_active_traits":
                context.set_active_traits(value)
            case "update_context":
                context.update_context(as_object(value))
            case _:
                raise InputInvalid(f"an agent context has no `{method}`", where="agents.change")
        return True

    async def load(self, call: HostCall) -> Any:
        """`load(context, id or spec, options)` → facts about the runner, with its number."""
        held = self._held(call)
        context, wanted = held.context(call.argument(0)), call.argument(1)
        if wanted is None or wanted == "":
            raise InputInvalid(
                "Agent spec or identifier is required",
                where="load_agent",
                fix="give an agent's id, or a definition",
            )
        if isinstance(wanted, str):
            # Before functions of its traits run; asked again by the id that it turns out to have.
            call.context.forbid_denied("agent.load", wanted)
        runner = await context.load_agent(
            wanted if isinstance(wanted, str) else as_object(wanted), model=_model(call.argument(2))
        )
        return self._loaded(call, held, runner)

    async def switch(self, call: HostCall) -> Any:
        """`switch(context, "agent" or "model", wanted, options)` → as `load`."""
        held = self._held(call)
        context, what, wanted = (call.argument(n) for n in range(3))
        context = held.context(context)
        if what == "model":
            if not isinstance(wanted, str) or not wanted:
                raise InputInvalid("Model name is required", where="switch_to_model")
            return self._loaded(call, held, await context.switch_to_model(wanted))
        if wanted is None or wanted == "":
            raise InputInvalid("Agent spec or identifier is required", where="switch_to_agent")
        runner = await context.switch_to_agent(
            wanted if isinstance(wanted, str) else as_object(wanted),
            model=_model(call.argument(3)),
        )
        return self._loaded(call, held, runner)

    async def current(self, call: HostCall) -> Any:
        """`current(context)` → as `load`; fails when no agent is loaded."""
        held = self._held(call)
        runner = held.context(call.argument(0)).get_current_agent()
        _permit(call, runner)
        return _facts(held, runner)

    async def config(self, call: HostCall) -> Any:
        """`config(context)` → what is set."""
        return self._held(call).context(call.argument(0)).get_config()

    async def stats(self, call: HostCall) -> Any:
        """`stats(runner)` → id, name, total_tokens."""
        return self._held(call).runner(call.argument(0)).get_stats()

    async def step(self, call: HostCall) -> Any:
        """`step(runner, messages, options)` → the response."""
        held = self._held(call)
        runner, options = held.runner(call.argument(0)), as_object(call.argument(2))
        _known(options, STEP_OPTIONS, "step")
        call.context.forbid_denied("llm.generate", runner.card.name)
        messages = read_conversation(call.argument(1), held.said)
        sink = streamer(call, options.get("stream_target"), self._door.mailboxes)
        warnings: list[Warned] = []

        def on_event(event: ModelEvent) -> None:
            if isinstance(event, Warned):
                warnings.append(event)
                _warn(call, event)
            elif sink is not None:
                sink(event)

        try:
            response = await runner.step(
                messages,
                tool_call=options.get("tool_call"),
                context=as_object(options.get("context")),
                disable_memory_recall=options.get("disable_memory_recall") is True,
                previous_memory_ids=_ids(options.get("previous_memory_ids")),
                on_event=on_event,
            )
        except MicroAgiError as error:
            if sink is not None:
                await sink.failed(error)
            raise
        held.said.remember(response.message)
        usage_id = await self._door.llm.usage.track(
            UsageRecord(
                model=runner.card.name,
                usage=response.tokens,
                cost_usd=response.cost_usd,
                actor=call.context.actor.id,
            )
        )
        if sink is not None:
            meta = {"finish_reason": response.finish_reason, "model": runner.card.name}
            await sink.done((*response.tool_calls, *response.delegate_calls), meta)
        facts = _response(response, runner, as_object(options.get("context")), warnings)
        return {**facts, "usage_record": {"usage_id": usage_id}} if usage_id else facts

    async def tool(self, call: HostCall) -> Any:
        """`tool(id)` → the tool as a model sees it (spec/agent.md 1.3)."""
        wanted = call.argument(0)
        if not isinstance(wanted, str) or not wanted:
            raise InputInvalid("Tool ID is required or tool is not allowed", where="agents.tool")
        if call.context.evaluate("registry.get", wanted).answer == "deny":
            raise InputInvalid("Tool ID is required or tool is not allowed", where=wanted)
        return self._tool(self._seen(call), wanted)

    async def tools(self, call: HostCall) -> Any:
        """`tools(filter)` → all tools that may be read, by name; `namespace` narrows it."""
        wanted = as_object(call.argument(0)).get("namespace")
        criteria = {"meta.type": "tool"} | ({".ns": wanted} if isinstance(wanted, str) else {})
        found: dict[str, dict[str, Any]] = {}
        snapshot = self._seen(call)
        for entry in snapshot.find(criteria):
            readable = call.context.evaluate("registry.get", entry.id).answer != "deny"
            if readable and entry.kind.startswith("function."):
                try:
                    tool = self._tool(snapshot, entry.id)
                except MicroAgiError:
                    # A broken tool is left out of listings; asked for by id it says why.
                    continue
                found.setdefault(tool["name"], tool)
        return [found[name] for name in sorted(found)]

    def _seen(self, call: HostCall) -> Snapshot:
        """Return what the user of a call may know."""
        return self._door.registry.snapshot().seen_by(call.context.sees)

    def _tool(self, snapshot: Snapshot, entry_id: str) -> dict[str, Any]:
        entry = snapshot.get(entry_id)
        spec = tool_spec(entry)
        hidden = (
            *("input_schema", "llm_description", "llm_alias", "title", "description", "comment"),
            *("type", "name"),
        )
        return {
            "id": entry.id,
            "registry_id": entry.id,
            "name": spec.name,
            "title": str(entry.meta.get("title") or spec.name),
            "description": spec.description,
            "schema": spec.schema,
            "meta": {k: v for k, v in entry.meta.items() if k not in hidden},
        }

    async def select(self, call: HostCall) -> Any:
        """`select(prompt, class, model?)` → which agent of a class fits a request best."""
        prompt, wanted, model = (call.argument(n) for n in range(3))
        wanted = wanted if isinstance(wanted, str) else ""
        agents = Discovery(self._seen(call)).agents(of_class=wanted)

        async def choose(names: Sequence[str]) -> ModelCard:
            values = call.context.values
            if isinstance(model, str) and model:
                card = await self._door.llm.choose(model, values)
            else:
                card = await self._door.llm.beside(names, values)
            call.context.forbid_denied("llm.generate", card.name)
            return card

        chosen = await select_agent(
            agents,
            prompt if isinstance(prompt, str) else "",
            of_class=wanted,
            gateway=self._door.llm.gateway,
            choose=choose,
        )
        return {"success": True, "agent": chosen.agent, "reason": chosen.reason}

    def _loaded(self, call: HostCall, held: Held, runner: Runner) -> dict[str, Any]:
        """Give a freshly loaded runner to the caller, if the policies let it have both."""
        _permit(call, runner)
        for warning in runner.compiled.warnings:
            _warn(call, warning)
        return _facts(held, runner)


def _permit(call: HostCall, runner: Runner) -> None:
    """Refuse an agent, or a model, that a policy denies the caller.

    Raises: PolicyDenied.
    """
    call.context.forbid_denied("agent.load", runner.compiled.spec.id)
    call.context.forbid_denied("llm.generate", runner.card.name)


def _known(given: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    """Refuse an option that there is not.

    Raises: InputInvalid naming the nearest ones.
    """
    for name in given:
        if name not in names:
            near = ", ".join(nearest(name, names) or names)
            raise InputInvalid(
                f"`{name}` is no option of {where}", where=where, fix=f"use one of: {near}"
            )


def _configure(context: AgentContext, value: Any) -> None:
    facts = as_object(value)
    _known(facts, DELEGATE_OPTIONS, "delegate_tools")
    enabled, suffix = facts.get("enabled"), facts.get("description_suffix")
    schema = facts.get("default_schema")
    context.configure_delegate_tools(
        enabled=enabled if isinstance(enabled, bool) else None,
        description_suffix=suffix if isinstance(suffix, str) else None,
        default_schema=schema if isinstance(schema, Mapping) else None,
    )


def _model(options: Any) -> str:
    model = as_object(options).get("model")
    return model if isinstance(model, str) else ""


def _ids(value: Any) -> list[str | int]:
    listed = value if isinstance(value, list) else []
    return [i for i in listed if isinstance(i, str | int)]


def _warn(call: HostCall, warned: Warned) -> None:
    extra = {"unit": call.unit.id, "session": call.context.session}
    log.warning("%s: %s (%s)", warned.where, warned.text, warned.fix, extra=extra)


def _facts(held: Held, runner: Runner) -> dict[str, Any]:
    spec = runner.compiled.spec
    return {
        "runner": held.add_runner(runner),
        "id": spec.id,
        "name": spec.name,
        "model": runner.card.name,
        "warnings": [_warning(w) for w in runner.compiled.warnings],
    }


def _warning(warned: Warned) -> dict[str, str]:
    return {"text": warned.text, "where": warned.where, "fix": warned.fix}


def _response(
    response: Response, runner: Runner, context: Mapping[str, Any], warnings: list[Warned]
) -> dict[str, Any]:
    """Return a step's response as Lua code gets it; what is absent is absent."""
    metadata: dict[str, Any] = {"model": runner.card.name}
    if response.thinking:
        metadata["thinking"] = response.thinking
    if response.cost_usd is not None:
        metadata["cost_usd"] = response.cost_usd
    if warnings:
        metadata["warnings"] = [_warning(w) for w in warnings]
    facts: dict[str, Any] = {
        "result": response.result,
        "tokens": tokens(response.tokens),
        "finish_reason": response.finish_reason,
        "metadata": metadata,
    }
    if response.truncated:
        facts["truncated"] = True
    if response.problem is not None:
        facts["problem"] = dict(response.problem)
    if response.tool_calls:
        facts["tool_calls"] = [
            call_for_lua(c, runner.tools.get(c.name)) for c in response.tool_calls
        ]
    if response.delegate_calls:
        facts["delegate_calls"] = [_delegate(c, runner, context) for c in response.delegate_calls]
    if response.memory_prompt is not None:
        facts["memory_recall"] = response.memory_recall
        facts["memory_prompt"] = message_for_lua(response.memory_prompt)
    return facts


def _delegate(call: ToolCall, runner: Runner, context: Mapping[str, Any]) -> dict[str, Any]:
    spec = runner.tools[call.name]
    facts = call_for_lua(call, None)
    to_and_from = {"from_agent_id": runner.compiled.spec.id, "to_agent_id": spec.delegate}
    return {
        **facts,
        "agent_id": spec.delegate,
        "context": {**context, **spec.context, **to_and_from},
    }
