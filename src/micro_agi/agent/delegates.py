"""Let another agent answer a tool call: a turn of its own inside the caller's turn.

The delegate has its own prompt, model, tools and conversation; its events are shown and
journalled inside `Delegated` events of the caller's session, its tokens and money count for
the caller's turn, and its answer is the tool result. It may do only what everybody who asked
for it may do as well (`CallContext.delegated`), and cannot be asked, directly or through
others, by itself.

Source: DESIGN 6, 10. The reference leaves running delegates to each host (spec/agent.md 3.2).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from micro_agi.agent.authority import agent_actor
from micro_agi.agent.context import AgentContext
from micro_agi.agent.turn import Turn
from micro_agi.errors import LimitReached, MicroAgiError, ToolFailed
from micro_agi.messages import (
    AnyEvent,
    Delegated,
    ToolCall,
    ToolCallFinished,
    ToolSpec,
    TurnFinished,
    message,
)
from micro_agi.sessions.standing import standing
from micro_agi.tools.call import as_text, call_key, failed_call, parse_arguments

MAX_DEPTH = 4
"""Agents that ask agents: deeper than this nobody follows what happens."""

MOST_PARTIAL = 4_000
"""Characters of an answer that was cut, for whoever asked."""

NewAgent = Callable[[Mapping[str, Any]], AgentContext]
"""Makes an agent context with the given base values."""


class Delegates:
    """Answers delegate calls for the turns of one session."""

    def __init__(self, new_agent: NewAgent) -> None:
        self._new_agent = new_agent

    async def answer(
        self, turn: Turn, call: ToolCall, spec: ToolSpec, before: Sequence[AnyEvent] = ()
    ) -> ToolCallFinished:
        """Run the delegate's turn and return its answer as the result of `call`.

        `before` is what happened in it until it was cut off: it goes on from there.
        """
        try:
            finished = await self._run(turn, call, spec, before)
        except MicroAgiError as error:
            return failed_call(call, spec.id, error)
        turn.spend(finished.usage, finished.cost_usd)
        if finished.outcome == "answered":
            return ToolCallFinished(
                call_id=call.id,
                name=call.name,
                tool=spec.id,
                content=finished.text,
                result=finished.text,
            )
        why = {"limit_reached": "reached a limit", "cancelled": "was stopped"}
        written = finished.text[:MOST_PARTIAL]
        unanswered = ToolFailed(
            f"agent `{spec.delegate}` {why.get(finished.outcome, 'failed')} before it answered"
            + (f"; until then it had written: {written}" if written.strip() else ""),
            where=spec.delegate,
            fix="ask for less, or do it without the delegate",
        )
        return failed_call(call, spec.id, unanswered)

    async def _run(
        self, turn: Turn, call: ToolCall, spec: ToolSpec, before: Sequence[AnyEvent]
    ) -> TurnFinished:
        for event in before:
            if isinstance(event, TurnFinished):
                return event
        arguments = parse_arguments(call)
        turn.caller.schemas.validate(spec, arguments)
        agent = self._new_agent(spec.context)
        stands = standing(before)
        conversation, left = stands.conversation, stands.unfinished
        agent.add_tools(conversation.loaded)
        runner = await agent.load_agent(spec.delegate)
        definition = runner.compiled.spec
        # By the id it has, not the one it was called by: a resolver may know it by several.
        _check_chain(turn, definition.id)
        context = turn.context.delegated(
            agent_actor(definition),
            agent.authority(definition).scope,
            agent=definition.id,
            call_id=call_key(turn.step_context(), call),
            model=runner.card.name,
            values={
                **spec.context,
                **definition.context,
                "from_agent_id": turn.context.agent,
                "to_agent_id": definition.id,
            },
        )

        def wrapped(event: AnyEvent) -> Delegated:
            return Delegated(call_id=call.id, agent=definition.id, event=event)

        async def commit(
            events: Sequence[AnyEvent], *, durable: bool = False, later: bool = False
        ) -> list[AnyEvent]:
            committed = await turn.commit(
                [wrapped(e) for e in events], durable=durable, later=later
            )
            inner = [event.event for event in committed if isinstance(event, Delegated)]
            for event in inner:
                conversation.apply(event)
                turn.watch_question(event)
            return inner

        if not before:
            await commit(list(runner.compiled.warnings))
        inner = Turn(
            registry=turn.registry,
            agent=agent,
            caller=turn.caller,
            approvals=turn.approvals,
            compressor=turn.compressor,
            conversation=conversation,
            context=context,
            limits=turn.limits,
            commit=commit,
            show=lambda event: turn.show(wrapped(event)),
            delegate=self.answer,
            recorder=turn.recorder,
            spent=turn.spent,
            activate=not before,
        )
        if left is not None:
            return await inner.resume(left)
        said = arguments.get("message")
        text = said if isinstance(said, str) else as_text(arguments)
        return await inner.run(message("user", text))


def _check_chain(turn: Turn, delegate: str) -> None:
    """Refuse a circle and a chain that is too long.

    Raises: LimitReached.
    """
    chain = [actor.id.removeprefix("agent:") for actor, _ in turn.context.chain]
    path = " → ".join((*chain, delegate))
    if delegate in chain:
        raise LimitReached(
            f"agents ask each other in a circle: {path}",
            where=delegate,
            fix="answer without this delegate",
        )
    if len(chain) > MAX_DEPTH:
        raise LimitReached(
            f"more than {MAX_DEPTH} agents ask each other: {path}",
            where=delegate,
            fix="answer without this delegate",
        )
