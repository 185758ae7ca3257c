"""What the traits of an agent want called around the steps and the tool calls of a turn.

A session is the host of extensions (`extension_calls.py`): a wrapper may change calls before
their intents are journalled, a lifecycle may add a developer message that stays, a
checkpoint may write the summary of a compaction. What fails is a warning, unless its trait
says that it is strict.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from micro_agi.agent.calls import Planned, plan, told_after
from micro_agi.agent.extension_calls import Extensions, developer_messages
from micro_agi.agent.extensions import CHECKPOINT, LIFECYCLE, WRAPPER
from micro_agi.agent.step import Runner
from micro_agi.messages import Recalled, ToolCall, ToolCallFinished, ToolSpec
from micro_agi.registry.registry import Registry
from micro_agi.security.context import CallContext

Commit = Callable[..., Awaitable[object]]
"""`await commit([event, …], durable=False, later=False)`."""


class Around:
    """Calls the extensions of the agent of one turn."""

    def __init__(self, registry: Registry, context: CallContext, commit: Commit) -> None:
        self._registry = registry
        self._context = context
        self._commit = commit

    async def phase(self, phase: str, runner: Runner, *, step: int) -> None:
        """Call the lifecycle extensions of a phase; what they say becomes part of the talk.

        Raises: ToolFailed when a strict one fails.
        """
        extensions = self._extensions(runner)
        if not extensions.of(LIFECYCLE):
            return
        summary = await extensions.apply({**self._payload(runner, step), "phase": phase})
        said = [Recalled(message=m) for m in developer_messages(summary)]
        await self._commit([*summary.warnings, *said], later=True)

    async def plan(
        self, calls: Sequence[ToolCall], runner: Runner, *, step: int
    ) -> dict[str, Planned]:
        """Let the tool wrappers say what runs in place of each call; {} when there are none."""
        extensions = self._extensions(runner)
        if not calls or not extensions.of(WRAPPER):
            return {}
        payload = self._payload(runner, step)
        planned, warnings = await plan(extensions, calls, runner.tools, payload)
        await self._commit(warnings, later=True)
        return planned

    async def after(
        self,
        calls: Sequence[ToolCall],
        results: Sequence[ToolCallFinished],
        tools: Mapping[str, ToolSpec],
        runner: Runner,
        *,
        step: int,
    ) -> None:
        """Tell the tool wrappers what became of the calls."""
        extensions = self._extensions(runner)
        if extensions.of(WRAPPER):
            payload = self._payload(runner, step)
            summary = await told_after(extensions, calls, results, tools, payload)
            await self._commit(summary.warnings, later=True)

    def checkpoint(self, runner: Runner, *, step: int) -> Callable[[str], Awaitable[str]] | None:
        """Return what writes a summary in place of a model, if a trait declares it."""
        extensions = self._extensions(runner)
        if not extensions.of(CHECKPOINT):
            return None

        async def write(transcript: str) -> str:
            payload = {**self._payload(runner, step), "transcript": transcript}
            written, summary = await extensions.checkpoint(payload)
            await self._commit(summary.warnings, later=True)
            return written

        return write

    def _extensions(self, runner: Runner) -> Extensions:
        return runner.extensions(self._registry.snapshot())

    def _payload(self, runner: Runner, step: int) -> dict[str, Any]:
        spec = runner.compiled.spec
        return {
            "host": {"kind": "session", "session_id": self._context.session},
            "agent": {"id": spec.id, "name": spec.name, "model": runner.card.name},
            "run_context": dict(self._context.values),
            "turn": self._context.turn,
            "step": step,
        }
