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
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from micro_agi.agent.circle import Circles
from micro_agi.agent.compress import Compressor, chars_per_token
from micro_agi.agent.context import AgentContext
from micro_agi.agent.inputs import Recorder
from micro_agi.agent.limits import TurnLimits
from micro_agi.agent.originals import offer_recall
from micro_agi.errors import EntryInvalid, EntryNotFound, MicroAgiError, ToolFailed, ToolInterrupted
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
    StepFinished,
    StepStarted,
    ToolCall,
    ToolCallFinished,
    ToolCreated,
    ToolLoaded,
    ToolSpec,
    TurnFinished,
    TurnResumed,
    TurnStarted,
    Usage,
)
from micro_agi.registry.history import Version
from micro_agi.registry.registry import Registry
from micro_agi.security.context import CallContext
from micro_agi.sessions.conversation import Conversation
from micro_agi.sessions.recovery import Pending, Unfinished
from micro_agi.tools.approve import Approvals
from micro_agi.tools.call import ToolCaller, call_key, failed_call
from micro_agi.tools.results import MARK, READ_RESULT

Commit = Callable[..., Awaitable[Sequence[AnyEvent]]]
"""`await commit([event, …], durable=False, later=False)`; returns them without secrets."""

Delegate = Callable[["Turn", ToolCall, ToolSpec, Sequence[AnyEvent]], Awaitable[ToolCallFinished]]
"""Lets another agent answer a call: `Delegates.answer`."""

End = tuple[Outcome, str]
"""How a turn ends, and its answer."""

MAX_TRUNCATED = 2
"""Retries of steps that were cut inside their tool calls."""
REPEATS_TOLD = 3
"""The same call failing this often: the model is told, and the next one is refused."""
LOADS = "load_tool"
"""Value of `meta.effect` on the operator's entry whose result names a tool to load."""


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
    clock: Callable[[], float] = time.monotonic
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    steps: int = 0
    calls: int = 0
    truncated: int = 0
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
        elif calls and pending is None:
            self.calls += len(calls)
            await self._call_tools(calls)
        elif calls:
            await self._call_tools(calls, pending)
        else:
            await self._compact(step.usage, running=False)
            return "answered", step.message.text
        if calls and await self._circle():
            return "limit_reached", ""
        await self._compact(step.usage, running=True)
        return None

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
        runner = self.agent.get_current_agent()
        memory = await runner.recall(
            self.conversation.messages, context=self.context.values, on_event=self.show
        )
        if memory is not None:
            await self.commit([Recalled(message=memory)], later=True)
        prepared = await runner.prepare(
            self.conversation.messages, context=self.context.values, on_event=self.show
        )
        self.steps += 1
        await self.commit(
            [
                StepStarted(
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
            ]
        )
        response = await runner.send(prepared, self.show)
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
        )
        # One commit for the reply and the intents of its calls; a last reply goes with the
        # turn's end.
        calls = response.message.tool_calls
        intents = [self.caller.started(call, runner.tools) for call in calls]
        effects = frozenset(i.call_id for i in intents if not i.replayable)
        await self.commit([finished, *intents], durable=bool(effects), later=not intents)
        self.effects = effects
        return finished

    async def _call_tools(
        self, calls: Sequence[ToolCall], pending: Sequence[Pending] | None = None
    ) -> None:
        """Run the calls of one step, whose intents are committed, and commit their results.

        The calls run together; the conversation has their results in call order.
        """
        tools = self.agent.get_current_agent().tools
        left = {p.call.id: p for p in pending or ()}
        making = calls if pending is None else [p.call for p in pending]
        # Of calls that were cut off nobody knows what they wrote before.
        self.version_before = self.registry.version if pending is None else -1
        context = self.step_context()
        gate = asyncio.Semaphore(self.limits.tool_concurrency)
        alone = next((c.id for c in calls if c.name in tools and tools[c.name].exclusive), None)

        async def run(call: ToolCall) -> ToolCallFinished:
            if alone is not None and call.id != alone:
                return _skipped(call)
            if self.failures[_identity(call)] >= REPEATS_TOLD:
                return _repeated(call)
            spec, cut_off = tools.get(call.name), left.get(call.id)
            if cut_off is not None and not self._may_run(cut_off):
                return _interrupted(cut_off, self._written(call))
            if spec is not None and spec.delegate:
                # Not through the gate: its own calls will need places there.
                return await self.delegate(self, call, spec, cut_off.nested if cut_off else ())
            async with gate:
                return await self.caller.run(
                    call, tools, context, approvals=self.approvals, emit=self._emit
                )

        running = {call.id for call in making}

        async def run_and_keep(call: ToolCall) -> ToolCallFinished | None:
            """Return a result that may wait for the others; commit one that may not."""
            result = await run(call)
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
        # What had an effect outside must not be forgotten; the rest may run again.
        events = [event for events in recorded for event in events]
        await self.commit(events, later=not self.effects)

    def _may_run(self, pending: Pending) -> bool:
        """Whether a call that was cut off runs (again): a delegate goes on where it was."""
        spec = self.agent.get_current_agent().tools.get(pending.call.name)
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
        """Return one result with the effects it had: tools created, tools loaded."""
        identity = _identity(call)
        if result.error is None:
            self.failures.pop(identity, None)
        else:
            self.failures[identity] += 1
            if self.failures[identity] == REPEATS_TOLD:
                result = _told(result)
        result, loads = await self._load(call, result)
        return [result, *self._created(call), *loads]

    def _created(self, call: ToolCall) -> list[AnyEvent]:
        """Return what the call wrote, as the registry knows it: also what Lua code wrote."""
        return [
            ToolCreated(
                call_id=call.id,
                tool=change.entry_id,
                version=version.id,
                updated=change.kind == "entry.update",
                report=dict(version.report),
            )
            for version in self._written(call)
            for change in version.operations
        ]

    def _written(self, call: ToolCall) -> Sequence[Version]:
        """Return the registry's versions that one call of the newest step wrote."""
        if self.registry.version == self.version_before:
            return ()
        key = call_key(self.step_context(), call)
        return self.registry.versions_of_call(self.context.session, key)

    async def _load(
        self, call: ToolCall, result: ToolCallFinished
    ) -> tuple[ToolCallFinished, list[AnyEvent]]:
        """Load the tool that a `load_tool` effect names; if that fails, so did the call."""
        if MARK in result.content and result.result is None and result.error is None:
            return await self._add(call, result, READ_RESULT)
        value = result.result
        if not (isinstance(value, dict) and value.get("loaded") is True and result.tool):
            return result, []
        try:
            entry = self.registry.get(result.tool)
        except EntryNotFound:
            return result, []
        if entry.meta.get("effect") != LOADS or not self.registry.is_operators(entry.namespace):
            return result, []
        return await self._add(call, result, str(value.get("id") or ""))

    async def _add(
        self, call: ToolCall, result: ToolCallFinished, wanted: str
    ) -> tuple[ToolCallFinished, list[AnyEvent]]:
        """Add a tool to the running agent, or turn the result into the reason why not."""
        if any(t.id == wanted for t in self.agent.get_current_agent().compiled.tools):
            return result, []
        try:
            self.agent.add_tools(wanted)
            runner = await self.agent.reload(wanted=wanted)
        except (EntryInvalid, EntryNotFound) as error:
            self.agent.remove_tool(wanted)
            return failed_call(call, result.tool, error), []
        name = next(t.name for t in runner.compiled.tools if t.id == wanted)
        return result, [ToolLoaded(call_id=call.id, tool=wanted, name=name)]

    async def _compact(self, usage: Usage, *, running: bool) -> None:
        runner = self.agent.get_current_agent()
        if not self.compressor.due(usage, runner.card):
            return
        await self.commit([])  # summarising takes seconds: what waits is committed before
        event = await self.compressor.compact(
            self.conversation,
            usage,
            runner.card,
            running=running,
            keep=self.recorder.keep,
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


def _skipped(call: ToolCall) -> ToolCallFinished:
    error = ToolFailed(
        "skipped: another call of this reply has to run alone",
        where=f"tool call {call.id}",
        fix="call it again in the next step if it is still needed",
    )
    return failed_call(call, "", error)


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


def _repeated(call: ToolCall) -> ToolCallFinished:
    error = ToolFailed(
        f"`{call.name}` failed {REPEATS_TOLD} times with these arguments; refused for this turn",
        where=f"tool call {call.id}",
        fix="do something else",
    )
    return failed_call(call, "", error)


def _told(result: ToolCallFinished) -> ToolCallFinished:
    note = (
        f"\n[this call failed {REPEATS_TOLD} times with the same arguments; "
        "it will be refused from now on]"
    )
    return ToolCallFinished(
        call_id=result.call_id,
        name=result.name,
        tool=result.tool,
        content=result.content + note,
        error=result.error,
        duration_s=result.duration_s,
    )
