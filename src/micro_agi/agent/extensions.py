"""What traits add around the steps of an agent: tool wrappers, bindings, behaviours.

All three name a function, or a `contract.binding` to one, that the host calls at certain
moments. They differ in how they are written: a wrapper has phases, a binding a contract,
a behaviour several handlers with options for each phase. Here all become `Extension`s,
sorted by priority and then by the order in which they were declared.

Pure: nothing is called here (`extension_calls.py` does). What is malformed is a warning.
Source: spec/agent.md 1.6.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from micro_agi.messages import Warned
from micro_agi.values import as_object

WRAPPER, LIFECYCLE, CHECKPOINT, MEMORY = "tool_wrapper", "lifecycle", "checkpoint", "memory"
KINDS = {**{k: k for k in (WRAPPER, LIFECYCLE, CHECKPOINT, MEMORY)}, "tool_wrappers": WRAPPER}
TOOL_PHASES = ("before_execute", "after_execute")
LIFECYCLE_PHASES = ("activate", "before_step", "after_step", "deactivate")
CHECKPOINT_KEYS = (*("function_id", "max_memory_chars", "max_tokens", "strict", "token_threshold"),)
DEFAULT_PRIORITY = 100.0
CONTRACTS = {
    WRAPPER: "wippy.agent:tool_wrapper",
    LIFECYCLE: "wippy.agent:lifecycle",
    CHECKPOINT: "wippy.agent:checkpoint",
    MEMORY: "wippy.agent:memory",
}

Context = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Puts an extension's own context over that of its trait and its agent."""


class Extension(Struct, frozen=True, kw_only=True):
    """One function to be called around steps or tool calls."""

    id: str
    kind: str
    trait: str
    contract: str
    binding: str
    """The function, or the `contract.binding` entry, that is called."""
    phases: tuple[str, ...] = ()
    """Empty means all of its kind."""
    context: Mapping[str, Any]
    options: Mapping[str, Any]
    priority: float = DEFAULT_PRIORITY
    strict: bool = False
    """Its failure ends what it is called around, instead of being recorded."""


class Found(Struct, frozen=True, kw_only=True):
    """What one trait declares."""

    extensions: tuple[Extension, ...] = ()
    options: Mapping[str, Any]
    """`agent_options` that behaviours export."""
    warnings: tuple[Warned, ...] = ()


def read_extensions(
    data: Mapping[str, Any], instance: Mapping[str, Any], *, trait: str, context: Context
) -> Found:
    """Read wrappers, bindings and behaviours of a trait's entry.

    `instance` is the agent's reference to it, whose `options` win; `trait` the reference as
    it is written.
    """
    reader = _Reader(trait, context, as_object(data.get("options")), instance)
    for item in (*_listed(data.get("tool_wrappers")), *_listed(data.get("tool_wrapper"))):
        reader.wrapper(item)
    for kind, item in _by_kind(data.get("bindings") or data.get("binding")):
        reader.binding(kind, item)
    behaviours = data.get("behaviors") or data.get("behaviours")
    for name, item in _by_name(behaviours):
        reader.behaviour(name, item)
    return Found(
        extensions=tuple(reader.found), options=reader.exported, warnings=tuple(reader.warnings)
    )


def in_order(extensions: Iterable[Extension]) -> tuple[Extension, ...]:
    """Return extensions as they are called: by priority, then as declared."""
    return tuple(sorted(extensions, key=lambda e: e.priority))


class _Reader:
    """Reads one trait; collects what it finds."""

    def __init__(
        self,
        trait: str,
        context: Context,
        options: Mapping[str, Any],
        instance: Mapping[str, Any],
    ) -> None:
        self.found: list[Extension] = []
        self.exported: dict[str, Any] = {}
        self.warnings: list[Warned] = []
        self._trait = trait
        self._context = context
        self._options = options
        self._instance = as_object(instance.get("options"))

    def wrapper(self, item: Any) -> None:
        facts = as_object(item)
        wanted = facts.get("phases", facts.get("phase"))
        phases = tuple(p for p in _texts(wanted) if p in TOOL_PHASES)
        if wanted is not None and not phases:
            self._warn(f"a tool wrapper has none of the phases {', '.join(TOOL_PHASES)}")
            return
        options = as_object(facts.get("options"))
        self._add(WRAPPER, facts, self._over(options), phases=phases or TOOL_PHASES)

    def binding(self, kind: str, item: Any) -> None:
        facts = as_object(item)
        kind = str(facts.get("kind") or facts.get("type") or kind)
        contract = facts.get("contract", facts.get("contract_id"))
        if not kind or not isinstance(contract, str):
            self._warn("a binding needs a kind and a `contract`")
            return
        inner = as_object(as_object(facts.get("context")).get("options"))
        options = merged(as_object(facts.get("options")), inner)
        phases = _texts(facts.get("phases", facts.get("phase")))
        kind = KINDS.get(kind, kind)
        self._add(kind, facts, self._over(options), phases=phases, contract=contract)

    def behaviour(self, name: str, item: Any) -> None:
        facts = as_object(item)
        handled = _handled(facts.get("handles"))
        handlers = as_object(facts.get("handlers"))
        base = self._over(as_object(facts.get("options")))
        identity = {"id": str(facts.get("id") or name), "kind": str(facts.get("kind") or "")}
        kinds = ((LIFECYCLE, LIFECYCLE_PHASES), (WRAPPER, TOOL_PHASES), (CHECKPOINT, (CHECKPOINT,)))
        for kind, phases in kinds:
            handler = handlers.get(kind, facts.get("handler"))
            wanted = [p for p in phases if (p in handled or kind in handled)]
            for phase in wanted if isinstance(handler, str) else ():
                if facts.get(phase) is False:
                    continue
                options = dict(base)
                for key in dict.fromkeys((kind, phase)):
                    options = merged(options, as_object(facts.get(key)))
                own = {**facts, "binding": handler, "id": identity["id"]}
                own["context"] = {
                    **as_object(facts.get("context")),
                    "behavior_id": identity["id"],
                    "behavior_kind": identity["kind"],
                }
                self._add(kind, own, options, phases=(phase,))
        exported = as_object(facts.get(CHECKPOINT))
        if exported:
            kept = {k: exported[k] for k in CHECKPOINT_KEYS if k in exported}
            self.exported = merged(self.exported, {CHECKPOINT: kept})

    def _over(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Put options over the trait's, and those of the agent's reference over them."""
        return merged(merged(self._options, options), self._instance)

    def _add(
        self,
        kind: str,
        facts: Mapping[str, Any],
        options: Mapping[str, Any],
        *,
        phases: tuple[str, ...],
        contract: str = "",
    ) -> None:
        named = (facts.get(k) for k in ("binding", "binding_id", "implementation_id"))
        binding = next((b for b in named if isinstance(b, str) and b), None)
        if binding is None:
            self._warn(f"a {kind} names no function: it has no `binding`")
            return
        number = len(self.found)
        priority = facts.get("priority")
        context = self._context(as_object(facts.get("context")))
        context["trait_id"] = self._trait
        if options:
            context["options"] = options
        self.found.append(
            Extension(
                id=str(facts.get("id") or facts.get("name") or f"{self._trait}.{kind}.{number}"),
                kind=kind,
                trait=self._trait,
                contract=contract or CONTRACTS.get(kind, ""),
                binding=binding,
                phases=phases,
                context=context,
                options=options,
                priority=_number(priority, DEFAULT_PRIORITY),
                strict=facts.get("strict") is True,
            )
        )

    def _warn(self, text: str) -> None:
        self.warnings.append(
            Warned(text=text, where=f"trait {self._trait}", fix="see docs/agents.md")
        )


def _number(value: Any, default: float) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else default


def _listed(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [value] if value else []
    return list(value) if isinstance(value, list) else []


def _by_kind(value: Any) -> list[tuple[str, Any]]:
    """Unfold a list, one map, or a map from kind to a map or a list."""
    if not isinstance(value, Mapping) or "binding" in value or "binding_id" in value:
        return [("", item) for item in _listed(value)]
    if "implementation_id" in value:
        return [("", value)]
    return [(kind, item) for kind, items in value.items() for item in _listed(items)]


def _by_name(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(str(name), item) for name, item in value.items()]
    return [(str(as_object(item).get("id") or n), item) for n, item in enumerate(_listed(value))]


def _texts(value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    return tuple(v for v in values if isinstance(v, str)) if isinstance(values, list) else ()


def _handled(value: Any) -> frozenset[str]:
    """Return what a behaviour handles: a text, a list, or a map that may say false."""
    if isinstance(value, Mapping):
        return frozenset(name for name, enabled in value.items() if enabled is not False)
    return frozenset(_texts(value))


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Merge maps deeply: maps join, everything else of `second` replaces."""
    result = dict(first)
    for key, value in second.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def with_memory(
    extensions: tuple[Extension, ...], contract: Mapping[str, Any], context: Mapping[str, Any]
) -> tuple[Extension, ...]:
    """Add the agent's memory contract, as hosts that list bindings expect it."""
    wanted = contract.get("implementation_id")
    if not isinstance(wanted, str) or not wanted:
        return extensions
    options = as_object(contract.get("options"))
    own = {**context, **({"options": dict(options)} if options else {})}
    memory = Extension(
        id="memory_contract",
        kind=MEMORY,
        trait="",
        contract=CONTRACTS[MEMORY],
        binding=wanted,
        context=own,
        options=options,
        priority=1000.0,
    )
    return in_order((*extensions, memory))
