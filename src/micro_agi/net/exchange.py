"""Carry one request through its hops: check, connect, send, follow redirects, read.

Called by `client` only. Redirects are followed by hand, since each hop has to pass the
checks, and because what a caller said to one origin (Authorization, Cookie, any header of
its own) is not for another.
"""

import asyncio
import io
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import aiohttp
from yarl import URL

from micro_agi.errors import InputInvalid
from micro_agi.net.addresses import literal
from micro_agi.net.client import AllowAddress, Headers, Request, Resolve, too_large
from micro_agi.net.connector import GATE, CheckedConnector, CheckedResolver, resolve_by_system

CONNECTIONS = 512
KEEP_ALIVE_S = 60.0
METHOD = re.compile(r"[A-Z]{1,32}")
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What another origin may still be told. Everything else a caller set is dropped.
HARMLESS = frozenset({"accept", "accept-language", "content-type", "user-agent"})
# The library warns above this size when a body is given as bytes.
LARGE_BODY_BYTES = 1 << 20


def open_session(
    resolve: Resolve | None, connect_timeout_s: float, tls: ssl.SSLContext | None
) -> aiohttp.ClientSession:
    """Open a session without cookies, proxies of the environment or a cache of names.

    The cache would answer without asking the gate of the request at hand.
    """
    connector = CheckedConnector(
        resolver=CheckedResolver(resolve or resolve_by_system),
        use_dns_cache=False,
        limit=CONNECTIONS,
        ssl=tls or True,
        keepalive_timeout=KEEP_ALIVE_S,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
    )


class Body:
    """The response of the last hop; see `client.Streamed`."""

    __slots__ = ("_response", "headers", "status", "url")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Headers = list(response.headers.items())
        self.url = str(response.url)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        with plain_errors(self.url):
            # Not `iter_any`: it makes an object and a coroutine more for every piece.
            read = self._response.content.readany
            while chunk := await read():
                yield chunk

    async def read(self, max_bytes: int) -> bytes:
        pieces: list[bytes] = []
        left = max_bytes
        async for chunk in self.chunks():
            left -= len(chunk)
            if left < 0:
                raise too_large(max_bytes, self.url)
            pieces.append(chunk)
        return b"".join(pieces)


@asynccontextmanager
async def stream(
    session: aiohttp.ClientSession, request: Request, gate: AllowAddress | None
) -> AsyncIterator[Body]:
    """Send `request`, following redirects, and yield the response with its body to read."""
    deadline = asyncio.get_running_loop().time() + request.timeout_s
    before = GATE.set(gate)
    try:
        with plain_errors(request.url):
            response = await _follow(session, request, gate, deadline)
    finally:
        GATE.reset(before)
    try:
        yield Body(response)
    finally:
        # Closes the connection unless the body was read to its end.
        response.close()


async def _follow(
    session: aiohttp.ClientSession, request: Request, gate: AllowAddress | None, deadline: float
) -> aiohttp.ClientResponse:
    left = request.follow
    while True:
        url = _checked(request, gate)
        response = await _send(session, request, url, deadline)
        location = response.headers.get("Location", "")
        if response.status not in REDIRECTS or not location or not request.follow:
            return response
        response.close()
        if not left:
            raise ConnectionError(f"{url} redirects more than {request.follow} times")
        left -= 1
        request = redirected(request, url, location, response.status)


def _checked(request: Request, gate: AllowAddress | None) -> URL:
    url = parse_url(request.url)
    if not METHOD.fullmatch(request.method):
        raise InputInvalid(f"`{request.method}` is no HTTP method", where=str(url), fix="use GET")
    if request.check is not None:
        request.check(str(url))
    address = literal(url.raw_host or "") if gate is not None else ""
    if gate is not None and address:
        gate(address, url.raw_host or "", url.port or 0)
    return url


def parse_url(text: str) -> URL:
    """Return the URL in the one spelling that is checked and requested.

    Credentials inside a URL are refused: `https://known.example@evil.example/` reads like
    one host and means another, to people and to patterns of policies.
    """
    try:
        url = URL(text)
        port = url.port
    except ValueError as problem:
        raise _no_url(text, str(problem)) from None
    if url.scheme not in ("http", "https") or not url.raw_host or not port:
        raise _no_url(text, "only http:// and https:// with a host are spoken")
    if url.raw_user is not None or url.raw_password is not None:
        raise _no_url(str(url.with_user(None)), "credentials belong into a header, not into a URL")
    # `known.example.` is `known.example` to a resolver and another text to a policy.
    if url.raw_host.endswith("."):
        url = url.with_host(url.raw_host.rstrip("."))
    return url.with_fragment(None)


def _no_url(text: str, why: str) -> InputInvalid:
    return InputInvalid(f"cannot request `{text[:200]}`: {why}", fix="give https://host/path")


async def _send(
    session: aiohttp.ClientSession, request: Request, url: URL, deadline: float
) -> aiohttp.ClientResponse:
    left = deadline - asyncio.get_running_loop().time()
    if left <= 0:
        raise TimeoutError(f"no answer within {request.timeout_s:g} s")
    limits = aiohttp.ClientTimeout(
        total=left,
        sock_connect=session.timeout.sock_connect,
        sock_read=request.idle_timeout_s,
    )
    body = request.body
    return await session.request(
        request.method,
        url,
        headers=list(request.headers),
        data=(io.BytesIO(body) if len(body) > LARGE_BODY_BYTES else body) or None,
        allow_redirects=False,
        timeout=limits,
    )


def redirected(request: Request, url: URL, location: str, status: int) -> Request:
    """Return the request of the next hop.

    303, and 301 or 302 after POST, become a GET without a body, as browsers do; 307 and
    308 repeat the request. Another origin gets no header but harmless ones.
    """
    try:
        target = url.join(URL(location))
    except ValueError:
        raise ConnectionError(f"{url} redirects to `{location[:200]}`, which is no URL") from None
    method, body, headers = request.method, request.body, request.headers
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", b""
        headers = [h for h in headers if not h[0].lower().startswith("content-")]
    if target.scheme not in ("http", "https") or target.origin() != url.origin():
        headers = [h for h in headers if h[0].lower() in HARMLESS]
    return replace(request, method=method, url=str(target), body=body, headers=headers)


@contextmanager
def plain_errors(url: str) -> Iterator[None]:
    """Turn the library's failures into those that `client` promises."""
    try:
        yield
    except TimeoutError as problem:  # also the library's timeouts, which derive from it
        raise TimeoutError(str(problem) or f"no answer in time from {url}") from problem
    except aiohttp.InvalidURL as problem:
        raise _no_url(url, str(problem)) from problem
    except aiohttp.ClientPayloadError as problem:
        raise ConnectionError(f"the response broke off ({url})") from problem
    except aiohttp.ClientConnectorError as problem:
        # The library's own text names its TLS settings, also where there is no TLS.
        why = problem.os_error.strerror or str(problem.os_error) or "no connection"
        raise ConnectionError(
            f"cannot connect to {problem.host}:{problem.port}: {why}"
        ) from problem
    except aiohttp.ClientError as problem:
        text = str(problem) or type(problem).__name__
        raise ConnectionError(f"{text} ({url})") from problem
    except ConnectionError:
        raise
    except OSError as problem:
        raise ConnectionError(f"{problem} ({url})") from problem
    except ValueError as problem:  # a control character in a header
        raise InputInvalid(str(problem), where=url, fix="remove it from the header") from problem
