"""Carry one request through its hops: check, connect, send, follow redirects, read.

Called by `client` only. Redirects are followed by hand, since each hop has to pass the
checks, and because what a caller said to one origin (Authorization, Cookie, any header of
its own) is not for another.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache

from msgspec.structs import replace
from yarl import URL

from micro_agi.errors import InputInvalid
from micro_agi.net.addresses import literal
from micro_agi.net.client import AllowAddress, Request, Resolve, header
from micro_agi.net.connector import GATE, CheckedConnector, CheckedResolver
from micro_agi.net.dial import resolve_by_system
from micro_agi.net.hop import Hop, no_url, plain_errors, send

CONNECTIONS = 512
KEEP_ALIVE_S = 60.0
METHOD = re.compile(r"[A-Z]{1,32}")
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What another origin may still be told. Everything else a caller set is dropped.
HARMLESS = frozenset({"accept", "accept-language", "content-type", "user-agent"})


def open_pool(
    resolve: Resolve | None, connect_timeout_s: float, tls: ssl.SSLContext | None
) -> CheckedConnector:
    """Open a pool of connections without a cache of names.

    The cache would answer without asking the gate of the request at hand.
    """
    return CheckedConnector(
        resolver=CheckedResolver(resolve or resolve_by_system),
        use_dns_cache=False,
        limit=CONNECTIONS,
        ssl=tls or True,
        keepalive_timeout=KEEP_ALIVE_S,
        connect_timeout_s=connect_timeout_s,
    )


@asynccontextmanager
async def stream(
    pool: CheckedConnector, request: Request, gate: AllowAddress | None
) -> AsyncIterator[Hop]:
    """Send `request`, following redirects, and yield the response with its body to read."""
    deadline = asyncio.get_running_loop().time() + request.timeout_s
    before = GATE.set(gate)
    try:
        with plain_errors(request.url):
            hop = await _follow(pool, request, gate, deadline)
    finally:
        GATE.reset(before)
    try:
        yield hop
    finally:
        hop.close()


async def _follow(
    pool: CheckedConnector, request: Request, gate: AllowAddress | None, deadline: float
) -> Hop:
    left = request.follow
    while True:
        url = _checked(request, gate)
        hop = await send(pool, request, url, deadline)
        if hop.status not in REDIRECTS or not request.follow:
            return hop
        location = header(hop.headers, "Location")
        if not location:
            return hop
        hop.close()
        if not left:
            raise ConnectionError(f"{url} redirects more than {request.follow} times")
        left -= 1
        request = redirected(request, url, location, hop.status)


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


@lru_cache(256)
def parse_url(text: str) -> URL:
    """Return the URL in the one spelling that is checked and requested.

    Credentials inside a URL are refused: `https://known.example@evil.example/` reads like
    one host and means another, to people and to patterns of policies.
    """
    try:
        url = URL(text)
        port = url.port
    except ValueError as problem:
        raise no_url(text, str(problem)) from None
    if url.scheme not in ("http", "https") or not url.raw_host or not port:
        raise no_url(text, "only http:// and https:// with a host are spoken")
    if url.raw_user is not None or url.raw_password is not None:
        raise no_url(str(url.with_user(None)), "credentials belong into a header, not into a URL")
    # `known.example.` is `known.example` to a resolver and another text to a policy.
    if url.raw_host.endswith("."):
        url = url.with_host(url.raw_host.rstrip("."))
    return url.with_fragment(None)


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
