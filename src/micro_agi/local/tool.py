"""What a tool of this module is: a function, and what it needs for the arguments it is given.

A tool is registered as the native function of the entry `local:<name>`. Its needs are worked
out before it starts, answered by the policies of the caller or by a person, and only then
it runs; so the tools themselves ask nobody.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from micro_agi.errors import ArgumentsInvalid
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need

T = TypeVar("T", bound=msgspec.Struct)

READ = "workspace.read"
WRITE = "workspace.write"
PROGRAMS = "workspace.programs"
"""Changing what a person's own tools run later, outside of every sandbox."""
RUNS_OUTSIDE = "what is in there runs later as you, outside of the sandbox"


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a tool's arguments; its fields are the properties of the entry's schema."""


class LocalTool(Struct, frozen=True, kw_only=True):
    """One tool, ready to be registered as `local.<name>`."""

    run: Callable[[Any, CallContext], Awaitable[Any]]
    """Takes the call's JSON arguments and its context; returns a JSON value."""
    needs: Callable[[Any, CallContext], Sequence[Need]]
    """What those arguments ask for; raises what is wrong with them."""


def parse(arguments: Any, wanted: type[T], tool: str) -> T:
    """Turn a call's JSON into the arguments of a tool.

    A model's call was checked against the entry's schema before; a call from elsewhere was not.
    Raises: ArgumentsInvalid.
    """
    try:
        return msgspec.convert(arguments, wanted)
    except msgspec.ValidationError as error:
        raise ArgumentsInvalid(
            f"the arguments do not fit: {error}",
            where=tool,
            fix="send what its input schema describes",
        ) from error


def require(needs: Sequence[Need], context: CallContext) -> None:
    """Return quietly if the call in flight may do all of this.

    Raises: PolicyDenied for the first that it may not.
    """
    for need in needs:
        context.require(need.action, need.resource)


def new_places(made: Sequence[str]) -> str:
    """Return what to say of places that appeared while guest code ran."""
    return (
        f"(new: {', '.join(made)}; what is in there may run later, outside of the sandbox:"
        " tell the person to look at it first)"
    )
