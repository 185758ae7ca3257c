"""Run the attacks on where `http_client` may go: real requests, two servers on loopback.

The `open` server is at 127.0.0.2, and its address is granted; it answers and redirects. The
`secret` server is at 127.0.0.1 and ::1 and stands for all that must not be reached: a
request that arrives there is an escape. Names are looked up in a table, and the client
leaves this machine under no circumstances.

Heads: `allow` (URL patterns the tool may request; default all), `addresses` (patterns of
addresses that are not public and still granted; default the open server's), `deny` (URL
patterns), `names` (`host=address,address`: one for each look-up in turn, the last one for
all later ones; `+` joins several addresses of one answer). `{open}` and `{secret}` stand
for the ports, and the Lua gets them as `net.open` and `net.secret`.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeAlias
from urllib.parse import unquote

from micro_agi.net.client import Client, Place
from micro_agi.sandbox.host.http_client import http_client_functions
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.prove.corpus import Attack
from micro_agi.sandbox.prove.tools import attempt, limits_of, make_context
from micro_agi.sandbox.prove.verdict import Outcome, Verdict, judge
from micro_agi.sandbox.unit import Unit
from micro_agi.security.policy import Policy, Scope

OPEN_ADDRESS = "127.0.0.2"
SECRET_ADDRESSES = ("127.0.0.1", "::1")
OPEN_NAMES = ("open.test", "other.test")
Handle: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

FILLER = b"x" * 65536
PIECES = {"/some": 100, "/big": 600}
"""How often `FILLER` is in a body: 6.5 MB is allowed, 39 MB is not."""


class Web:
    """The two servers, a client that knows their names, and a pool of tools that use it."""

    def __init__(self, pool: Pool, open_port: int, secret_port: int) -> None:
        self.pool = pool
        self.open_port = open_port
        self.secret_port = secret_port
        self.intruders: list[str] = []
        self.names: dict[str, list[str]] = {}

    async def look_up(self, host: str, port: int) -> Sequence[Place]:
        """Resolve like a system does: numbers in any base first, then the table."""
        if host in self.names:
            found = self.names[host]
            return (found.pop(0) if len(found) > 1 else found[0]).split("+")
        if host in OPEN_NAMES:
            return [OPEN_ADDRESS]
        with contextlib.suppress(OSError):
            return [socket.inet_ntoa(socket.inet_aton(host))]
        if host.rstrip(".") in ("localhost", "secret.test"):
            return ["127.0.0.1"]
        raise OSError(f"no address for {host}")

    def fill(self, text: str) -> str:
        """Put the ports into a head."""
        for name, port in (("{open}", self.open_port), ("{secret}", self.secret_port)):
            text = text.replace(name, str(port))
        return text

    async def run(self, attack: Attack) -> Verdict:
        """Run one attack; one at a time, or an intruder could not be told from another."""
        self.intruders.clear()
        self.names = {}
        for pair in attack.facts.get("names", "").split():
            host, _, addresses = pair.partition("=")
            self.names[host] = addresses.split(",")
        facts = {"open": self.open_port, "secret": self.secret_port}
        unit = Unit(
            id=f"attack:{attack.name}",
            source=attack.source,
            modules=("http_client", "json", *attack.facts.get("modules", "").split()),
        )
        context = make_context(attack, scope=self._scope(attack))
        outcome = await attempt(self.pool, unit, [facts], context, limits_of(attack))
        if self.intruders:
            return judge(
                attack,
                Outcome(kind=outcome.kind, what=outcome.what, reached=tuple(self.intruders)),
            )
        return judge(attack, outcome)

    def _scope(self, attack: Attack) -> Scope:
        allow = self.fill(attack.facts.get("allow", "*")).split()
        addresses = attack.facts.get("addresses", OPEN_ADDRESS).split()
        deny = self.fill(attack.facts.get("deny", "")).split()
        return Scope(
            (
                _policy("attack:urls", "http_client.request", allow),
                _policy("attack:addresses", "http_client.private_ip", addresses),
                Policy(
                    id="attack:denied",
                    effect="deny",
                    actions=("http_client.request",),
                    resources=tuple(deny),
                ),
            )
        )


def _policy(policy_id: str, action: str, resources: list[str]) -> Policy:
    return Policy(id=policy_id, effect="allow", actions=(action,), resources=tuple(resources))


@contextlib.asynccontextmanager
async def open_web(limits: Limits, without: frozenset[str]) -> AsyncIterator[Web]:
    """Start the servers and a pool whose `http_client` is the real one."""
    async with contextlib.AsyncExitStack() as stack:
        webs: list[Web] = []

        async def look_up(host: str, port: int) -> Sequence[Place]:
            return await webs[0].look_up(host, port)

        async def secret(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = await reader.readline()
            webs[0].intruders.append(f"the secret server: {line.decode('latin-1').strip()}")
            await _answer(writer, 200, b"secret")

        client = Client(offline=True, resolve=look_up)
        stack.push_async_callback(client.close)
        pool = Pool(host=http_client_functions(client), limits=limits, workers=2, without=without)
        stack.push_async_callback(pool.close)
        here = await _serve(stack, _open_server, [OPEN_ADDRESS])
        there = await _serve(stack, secret, SECRET_ADDRESSES)
        webs.append(Web(pool, here, there))
        await pool.start()
        yield webs[0]


async def _serve(stack: contextlib.AsyncExitStack, handle: Handle, places: Sequence[str]) -> int:
    """Serve at one port of several addresses; one that this machine lacks is left out."""
    port = 0
    for place in places:
        try:
            server = await asyncio.start_server(handle, place, port)
        except OSError:
            if not port:
                raise
            continue
        stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
    return port


async def _open_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Redirect for `/to/<status>/<quoted URL>` and `/again`; most other paths are an echo."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
        return
    path = head.split(" ")[1]
    if path.startswith("/to/"):
        _, _, status, target = path.split("/", 3)
        await _answer(writer, int(status), b"", f"Location: {unquote(target)}")
    elif path == "/again":
        await _answer(writer, 302, b"", "Location: /again")
    elif path in PIECES:
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            for _ in range(PIECES[path]):
                writer.write(FILLER)
                await writer.drain()
        writer.close()
    elif path == "/slow":
        writer.write(b"HTTP/1.1 200 OK\r\n")
        # Nothing more comes; the client's deadline ends it, and so does its closing.
        await reader.read()
        writer.close()
    else:
        await _answer(writer, 200, head.encode("latin-1"))


async def _answer(writer: asyncio.StreamWriter, status: int, body: bytes, extra: str = "") -> None:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", extra]
    head = "\r\n".join(line for line in lines if line) + "\r\n\r\n"
    with contextlib.suppress(ConnectionError):
        writer.write(head.encode("latin-1") + body)
        await writer.drain()
    writer.close()
