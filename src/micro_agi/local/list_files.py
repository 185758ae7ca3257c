"""`list_files`: what is in a directory, page by page, in a fixed order."""

import asyncio
import threading
from typing import Any

from micro_agi.local.tool import READ, Arguments, LocalTool, parse
from micro_agi.local.walk import Item, Walk, Wanted, glob_matcher
from micro_agi.local.workspace import CURRENT, Place, Workspace
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need

TOOL = "local:list_files"
DEFAULT_LIMIT = 200


class ListFiles(Arguments, frozen=True):
    path: str = "."
    glob: str = ""
    depth: int | None = None
    all: bool = False
    limit: int = DEFAULT_LIMIT
    after: str = ""


def list_files(workspace: Workspace) -> LocalTool:
    """Return the tool."""

    def needs(value: Any, _: CallContext) -> list[Need]:
        wanted = parse(value, ListFiles, TOOL)
        return [Need(action=READ, resource=workspace.place(wanted.path).resource)]

    async def run(value: Any, context: CallContext) -> dict[str, Any]:
        wanted = parse(value, ListFiles, TOOL)
        place = workspace.place(wanted.path)
        context.require(READ, place.resource)
        # One level, unless files are looked for by a pattern.
        depth = wanted.depth if wanted.depth is not None else (0 if wanted.glob else 1)
        walk = Walk(
            place,
            Wanted(
                depth=depth,
                everything=wanted.all,
                matches=glob_matcher(wanted.glob, TOOL),
                after=workspace.place(wanted.after).parts if wanted.after else (),
            ),
            threading.Event(),
        )
        try:
            return await asyncio.to_thread(_listed, workspace, walk, wanted.limit)
        finally:
            walk.cancelled.set()

    return LocalTool(run=run, needs=needs)


def _listed(workspace: Workspace, walk: Walk, limit: int) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    more = False
    try:
        for item in walk.items():
            if len(entries) == limit:
                more = True
                break
            entries.append(_entry(walk.place, item))
    except OSError as error:
        raise workspace.failure(walk.place, error) from error
    result: dict[str, Any] = {"path": walk.place.shown, "entries": entries}
    if more:
        result["next"] = f"there are more: call it again with after = {entries[-1]['path']}"
    if walk.stopped:
        result["stopped"] = walk.stopped
    return result


def _entry(place: Place, item: Item) -> dict[str, Any]:
    path = shown_path(place, item.parts)
    match item.kind:
        case "file":
            facts: dict[str, Any] = {"path": path, "size": item.size}
        case "directory":
            facts = {"path": path + "/"}
        case _:
            facts = {"path": path, "type": item.kind}
    return {**facts, "closed": "looks like a credential"} if item.closed else facts


def shown_path(place: Place, parts: tuple[str, ...]) -> str:
    """Return the path of something below a place as tools name it."""
    return "/".join((CURRENT, *parts) if not place.writable else parts)
