"""`shell`: a command in the locked room, after every part of it was answered.

The rules and the policies answer before anything starts: `shell.run` is what a command needs
that the rules allow, `shell.confirm` one that they leave to a person. What they deny is
refused with the rule's name. `--yes` covers neither question.

Source: spec/local-agent.md 7.3; DESIGN 6; decision 0039.
"""

import os
from pathlib import Path
from typing import Any

from msgspec import Struct

from micro_agi.errors import ArgumentsInvalid, ToolFailed
from micro_agi.local.beneath import parts_of
from micro_agi.local.shell_network import dialler, hosts_of, network_needs
from micro_agi.local.tool import (
    PROGRAMS,
    RUNS_OUTSIDE,
    Arguments,
    LocalTool,
    new_places,
    parse,
    require,
)
from micro_agi.local.workspace import CURRENT, Place, Workspace
from micro_agi.net.client import Client
from micro_agi.registry.registry import Registry
from micro_agi.sandbox.shell import ShellLimits, ShellResult, run_shell
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need

TOOL = "local:shell"
DEFAULT_S = 60.0
MOST_S = 600.0
GIT = ".git"
READ_ONLY = (
    "(repositories, environments and settings of editors are read-only here, unless `changes`"
    " names them and a person agrees)"
)


class Shell(Arguments, frozen=True):
    command: str
    directory: str = "."
    timeout_s: float = DEFAULT_S
    changes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Checked(Struct, frozen=True, kw_only=True):
    """What a call asks for."""

    wanted: Shell
    place: Place
    needs: list[Need]
    may_change: frozenset[str]
    """Places whose programs run outside later, below the workspace."""
    hosts: tuple[str, ...]
    """What it may reach, as `host:port`."""


def shell(workspace: Workspace, registry: Registry, client: Client) -> LocalTool:
    """Return the tool; `client` connects to what was granted."""

    def checked(value: Any) -> Checked:
        wanted = parse(value, Shell, TOOL)
        if not wanted.command.strip():
            raise ArgumentsInvalid("`command` is empty", where=TOOL, fix="say what to run")
        if not 0 < wanted.timeout_s <= MOST_S:
            raise ArgumentsInvalid(
                f"`timeout_s` is {wanted.timeout_s:g}", where=TOOL, fix=f"give up to {MOST_S:g}"
            )
        place = workspace.place(wanted.directory)
        if not place.writable:
            raise ArgumentsInvalid(
                f"commands run in the workspace, not in {CURRENT}", where=TOOL, fix="leave it out"
            )
        # Here, because most sessions run no command: rules and grammar cost 10 ms to import.
        from micro_agi.local.shell_needs import needs_of

        directory = str(workspace.root.joinpath(*place.parts))
        needs, git = needs_of(wanted.command, directory, str(workspace.root), registry)
        may_change = {_changed(path) for path in wanted.changes}
        if git:
            may_change.add(_repository(place.parts, workspace.root))
        hosts = hosts_of(wanted.hosts, TOOL)
        programs = [
            Need(action=PROGRAMS, resource=path, reason=f"{RUNS_OUTSIDE}; for: {wanted.command}")
            for path in sorted(may_change)
        ]
        return Checked(
            wanted=wanted,
            place=place,
            needs=[*needs, *programs, *network_needs(hosts, wanted.command)],
            may_change=frozenset(may_change),
            hosts=hosts,
        )

    def needs(value: Any, _: CallContext) -> list[Need]:
        return checked(value).needs

    async def run(value: Any, context: CallContext) -> str:
        found = checked(value)
        wanted, place = found.wanted, found.place
        require(found.needs, context)
        _require_directory(workspace, place)
        result = await run_shell(
            wanted.command,
            workspace=workspace.root,
            directory="/".join(place.parts),
            limits=ShellLimits(wall_s=wanted.timeout_s),
            may_change=found.may_change,
            dial=dialler(found.hosts, client, context),
        )
        return _shown(result, wanted)

    return LocalTool(run=run, needs=needs)


def _changed(path: str) -> str:
    """Return a place that a command may change, as the room knows it.

    Raises: PathRefused; ArgumentsInvalid for the workspace itself.
    """
    parts = parts_of(path)
    if not parts:
        raise ArgumentsInvalid(
            "`changes` names the workspace itself", where=TOOL, fix="name .git, or .venv"
        )
    return "/".join(parts)


def _repository(parts: tuple[str, ...], root: Path) -> str:
    """Return the repository that git finds from a directory, or the one it would make there."""
    for depth in range(len(parts), -1, -1):
        if os.path.lexists(root.joinpath(*parts[:depth], GIT)):
            return "/".join((*parts[:depth], GIT))
    return "/".join((*parts, GIT))


def _require_directory(workspace: Workspace, place: Place) -> None:
    try:
        os.close(place.tree.directory(place.parts))
    except OSError as error:
        raise ToolFailed(
            f"`{place.shown}` is no directory to run in: {error.strerror}",
            where=place.shown,
            fix="list_files shows what there is",
        ) from error


def _shown(result: ShellResult, wanted: Shell) -> str:
    parts = [_ending(result, wanted)]
    if result.output:
        parts.append(result.output.rstrip("\n"))
    if result.errors:
        parts.append("errors:\n" + result.errors.rstrip("\n"))
    if not result.output and not result.errors:
        parts.append("(it wrote nothing)")
    if result.refused:
        parts.append("(could not connect to " + "; ".join(result.refused) + ")")
    if result.made:
        parts.append(new_places(result.made))
    elif result.exit_code and "Read-only file system" in result.errors:
        parts.append(READ_ONLY)
    return "\n".join(parts)


def _ending(result: ShellResult, wanted: Shell) -> str:
    match result.ended_by:
        case "":
            return f"exit code {result.exit_code} ({result.seconds:.1f} s)"
        case "time":
            return f"ended after {wanted.timeout_s:g} s, with everything it had started"
        case "processes":
            return "ended: it started more processes than a command may have"
        case "memory":
            return "ended: it took more memory than a command may have"
        case "disk":
            return "ended: it wrote more than a command may, or others filled the disk"
        case other:
            return f"ended by {other} ({result.seconds:.1f} s)"
