"""Make HTTP requests for workers, within the policies of the call in flight.

Every hop's URL needs an allow for `http_client.request`; an address that is not public
needs another for `http_client.private_ip`, asked about the address really connected to.
What comes back is data: a status is no failure, a body is bytes.

Source: spec/runtime.md 6.10. Ours: private addresses are refused unless allowed, bodies are
capped below a worker's heap, and there is no streaming yet.
"""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from micro_agi.errors import InputInvalid, LimitReached, MicroAgiError, PolicyDenied, ToolFailed
from micro_agi.net.addresses import is_private
from micro_agi.net.client import Client, Headers, Response
from micro_agi.sandbox.failure import LuaFacts, facts_of, tool_failed
from micro_agi.sandbox.host.calls import HostCall, HostFunction
from micro_agi.security.context import CallContext
from micro_agi.values import as_object

MODULE = "http_client"
METHODS: Mapping[str, str] = {
    **{"get": "GET", "post": "POST", "put": "PUT", "delete": "DELETE"},
    **{"head": "HEAD", "patch": "PATCH"},
}
TIMEOUT_S = 30.0
BODY_BYTES = 8 << 20
"""Default cap of a response body: several copies must fit into a worker's heap."""
MOST_BODY_BYTES = 32 << 20
AT_ONCE = 8
"""Requests of one batch that run at the same time."""
MOST_IN_A_BATCH = 100
"""A batch counts as one host call, so it must not be a way around that limit."""
IDEMPOTENCY_HEADER = "Idempotency-Key"
RUNTIMES_OWN = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer")
)
"""Headers by which a request would mean another host than the one that was allowed, or end
where the server thinks another one begins."""


class Wanted(Struct, frozen=True, kw_only=True):
    """One request, read from Lua's options."""

    method: str
    url: str
    headers: Headers
    body: bytes
    timeout_s: float
    max_bytes: int


def http_client_functions(client: Client) -> dict[str, HostFunction]:
    """Return the host functions of the module `http_client`."""

    async def request(call: HostCall) -> Any:
        method = call.function.removeprefix("http_client.")
        if method == "request":
            given = str(call.argument(0)), call.argument(1), call.argument(2)
        else:
            given = METHODS[method], call.argument(0), call.argument(1)
        wanted = _wanted(*given, key=call.context.idempotency_key)
        return await _perform(client, wanted, call.context)

    async def batch(call: HostCall) -> Any:
        key = call.context.idempotency_key
        listed = [
            _wanted(str(m), url, options, key=key) for m, url, options in call.argument(0) or ()
        ]
        if len(listed) > MOST_IN_A_BATCH:
            what = f"a batch has at most {MOST_IN_A_BATCH} requests, this one {len(listed)}"
            raise _failed("Invalid", what, retryable=False)
        for wanted in listed:
            _require(call.context, wanted.url)
        places = asyncio.Semaphore(AT_ONCE)
        kept = 0

        async def one(wanted: Wanted) -> dict[str, Any]:
            nonlocal kept
            async with places:
                try:
                    response = await _perform(client, wanted, call.context)
                    kept += response["body_size"]
                    if kept > MOST_BODY_BYTES:
                        what = f"response bodies of a batch too large (max {MOST_BODY_BYTES} bytes)"
                        raise _failed("Internal", what, retryable=False)
                    return {"response": response}
                except MicroAgiError as error:
                    return {"error": facts_of(error).as_dict()}

        return await asyncio.gather(*(one(wanted) for wanted in listed))

    def function(run: Callable[[HostCall], Awaitable[Any]]) -> HostFunction:
        return HostFunction(run=run, module=MODULE, outside=True, keep_bytes=True)

    functions = {f"http_client.{name}": function(request) for name in (*METHODS, "request")}
    return functions | {"http_client.request_batch": function(batch)}


async def _perform(client: Client, wanted: Wanted, context: CallContext) -> dict[str, Any]:
    def allow_address(ip: str, host: str, port: int) -> None:
        if is_private(ip) and not context.evaluate("http_client.private_ip", ip).allowed:
            raise PolicyDenied(f"not allowed: {ip} ({host}:{port}) is not a public address")

    try:
        response = await client.request(
            wanted.method,
            wanted.url,
            headers=wanted.headers,
            body=wanted.body,
            timeout_s=wanted.timeout_s,
            max_bytes=wanted.max_bytes,
            check=lambda url: _require(context, url),
            allow_address=allow_address,
        )
    except PolicyDenied as error:
        what = error.what if error.what.startswith("not allowed") else f"not allowed: {error.what}"
        raise _failed("PermissionDenied", what, retryable=False) from error
    except InputInvalid as error:
        raise _failed("Invalid", error.what, retryable=False) from error
    except LimitReached as error:
        raise _failed("Internal", error.what, retryable=False) from error
    except TimeoutError as error:
        what = f"no complete answer within {wanted.timeout_s:g} s: {wanted.url}"
        raise _failed("Internal", what, retryable=True) from error
    except ConnectionError as error:
        raise _failed("Internal", f"{wanted.url}: {error}", retryable=True) from error
    return _response(response)


def _failed(kind: str, message: str, *, retryable: bool) -> ToolFailed:
    return tool_failed(LuaFacts(kind=kind, message=message, retryable=retryable))


def _require(context: CallContext, url: str) -> None:
    verdict = context.evaluate("http_client.request", url)
    if not verdict.allowed:
        raise PolicyDenied(
            f"not allowed: {url}",
            where=verdict.why(),
            fix="declare the host in the tool's `hosts`, so that a person can allow it",
        )


def _response(response: Response) -> dict[str, Any]:
    """Build Lua's response table; absent parts are left out, as the documents have it."""
    headers: dict[str, str] = {}
    cookies: dict[str, str] = {}
    for name, value in response.headers:
        headers.setdefault("-".join(part.capitalize() for part in name.split("-")), value)
        if name.lower() == "set-cookie":
            cookies |= _cookies(value)
    answer: dict[str, Any] = {
        "status_code": response.status,
        "url": response.url,
        "body_size": len(response.body),
    }
    optional = {"body": response.body, "headers": headers, "cookies": cookies}
    return answer | {name: value for name, value in optional.items() if value}


def _cookies(header: str) -> dict[str, str]:
    try:
        parsed = SimpleCookie(header)
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in parsed.items()}


def _wanted(method: str, url: Any, options: Any, *, key: str) -> Wanted:
    options = as_object(options)
    headers: list[tuple[str, str]] = [(k, v) for k, v in _pairs(options, "headers")]
    for name, _ in headers:
        if name.strip().lower() in RUNTIMES_OWN:
            raise _failed("Invalid", f"header `{name}` is set by the runtime", retryable=False)
    headers += _idempotency(options.get("idempotency_key"), key)
    cookies = "; ".join(f"{name}={value}" for name, value in _pairs(options, "cookies"))
    if cookies:
        headers.append(("Cookie", cookies))
    auth = as_object(options.get("auth"))
    if auth:
        secret = f"{_text(auth.get('user'))}:{_text(auth.get('pass'))}".encode()
        headers.append(("Authorization", f"Basic {base64.b64encode(secret).decode()}"))
    body, content_type = _body(options)
    if content_type:
        headers = [(k, v) for k, v in headers if k.lower() != "content-type"]
        headers.append(("Content-Type", content_type))
    return Wanted(
        method=method,
        url=_with_query(_text(url), dict(_pairs(options, "query"))),
        headers=headers,
        body=body,
        timeout_s=_positive(options.get("timeout"), TIMEOUT_S),
        max_bytes=int(
            min(_positive(options.get("max_response_body"), BODY_BYTES), MOST_BODY_BYTES)
        ),
    )


def _idempotency(wanted: Any, key: str) -> list[tuple[str, str]]:
    """Return the header by which a service knows a repetition of the same call.

    `wanted` is true, or a name that tells the requests of one call apart.
    """
    name = _text(wanted)
    if wanted is not True and not name:
        return []
    if not key:
        raise _failed(
            "Invalid",
            "`idempotency_key` needs a tool that its operator declared idempotent "
            "(`meta.idempotent`), called by an agent: other calls are never repeated",
            retryable=False,
        )
    if name:
        key = hashlib.sha256(f"{key}/{name}".encode()).hexdigest()[:32]
    return [(IDEMPOTENCY_HEADER, key)]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _pairs(options: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    return [(key, _text(value)) for key, value in as_object(options.get(name)).items()]


def _positive(value: Any, default: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value > 0 else default


def _with_query(url: str, query: Mapping[str, str]) -> str:
    """Replace the query's parameters of these names; then it is encoded anew, sorted."""
    if not query:
        return url
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _failed("Invalid", f"not a URL: {url}", retryable=False) from error
    kept = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k not in query]
    encoded = urlencode(sorted([*kept, *query.items()], key=lambda pair: pair[0]))
    return urlunsplit(parts._replace(query=encoded))


def _body(options: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the body and its content type, "" to leave that to the caller's headers."""
    form = _pairs(options, "form")
    files = options.get("files")
    if isinstance(files, list) and files:
        return _multipart(form, [as_object(file) for file in files])
    if form:
        return urlencode(form).encode(), "application/x-www-form-urlencoded"
    body = options.get("body")
    return (body if isinstance(body, bytes) else _text(body).encode()), ""


def _multipart(form: list[tuple[str, str]], files: list[Mapping[str, Any]]) -> tuple[bytes, str]:
    boundary = secrets.token_hex(16)
    parts = [(f'name="{_quoted(name)}"', b"", value.encode()) for name, value in form]
    for file in files:
        name, content = _text(file.get("name")), file.get("content")
        raw = content if isinstance(content, bytes) else _text(content).encode()
        if name and raw:
            filename = _quoted(_text(file.get("filename")) or name)
            kind = b"Content-Type: application/octet-stream\r\n"
            parts.append((f'name="{_quoted(name)}"; filename="{filename}"', kind, raw))
    lines = [
        f"--{boundary}\r\nContent-Disposition: form-data; {what}\r\n".encode()
        + kind
        + b"\r\n"
        + raw
        + b"\r\n"
        for what, kind, raw in parts
    ]
    end = f"--{boundary}--\r\n".encode()
    return b"".join(lines) + end, f"multipart/form-data; boundary={boundary}"


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
