"""Tell Lua code what a model service said: `err:kind()` and `err:details().type`.

Source: spec/agent.md 6.5.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from micro_agi.errors import ProviderRefused, ProviderUnavailable
from micro_agi.llm.failure import fault_of
from micro_agi.sandbox.failure import LuaFacts, tool_failed
from micro_agi.sandbox.host.calls import HostCall

KINDS: Mapping[str, str] = {
    "rate_limit_exceeded": "RateLimited",
    "server_error": "Unavailable",
    "network_error": "Unavailable",
    "timeout_error": "Timeout",
    "invalid_request": "Invalid",
    "context_length_exceeded": "Invalid",
    "content_filtered": "Invalid",
    "authentication_error": "PermissionDenied",
    "model_error": "NotFound",
}

Run = Callable[[HostCall], Awaitable[Any]]


def typed(run: Run) -> Run:
    """Return a host function whose errors of a model service have their kind and type."""

    async def wrapped(call: HostCall) -> Any:
        try:
            return await run(call)
        except (ProviderRefused, ProviderUnavailable) as error:
            fault = fault_of(error)
            kind = KINDS.get(fault.type, "Internal") if fault else error.kind
            details: dict[str, Any] = {"code": error.code, "where": error.where, "fix": error.fix}
            if fault is not None:
                details |= {"type": fault.type, "status_code": fault.status}
                if fault.retry_after_s is not None:
                    details["retry_after_s"] = fault.retry_after_s
            facts = LuaFacts(
                kind=kind,
                message=error.what,
                retryable=fault.retryable if fault else error.retryable,
                details=details,
            )
            raise tool_failed(facts) from error

    return wrapped
