"""`config show`: every setting with its value, unit and source."""

from collections.abc import Mapping
from typing import Any

from micro_agi.commands.invocation import Invocation
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import table
from micro_agi.errors import MicroAgiError
from micro_agi.sessions.redact import MASK
from micro_agi.settings import (
    PREFIX,
    Settings,
    describe,
    misspelt,
    names,
    process_environment,
)
from micro_agi.values import Secret


async def show(invocation: Invocation) -> int:
    """Show all settings; secrets are masked, and misspelt variables named."""
    settings, problem = await _effective(invocation)
    if invocation.as_json:
        invocation.say_json([_facts(settings, name) for name in names()])
    else:
        rows = [
            (name, _value(settings, name), settings.source(name), str(describe(name)["doc"]))
            for name in names()
        ]
        invocation.say(
            table(("SETTING", "VALUE", "SOURCE", "MEANING"), rows, width=invocation.width)
        )
        invocation.note(f"set one with {PREFIX}NAME in the environment, or with its flag")
    for name, near in misspelt(process_environment()).items():
        hint = f"; did you mean {near}?" if near else ""
        invocation.note(f"note: `{name}` is set and is no setting{hint}")
    if problem is not None:
        invocation.note(f"note: the app was left out: {problem.what}")
    return 0


async def _effective(invocation: Invocation) -> tuple[Settings, MicroAgiError | None]:
    """Return the settings with the `.env` of a trusted app; without the app when it is broken."""
    try:
        async with open_runtime(invocation) as rt:
            return rt.settings, None
    except MicroAgiError as error:
        return invocation.settings, error


def _value(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    unit = describe(name)["unit"]
    if isinstance(value, Secret):
        return MASK if value else "-"
    if isinstance(value, tuple):
        return ",".join(value) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".strip() or "-"


def _facts(settings: Settings, name: str) -> Mapping[str, Any]:
    value = getattr(settings, name)
    if isinstance(value, Secret):
        value = MASK if value else ""
    return {
        "name": name,
        "value": value,
        "unit": describe(name)["unit"],
        "source": settings.source(name),
        "doc": describe(name)["doc"],
    }
