"""An error as an HTTP answer: its status, and the code that clients know."""

from starlette.responses import Response

from micro_agi.errors import (
    EntryNotFound,
    InputInvalid,
    LimitReached,
    MicroAgiError,
    PolicyDenied,
)
from micro_agi.modelserver.wire import error_object, to_json

_STATUS: tuple[tuple[type[MicroAgiError], int, str, str], ...] = (
    (InputInvalid, 400, "invalid_request", "invalid_request_error"),
    (EntryNotFound, 404, "not_found", "invalid_request_error"),
    (PolicyDenied, 403, "forbidden", "permission_error"),
    (LimitReached, 429, "rate_limit_exceeded", "rate_limit_error"),
    (MicroAgiError, 500, "server_error", "server_error"),
)


class Refused(Exception):
    """Ends a request with an error whose status or code its class does not tell."""

    def __init__(self, error: MicroAgiError, *, status: int, code: str = "") -> None:
        super().__init__(error.what)
        self.error = error
        self.status = status
        self.code = code


def answer(error: MicroAgiError | Refused) -> Response:
    """Return the answer that says what is wrong."""
    said = error.error if isinstance(error, Refused) else error
    status, code, kind = next(row[1:] for row in _STATUS if isinstance(said, row[0]))
    if isinstance(error, Refused):
        status, code = error.status, error.code or code
    headers = {"Retry-After": "1"} if status == 429 else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = to_json(error_object(said, code=code, kind=kind))
    return Response(body, status, headers, media_type="application/json")
