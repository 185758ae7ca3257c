"""Everything that entries of kind `function.native` stand for: functions of this process.

Only `app` builds this: the tools of namespace `local`, and those of namespace `system` that
make, search and page. Their entries are in `bundled/`; what an embedder adds with `rt.tool`
is registered there.
"""

from collections.abc import Callable

from msgspec import Struct

from micro_agi.agent.tool_search import outside_a_turn
from micro_agi.local.module import LocalParts, local_tools
from micro_agi.local.promote_skill import Door
from micro_agi.local.pyexe import Sessions
from micro_agi.local.workspaces import Workspaces
from micro_agi.memory.memory import Memory
from micro_agi.net.client import Client
from micro_agi.registry.registry import Registry
from micro_agi.store.database import Database
from micro_agi.tools.create import Gate
from micro_agi.tools.doc_search import doc_search
from micro_agi.tools.docs import Docs
from micro_agi.tools.draft import parse_draft
from micro_agi.tools.functions import Functions
from micro_agi.tools.results import Results


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
    python: Sessions
    """The Python sessions that run; the caller closes them."""
    clock: Callable[[], float]
    """Seconds since 1970."""


def register_native(functions: Functions, parts: NativeParts) -> None:
    """Make every native function callable by the target that its entry names."""
    functions.register("create_tool", parts.gate.native)
    functions.register("doc_search", doc_search(parts.docs))
    functions.register("read_result", parts.results.page)
    functions.register("tool_search", outside_a_turn)
    local = LocalParts(
        workspaces=parts.workspaces,
        database=parts.database,
        registry=parts.registry,
        memory=parts.memory,
        client=parts.client,
        sessions=parts.python,
        gate=Door(check=parse_draft, create=parts.gate.native),
        shown=parts.results.shown_to,
        clock=parts.clock,
    )
    for target, tool in local_tools(local).items():
        functions.register(target, tool.run, needs=tool.needs)
