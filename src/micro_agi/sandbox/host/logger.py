"""Write what workers print and log to the runtime's log."""

import logging
from typing import Any

from micro_agi.sandbox.host.calls import ALWAYS, HostCall, HostFunction

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
MOST_CHARACTERS = 4000
"""Of one message: a guest must not fill the operator's disk line by line."""


def logger_functions(log: logging.Logger | None = None) -> dict[str, HostFunction]:
    """Return `print` and the host function of the module `logger`.

    Records go to `log`, by default `micro_agi.tools`, and carry `unit`, `session`, `fields`
    and `logger_name` as attributes.
    """
    log = log or logging.getLogger("micro_agi.tools")

    async def write(call: HostCall) -> Any:
        level, message = str(call.argument(0)), str(call.argument(1))
        _write(call, LEVELS.get(level, logging.INFO), message, call.argument(2), call.argument(3))

    async def say(call: HostCall) -> Any:
        _write(call, logging.INFO, str(call.argument(0)), {}, "")

    def _write(call: HostCall, level: int, message: str, fields: Any, name: Any) -> None:
        extra = {
            "unit": call.unit.id,
            "session": call.context.session,
            "fields": fields,
            "logger_name": name,
        }
        log.log(level, "%s: %s", call.unit.id, message[:MOST_CHARACTERS], extra=extra)

    return {
        "logger.log": HostFunction(run=write, module="logger", outside=False),
        "print": HostFunction(run=say, module=ALWAYS, outside=False),
    }
