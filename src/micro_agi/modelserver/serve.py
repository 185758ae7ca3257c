"""Listen: from an engine and an address to a server that runs until it is told to stop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn

from micro_agi.errors import InputInvalid
from micro_agi.modelserver.server import Server

GRACE_S = 5
"""For replies that are being written when the server is told to stop."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises: InputInvalid when the address cannot be taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _taken(host, port, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise _taken(host, port, error) from error
    return listening


def address_of(listening: socket.socket) -> str:
    """Return the address for `--base-url`."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - told apart, not bound
        host = socket.gethostname()
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


async def serve(server: Server, listening: socket.socket) -> None:
    """Answer requests until a signal says stop."""
    await _uvicorn(server).serve(sockets=[listening])


@contextlib.asynccontextmanager
async def serving(server: Server, listening: socket.socket) -> AsyncIterator[str]:
    """Answer requests while the block runs; yields the address for `--base-url`."""
    inner = _uvicorn(server)
    task = asyncio.create_task(inner.serve(sockets=[listening]))
    try:
        yield address_of(listening)
    finally:
        inner.should_exit = True
        await task


def _uvicorn(server: Server) -> uvicorn.Server:
    config = uvicorn.Config(
        server,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    return uvicorn.Server(config)


def _taken(host: str, port: int, error: OSError) -> InputInvalid:
    return InputInvalid(
        f"cannot listen at {host}, port {port}: {error.strerror or error}",
        where="--host and --port",
        fix="choose another port with --port; 0 takes a free one",
    )
