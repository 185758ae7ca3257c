"""Carry one hop: take a connection, write the request at once, read the head of the response.

This is one level below the HTTP library's session. Its pool, its TLS and its parser, which
is made for hostile servers, do the work; what a session adds for each request (cookies,
proxies, a task that writes, three objects that describe it) we have no use for, and it
took a fifth of the time to a model's first token. Called by `exchange` only.

Source: DESIGN 14 and 15; decisions/0031.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from micro_agi.errors import InputInvalid
from micro_agi.net.client import Headers, Request, too_large
from micro_agi.net.connector import CheckedConnector

NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# They say where a request ends: whoever writes the body says so, nobody else.
FRAMING = frozenset(
    {"connection", "content-length", "expect", "te", "transfer-encoding", "upgrade"}
)
BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# Safe to send again when a connection of the pool turns out to be dead.
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
SWITCHING_PROTOCOLS = 101


class Hop:
    """One request on its connection, then its response; see `client.Streamed`."""

    __slots__ = (
        "_connection",
        "_expiry",
        "_payload",
        "_protocol",
        "_timeout_s",
        "headers",
        "status",
        "url",
    )

    def __init__(self, connection: Connection, request: Request, url: URL) -> None:
        assert connection.protocol is not None
        self.status = 0
        self.headers: Headers = ()
        self.url = str(url)
        self._connection = connection
        self._protocol: ResponseHandler = connection.protocol
        self._payload: aiohttp.StreamReader | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._timeout_s = request.timeout_s

    async def send(self, data: bytes, request: Request, deadline: float) -> None:
        """Write the request and read the head of the response."""
        protocol = self._protocol
        self._expiry = asyncio.get_running_loop().call_at(deadline, self._expire)
        protocol.set_response_params(
            skip_payload=request.method == "HEAD",
            read_until_eof=True,
            read_timeout=request.idle_timeout_s,
        )
        if protocol.transport is not None:  # else reading says why
            protocol.transport.write(data)
        protocol.start_timeout()
        message, payload = await protocol.read()
        while message.code < 200:
            if message.code == SWITCHING_PROTOCOLS:
                raise ConnectionError(f"{self.url} switches to another protocol")
            message, payload = await protocol.read()
        self.status = message.code
        self.headers = list(message.headers.items())
        self._payload = payload
        payload.on_eof(self._ended)

    async def piece(self) -> bytes:
        assert self._payload is not None
        with plain_errors(self.url):
            return await self._payload.readany()

    async def read(self, max_bytes: int) -> bytes:
        pieces: list[bytes] = []
        left = max_bytes
        while piece := await self.piece():
            left -= len(piece)
            if left < 0:
                raise too_large(max_bytes, self.url)
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close the connection, unless the response was read to its end: then it is reused."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._connection.close()

    def _ended(self) -> None:
        """Hand the connection back: nothing more will come for this request."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._connection.release()

    def _expire(self) -> None:
        late = TimeoutError(f"no answer within {self._timeout_s:g} s from {self.url}")
        self._protocol.set_exception(late)
        if self._payload is not None:
            self._payload.set_exception(late)


async def send(connector: CheckedConnector, request: Request, url: URL, deadline: float) -> Hop:
    """Send a request and return its response as soon as the head is there.

    A connection of the pool may have been closed by the server a moment ago. What can be
    repeated is then sent once more; what cannot is the caller's to decide.
    Raises: see `plain_errors`.
    """
    peer = connector.peer(url)
    data = encode(request, url, peer.headers.items())
    again = request.method in REPEATABLE
    while True:
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise TimeoutError(f"no answer within {request.timeout_s:g} s")
        connection = await connector.connect(peer, [], connector.limits(left))
        hop = Hop(connection, request, url)
        try:
            await hop.send(data, request, deadline)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            hop.close()
            if not again:
                raise
            again = False
        except BaseException:
            hop.close()
            raise
        else:
            return hop


def encode(request: Request, url: URL, usual: Iterable[tuple[str, str]]) -> bytes:
    """Return the bytes of a request; `usual` headers go out unless the caller gave them.

    Raises: ValueError for a header that would change where the request ends.
    """
    given = {name.lower() for name, _ in request.headers}
    if not given.isdisjoint(FRAMING):
        names = ", ".join(sorted(given & FRAMING))
        raise ValueError(f"`{names}` is for the client to set")
    lines = [f"{request.method} {url.raw_path_qs} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in usual if name.lower() not in given]
    for name, value in request.headers:
        if NAME.fullmatch(name) is None or CONTROL.search(value) is not None:
            raise ValueError(f"header `{name[:80]!r}` has a character that no header may have")
        lines.append(f"{name}: {value}")
    if request.body and "content-type" not in given:
        lines.append("Content-Type: application/octet-stream")
    if request.body or request.method not in BODILESS:
        lines.append(f"Content-Length: {len(request.body)}")
    return b"".join(("\r\n".join((*lines, "", "")).encode(), request.body))


@contextmanager
def plain_errors(url: str) -> Iterator[None]:
    """Turn the library's failures into those that `client` promises."""
    try:
        yield
    except TimeoutError as problem:  # also the library's timeouts, which derive from it
        raise TimeoutError(str(problem) or f"no answer in time from {url}") from problem
    except aiohttp.InvalidURL as problem:
        raise no_url(url, str(problem)) from problem
    except aiohttp.ClientPayloadError as problem:
        raise ConnectionError(f"the response broke off ({url})") from problem
    except aiohttp.ClientConnectorError as problem:
        # The library's own text names its TLS settings, also where there is no TLS.
        why = problem.os_error.strerror or str(problem.os_error) or "no connection"
        raise ConnectionError(
            f"cannot connect to {problem.host}:{problem.port}: {why}"
        ) from problem
    except (aiohttp.ClientError, HttpProcessingError) as problem:
        text = str(problem) or type(problem).__name__
        raise ConnectionError(f"{text} ({url})") from problem
    except ConnectionError:
        raise
    except OSError as problem:
        raise ConnectionError(f"{problem} ({url})") from problem
    except ValueError as problem:  # a header that is none
        raise InputInvalid(str(problem), where=url, fix="change the header") from problem


def no_url(text: str, why: str) -> InputInvalid:
    """Build the error of a URL that cannot be requested."""
    return InputInvalid(f"cannot request `{text[:200]}`: {why}", fix="give https://host/path")
