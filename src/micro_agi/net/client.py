"""The one HTTP client: for models, and for what tools request through `http_client`.

It opens nothing until the first request and imports the HTTP library (0.15 s) only then;
`preload` does that beside other work. Every hop of a request, redirects too, asks the
caller's `check` about the URL and `allow_address` about the address really connected to.
Proxies and keys in the environment are never used; only `http` and `https` are spoken.

Failures are those of the standard library, so that no caller needs to know the HTTP
library: `ConnectionError` (refused, broken off, bad TLS, no such name) and `TimeoutError`.
Each caller turns them into its own error. HTTP statuses are not failures.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from micro_agi.errors import LimitReached, PolicyDenied
from micro_agi.net.addresses import is_loopback

Headers: TypeAlias = Sequence[tuple[str, str]]
AllowAddress: TypeAlias = Callable[[str, str, int], None]
"""Takes address, host and port of a connection; raises PolicyDenied to refuse it."""
CheckUrl: TypeAlias = Callable[[str], None]
"""Takes the exact URL of a hop; raises PolicyDenied to refuse it."""
Place: TypeAlias = str | tuple[str, int]
"""An address, or an address and the port to use there instead of the URL's."""
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[Place]]]
"""Takes host and port, returns where to connect; raises OSError when there is nothing."""

MAX_REDIRECTS = 10
CONNECT_TIMEOUT_S = 20.0


class Request(Struct, frozen=True, kw_only=True):
    """One request as a caller means it."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""
    timeout_s: float = 30.0
    """For everything: all hops and the body."""
    idle_timeout_s: float | None = None
    """Longest wait for the next bytes."""
    follow: int = MAX_REDIRECTS
    """Redirects to follow; with 0 a redirect is a response like others."""
    check: CheckUrl | None = None
    allow_address: AllowAddress | None = None


class Response(Struct, frozen=True, kw_only=True):
    """A whole response."""

    status: int
    headers: Headers
    """As sent, repeated ones repeated; names in the server's case."""
    url: str
    """Of the last hop."""
    body: bytes

    def header(self, name: str) -> str:
        """Return the first value of a header, whatever its case, or ""."""
        return header(self.headers, name)


class Streamed(Protocol):
    """A response whose body is still coming."""

    status: int
    headers: Headers
    url: str

    async def piece(self) -> bytes:
        """Return what arrived of the body since the last piece; wait for it; b"" at the end."""
        ...

    async def read(self, max_bytes: int) -> bytes:
        """Return the rest of the body; LimitReached when it is longer."""
        ...


def header(headers: Headers, name: str) -> str:
    """Return the first value of a header, whatever its case, or ""."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), "")


class Client:
    """Owns the connections of one event loop. `close` ends it."""

    def __init__(
        self,
        *,
        resolve: Resolve | None = None,
        offline: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Make a client.

        With `offline`, connections to other machines are refused before a name is looked
        up: tests run with it, so none can reach a real service by mistake. `resolve`
        replaces the system's resolver (and is asked even when offline); `tls` replaces the
        system's certificate authorities, for an operator with one of its own.
        """
        self._resolve = resolve or (_resolve_this_machine if offline else None)
        self._offline = offline
        self._tls = tls
        self._pool: Any = None
        self._stream: Any = None
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        body: bytes = b"",
        timeout_s: float = 30.0,
        max_bytes: int = 16 << 20,
        follow: int = MAX_REDIRECTS,
        check: CheckUrl | None = None,
        allow_address: AllowAddress | None = None,
    ) -> Response:
        """Send a request and read its whole response.

        Raises: PolicyDenied by a check; InputInvalid for a URL, method or header that is
        none; LimitReached when the decoded body is over `max_bytes`; ConnectionError; TimeoutError.
        """
        wanted = Request(
            method=method,
            url=url,
            headers=headers,
            body=body,
            timeout_s=timeout_s,
            follow=follow,
            check=check,
            allow_address=allow_address,
        )
        async with self.stream(wanted) as streamed:
            content = await streamed.read(max_bytes)
            return Response(
                status=streamed.status, headers=streamed.headers, url=streamed.url, body=content
            )

    def stream(self, request: Request) -> AbstractAsyncContextManager[Streamed]:
        """Send a request; inside `async with`, the body can be read as it comes.

        Raises: as `request`, and while the body is read.
        """
        if self._pool is None:
            assert not self._closed, "the client is closed"
            exchange = _exchange()
            self._stream = exchange.stream
            self._pool = exchange.open_pool(self._resolve, CONNECT_TIMEOUT_S, self._tls)
        streamed: AbstractAsyncContextManager[Streamed] = self._stream(
            self._pool, request, self._gate(request)
        )
        return streamed

    async def connect(
        self, host: str, port: int, *, allow_address: AllowAddress
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a plain connection, whose bytes are the caller's.

        Raises: PolicyDenied by the check; OSError; TimeoutError.
        """
        # Imported here, because it names types of this module.
        from micro_agi.net.dial import dial, resolve_by_system

        gate = self._gated(allow_address)
        assert gate is not None, "there is a check"
        return await dial(
            host,
            port,
            resolve=self._resolve or resolve_by_system,
            gate=gate,
            timeout_s=CONNECT_TIMEOUT_S,
        )

    async def preload(self) -> None:
        """Import the HTTP library in a thread, so that the first request need not wait."""
        await asyncio.to_thread(_exchange)

    async def close(self) -> None:
        """Close all connections; requests in flight fail."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    def _gate(self, request: Request) -> AllowAddress | None:
        return self._gated(request.allow_address)

    def _gated(self, allow: AllowAddress | None) -> AllowAddress | None:
        if not self._offline:
            return allow

        def gate(ip: str, host: str, port: int) -> None:
            # The caller's answer first: it is the one that says what is wrong.
            if allow is not None:
                allow(ip, host, port)
            _refuse_other_machines(ip, host, port)

        return gate


def too_large(max_bytes: int, url: str) -> LimitReached:
    """Build the error of a body over its cap."""
    return LimitReached(
        f"response body too large (max {max_bytes} bytes)",
        where=url,
        fix="ask for less: a range, a page or a filter",
    )


async def _resolve_this_machine(host: str, port: int) -> Sequence[Place]:
    if host != "localhost":
        _refuse_other_machines("", host, port)
    return ["127.0.0.1"]


def _refuse_other_machines(ip: str, host: str, port: int) -> None:
    if not is_loopback(ip):
        raise PolicyDenied(
            f"{host}:{port} is not on this machine",
            where=ip,
            fix="this client is offline: connect to a server on loopback",
        )


def _exchange() -> ModuleType:
    # Imported on first use: aiohttp takes 0.15 s, and `--version` must not pay for it.
    from micro_agi.net import exchange

    return exchange
