"""Connections whose address was checked: the only module that touches the HTTP library's pool.

A request's gate (`GATE`) is asked three times, because each place alone has a hole: names
when they are resolved, before a packet leaves; literal addresses by the client, since the
library resolves none; and the peer of the connection handed out, which may come from
the pool and have been opened for somebody who was allowed more.

It imports aiohttp (0.15 s), so `client` imports it, by way of `exchange`, when the first
request needs it.
"""

import functools
import socket
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client import ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from micro_agi.net.client import AllowAddress, Resolve

MAX_PEERS = 256
"""Origins whose description is kept."""

GATE: ContextVar[AllowAddress | None] = ContextVar("gate", default=None)
"""Of the request that runs in this task; the library gives no other way to pass it."""


class CheckedResolver(AbstractResolver):
    """Resolves names and asks the gate about every address found.

    One refused address refuses the name: a name with a public and a private address is
    how rebinding attacks look, and no honest service has both.
    """

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolve(host, port)
        places = [(place, port) if isinstance(place, str) else place for place in found]
        gate = GATE.get()
        if gate is not None:
            for address, _ in places:
                gate(address, host, port)
        if not places:
            raise OSError(f"no address for {host}")
        return [_result(host, address, real_port) for address, real_port in places]

    async def close(self) -> None:
        """Hold nothing, so there is nothing to close."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
    )


class Receiver(ResponseHandler):
    """Receives responses without work for nothing.

    For every chunk that is read, the library tells its parser to go on, though it was not
    paused: a microsecond or two for each streamed token.
    """

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reading_paused:
            super().resume_reading(resume_parser)


class CheckedConnector(aiohttp.TCPConnector):
    """Hands out a connection only after the gate saw the address of its other end."""

    def __init__(self, *, connect_timeout_s: float, **options: Any) -> None:
        super().__init__(**options)
        self._factory = functools.partial(self._receiver)
        self._connect_timeout_s = connect_timeout_s
        self._peers: dict[URL, ClientRequest] = {}

    def _receiver(self) -> ResponseHandler:
        return Receiver(loop=self._loop)

    def peer(self, url: URL) -> ClientRequest:
        """Return how the pool knows the origin of a URL; its headers are what is usually sent."""
        origin = url.origin()
        peer = self._peers.get(origin)
        if peer is None:
            if len(self._peers) >= MAX_PEERS:
                self._peers.clear()
            peer = self._peers[origin] = ClientRequest("GET", origin, loop=self._loop)
        return peer

    def limits(self, left_s: float) -> ClientTimeout:
        """Return the limits of connecting when so much of the request's time is left."""
        return ClientTimeout(connect=left_s, sock_connect=self._connect_timeout_s)

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        gate = GATE.get()
        if gate is not None:
            peer = connection.transport and connection.transport.get_extra_info("peername")
            try:
                gate(peer[0] if peer else "", req.url.raw_host or "", req.url.port or 0)
            except BaseException:
                connection.release()
                raise
        return connection
