"""Open plain connections whose address was checked: for what speaks no HTTP that we read."""

import asyncio
import socket
from collections.abc import Sequence

from micro_agi.net.addresses import literal
from micro_agi.net.client import AllowAddress, Place, Resolve


async def resolve_by_system(host: str, port: int) -> Sequence[Place]:
    """Ask the operating system for the addresses of a name."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


async def dial(
    host: str, port: int, *, resolve: Resolve, gate: AllowAddress, timeout_s: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address of a name that answers.

    Each of its addresses is asked about before; one that is refused refuses the name, as for
    requests. What is connected to is the address that was asked about.
    Raises: what `gate` raises; OSError; TimeoutError.
    """
    async with asyncio.timeout(timeout_s):
        own = literal(host)
        found: Sequence[Place] = [own] if own else await resolve(host, port)
        places = [(place, port) if isinstance(place, str) else place for place in found]
        for address, _ in places:
            gate(address, host, port)
        failure = OSError(f"no address for {host}")
        for address, real_port in places:
            try:
                return await asyncio.open_connection(address, real_port)
            except OSError as error:
                failure = OSError(f"cannot connect to {host}:{port}: {error.strerror or error}")
        raise failure
