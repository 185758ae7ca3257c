"""`promote_skill`: a function in a file of the workspace becomes a tool, through the gate.

A person is asked first, and `--yes` does not answer: what becomes a tool stays. The question
names the content by its hash, so a file that is changed meanwhile is another question.
What the gate would refuse for its shape is refused before anybody is asked.

Source: spec/local-agent.md 7.2; seed 004 "Phase 0.4"; DESIGN 6 and 8.
"""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from micro_agi.errors import InputInvalid
from micro_agi.local.text import decode
from micro_agi.local.tool import READ, Arguments, LocalTool, parse
from micro_agi.local.workspace import Place, Workspace
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need

TOOL = "local:promote_skill"
PROMOTE = "skill.promote"
FILE_BYTES = 64_000
"""As many as 16,000 characters, the gate's limit, can take."""
HASH_DIGITS = 12


class Promote(Arguments, frozen=True):
    file_path: str
    function_name: str
    tool_name: str = ""
    tests: tuple[dict[str, Any], ...] = ()
    modules: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Door(Struct, frozen=True, kw_only=True):
    """The gate, as this tool knows it: both take a draft in the form of `create_tool`."""

    check: Callable[[Mapping[str, Any]], Any]
    """Raises what is wrong with a draft that can be told without running it."""
    create: Callable[[Mapping[str, Any], CallContext], Awaitable[dict[str, Any]]]
    """Takes it through all steps."""


class Candidate(Struct, frozen=True, kw_only=True):
    """What is to become a tool."""

    draft: Mapping[str, Any]
    file: str
    resource: str
    """What a person is asked about: the function, its file, and the hash of all of it."""


def promote_skill(workspace: Workspace, gate: Door) -> LocalTool:
    """Return the tool."""

    def needs(value: Any, _: CallContext) -> list[Need]:
        wanted = parse(value, Promote, TOOL)
        place = workspace.place(wanted.file_path)
        candidate = _candidate(workspace, place, wanted)
        gate.check(candidate.draft)
        tests = len(wanted.tests)
        reason = f"as tool `{candidate.draft['name']}`, {tests} tests"
        return [
            Need(action=READ, resource=place.resource),
            Need(action=PROMOTE, resource=candidate.resource, reason=reason),
        ]

    async def run(value: Any, context: CallContext) -> dict[str, Any]:
        wanted = parse(value, Promote, TOOL)
        place = workspace.place(wanted.file_path)
        context.require(READ, place.resource)
        candidate = await asyncio.to_thread(_candidate, workspace, place, wanted)
        context.require(PROMOTE, candidate.resource)
        reason = f"promote_skill {candidate.file}#{wanted.function_name}"
        created = await gate.create(candidate.draft, context.narrowed(reason=reason))
        untested = created["tests"]["untested"]
        note = "it is untested: promote it again with tests" if untested else "its tests passed"
        told = {key: created[key] for key in ("created", "updated", "unchanged", "id", "version")}
        return {**told, "loaded": True, "note": note}

    return LocalTool(run=run, needs=needs)


def _candidate(workspace: Workspace, place: Place, wanted: Promote) -> Candidate:
    draft = {
        "name": wanted.tool_name or wanted.function_name,
        "function": wanted.function_name,
        "language": "python",
        "source": _source(workspace, place),
        "tests": list(wanted.tests),
        "modules": list(wanted.modules),
        "hosts": list(wanted.hosts),
    }
    digest = hashlib.sha256(msgspec.json.encode(draft, order="sorted")).hexdigest()[:HASH_DIGITS]
    return Candidate(
        draft=draft,
        file=place.shown,
        resource=f"{place.shown}#{wanted.function_name} ({digest})",
    )


def _source(workspace: Workspace, place: Place) -> str:
    with os.fdopen(workspace.open(place), "rb") as file:
        data = file.read(FILE_BYTES + 1)
    if len(data) > FILE_BYTES:
        raise InputInvalid(
            f"`{place.shown}` is larger than a tool may be",
            where=place.shown,
            fix="put the function into a file of its own, with what it needs and nothing else",
        )
    return decode(data, place.shown).text.replace("\r\n", "\n")
