"""Serve workers' time needs that they cannot meet themselves: zone files and waiting."""

import asyncio
import importlib.resources
import re
from pathlib import Path
from typing import Any

from micro_agi.sandbox.failure import LuaFacts, tool_failed
from micro_agi.sandbox.host.calls import ALWAYS, HostCall, HostFunction

SYSTEM_ZONES = Path("/usr/share/zoneinfo")
# Every part begins with a letter or a sign that zones use, so no name climbs out.
_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,3}$")
NS_PER_S = 1_000_000_000


def time_functions() -> dict[str, HostFunction]:
    """Return the host functions behind the module `time`."""
    return {
        "time.zone": HostFunction(run=_zone, module=ALWAYS, outside=False),
        "time.sleep": HostFunction(run=_sleep, module="time", outside=False),
    }


async def _zone(call: HostCall) -> Any:
    """Return a zone file: the installed tzdata's, or else the system's."""
    name = call.argument(0)
    if isinstance(name, str) and len(name) <= 64 and _NAME.match(name):
        data = importlib.resources.files("tzdata") / "zoneinfo" / name
        for place in (data, SYSTEM_ZONES / name):
            if place.is_file():
                return place.read_bytes()
    facts = LuaFacts(kind="NotFound", message=f"unknown time zone {name}", retryable=False)
    raise tool_failed(facts)


async def _sleep(call: HostCall) -> Any:
    """Wait; the call's total limit bounds it, and a trial does not wait at all."""
    duration_ns = call.argument(0)
    if isinstance(duration_ns, int) and duration_ns > 0 and call.context.trial is None:
        await asyncio.sleep(duration_ns / NS_PER_S)
    return None
