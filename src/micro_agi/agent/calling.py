"""Run the tool calls of a turn, one step's after the other's, and keep what came of them.

The calls of a step run together, within their limits; the conversation has their results in
call order. A call that may have an effect outside has its outcome committed as soon as it
ends; the others' outcomes wait for each other, since they may run again.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from msgspec import Struct, field

from micro_agi.agent.around import Around
from micro_agi.agent.calls import (
    REPEATS_TOLD,
    Planned,
    exclusive_among,
    repeated,
    skipped,
    told,
)
from micro_agi.agent.context import AgentContext
from micro_agi.agent.outcomes import Outcomes
from micro_agi.agent.step import Runner
from micro_agi.agent.tool_search import TOOL_SEARCH
from micro_agi.errors import MicroAgiError, ToolInterrupted
from micro_agi.messages import AnyEvent, ToolCall, ToolCallFinished, ToolCallStarted, ToolSpec
from micro_agi.registry.history import Version
from micro_agi.registry.registry import Registry
from micro_agi.security.context import CallContext
from micro_agi.sessions.recovery import Pending, Unfinished
from micro_agi.tools.approve import Approvals
from micro_agi.tools.call import ToolCaller, call_key, failed_call

Commit = Callable[..., Coroutine[Any, Any, Sequence[AnyEvent]]]
"""`await commit([event, …], durable=False, later=False)`; returns them without secrets."""

Delegate = Callable[[ToolCall, ToolSpec, Sequence[AnyEvent]], Awaitable[ToolCallFinished]]
"""Lets another agent answer a call; of one that was cut off with what had happened in it."""


class Calling(Struct, kw_only=True):
    """The calls of one turn."""

    registry: Registry
    agent: AgentContext
    caller: ToolCaller
    approvals: Approvals
    outcomes: Outcomes
    around: Around
    commit: Commit
    emit: Callable[[AnyEvent], Awaitable[None]]
    """Commits and shows what happens before a call starts: questions and answers."""
    delegate: Delegate
    concurrency: int
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By name and arguments, in a row."""
    planned: dict[str, Planned] = field(default_factory=dict)
    """What runs in place of the newest step's calls, where a wrapper said so."""
    effects: frozenset[str] = frozenset()
    """Ids of the newest step's calls that may have an effect outside."""
    version_before: int = -1
    """Of the registry, when the calls of the step began."""

    async def intents(
        self, calls: Sequence[ToolCall], runner: Runner, *, step: int
    ) -> list[ToolCallStarted]:
        """Return what is going to run, to be committed before `run`."""
        self.planned = await self.around.plan(calls, runner, step=step)
        intents = [self.caller.started(self._planned(call), runner.tools) for call in calls]
        self.effects = frozenset(i.call_id for i in intents if not i.replayable)
        return intents

    def resume(self, left: Unfinished) -> dict[str, bool]:
        """Take over from a turn that was cut off; whether each call without an outcome runs."""
        self.failures = left.failures
        self.effects = frozenset(p.call.id for p in left.pending if not p.intent.replayable)
        return {p.call.id: self._may_run(p) for p in left.pending}

    async def go_on(
        self,
        calls: Sequence[ToolCall],
        pending: Sequence[Pending],
        context: CallContext,
        *,
        step: int,
    ) -> None:
        """Do what is left of the calls of a step that was cut off."""
        runner = await self.agent.ready()
        making = [p.call for p in pending]
        self.planned = await self.around.plan(making, runner, step=step)
        await self.run(calls, context, step=step, pending=pending)

    async def run(
        self,
        calls: Sequence[ToolCall],
        context: CallContext,
        *,
        step: int,
        pending: Sequence[Pending] | None = None,
    ) -> None:
        """Run the calls of one step, whose intents are committed, and commit their results.

        `pending` are those to make when it is not all of them.
        """
        runner = await self.agent.ready()
        tools = runner.tools
        left = {p.call.id: p for p in pending or ()}
        making = calls if pending is None else [p.call for p in pending]
        # Of calls that were cut off nobody knows what they wrote before.
        self.version_before = self.registry.version if pending is None else -1
        gate = asyncio.Semaphore(self.concurrency)
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
                return _interrupted(cut_off, self._written(call, context))
            if spec is not None and spec.delegate:
                # Not through the gate: its own calls will need places there.
                return await self.delegate(call, spec, cut_off.nested if cut_off else ())
            async with gate:
                return await self.caller.run(
                    call,
                    tools,
                    context,
                    approvals=self.approvals,
                    emit=self.emit,
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
            await self.commit(await self._record(call, result, context))
            return None

        tasks = [asyncio.create_task(run_and_keep(call)) for call in making]
        try:
            results = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # Those that ended before the cancellation had their effect: keep their outcome.
            ended = [t.result() for t in tasks if not t.cancelled() and not t.exception()]
            await self.commit([result for result in ended if result is not None])
            raise
        waiting = [(c, r) for c, r in zip(making, results, strict=True) if r is not None]
        recorded = [await self._record(call, result, context) for call, result in waiting]
        await self.around.after(making, list(finished.values()), tools, runner, step=step)
        # What had an effect outside must not be forgotten; the rest may run again.
        events = [event for events in recorded for event in events]
        await self.commit(events, later=not self.effects)

    def _planned(self, call: ToolCall) -> ToolCall:
        """Return the call that runs in place of a call, which is mostly itself."""
        planned = self.planned.get(call.id)
        return planned if isinstance(planned, ToolCall) else call

    def _may_run(self, pending: Pending) -> bool:
        """Whether a call that was cut off runs (again): a delegate goes on where it was."""
        spec = self.agent.tools.get(pending.call.name)
        return pending.may_run or (spec is not None and bool(spec.delegate))

    async def _record(
        self, call: ToolCall, result: ToolCallFinished, context: CallContext
    ) -> list[AnyEvent]:
        """Count a failure, and return the result with the effects it had."""
        identity = _identity(call)
        if result.error is None:
            self.failures.pop(identity, None)
        else:
            self.failures[identity] += 1
            if self.failures[identity] == REPEATS_TOLD:
                result = told(result)
        return await self.outcomes.of(call, result, self._written(call, context))

    def _written(self, call: ToolCall, context: CallContext) -> Sequence[Version]:
        """Return the registry's versions that one call of the newest step wrote."""
        if self.registry.version == self.version_before:
            return ()
        return self.registry.versions_of_call(context.session, call_key(context, call))


def _identity(call: ToolCall) -> tuple[str, str]:
    return (call.name, call.arguments)


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
