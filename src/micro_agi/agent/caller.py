"""Run the tool calls of a response, for embedders with a loop of their own.

    caller = context.tool_caller()
    checked = await caller.validate(runner, response.tool_calls)
    for result in await caller.execute(checked, {"user_id": "u7"}): ...

It does what a session does, but for the journal: the arguments are validated, an exclusive
call runs alone, wrappers are asked, and the calls run as the agent, with its policies.
Source: spec/agent.md 4. Differences: results are in call order, skipped calls have a result
that says so, and arguments are checked against the schema.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field

from micro_agi.agent.calls import (
    Planned,
    exclusive_among,
    facts_of_call,
    plan,
    skipped,
    told_after,
)
from micro_agi.agent.extension_calls import Extensions
from micro_agi.agent.step import Runner
from micro_agi.errors import MicroAgiError
from micro_agi.messages import AnyEvent, ToolCall, ToolCallFinished, Warned
from micro_agi.security.context import CallContext
from micro_agi.tools.approve import Approvals
from micro_agi.tools.call import ToolCaller, failed_call, parse_arguments

Strategy = Literal["sequential", "parallel"]


class Checked(Struct, frozen=True, kw_only=True):
    """One call, looked at: what would run, and what is wrong with it."""

    call_id: str
    name: str
    args: Any
    registry_id: str
    context: Mapping[str, Any]
    """The tool's own."""
    error: str
    """Why it will not run, or ""."""
    call: ToolCall
    """As the model made it."""
    planned: Planned
    exclusive: bool = False

    @property
    def valid(self) -> bool:
        """Whether it will run."""
        return not self.error


class StepCaller(Struct):
    """Made by `AgentContext.tool_caller`; keeps what wrappers said since `validate`."""

    caller: ToolCaller
    approvals: Approvals
    authority: CallContext
    extensions: Extensions
    strategy: Strategy = "sequential"
    wrapper_context: Mapping[str, Any] = field(
        default_factory=lambda: {"host": {"kind": "embedder"}}
    )
    observations: list[Any] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)
    _runner: Runner | None = None

    def set_strategy(self, strategy: str) -> "StepCaller":
        """Run calls one after the other (`sequential`) or together (`parallel`)."""
        if strategy in ("sequential", "parallel"):
            self.strategy = "parallel" if strategy == "parallel" else "sequential"
        return self

    def set_wrapper_context(self, context: Mapping[str, Any]) -> "StepCaller":
        """Give what wrappers are told: `host` with a `kind`, `agent`, `run_context`, `outcome`."""
        self.wrapper_context = context
        return self

    async def validate(self, runner: Runner, calls: Sequence[ToolCall]) -> list[Checked]:
        """Look at the calls of one response, in call order, before any of them runs."""
        self.observations, self.metadata, self.warnings = [], [], []
        self._runner = runner
        planned, self.warnings = await plan(
            self.extensions, calls, runner.tools, self.wrapper_context
        )
        running = [p for p in planned.values() if isinstance(p, ToolCall)]
        alone = exclusive_among(running, runner.tools)
        return [self._checked(call, planned[call.id], alone, runner) for call in calls]

    def _checked(
        self, call: ToolCall, planned: Planned, alone: str | None, runner: Runner
    ) -> Checked:
        shown = planned if isinstance(planned, ToolCall) else call
        facts = facts_of_call(shown, runner.tools)
        spec = runner.tools.get(shown.name)
        error = ""
        if isinstance(planned, MicroAgiError):
            error = planned.what
        elif alone not in (None, call.id):
            error = "skipped: another call of this reply has to run alone"
        elif spec is None:
            error = f"there is no tool `{shown.name}`"
        else:
            try:
                self.caller.schemas.validate(spec, parse_arguments(shown))
            except MicroAgiError as problem:
                error = problem.what
        return Checked(
            call_id=call.id,
            name=shown.name,
            args=facts["arguments"],
            registry_id=facts["registry_id"],
            context=facts["context"],
            error=error,
            call=call,
            planned=planned,
            exclusive=alone == call.id,
        )

    async def execute(
        self, checked: Sequence[Checked], session: Mapping[str, Any] | None = None
    ) -> list[ToolCallFinished]:
        """Run what was validated and return the results in call order.

        `session` is context that wins over the tools' own. Nothing is raised for what a
        tool did: every outcome is a result.
        """
        runner = self._runner
        if runner is None or not checked:
            return []
        alone = next((c.call_id for c in checked if c.exclusive), None)

        async def run(item: Checked) -> ToolCallFinished:
            if alone not in (None, item.call_id):
                return skipped(item.call)
            if isinstance(item.planned, MicroAgiError):
                return failed_call(item.call, item.registry_id, item.planned)
            return await self.caller.run(
                item.planned,
                runner.tools,
                self.authority,
                approvals=self.approvals,
                emit=_unheard,
                session=session,
            )

        if self.strategy == "parallel":
            results = list(await asyncio.gather(*(run(item) for item in checked)))
        else:
            results = [await run(item) for item in checked]
        summary = await told_after(
            self.extensions,
            [c.call for c in checked],
            results,
            runner.tools,
            self.wrapper_context,
        )
        self.observations += summary.observations
        self.metadata += summary.metadata
        self.warnings += summary.warnings
        return results


async def _unheard(_: AnyEvent) -> None:
    """Drop an event: nobody listens."""
