"""Hand usage records to the app's own tracker, if it binds `wippy.llm:usage_tracker`.

The tracker is a function of the operator and runs with no other authority than its own
grants. One record at a time, so that many model calls do not start as many workers; a
tracker that fails is logged and the record is kept by the runtime. Source: spec/agent.md 6.13.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from micro_agi.errors import MicroAgiError
from micro_agi.llm.usage import UsageRecord
from micro_agi.registry.registry import Registry
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext
from micro_agi.security.policy import Scope
from micro_agi.tools.binding import implementations, method_of
from micro_agi.tools.functions import Functions
from micro_agi.values import as_object

CONTRACT = "wippy.llm:usage_tracker"
METHOD = "track_usage"
# At depth 1 it never waits for a place in the pool: the call that it counts may hold the last.
CONTEXT = CallContext(actor=Actor("system:usage"), scope=Scope(), depth=1)

log = logging.getLogger("micro_agi.framework")


class BoundTracker:
    """Finds the app's tracker at each record: bindings may come and go."""

    def __init__(self, registry: Registry, functions: Callable[[], Functions]) -> None:
        self._registry = registry
        self._functions = functions
        self._turn = asyncio.Lock()

    async def __call__(self, record: UsageRecord) -> str | None:
        """Hand a record over; return the tracker's id for it, None when nobody took it."""
        target = self._target()
        if target is None:
            return None
        used = record.usage
        known = {"actor": record.actor, "cost_usd": record.cost_usd}
        options: dict[str, Any] = {"metadata": {**record.metadata, **known}}
        if record.at:
            options["timestamp"] = record.at
        arguments = [
            *(record.model, used.prompt, used.completion, used.thinking, used.cached, 0),
            options,
        ]
        try:
            async with self._turn:
                given = await self._functions().call(target, arguments, CONTEXT)
        except MicroAgiError as error:
            log.warning("usage tracker `%s` failed: %s", target, error.what)
            return None
        usage_id = as_object(given).get("usage_id", given)
        return str(usage_id) if isinstance(usage_id, str | int) else ""

    def _target(self) -> str | None:
        for binding in implementations(self._registry.snapshot(), CONTRACT):
            found = method_of(binding, CONTRACT, METHOD)
            if found is not None:
                return found
        return None
