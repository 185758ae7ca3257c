"""Answer what a room asks of the network: an HTTP proxy that goes only where it may.

Programs in the room are told of it by the usual variables. It speaks `CONNECT`, for TLS and
whatever else, and plain requests, which end with their connection. Where a connection leads
is `dial`'s to decide, each time; the bytes in it are nobody's business here.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import urlsplit

from msgspec import Struct

from micro_agi.errors import MicroAgiError
from micro_agi.sandbox.readable import readable

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial: TypeAlias = Callable[[str, int], Awaitable[Streams]]
"""Takes a host and a port; raises MicroAgiError to refuse, OSError when nobody answers."""

HEAD_BYTES = 16 << 10
HEAD_S = 10.0
PIECE = 64 << 10
MOST_CONNECTIONS = 64
MOST_REFUSALS = 10
PORTS = {"http": 80, "https": 443}


class BadRequest(Exception):
    """What came is no request to a proxy."""


class Asked(Struct, frozen=True, kw_only=True):
    """Where a program in the room wants to go."""

    host: str
    port: int
    first: bytes
    """What is sent on when it is connected; b"" when the program is told first."""


class RoomProxy:
    """Serves one room. `close` ends every connection of it."""

    def __init__(self, dial: Dial) -> None:
        """Make the channel through which the room hands out its socket; give it `theirs`."""
        self._dial = dial
        self._channel, self._room = socket.socketpair()
        self.theirs = self._room.fileno()
        self._waiting: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.refused: list[str] = []
        """What was refused or did not answer, the first few, for whoever reads the result."""

    def begin(self) -> None:
        """Accept what connects, once the room handed its socket out; it has its end now."""
        self._room.close()
        self._waiting = asyncio.create_task(self._open())

    async def close(self) -> None:
        """Stop. Calling it again does nothing."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
        self._channel.close()
        self._room.close()
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _open(self) -> None:
        await readable(self._channel)
        _, handles, _, _ = socket.recv_fds(self._channel, 1, 1)
        if handles:  # else there is no room, and its worker says why
            listening = socket.socket(fileno=handles[0])
            listening.setblocking(False)
            self._server = await asyncio.start_server(
                self._accepted, sock=listening, limit=HEAD_BYTES
            )

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio's takes being cancelled for a failure.
        task = asyncio.create_task(self._served(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._serving) > MOST_CONNECTIONS:
                writer.write(_answer(503, "too many connections at once"))
            else:
                await self._serve(reader, writer)
            await writer.drain()
        except (OSError, EOFError):
            pass  # either side hung up
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            asked = _read(head)
        except (TimeoutError, asyncio.LimitOverrunError, BadRequest, ValueError) as error:
            writer.write(_answer(400, str(error) or "no whole request came"))
            return
        place = f"{asked.host}:{asked.port}"
        try:
            from_there, to_there = await self._dial(asked.host, asked.port)
        except MicroAgiError as error:
            self._note(f"{place}: {error.what}")
            writer.write(_answer(403, error.what))
            return
        except (OSError, TimeoutError) as error:
            said = str(error) or "no answer"
            self._note(f"{place}: {said}")
            writer.write(_answer(502, said))
            return
        try:
            if asked.first:
                to_there.write(asked.first)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _both_ways((reader, writer), (from_there, to_there))
        finally:
            to_there.close()

    def _note(self, text: str) -> None:
        if len(self.refused) < MOST_REFUSALS and text not in self.refused:
            self.refused.append(text)


def _read(head: bytes) -> Asked:
    """Read the head of a request.

    Raises: BadRequest, ValueError.
    """
    first, *headers = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest("that is no HTTP request")
    method, target, _ = words
    if method == "CONNECT":
        parts = urlsplit(f"//{target}")
        if not parts.hostname or not parts.port:
            raise BadRequest("CONNECT needs host:port")
        return Asked(host=parts.hostname.lower(), port=parts.port, first=b"")
    parts = urlsplit(target)
    if parts.scheme != "http" or not parts.hostname:
        raise BadRequest("a proxy is asked for http://host/path")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # One request for each connection: the next one may be for somebody else.
    kept = [h for h in headers if not h.lower().startswith(("proxy-", "connection:", "keep-alive"))]
    lines = [f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""]
    port = parts.port or PORTS["http"]
    return Asked(host=parts.hostname.lower(), port=port, first="\r\n".join(lines).encode("latin-1"))


def _answer(status: int, text: str) -> bytes:
    body = f"{text}\n".encode()
    head = f"HTTP/1.1 {status} Proxy\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


async def _both_ways(here: Streams, there: Streams) -> None:
    """Carry bytes until both sides have said all."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_carry(here[0], there[1]))
        group.create_task(_carry(there[0], here[1]))


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(PIECE):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
