"""All tools of namespace `local`, by the target that their entries name.

Only `app` builds this. A new tool is a file here that makes a `LocalTool`, a line in
`local_tools`, an entry below `bundled/local/src/`, and its id in the agent's list.
"""

from collections.abc import Callable

from msgspec import Struct

from micro_agi.local.changes import Changes
from micro_agi.local.data.view import data_view
from micro_agi.local.edit_file import edit_file
from micro_agi.local.fetch import fetch
from micro_agi.local.list_files import list_files
from micro_agi.local.memory import memory_tool, recall_tool
from micro_agi.local.project.tool import project_prompt, project_tool
from micro_agi.local.promote_skill import Door, promote_skill
from micro_agi.local.pyexe import Sessions, Shown, pyexe
from micro_agi.local.read_file import read_file
from micro_agi.local.search_files import search_files
from micro_agi.local.shell import shell
from micro_agi.local.tool import LocalTool
from micro_agi.local.workspaces import Workspaces
from micro_agi.local.write_file import write_file
from micro_agi.memory.memory import Memory
from micro_agi.net.client import Client
from micro_agi.registry.registry import Registry
from micro_agi.store.database import Database


class LocalParts(Struct, frozen=True, kw_only=True):
    """What the tools work with."""

    workspaces: Workspaces
    database: Database
    registry: Registry
    memory: Memory
    client: Client
    sessions: Sessions
    gate: Door
    shown: Shown
    clock: Callable[[], float]
    """Seconds since 1970."""


def local_tools(parts: LocalParts) -> dict[str, LocalTool]:
    """Return every tool by its target: `local.read_file` and so on."""
    changes = Changes(parts.database, clock=parts.clock)
    each = parts.workspaces.tool
    return {
        "local.list_files": each(list_files),
        "local.read_file": each(read_file),
        "local.data_view": each(data_view),
        "local.fetch": each(lambda w: fetch(parts.client, w, changes)),
        "local.memory": memory_tool(parts.memory),
        "local.recall": recall_tool(parts.memory),
        "local.project": project_tool(parts.database, clock=parts.clock),
        "local.project_prompt": project_prompt(parts.database),
        "local.search_files": each(search_files),
        "local.write_file": each(lambda w: write_file(w, changes)),
        "local.shell": each(lambda w: shell(w, parts.registry, parts.client)),
        "local.pyexe": each(lambda w: pyexe(w, parts.sessions, parts.shown)),
        "local.promote_skill": each(lambda w: promote_skill(w, parts.gate)),
        "local.edit_file": each(lambda w: edit_file(w, changes)),
    }
