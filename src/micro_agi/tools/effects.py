"""What may happen to a call that was cut off: the class of a tool's effects.

Derived, never declared by whoever wrote the code: from what an entry is granted, and from what
its operator says. Recovery, the disk barrier before effects, and every listing ask here.

Source: DESIGN 12; decisions/0029-resume.md.
"""

from collections.abc import Mapping
from typing import Literal

from micro_agi.registry.entry import Entry
from micro_agi.sandbox.modules import is_privileged

EffectClass = Literal["replayable", "idempotent", "effect"]

MEANING: Mapping[EffectClass, str] = {
    "replayable": "has no effect outside; may run again after a crash",
    "idempotent": "its operator says that it may run again, under the same key",
    "effect": "may have an effect outside; is never repeated by itself",
}

IN_THE_SANDBOX = frozenset({"function.lua", "function.python"})
REACHES_OUTSIDE = frozenset({"http_client"})
"""Modules of generated tools whose functions have effects outside this machine's runtime."""


def is_replayable(entry: Entry) -> bool:
    """Whether the entry can have no effect outside.

    Code in the sandbox is judged by what it is granted; for a native function its program
    says so.
    """
    if entry.kind == "function.native":
        return entry.data.get("replayable") is True
    if entry.kind not in IN_THE_SANDBOX or entry.data.get("imports"):
        return False
    modules = modules_of(entry)
    return not is_privileged(modules) and REACHES_OUTSIDE.isdisjoint(modules)


def effect_class(entry: Entry, *, operators: bool) -> EffectClass:
    """Return the class of an entry's calls; only the operator's word makes one idempotent."""
    if is_replayable(entry):
        return "replayable"
    return "idempotent" if operators and entry.meta.get("idempotent") is True else "effect"


def modules_of(entry: Entry) -> tuple[str, ...]:
    """Return the modules an entry asks for; an empty Lua table is an empty list."""
    modules = entry.data.get("modules") or ()
    if isinstance(modules, Mapping) or not all(isinstance(m, str) for m in modules):
        return ()
    return tuple(modules)
