"""What traits contribute to an agent: prompts, tools, context, functions.

A trait is an entry with `meta.type: agent.trait`. Its static parts are read here; its
build function is called once per compile, its prompt and step functions at every step
(`step.py`). What does not resolve, raises or returns the wrong shape is a warning, and the
agent goes on without it.

Source: spec/agent.md 1.4, 1.5.2, 1.7. Differences, decided in DESIGN 10: step functions
run; `time_aware` resolves by that name and converts to the zone it names; an inline schema
of a static trait tool counts.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct, field
from msgspec.structs import replace

from micro_agi.agent.extensions import Extension, merged, read_extensions
from micro_agi.agent.spec import AgentSpec
from micro_agi.errors import MicroAgiError
from micro_agi.messages import Warned
from micro_agi.registry.entry import Entry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.values import as_object, nearest

TRAIT_TYPE = "agent.trait"
TIME_AWARE = frozenset({"time_aware", "Time Aware", "wippy.agent.traits:time_aware"})
DEFAULT_INTERVAL_MIN = 15

Call = Callable[[str, Sequence[Any], Mapping[str, Any]], Awaitable[Any]]
"""`await call(entry id, arguments, context values)`; raises MicroAgiError."""

Merger = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
"""`merger(trait's context, agent's context, the tool's own)`."""


def overlay(
    trait: Mapping[str, Any], agent: Mapping[str, Any], own: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Merge contexts as usual: each key from the last that has it."""
    return {**trait, **agent, **own}


class StepFunction(Struct, frozen=True, kw_only=True):
    """A function that a trait wants called at every step."""

    id: str
    trait: str
    context: Mapping[str, Any]


class Contribution(Struct, frozen=True, kw_only=True):
    """What all traits of an agent contribute, in their order."""

    prompts: tuple[str, ...] = ()
    tools: tuple[tuple[Any, Mapping[str, Any]], ...] = ()
    """References and the context of their trait."""
    delegates: tuple[Any, ...] = ()
    prompt_functions: tuple[StepFunction, ...] = ()
    step_functions: tuple[StepFunction, ...] = ()
    clocks: tuple["Clock", ...] = ()
    extensions: tuple[Extension, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Warned, ...] = ()

    def plus(self, other: "Contribution") -> "Contribution":
        """Return both, `other` after this one; later options win."""
        return Contribution(
            prompts=self.prompts + other.prompts,
            tools=self.tools + other.tools,
            delegates=self.delegates + other.delegates,
            prompt_functions=self.prompt_functions + other.prompt_functions,
            step_functions=self.step_functions + other.step_functions,
            clocks=self.clocks + other.clocks,
            extensions=self.extensions + other.extensions,
            options=merged(self.options, other.options),
            warnings=self.warnings + other.warnings,
        )


class Clock(Struct, frozen=True, kw_only=True):
    """The `time_aware` trait: tells the model the time, rounded down to an interval."""

    zone: str = "UTC"
    interval_min: int = DEFAULT_INTERVAL_MIN

    def text(self, now: datetime) -> str:
        """Say the time; equal for all moments of one interval, so prompts stay cacheable."""
        local = now.astimezone(ZoneInfo(self.zone))
        minute = local.minute // self.interval_min * self.interval_min
        moment = f"{local:%A}, {local:%B} {local.day}, {local.year} at {local:%H}:{minute:02}"
        return (
            f"The current date and time is {moment} {self.zone}. "
            "Take this temporal context into account where it matters."
        )


def utc_now() -> datetime:
    """Return the current time with its zone."""
    return datetime.now(UTC)


async def contributions(
    spec: AgentSpec,
    snapshot: Snapshot,
    *,
    call: Call,
    values: Mapping[str, Any],
    merger: Merger = overlay,
) -> Contribution:
    """Collect what the traits of `spec` contribute; `values` is the agent's context."""
    total = Contribution()
    for reference in spec.traits:
        total = total.plus(await _one(spec, snapshot, reference, call, values, merger))
    return total


async def _one(
    spec: AgentSpec,
    snapshot: Snapshot,
    reference: Any,
    call: Call,
    values: Mapping[str, Any],
    merger: Merger,
) -> Contribution:
    instance = as_object(reference)
    name = reference if isinstance(reference, str) else instance.get("id")
    if not isinstance(name, str) or not name:
        return _warning(f"`{reference!r}` is no trait reference", spec, "write an id, or a map")
    if name in TIME_AWARE:
        return _time_aware(spec, {**as_object(instance.get("context")), **values})
    entry = find_trait(snapshot, name)
    if entry is None:
        known = [e.id for e in snapshot.find({"meta.type": TRAIT_TYPE})] + ["time_aware"]
        near = ", ".join(nearest(name, known) or known)
        return _warning(f"trait `{name}` does not resolve", spec, f"there are: {near}")
    data = entry.data
    context = merger(as_object(data.get("context")), {}, as_object(instance.get("context")))
    around = read_extensions(
        data,
        instance,
        trait=name,
        context=lambda own: {**merger(context, values, own), "agent_id": spec.id},
    )
    options = merged(around.options, as_object(data.get("agent_options")))
    found = replace(
        _static(entry, name, context),
        extensions=around.extensions,
        options=merged(options, as_object(instance.get("agent_options"))),
        warnings=around.warnings,
    )
    build = data.get("build_func_id")
    if isinstance(build, str) and build:
        inputs = {**merger(context, values, {}), "agent_id": spec.id}
        found = await _built(spec, found, build, context, inputs, call)
    return found


def find_trait(snapshot: Snapshot, name: str) -> Entry | None:
    """Return the trait with this id, else, for a name without a colon, with this `meta.name`."""
    if name in snapshot:
        entry = snapshot.get(name)
        return entry if entry.meta.get("type") == TRAIT_TYPE else None
    traits = snapshot.find({"meta.type": TRAIT_TYPE}) if ":" not in name else []
    return next((e for e in traits if e.meta.get("name") == name), None)


def _static(entry: Entry, name: str, context: Mapping[str, Any]) -> Contribution:
    data = entry.data
    prompt = data.get("prompt")
    tools = data.get("tools")

    def functions(key: str) -> tuple[StepFunction, ...]:
        function = data.get(key)
        if not isinstance(function, str) or not function:
            return ()
        return (StepFunction(id=function, trait=name, context=context),)

    return Contribution(
        prompts=(prompt,) if isinstance(prompt, str) and prompt else (),
        tools=tuple((t, context) for t in tools) if isinstance(tools, list) else (),
        prompt_functions=functions("prompt_func_id"),
        step_functions=functions("step_func_id"),
    )


async def _built(
    spec: AgentSpec,
    static: Contribution,
    function: str,
    context: Mapping[str, Any],
    inputs: Mapping[str, Any],
    call: Call,
) -> Contribution:
    """Add what the trait's build function returns; its context reaches the tools only."""
    try:
        answer = await call(function, ["\n\n".join(static.prompts), inputs], inputs)
    except MicroAgiError as error:
        warned = Warned(
            text=f"build function `{function}` failed: {error.what}",
            where=error.where or function,
            fix=error.fix or "the agent works without its contribution",
        )
        return replace(static, warnings=(*static.warnings, warned))
    if answer is None:
        return static
    if not isinstance(answer, Mapping):
        said = f"build function `{function}` returned a {type(answer).__name__}"
        return static.plus(_warning(said, spec, "return a map with prompt, tools, context …"))
    for_tools = {**context, **as_object(answer.get("context"))}
    tools = [t for t, _ in static.tools] + _items(answer.get("tools"))
    prompt = answer.get("prompt")
    return replace(
        static,
        prompts=(*static.prompts, *((prompt,) if isinstance(prompt, str) and prompt else ())),
        tools=tuple((t, for_tools) for t in tools),
        delegates=(*static.delegates, *_items(answer.get("delegates"))),
        options=merged(static.options, as_object(answer.get("agent_options"))),
        warnings=(*static.warnings, *_misfits(spec, function, answer)),
    )


BUILT = {
    **{"prompt": (str,), "tools": (list, tuple), "delegates": (list, tuple)},
    **{"context": (Mapping,), "agent_options": (Mapping,)},
}
"""What a build function may return, and as what."""


def _misfits(spec: AgentSpec, function: str, answer: Mapping[str, Any]) -> list[Warned]:
    """Say which parts of a build function's answer are ignored, and why."""
    said: list[str] = []
    for key, value in answer.items():
        if key not in BUILT:
            said.append(f"`{key}`, which is none of {', '.join(BUILT)}")
        elif value and not isinstance(value, BUILT[key]):
            said.append(f"`{key}` as a {type(value).__name__}")
    return [
        Warned(
            text=f"build function `{function}` returned {what}",
            where=f"{spec.id} at traits",
            fix="return a map with prompt, tools, delegates, context, agent_options",
        )
        for what in said
    ]


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _time_aware(spec: AgentSpec, context: Mapping[str, Any]) -> Contribution:
    zone = context.get("timezone") or "UTC"
    interval = context.get("time_interval")
    warnings: list[Warned] = []
    try:
        ZoneInfo(str(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        said = f"`{zone}` is no time zone; UTC is used"
        warnings.append(Warned(text=said, where=f"{spec.id} at traits", fix="use Europe/Berlin"))
        zone = "UTC"
    if not isinstance(interval, int) or isinstance(interval, bool) or interval < 1:
        if interval is not None:
            said = f"time_interval `{interval}` is no number of minutes; 15 is used"
            warnings.append(Warned(text=said, where=f"{spec.id} at traits"))
        interval = DEFAULT_INTERVAL_MIN
    clock = Clock(zone=str(zone), interval_min=interval)
    return Contribution(clocks=(clock,), warnings=tuple(warnings))


def _warning(text: str, spec: AgentSpec, fix: str) -> Contribution:
    return Contribution(warnings=(Warned(text=text, where=f"{spec.id} at traits", fix=fix),))
