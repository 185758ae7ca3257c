"""Serve workers' time needs that they cannot meet themselves: zone files.

Waiting is part of the protocol (`wire.TURN`).
"""

import importlib.resources
import re
from pathlib import Path
from typing import Any

from micro_agi.sandbox.failure import LuaFacts, tool_failed
from micro_agi.sandbox.host.calls import ALWAYS, HostCall, HostFunction

SYSTEM_ZONES = Path("/usr/share/zoneinfo")
# Every part begins with a letter or a sign that zones use, so no name climbs out.
_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,3}$")


def time_functions() -> dict[str, HostFunction]:
    """Return the host functions behind the module `time`."""
    return {
        "time.zone": HostFunction(run=_zone, module=ALWAYS, outside=False),
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
