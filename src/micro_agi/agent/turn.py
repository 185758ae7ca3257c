"""The loop: from a user message to the final answer, in one screen.

Everything that happens is an event. `commit` journals events before the next effect, and
shows them only then; so what a person saw, what the journal holds and what a model was
sent cannot differ. An outcome that only the next step builds on waits for that step's
intent (`later=True`): a step costs two commits, whatever the number of its calls. The first
of them runs beside the request, whose answer is nothing to anybody before it is done.

Limits are outcomes, never answers. Source: seed 000 "Agent Loop"; spec/agent.md 7.2;
DESIGN 10, 12.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from micro_agi.agent.around import Around
from micro_agi.agent.calls import (
    REPEATS_TOLD,
    Planned,
    exclusive_among,
    repeated,
    skipped,
    told,
)
from micro_agi.agent.circle import Circles
from micro_agi.agent.compress import Compressor, chars_per_token
from micro_agi.agent.context import AgentContext
from micro_agi.agent.fit import Fit, talk_chars
from micro_agi.agent.inputs import Recorder
from micro_agi.agent.limits import TurnLimits
from micro_agi.agent.originals import offer_recall
from micro_agi.agent.outcomes import Outcomes
from micro_agi.agent.shown_after import ShownAfter
from micro_agi.agent.step import Runner
from micro_agi.agent.tool_search import TOOL_SEARCH
from micro_agi.agent.verify import seen_by, unbacked
from micro_agi.errors import MicroAgiError, ProviderRefused, ToolInterrupted
from micro_agi.llm.failure import CONTEXT_LENGTH, error_type
from micro_agi.llm.request import PreparedRequest
from micro_agi.messages import (
    AnyEvent,
    ApprovalAnswered,
    ApprovalAsked,
    Circling,
    Errored,
    LimitHit,
    Message,
    Outcome,
    Recalled,
    Shortened,
    StepFinished,
    StepStarted,
    ToolCall,
    ToolCallFinished,
    ToolSpec,
    TurnFinished,
    TurnResumed,
    TurnStarted,
    Unbacked,
    Usage,
)
from micro_agi.registry.history import Version
from micro_agi.registry.registry import Registry
from micro_agi.security.context import CallContext
from micro_agi.sessions.conversation import Conversation
from micro_agi.sessions.recovery import Pending, Unfinished
from micro_agi.tools.approve import Approvals
from micro_agi.tools.call import ToolCaller, call_key, failed_call
from micro_agi.tools.results import owner

Commit = Callable[..., Coroutine[Any, Any, Sequence[AnyEvent]]]
"""`await commit([event, …], durable=False, later=False)`; returns them without secrets."""

Delegate = Callable[["Turn", ToolCall, ToolSpec, Sequence[AnyEvent]], Awaitable[ToolCallFinished]]
"""Lets another agent answer a call: `Delegates.answer`."""

End = tuple[Outcome, str]
"""How a turn ends, and its answer."""

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
    recorder: Recorder
    spent: Conversation
    """Of the session: what all its turns took, this one and its delegates' included."""
    verify: bool = False
    """Whether an answer is compared with what was seen."""
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
    waited_s: float = 0.0
    """Time that a person thought about questions."""
    body: bytes = b""
    """Of the newest request."""
    effects: frozenset[str] = frozenset()
    """Ids of the newest step's calls that may have an effect outside."""
    version_before: int = -1
    """Of the registry, when the calls of the step began."""
    deadline: asyncio.Timeout = field(default_factory=lambda: asyncio.Timeout(None))
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    circles: Circles = field(default_factory=Circles)
    outcomes: Outcomes = field(init=False)
    around: Around = field(init=False)
    fit: Fit = field(init=False)
    sent: PreparedRequest | None = None
    """The newest request."""

    def __post_init__(self) -> None:
        self.outcomes = Outcomes(self.registry, self.agent)
        self.fit = Fit(partial(self.caller.results.cut, session=owner(self.context)))
        self.around = Around(self.registry, self.context, self.commit)

    async def run(self, user: Message) -> TurnFinished:
        """Run the turn to its end; every outcome, also a cancelled one, is journalled."""
        agent = self.agent.get_current_agent().compiled.spec.id
        started = TurnStarted(turn=self.context.turn, message=user, agent=agent)
        await self.commit([started], later=True)
        return await self._finish(self._loop())

    async def resume(self, left: Unfinished) -> TurnFinished:
        """Go on with a turn that was cut off: nothing committed is done again.

        Calls without an outcome run (again) where that repeats no effect; of the others the
        model is told that their outcome is unknown.
        """
        self.steps, self.calls, self.truncated = left.steps, left.calls, left.truncated
        self.usage, self.cost_usd, self.failures = left.usage, left.cost_usd, left.failures
        self.effects = frozenset(p.call.id for p in left.pending if not p.intent.replayable)
        runs = {p.call.id: self._may_run(p) for p in left.pending}
        resumed = TurnResumed(
            turn=self.context.turn,
            again=tuple(call_id for call_id, may_run in runs.items() if may_run),
            unknown=tuple(call_id for call_id, may_run in runs.items() if not may_run),
        )
        await self.commit([resumed])
        return await self._finish(self._go_on(left))

    async def _finish(self, work: Coroutine[Any, Any, End]) -> TurnFinished:
        """Do the turn's work within its time, and commit how it ended."""
        outcome: Outcome
        text = ""
        began, time_limit = self.clock(), self.limits.time(self.spent)
        try:
            async with asyncio.timeout(self.limits.seconds(self.spent)) as self.deadline:
                outcome, text = await work
        except asyncio.CancelledError:
            outcome = "cancelled"
        except TimeoutError:
            await self.commit([time_limit])
            outcome = "limit_reached"
        except MicroAgiError as error:
            await self.commit([Errored(error=dict(error.as_dict()))])
            outcome = "failed"
        finally:
            self.outcomes.close()
        self.conversation.close_calls()
        finished = TurnFinished(
            turn=self.context.turn,
            outcome=outcome,
            text=text,
            usage=self.usage,
            cost_usd=self.cost_usd,
            steps=self.steps,
            seconds=self.clock() - began - self.waited_s,
        )
        await self.commit([finished])
        return finished

    async def _go_on(self, left: Unfinished) -> End:
        """Do what the last reply of a turn that was cut off still asks for, then go on."""
        end = await self._act(left.last, left.pending) if left.last else None
        return end or await self._loop()

    async def _loop(self) -> End:
        if self.leaving is not None:
            await self.around.phase("deactivate", self.leaving, step=self.steps)
        if self.activate:
            await self.around.phase("activate", await self.agent.ready(), step=self.steps)
        while True:
            limits = self.limits
            hit = limits.reached(self.steps, self.calls, self.usage, self.cost_usd or 0.0)
            hit = hit or limits.session.reached(self.spent)
            if hit is not None:
                await self.commit([hit])
                return "limit_reached", ""
            end = await self._act(await self._step())
            if end is not None:
                return end

    async def _act(
        self, step: StepFinished, pending: Sequence[Pending] | None = None
    ) -> End | None:
        """Do what a reply asks for; return the turn's end if that is it.

        `pending` are the calls to make when it is not all of them.
        """
        calls = step.message.tool_calls
        if step.truncated:
            self.truncated += 1
            if self.truncated > MAX_TRUNCATED:
                limit = LimitHit(limit="truncated replies", value=MAX_TRUNCATED, unit="steps")
                await self.commit([limit])
                return "limit_reached", step.message.text
        elif step.problem is not None:
            return await self._cut_off(step.problem), step.message.text
        elif calls and pending is None:
            self.calls += len(calls)
            await self._call_tools(calls)
        elif calls:
            runner = await self.agent.ready()
            making = [p.call for p in pending or ()]
            self.planned = await self.around.plan(making, runner, step=self.steps)
            await self._call_tools(calls, pending)
        elif not step.message.text.strip():
            self.empty += 1
            if self.empty > MAX_EMPTY:
                raise _no_answer(step, self.empty)
        else:
            await self._verify(step.message.text)
            await self._compact(step.usage, running=False)
            return "answered", step.message.text
        if calls and await self._circle():
            return "limit_reached", ""
        await self._compact(step.usage, running=True)
        return None

    async def _cut_off(self, problem: Mapping[str, Any]) -> Outcome:
        """End with a part of an answer: the stream broke off for good, and why decides how."""
        if problem.get("retryable") is True:
            tries = self.limits.model_retries
            await self.commit([LimitHit(limit="model retries", value=tries, unit="tries")])
            return "limit_reached"
        await self.commit([Errored(error=dict(problem))])
        return "failed"

    async def _verify(self, answer: str) -> None:
        """Flag what the answer states and nothing says that the model saw."""
        if not (self.verify and self.calls and self.sent):
            return
        request = self.sent.request
        facts = unbacked(answer, seen_by(request.system, self.conversation.messages[:-1]))
        if facts:
            await self.commit([Unbacked(facts=tuple(facts))], later=True)

    async def _circle(self) -> bool:
        """Tell the model that it goes in a circle; whether it went on long enough."""
        stops_at = self.limits.rounds
        circle = self.circles.step(self.conversation.messages)
        if circle is None or not stops_at:
            return False
        if circle.rounds >= stops_at:
            await self.commit([LimitHit(limit="same calls", value=stops_at, unit="rounds")])
            return True
        if circle.rounds == (stops_at + 1) // 2:
            told = Circling(steps=circle.steps, rounds=circle.rounds, stops_at=stops_at)
            await self.commit([told], later=True)
        return False

    async def _step(self) -> StepFinished:
        runner, values = await self.agent.ready(), self.context.values
        await self.around.phase("before_step", runner, step=self.steps)
        system = await runner.opening(context=values, on_event=self.show)
        memory = await runner.recall(self.conversation.messages, context=values, on_event=self.show)
        if memory is not None:
            await self.commit([Recalled(message=memory)], later=True)
        system = self.recorder.clean(system)
        try:
            return await self._request(system)
        except ProviderRefused as error:
            if error_type(error) != CONTEXT_LENGTH or self.sent is None:
                raise
            # The server counts otherwise than we do; once, with less.
            self.fit.refused(self.sent.request)
            return await self._request(system, refused=error)

    async def _request(
        self, system: str, *, refused: ProviderRefused | None = None
    ) -> StepFinished:
        """Make one model request, and return what came of it.

        Raises: `refused`, the error of the request before, when this one is no shorter.
        """
        runner, prepared = await self._fitted(system)
        if refused is not None and self.sent and len(prepared.body) >= len(self.sent.body):
            raise refused
        self.sent = prepared
        self.steps += 1
        started = StepStarted(
            step=self.steps,
            model=runner.card.name,
            request_hash=prepared.hash,
            registry_version=self.registry.version,
            inputs=self.recorder.of(
                prepared.request,
                system=runner.compiled.system,
                in_words=prepared.request.messages is not self.conversation.messages,
            ),
        )
        # On an open connection the request leaves at once: the commit is done while the
        # model reads it.
        async with ShownAfter(self.commit([started]), self.show) as show:
            response = await runner.send(prepared, show)
        self.fit.learn(prepared.request, response.tokens)
        self.spend(response.tokens, response.cost_usd)
        self.body = prepared.body
        finished = StepFinished(
            step=self.steps,
            model=runner.card.name,
            message=response.message,
            finish_reason=response.finish_reason,
            usage=response.tokens,
            cost_usd=response.cost_usd,
            truncated=response.truncated,
            problem=dict(response.problem) if response.problem else None,
        )
        # One commit for the reply and the intents of its calls; a last reply goes with the
        # turn's end.
        calls = response.message.tool_calls
        self.planned = await self.around.plan(calls, runner, step=self.steps)
        intents = [self.caller.started(self._planned(call), runner.tools) for call in calls]
        effects = frozenset(i.call_id for i in intents if not i.replayable)
        await self.commit([finished, *intents], durable=bool(effects), later=not intents)
        self.effects = effects
        await self.around.phase("after_step", runner, step=self.steps)
        return finished

    async def _fitted(self, system: str) -> tuple[Runner, PreparedRequest]:
        """Build the next request so that it fits the model's window, as far as it can."""
        messages = self.conversation.messages
        runner = await self.agent.ready()
        prepared = runner.prepare(messages, system=system)
        excess = self.fit.excess(prepared.request, prepared.body)
        if excess and any(m.role == "tool" for m in messages):
            # First, since the tool that reads the rest takes room as well.
            await self.commit(await self.outcomes.offer_pages())
            runner = await self.agent.ready()
            prepared = runner.prepare(messages, system=system)
            excess = self.fit.excess(prepared.request, prepared.body)
            if shorter := await self.fit.shorter(messages, excess):
                before = sum(len(messages[r.at].text) for r in shorter)
                after = sum(len(r.text) for r in shorter)
                event = Shortened(results=tuple(shorter), chars_before=before, chars_after=after)
                await self.commit([event])
                prepared = runner.prepare(messages, system=system)
        excess = self.fit.excess(prepared.request, prepared.body)
        # Where even an empty conversation would not fit, nothing of it is given up.
        if 0 < excess < talk_chars(prepared.request.messages):
            usage = Usage(prompt=self.fit.tokens(prepared.request))
            await self._summarise(runner, usage, running=True)
            prepared = runner.prepare(self.conversation.messages, system=system)
        return runner, prepared

    def _planned(self, call: ToolCall) -> ToolCall:
        """Return the call that runs in place of a call, which is mostly itself."""
        planned = self.planned.get(call.id)
        return planned if isinstance(planned, ToolCall) else call

    async def _call_tools(
        self, calls: Sequence[ToolCall], pending: Sequence[Pending] | None = None
    ) -> None:
        """Run the calls of one step, whose intents are committed, and commit their results.

        The calls run together; the conversation has their results in call order.
        """
        runner = await self.agent.ready()
        tools = runner.tools
        left = {p.call.id: p for p in pending or ()}
        making = calls if pending is None else [p.call for p in pending]
        # Of calls that were cut off nobody knows what they wrote before.
        self.version_before = self.registry.version if pending is None else -1
        context = self.step_context()
        gate = asyncio.Semaphore(self.limits.tool_concurrency)
        alone = exclusive_among([self._planned(call) for call in calls], tools)

        async def run(call: ToolCall) -> ToolCallFinished:
            if alone is not None and call.id != alone:
                return skipped(call)
            if self.failures[_identity(call)] >= REPEATS_TOLD:
                return repeated(call)
            refused, cut_off = self.planned.get(call.id), left.get(call.id)
            if isinstance(refused, MicroAgiError):
                return failed_call(call, "", refused)
            call = self._planned(call)
            spec = tools.get(call.name)
            if cut_off is not None and not self._may_run(cut_off):
                return _interrupted(cut_off, self._written(call))
            if spec is not None and spec.delegate:
                # Not through the gate: its own calls will need places there.
                return await self.delegate(self, call, spec, cut_off.nested if cut_off else ())
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

        running = {call.id for call in making}
        finished: dict[str, ToolCallFinished] = {}

        async def run_and_keep(call: ToolCall) -> ToolCallFinished | None:
            """Return a result that may wait for the others; commit one that may not."""
            result = finished[call.id] = await run(call)
            running.discard(call.id)
            if not running or call.id not in self.effects:
                return result
            # Its effect happened, and the others may take long: it must not be forgotten.
            await self.commit(await self._record(call, result))
            return None

        tasks = [asyncio.create_task(run_and_keep(call)) for call in making]
        try:
            results = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # Those that ended before the cancellation had their effect: keep their outcome.
            ended = [t.result() for t in tasks if not t.cancelled() and _ended(t)]
            await self.commit([result for result in ended if result is not None])
            raise
        waiting = [(c, r) for c, r in zip(making, results, strict=True) if r is not None]
        recorded = [await self._record(call, result) for call, result in waiting]
        done = list(finished.values())
        await self.around.after(making, done, tools, runner, step=self.steps)
        # What had an effect outside must not be forgotten; the rest may run again.
        events = [event for events in recorded for event in events]
        await self.commit(events, later=not self.effects)

    def _may_run(self, pending: Pending) -> bool:
        """Whether a call that was cut off runs (again): a delegate goes on where it was."""
        spec = self.agent.tools.get(pending.call.name)
        return pending.may_run or (spec is not None and bool(spec.delegate))

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
        return await self.outcomes.of(call, result, self._written(call))

    def _written(self, call: ToolCall) -> Sequence[Version]:
        """Return the registry's versions that one call of the newest step wrote."""
        if self.registry.version == self.version_before:
            return ()
        key = call_key(self.step_context(), call)
        return self.registry.versions_of_call(self.context.session, key)

    async def _compact(self, usage: Usage, *, running: bool) -> None:
        runner = await self.agent.ready()
        if self.compressor.due(usage, runner.card):
            await self._summarise(runner, usage, running=running)

    async def _summarise(self, runner: Runner, usage: Usage, *, running: bool) -> None:
        await self.commit([])  # summarising takes seconds: what waits is committed before
        event = await self.compressor.compact(
            self.conversation,
            usage,
            runner.card,
            running=running,
            keep=self.recorder.keep,
            checkpoint=self.around.checkpoint(runner, step=self.steps),
            chars_per_token=chars_per_token(self.body, usage),
        )
        if event is not None:
            self.spend(event.usage, event.cost_usd)
            await self.commit([event])
            await self.commit(await offer_recall(self.agent))

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
            self.waited_s += now - self.asked_at
            if until is not None:
                self.deadline.reschedule(until + now - self.asked_at)


def _identity(call: ToolCall) -> tuple[str, str]:
    return (call.name, call.arguments)


def _ended(task: "asyncio.Task[Any]") -> bool:
    return task.done() and task.exception() is None


def _interrupted(pending: Pending, written: Sequence[Version]) -> ToolCallFinished:
    """Return the result of a call that was cut off and must not be repeated."""
    entries = [f"{c.entry_id} (version {v.id})" for v in written for c in v.operations]
    error = ToolInterrupted(
        "interrupted, outcome unknown"
        + (f"; before that it had written {', '.join(entries)}" if entries else ""),
        where=f"tool call {pending.call.id}",
        fix="find out what it did before you call it again",
    )
    return failed_call(pending.call, pending.intent.tool, error)


def _no_answer(step: StepFinished, times: int) -> ProviderRefused:
    return ProviderRefused(
        f"the model answered {times} times with neither text nor a tool call",
        where=f"the last reply ended with `{step.finish_reason}`",
        fix="ask again or differently, raise the agent's max_tokens, or use another model",
    )
