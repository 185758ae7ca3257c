"""Name what went wrong at a model service, and decide whether waiting may help.

The two public classes are `ProviderRefused` and `ProviderUnavailable`; the finer type, the
status and the wait the service asked for ride along in a `Fault`, put there by
`provider_error` and read by `error_type`: the agent compacts on `context_length_exceeded`.

Source: spec/agent.md 6.5, with two differences. A structured code of the service beats
the wording of its message, and the wording is looked at only where the status leaves
room: a 429 whose text says "maximum … tokens" stays a rate limit.
"""

import re
from typing import Literal, TypeAlias

from msgspec import Struct

from micro_agi.errors import MicroAgiError, ProviderRefused, ProviderUnavailable

ErrorType = Literal[
    "invalid_request",
    "authentication_error",
    "rate_limit_exceeded",
    "server_error",
    "context_length_exceeded",
    "content_filtered",
    "timeout_error",
    "model_error",
    "network_error",
]
ProviderError: TypeAlias = ProviderRefused | ProviderUnavailable

CONTEXT_LENGTH: ErrorType = "context_length_exceeded"
RETRYABLE = frozenset({"rate_limit_exceeded", "server_error", "timeout_error", "network_error"})
# Words of a service's `code` or `type`, and what they mean whatever the status is.
_CODES: dict[str, ErrorType] = {
    "context_length_exceeded": "context_length_exceeded",
    "exceed_context_size_error": "context_length_exceeded",
    "string_above_max_length": "context_length_exceeded",
    "content_filter": "content_filtered",
    "content_policy_violation": "content_filtered",
    "invalid_api_key": "authentication_error",
    "authentication_error": "authentication_error",
    "permission_error": "authentication_error",
    "model_not_found": "model_error",
    "not_found_error": "model_error",
    "rate_limit_exceeded": "rate_limit_exceeded",
    "rate_limit_error": "rate_limit_exceeded",
    "insufficient_quota": "rate_limit_exceeded",
    "server_error": "server_error",
    "overloaded_error": "server_error",
    "invalid_request_error": "invalid_request",
    "request_too_large": "context_length_exceeded",
    "billing_error": "rate_limit_exceeded",
    "timeout_error": "timeout_error",
    "api_error": "server_error",
    "API_KEY_INVALID": "authentication_error",
    "UNAUTHENTICATED": "authentication_error",
    "PERMISSION_DENIED": "authentication_error",
    "NOT_FOUND": "model_error",
    "RESOURCE_EXHAUSTED": "rate_limit_exceeded",
    "DEADLINE_EXCEEDED": "timeout_error",
    "INVALID_ARGUMENT": "invalid_request",
    "UNAVAILABLE": "server_error",
    "INTERNAL": "server_error",
}
_FINAL = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_error"})
# Services use these two for everything, so the status or the wording may say more.
_VAGUE = frozenset({"invalid_request", "server_error"})
_STATUSES: dict[int, ErrorType] = {
    400: "invalid_request",
    401: "authentication_error",
    403: "authentication_error",
    404: "model_error",
    408: "timeout_error",
    413: "context_length_exceeded",
    422: "invalid_request",
    429: "rate_limit_exceeded",
}
_WORDS: tuple[tuple[re.Pattern[str], ErrorType], ...] = (
    (
        re.compile(
            r"context (length|size|window)|maximum.{0,60}tokens|string too long|prompt is too long"
            r"|too many tokens",
            re.IGNORECASE | re.DOTALL,
        ),
        "context_length_exceeded",
    ),
    (
        re.compile(r"content (policy|filter)|content management policy", re.IGNORECASE),
        "content_filtered",
    ),
)
_FIXES: dict[ErrorType, str] = {
    "invalid_request": "check the model's options; some servers do not know all of them",
    "authentication_error": "set OPENAI_API_KEY to a key that may use this model",
    "rate_limit_exceeded": "wait, or use another model",
    "server_error": "try again later, or look at the server's log",
    "context_length_exceeded": "shorten the conversation, or use a model with a larger window",
    "content_filtered": "word the request differently",
    "timeout_error": "try again, or raise MICRO_AGI_MODEL_TIMEOUT_S",
    "model_error": "check the model's name; `--model NAME` chooses another",
    "network_error": "check that the server runs and that --base-url is right",
}


class Fault(Struct, frozen=True, kw_only=True):
    """What the service said, in detail."""

    type: ErrorType
    status: int = 0
    """HTTP status, or 0 when there was no answer."""
    retryable: bool = False
    retry_after_s: float | None = None
    """How long the service asked to wait."""


def provider_error(
    type: ErrorType,
    what: str,
    *,
    where: str = "",
    fix: str = "",
    status: int = 0,
    retryable: bool | None = None,
    retry_after_s: float | None = None,
) -> ProviderError:
    """Build the error to raise: `ProviderUnavailable` if waiting may help, else `ProviderRefused`.

    `retryable` None takes the type's usual answer.
    """
    again = type in RETRYABLE if retryable is None else retryable
    number = f" ({status})" if status else ""
    build = ProviderUnavailable if again else ProviderRefused
    error = build(
        what, where=f"{where}: {type}{number}" if where else type, fix=fix or _FIXES[type]
    )
    # Not a subclass with fields: errors have one constructor, so that they can cross a wire.
    vars(error)["fault"] = Fault(
        type=type, status=status, retryable=again, retry_after_s=retry_after_s
    )
    return error


def fault_of(error: MicroAgiError) -> Fault | None:
    """Return the details of a provider error, or None for another error."""
    fault = vars(error).get("fault")
    return fault if isinstance(fault, Fault) else None


def error_type(error: MicroAgiError) -> str:
    """Return the fine type of a provider error, or "" for another error."""
    fault = fault_of(error)
    return fault.type if fault else ""


def classify(status: int, *, code: str = "", kind: str = "", message: str = "") -> ErrorType:
    """Decide the type from what a service said.

    `code` and `kind` are the words it has for it (`error.code`, `error.type`; Google's
    `error.status`); `status` 0 is an error inside a stream.
    """
    for word in (code, kind):
        named = _CODES.get(word)
        if named is not None and named not in _VAGUE:
            return named
    found = _STATUSES.get(status) or _CODES.get(code) or _CODES.get(kind) or "server_error"
    if found in _VAGUE:
        found = next((t for words, t in _WORDS if words.search(message)), found)
    return found


def is_final(code: str, kind: str) -> bool:
    """Whether the service says no for good although the type sounds as if waiting helped."""
    return any(word in _FINAL for word in (code, kind))
