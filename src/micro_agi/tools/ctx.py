"""Show Lua code the values of its call: the host functions of the module `ctx`.

Source: spec/runtime.md 6.14.
"""

from typing import Any

from micro_agi.errors import EntryNotFound
from micro_agi.sandbox.host.calls import HostCall, HostFunction


def ctx_functions() -> dict[str, HostFunction]:
    """Return the host functions of the module."""
    return {
        "ctx.get": HostFunction(run=_get, module="ctx", outside=False),
        "ctx.all": HostFunction(run=_all, module="ctx", outside=False),
    }


async def _get(call: HostCall) -> Any:
    key = str(call.argument(0))
    if key not in call.context.values:
        raise EntryNotFound(f"key not found: {key}", where="ctx.get")
    return call.context.values[key]


async def _all(call: HostCall) -> Any:
    return dict(call.context.values)
