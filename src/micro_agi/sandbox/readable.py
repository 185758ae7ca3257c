"""Wait for a socket that something other than bytes comes through: descriptors, credentials."""

import asyncio
import socket


async def readable(channel: socket.socket) -> None:
    """Wait until there is something to receive, or the other side has hung up."""
    ready = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(channel, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(channel)
