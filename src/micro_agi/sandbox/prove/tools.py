"""Run the attacks that are Lua code: as tools, in a real pool, one session for each attack.

Heads: `modules` (grants of a file that is one tool), `limits` (`wall_s=0.3 host_calls=20`),
`trial: yes`, `reaches` (host functions that may run). A file of several units has lines
`--@ unit NAME modules=a,b imports=alias:NAME` before each; `run: tools A B@other` calls them
in this order, in the attack's session or another, and the last call is the one judged.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from micro_agi.errors import LimitReached, SandboxUnavailable, ToolFailed
from micro_agi.sandbox.host.calls import ALWAYS, HostCall, HostFunction
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.prove.corpus import Attack
from micro_agi.sandbox.prove.verdict import Outcome, Verdict, judge
from micro_agi.sandbox.unit import Unit
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext, Trial
from micro_agi.security.policy import Scope

CANARY = "canary: a host function ran"
LIMITS = Limits(wall_s=3.0, total_s=10.0)
"""Long enough for an honest call on a busy machine; bombs bring shorter ones."""
UNIT = "--@ unit "
GUARDED: Mapping[str, tuple[str, ...]] = {
    "http_client": ("get", "request", "request_batch"),
    "registry": ("get", "find", "apply"),
    "security": ("can",),
    "funcs": ("call",),
    "logger": ("log",),
    "env": ("get", "get_all", "set"),
    "ctx": ("get", "all"),
    "store": ("open", "info", "key.get", "key.set", "key.delete", "key.list"),
    "events": ("subscribe", "next", "send"),
    "contract": ("get", "open", "call"),
}
"""Host functions that only note who called them."""


class Tripwires:
    """Host functions that have no effect but to note that they ran, and for which session."""

    def __init__(self) -> None:
        self._seen: dict[str, list[str]] = {}

    def functions(self) -> dict[str, HostFunction]:
        async def trip(call: HostCall) -> Any:
            self._seen.setdefault(_attack_of(call.context), []).append(call.function)
            return CANARY

        async def say(call: HostCall) -> None:
            return None

        names = [(module, f"{module}.{name}") for module in GUARDED for name in GUARDED[module]]
        guarded = {
            name: HostFunction(run=trip, module=module, outside=module == "http_client")
            for module, name in names
        }
        return guarded | {"print": HostFunction(run=say, module=ALWAYS, outside=False)}

    def of(self, attack: Attack) -> tuple[str, ...]:
        """Return which functions ran for an attack."""
        return tuple(dict.fromkeys(self._seen.get(attack.id, ())))


def _attack_of(context: CallContext) -> str:
    return context.session.partition("@")[0]


def make_context(attack: Attack, session: str = "", scope: Scope | None = None) -> CallContext:
    """Return the context of an attack's call: it may do nothing that `scope` does not allow."""
    return CallContext(
        actor=Actor("attack"),
        scope=scope or Scope(),
        session=f"{attack.id}@{session}",
        trial=Trial() if attack.facts.get("trial") else None,
    )


async def run_tools(attack: Attack, pool: Pool, wires: Tripwires) -> Verdict:
    """Make an attack's calls and judge the last one."""
    units = units_of(attack)
    calls = attack.run.split()[1:] or ["main"]
    limits = limits_of(attack)
    outcome = Outcome(kind="error")
    for call in calls:
        name, _, session = call.partition("@")
        outcome = await attempt(pool, units[name], [], make_context(attack, session), limits)
    return judge(attack, replace(outcome, reached=wires.of(attack)))


async def attempt(
    pool: Pool, unit: Unit, args: list[Any], context: CallContext, limits: Limits
) -> Outcome:
    """Make one call and say what it came to.

    Raises: SandboxUnavailable when there is no sandbox to attack.
    """
    try:
        return Outcome(
            kind="value", what=await pool.call(unit, args, context=context, limits=limits)
        )
    except SandboxUnavailable:
        raise
    except LimitReached as error:
        return Outcome(kind="limit", what=error.what)
    except ToolFailed as error:
        return Outcome(kind="error", what=error.what)


def limits_of(attack: Attack, usual: Limits = LIMITS) -> Limits:
    """Return the limits that an attack asks for, on top of the usual ones."""
    changes: dict[str, Any] = {}
    for word in attack.facts.get("limits", "").split():
        name, _, value = word.partition("=")
        changes[name] = float(value) if name.endswith("_s") else int(value)
    return replace(usual, **changes)


class _Section(Struct, frozen=True):
    modules: tuple[str, ...]
    imports: Mapping[str, str]
    source: str


def units_of(attack: Attack) -> dict[str, Unit]:
    """Return an attack's units by name; a file without `--@ unit` is the one unit `main`."""
    if UNIT not in attack.source:
        modules = tuple(attack.facts.get("modules", "").split())
        section = _Section(modules, {}, attack.source)
        return {"main": _unit(attack, "main", {"main": section})}
    sections: dict[str, _Section] = {}
    for text in attack.source.split(UNIT)[1:]:
        head, _, source = text.partition("\n")
        name, *options = head.split()
        given = dict(option.split("=", 1) for option in options)
        modules = tuple(m for m in given.get("modules", "").split(",") if m)
        pairs = (pair.split(":") for pair in given.get("imports", "").split(",") if pair)
        sections[name] = _Section(modules, dict(pairs), source)
    return {name: _unit(attack, name, sections) for name in sections}


def _unit(attack: Attack, name: str, sections: Mapping[str, _Section]) -> Unit:
    section = sections[name]
    imports = (
        (alias, _unit(attack, target, sections)) for alias, target in section.imports.items()
    )
    return Unit(
        id=f"{attack.name}:{name}",
        source=section.source,
        method="handler",
        modules=section.modules,
        imports=tuple(imports),
    )
