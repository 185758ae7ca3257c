"""The loop: from a user message to the final answer, in one screen.

Everything that happens is an event. `commit` journals events before the next effect, and
shows them only then; so what a person saw, what the journal holds and what a model was
sent cannot differ. An outcome that only the next step builds on waits for that step's
intent (`later=True`): a step costs two commits, whatever the number of its calls.

Limits are outcomes, never answers. Source: seed 000 "Agent Loop"; spec/agent.md 7.2;
DESIGN 10, 12.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from micro_agi.agent.calls import (
    REPEATS_TOLD,
    Planned,
    exclusive_among,
    plan,
    repeated,
    skipped,
    told,
    told_after,
)
from micro_agi.agent.compress import Compressor
from micro_agi.agent.context import AgentContext
from micro_agi.agent.extension_calls import Extensions, developer_messages
from micro_agi.agent.extensions import CHECKPOINT, LIFECYCLE, WRAPPER
from micro_agi.agent.limits import TurnLimits
from micro_agi.agent.outcomes import Outcomes
from micro_agi.agent.step import Response, Runner
from micro_agi.agent.tool_search import TOOL_SEARCH
from micro_agi.errors import MicroAgiError, ProviderRefused
from micro_agi.messages import (
    AnyEvent,
    ApprovalAnswered,
    ApprovalAsked,
    Errored,
    LimitHit,
    Message,
    Outcome,
    Recalled,
    StepFinished,
    StepStarted,
    ToolCall,
    ToolCallFinished,
    ToolSpec,
    TurnFinished,
    TurnStarted,
    Usage,
)
from micro_agi.registry.registry import Registry
from micro_agi.security.context import CallContext
from micro_agi.sessions.conversation import Conversation
from micro_agi.tools.approve import Approvals
from micro_agi.tools.call import ToolCaller, call_key, failed_call

Commit = Callable[..., Awaitable[None]]
"""`await commit([event, …], durable=False, later=False)`."""

Delegate = Callable[["Turn", ToolCall, ToolSpec], Awaitable[ToolCallFinished]]
"""Lets another agent answer a call: `Delegates.answer`."""

MAX_TRUNCATED = 2
"""Retries of steps that were cut inside their tool calls."""
MAX_EMPTY = 2
"""Retries of steps that had neither text nor a call."""


@dataclass(slots=True, kw_only=True)
class Turn:
    """One turn of one session. Made by `Session`, run once."""

    registry: Registry
    agent: AgentContext
    caller: ToolCaller
    approvals: Approvals
    compressor: Compressor
    conversation: Conversation
    context: CallContext
    limits: TurnLimits
    commit: Commit
    show: Callable[[AnyEvent], None]
    delegate: Delegate
    activate: bool = False
    """The agent answers for the first time, or again after another one."""
    leaving: Runner | None = None
    """The agent that answered before it, if it was another one."""
    clock: Callable[[], float] = time.monotonic
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    steps: int = 0
    calls: int = 0
    truncated: int = 0
    empty: int = 0
    planned: dict[str, Planned] = field(default_factory=dict)
    """What runs in place of the newest step's calls, where a wrapper said so."""
    asked_at: float = 0.0
    effects: bool = False
    """Whether a call of the newest step may have had an effect outside."""
    version_before: int = -1
    """Of the registry, when the calls of the step began."""
    deadline: asyncio.Timeout = field(default_factory=lambda: asyncio.Timeout(None))
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    outcomes: Outcomes = field(init=False)

    def __post_init__(self) -> None:
        self.outcomes = Outcomes(self.registry, self.agent, session=self.context.session)

    async def run(self, user: Message) -> TurnFinished:
        """Run the turn to its end; every outcome, also a cancelled one, is journalled."""
        agent = self.agent.get_current_agent().compiled.spec.id
        started = TurnStarted(turn=self.context.turn, message=user, agent=agent)
        await self.commit([started], later=True)
        outcome: Outcome
        text = ""
        try:
            async with asyncio.timeout(self.limits.timeout_s) as self.deadline:
                outcome, text = await self._loop()
        except asyncio.CancelledError:
            outcome = "cancelled"
        except TimeoutError:
            seconds = self.limits.timeout_s
            await self.commit([LimitHit(limit="wall clock", value=seconds, unit="s")])
            outcome = "limit_reached"
        except MicroAgiError as error:
            await self.commit([Errored(error=dict(error.as_dict()))])
            outcome = "failed"
        self.conversation.close_calls()
        finished = TurnFinished(
            turn=self.context.turn,
            outcome=outcome,
            text=text,
            usage=self.usage,
            cost_usd=self.cost_usd,
            steps=self.steps,
        )
        await self.commit([finished])
        return finished

    async def _loop(self) -> tuple[Outcome, str]:
        if self.leaving is not None:
            await self._around("deactivate", self.leaving)
        if self.activate:
            await self._around("activate", await self.agent.ready())
        while True:
            hit = self.limits.reached(self.steps, self.calls, self.usage, self.cost_usd or 0.0)
            if hit is not None:
                await self.commit([hit])
                return "limit_reached", ""
            response = await self._step()
            if response.truncated:
                self.truncated += 1
                if self.truncated > MAX_TRUNCATED:
                    limit = LimitHit(limit="truncated replies", value=MAX_TRUNCATED, unit="steps")
                    await self.commit([limit])
                    return "limit_reached", response.result
            elif response.message.tool_calls:
                await self._call_tools(response.message.tool_calls)
            elif not response.result.strip():
                self.empty += 1
                if self.empty > MAX_EMPTY:
                    raise _no_answer(response, self.empty)
            else:
                await self._compact(response, running=False)
                return "answered", response.result
            await self._compact(response, running=True)

    async def _step(self) -> Response:
        runner = await self.agent.ready()
        await self._around("before_step", runner)
        values = self.context.values
        system = await runner.opening(context=values, on_event=self.show)
        memory = await runner.recall(self.conversation.messages, context=values, on_event=self.show)
        if memory is not None:
            await self.commit([Recalled(message=memory)], later=True)
        prepared = runner.prepare(self.conversation.messages, system=system)
        self.steps += 1
        await self.commit(
            [
                StepStarted(
                    step=self.steps,
                    model=runner.card.name,
                    request_hash=prepared.hash,
                    registry_version=self.registry.version,
                )
            ]
        )
        response = await runner.send(prepared, self.show)
        self.spend(response.tokens, response.cost_usd)
        finished = StepFinished(
            step=self.steps,
            model=runner.card.name,
            message=response.message,
            finish_reason=response.finish_reason,
            usage=response.tokens,
            cost_usd=response.cost_usd,
            truncated=response.truncated,
        )
        # One commit for the reply and the intents of its calls; a last reply goes with the
        # turn's end.
        calls = await self._plan(response.message.tool_calls, runner)
        intents = [self.caller.started(call, runner.tools) for call in calls]
        effects = not all(intent.replayable for intent in intents)
        await self.commit([finished, *intents], durable=effects, later=not intents)
        self.effects = effects
        await self._around("after_step", runner)
        return response

    async def _plan(self, calls: Sequence[ToolCall], runner: Runner) -> Sequence[ToolCall]:
        """Let the agent's tool wrappers change the calls; return those to be announced."""
        self.planned = {}
        if not calls or not self.extensions(runner).of(WRAPPER):
            return calls
        payload = self._payload(runner)
        self.planned, warnings = await plan(self.extensions(runner), calls, runner.tools, payload)
        if warnings:
            await self.commit(warnings, later=True)
        planned = (self.planned[call.id] for call in calls)
        return [p if isinstance(p, ToolCall) else c for p, c in zip(planned, calls, strict=True)]

    async def _around(self, phase: str, runner: Runner) -> None:
        """Call the lifecycle extensions of a phase; what they say becomes part of the talk."""
        extensions = self.extensions(runner)
        if not extensions.of(LIFECYCLE):
            return
        summary = await extensions.apply({**self._payload(runner), "phase": phase})
        said = [Recalled(message=m) for m in developer_messages(summary)]
        await self.commit([*summary.warnings, *said], later=True)

    def _checkpoint(self, runner: Runner) -> Callable[[str], Awaitable[str]] | None:
        """Return what writes the summary in place of a model, if a trait declares it."""
        extensions = self.extensions(runner)
        if not extensions.of(CHECKPOINT):
            return None

        async def write(transcript: str) -> str:
            payload = {**self._payload(runner), "transcript": transcript}
            written, summary = await extensions.checkpoint(payload)
            await self.commit(summary.warnings, later=True)
            return written

        return write

    def extensions(self, runner: Runner) -> Extensions:
        """Return what the agent's traits want called around steps and calls."""
        return runner.extensions(self.registry.snapshot())

    def _payload(self, runner: Runner) -> dict[str, Any]:
        spec = runner.compiled.spec
        return {
            "host": {"kind": "session", "session_id": self.context.session},
            "agent": {"id": spec.id, "name": spec.name, "model": runner.card.name},
            "run_context": dict(self.context.values),
            "turn": self.context.turn,
            "step": self.steps,
        }

    async def _call_tools(self, calls: Sequence[ToolCall]) -> None:
        """Run the calls of one step, whose intents are committed, and commit their results.

        The calls run together; the results are in call order.
        """
        runner = await self.agent.ready()
        tools = runner.tools
        self.version_before = self.registry.version
        self.calls += len(calls)
        context = self.step_context()
        gate = asyncio.Semaphore(self.limits.tool_concurrency)
        alone = exclusive_among(calls, tools)

        async def run(call: ToolCall) -> ToolCallFinished:
            if alone is not None and call.id != alone:
                return skipped(call)
            if self.failures[_identity(call)] >= REPEATS_TOLD:
                return repeated(call)
            planned = self.planned.get(call.id, call)
            if isinstance(planned, MicroAgiError):
                return failed_call(call, "", planned)
            call, spec = planned, tools.get(planned.name)
            if spec is not None and spec.delegate:
                # Not through the gate: its own calls will need places there.
                return await self.delegate(self, call, spec)
            async with gate:
                return await self.caller.run(
                    call,
                    tools,
                    context,
                    approvals=self.approvals,
                    emit=self._emit,
                    session=self.agent.values,
                    local={TOOL_SEARCH: self.outcomes.search},
                )

        tasks = [asyncio.create_task(run(call)) for call in calls]
        try:
            results = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # Those that ended before the cancellation had their effect: keep their outcome.
            await self.commit([t.result() for t in tasks if not t.cancelled() and _ended(t)])
            raise
        if self.planned:
            payload = self._payload(runner)
            after = await told_after(self.extensions(runner), calls, results, tools, payload)
            await self.commit(after.warnings, later=True)
        recorded = [await self._record(c, r) for c, r in zip(calls, results, strict=True)]
        # What had an effect outside must not be forgotten; the rest may run again.
        events = [event for events in recorded for event in events]
        await self.commit(events, later=not self.effects)

    def step_context(self) -> CallContext:
        """Return the turn's context with the step in its call id, so that keys are unique.

        A delegate's turn has the key of the call that it answers before its own.
        """
        before = f"{self.context.call_id}>" if self.context.call_id else ""
        return self.context.narrowed(call_id=f"{before}{self.context.turn}.{self.steps}")

    def spend(self, usage: Usage, cost_usd: float | None) -> None:
        """Count tokens and money for this turn."""
        self.usage = self.usage.plus(usage)
        if cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost_usd

    async def _record(self, call: ToolCall, result: ToolCallFinished) -> list[AnyEvent]:
        """Count a failure, and return the result with the effects it had."""
        identity = _identity(call)
        if result.error is None:
            self.failures.pop(identity, None)
        else:
            self.failures[identity] += 1
            if self.failures[identity] == REPEATS_TOLD:
                result = told(result)
        key = call_key(self.step_context(), call)
        return await self.outcomes.of(call, result, key=key, version_before=self.version_before)

    async def _compact(self, response: Response, *, running: bool) -> None:
        runner = await self.agent.ready()
        if self.compressor.due(response.tokens, runner.card):
            await self.commit([])  # summarising takes seconds: what waits is committed before
            event = await self.compressor.compact(
                self.conversation,
                response.tokens,
                runner.card,
                running=running,
                checkpoint=self._checkpoint(runner),
            )
            if event is not None:
                await self.commit([event])

    async def _emit(self, event: AnyEvent) -> None:
        await self.commit([event])
        self.watch_question(event)

    def watch_question(self, event: AnyEvent) -> None:
        """Move the deadline by the time a person thinks about a question."""
        now = self.clock()
        if isinstance(event, ApprovalAsked):
            self.asked_at = now
        elif isinstance(event, ApprovalAnswered):
            until = self.deadline.when()
            if until is not None:
                self.deadline.reschedule(until + now - self.asked_at)


def _identity(call: ToolCall) -> tuple[str, str]:
    return (call.name, call.arguments)


def _ended(task: "asyncio.Task[ToolCallFinished]") -> bool:
    return task.done() and task.exception() is None


def _no_answer(response: Response, steps: int) -> ProviderRefused:
    return ProviderRefused(
        f"the model answered {steps} times with neither text nor a tool call",
        where=f"the last reply ended with `{response.finish_reason}`",
        fix="ask again or differently, raise the agent's max_tokens, or use another model",
    )
