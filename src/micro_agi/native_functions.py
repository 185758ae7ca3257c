"""Everything that entries of kind `function.native` stand for: functions of this process.

Only `app` builds this: the tools of namespace `local`, and those of namespace `system` that
make, search and page. Their entries are in `bundled/`; what an embedder adds with `rt.tool`
is registered there.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from micro_agi.agent.tool_search import outside_a_turn
from micro_agi.local.tool import LocalTool
from micro_agi.local.workspaces import Workspaces
from micro_agi.memory.memory import Memory
from micro_agi.net.client import Client
from micro_agi.registry.entry import Entry
from micro_agi.registry.registry import Registry
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need
from micro_agi.store.database import Database
from micro_agi.tools.create import Gate
from micro_agi.tools.doc_search import doc_search
from micro_agi.tools.docs import Docs
from micro_agi.tools.draft import parse_draft
from micro_agi.tools.functions import Functions
from micro_agi.tools.results import Results

if TYPE_CHECKING:  # as `_Local` says
    from micro_agi.local.pyexe import Sessions


class NativeParts(Struct, frozen=True, kw_only=True):
    """What the functions work with."""

    gate: Gate
    docs: Docs
    results: Results
    workspaces: Workspaces
    database: Database
    registry: Registry
    memory: Memory
    client: Client
    clock: Callable[[], float]
    """Seconds since 1970."""


def register_native(
    functions: Functions, parts: NativeParts, *, local: Sequence[Entry]
) -> Callable[[], Awaitable[None]]:
    """Make every native function callable by the target that its entry names.

    `local` are the entries of namespace `local`. Returns what ends the processes they started.
    """
    functions.register("create_tool", parts.gate.native)
    functions.register("doc_search", doc_search(parts.docs))
    functions.register("read_result", parts.results.page)
    functions.register("tool_search", outside_a_turn)
    tools = _Local(parts)
    for entry in local:
        if entry.kind == "function.native":
            tool = tools.later(str(entry.data["target"]))
            functions.register(str(entry.data["target"]), tool.run, needs=tool.needs)
    return tools.close


class _Local:
    """The tools of namespace `local`, imported and built when the first of them is called.

    Most programs call none, and their modules take 1.2 MB and 10 ms.
    """

    def __init__(self, parts: NativeParts) -> None:
        self._parts = parts
        self._python: Sessions | None = None

    async def close(self) -> None:
        """End the Python sessions."""
        if self._python is not None:
            await self._python.close()

    def later(self, target: str) -> LocalTool:
        """Return a tool that is there once it is needed."""

        async def run(value: Any, context: CallContext) -> Any:
            return await self._tools[target].run(value, context)

        def needs(value: Any, context: CallContext) -> Sequence[Need]:
            return self._tools[target].needs(value, context)

        return LocalTool(run=run, needs=needs)

    @cached_property
    def _tools(self) -> dict[str, LocalTool]:
        from micro_agi.local.module import LocalParts, local_tools
        from micro_agi.local.promote_skill import Door
        from micro_agi.local.pyexe import Sessions

        parts, self._python = self._parts, Sessions()
        return local_tools(
            LocalParts(
                workspaces=parts.workspaces,
                database=parts.database,
                registry=parts.registry,
                memory=parts.memory,
                client=parts.client,
                sessions=self._python,
                gate=Door(check=parse_draft, create=parts.gate.native),
                shown=parts.results.shown_to,
                clock=parts.clock,
            )
        )
