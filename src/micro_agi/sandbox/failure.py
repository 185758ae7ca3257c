"""Turn what Lua code raised into errors of ours and back, without losing a fact.

A Lua error object has a kind, a message, whether to retry, and details; `ToolFailed` keeps
them, so a `funcs.call` around it hands the same object to the calling code.
"""

import re
from typing import Any, TypeVar

from msgspec import Struct

from micro_agi.errors import LimitReached, MicroAgiError, ToolFailed
from micro_agi.values import JsonObject

_Error = TypeVar("_Error", bound=ToolFailed)


class LuaFacts(Struct, frozen=True, kw_only=True):
    """An error as Lua code sees it (spec/runtime.md 4.4)."""

    kind: str
    message: str
    retryable: bool | None = None
    details: Any = None

    def as_dict(self) -> JsonObject:
        return {
            "kind": self.kind,
            "message": self.message,
            "retryable": self.retryable,
            "details": self.details,
        }


def tool_failed(facts: LuaFacts, *, what: str = "", where: str = "", fix: str = "") -> ToolFailed:
    """Build the error of a call that failed; `facts_of` gives the facts back.

    `what` is for people, where the message as Lua has it would repeat the position.
    """
    match facts.details:
        case {"code": str(code), "where": str(origin), "fix": str(advice)}:
            error = ToolFailed(what or facts.message, where=origin or where, fix=advice or fix)
            error.__dict__["code"] = code
        case _:
            error = ToolFailed(what or facts.message, where=where, fix=fix)
    return _with_facts(error, facts)


def limit_reached(
    what: str, *, where: str = "", fix: str = "", kind: str = "", details: Any = None
) -> LimitReached:
    """Build the error of a call that was stopped."""
    error = LimitReached(what, where=where, fix=fix)
    kind = kind or error.kind
    facts = LuaFacts(kind=kind, message=what, retryable=False, details=details)
    return _with_facts(error, facts)


def _with_facts(error: _Error, facts: LuaFacts) -> _Error:
    # Error classes have no constructor of their own (errors.py), so the facts ride along
    # as attributes; `retryable` replaces the class's answer for this one error.
    extra: dict[str, Any] = {"lua_facts": facts, "lua_kind": facts.kind}
    if facts.retryable is not None:
        extra["retryable"] = facts.retryable
    error.__dict__.update(extra)
    return error


def facts_of(error: MicroAgiError) -> LuaFacts:
    """Return what Lua code is told about any error of ours that a host function raised."""
    facts = error.__dict__.get("lua_facts")
    if isinstance(facts, LuaFacts):
        return facts
    # What a person or a model can do about it must survive the way through Lua code that
    # only hands the error on.
    details = {"code": error.code, "where": error.where, "fix": error.fix}
    return LuaFacts(kind=error.kind, message=error.what, retryable=error.retryable, details=details)


_POSITION = re.compile(r"^(?P<where>[^\n]{1,200}?:\d+): (?P<what>.*)$", re.DOTALL)


def split_position(message: str) -> tuple[str, str]:
    """Split `chunk:line: text` into the position and the text; ("", message) without one."""
    found = _POSITION.match(message)
    return (found["where"], found["what"]) if found else ("", message)
