"""What results of tool calls do to a session: tools were written, are loaded, are found.

Effects are typed and tied to entries of the operator; no visible name of a tool is ever
compared. What was written is asked of the registry, so that what Lua code wrote counts too.
"""

from collections.abc import Sequence
from typing import Any

from micro_agi.agent.context import AgentContext
from micro_agi.agent.tool_search import TOOL_SEARCH, answer
from micro_agi.errors import EntryInvalid, EntryNotFound
from micro_agi.messages import AnyEvent, ToolCall, ToolCallFinished, ToolCreated, ToolLoaded
from micro_agi.registry.history import Version
from micro_agi.registry.registry import Registry
from micro_agi.security.context import CallContext
from micro_agi.tools.call import failed_call
from micro_agi.tools.finder import DEFAULT_FOUND, ToolFinder
from micro_agi.tools.results import MARK, READ_RESULT

LOADS = "load_tool"
"""Value of `meta.effect` on the operator's entry whose result names a tool to load."""


class Outcomes:
    """Applies results to the agent of one turn."""

    def __init__(self, registry: Registry, agent: AgentContext) -> None:
        self._registry = registry
        self._agent = agent
        self._finder: ToolFinder | None = None

    async def of(
        self, call: ToolCall, result: ToolCallFinished, written: Sequence[Version]
    ) -> list[AnyEvent]:
        """Return a result and the effects it had; `written` are the versions the call wrote.

        If loading fails, so did the call that asked for it.
        """
        result, loads = await self._load(call, result)
        created = [
            ToolCreated(
                call_id=call.id,
                tool=change.entry_id,
                version=version.id,
                updated=change.kind == "entry.update",
                report=dict(version.report),
            )
            for version in written
            for change in version.operations
        ]
        return [result, *created, *loads]

    async def _load(
        self, call: ToolCall, result: ToolCallFinished
    ) -> tuple[ToolCallFinished, list[AnyEvent]]:
        if MARK in result.content and result.result is None and result.error is None:
            return await self._add(call, result, READ_RESULT)
        value = result.result
        if not isinstance(value, dict) or not result.tool:
            return result, []
        if result.tool == TOOL_SEARCH and result.error is None:
            return result, await self._show(call, [t["name"] for t in value["tools"]])
        if value.get("loaded") is not True:
            return result, []
        try:
            entry = self._registry.get(result.tool)
        except EntryNotFound:
            return result, []
        if entry.meta.get("effect") != LOADS or not self._registry.is_operators(entry.namespace):
            return result, []
        return await self._add(call, result, str(value.get("id") or ""))

    async def _add(
        self, call: ToolCall, result: ToolCallFinished, wanted: str
    ) -> tuple[ToolCallFinished, list[AnyEvent]]:
        """Add a tool to the running agent, or turn the result into the reason why not."""
        runner = await self._agent.ready()
        if any(t.id == wanted for t in runner.compiled.shown):
            return result, []
        try:
            self._agent.add_tools(wanted)
            runner = await self._agent.reload(wanted=wanted)
        except (EntryInvalid, EntryNotFound) as error:
            self._agent.remove_tool(wanted)
            return failed_call(call, result.tool, error), []
        name = next(t.name for t in runner.compiled.tools if t.id == wanted)
        return result, [ToolLoaded(call_id=call.id, tool=wanted, name=name)]

    async def search(self, arguments: Any, _: CallContext) -> Any:
        """Answer `system:tool_search`: find among all tools of the agent."""
        tools = [t for t in (await self._agent.ready()).compiled.tools if t.id != TOOL_SEARCH]
        if self._finder is None or self._finder.tools != tools:
            self.close()
            self._finder = ToolFinder(tools)
        limit = int(arguments.get("limit") or DEFAULT_FOUND)
        found = self._finder.find(str(arguments["query"]), limit)
        return answer(found, len(tools))

    def close(self) -> None:
        """Give free what searching took; the turn is over."""
        if self._finder is not None:
            self._finder.close()

    async def _show(self, call: ToolCall, names: Sequence[str]) -> list[AnyEvent]:
        """Show the tools that a search found, from the next step on."""
        runner = await self._agent.ready()
        known = {t.name for t in runner.compiled.shown}
        new = [runner.tools[n] for n in names if n in runner.tools and n not in known]
        if new:
            self._agent.add_tools([t.id for t in new])
            await self._agent.reload()
        return [ToolLoaded(call_id=call.id, tool=t.id, name=t.name) for t in new]
