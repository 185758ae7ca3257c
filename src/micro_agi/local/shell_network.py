"""Let one shell command reach the hosts that it named, and no others.

Each host is a question of its own, `shell.network` on `host:port`, which a policy answers or
a person, never `--yes`. What a policy denies of requests to it (`http_client.request`) is
denied here too, since nobody sees what is in a connection. An address that is not public
needs an allow of its own, unless it is what was named.
"""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from micro_agi.errors import ArgumentsInvalid, PolicyDenied
from micro_agi.net.addresses import is_private
from micro_agi.net.client import Client
from micro_agi.sandbox.room_proxy import Dial, Streams
from micro_agi.security.context import CallContext
from micro_agi.security.hosts import private_hosts
from micro_agi.security.need import Need

NETWORK = "shell.network"
REQUEST, PRIVATE = "http_client.request", "http_client.private_ip"
USUAL_PORT = 443
_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|[0-9a-f:.]+")


def hosts_of(named: Sequence[str], tool: str) -> tuple[str, ...]:
    """Return hosts as policies name them: `data.example.org:443`, `[::1]:8080`.

    Raises: ArgumentsInvalid for what is no host.
    """
    return tuple(dict.fromkeys(_host(text.strip(), tool) for text in named))


def _host(text: str, tool: str) -> str:
    try:
        parts = urlsplit(f"//{text}")
        host, port = (parts.hostname or "").rstrip("."), parts.port or USUAL_PORT
    except ValueError as error:
        raise _no_host(text, tool) from error
    if parts.path or parts.query or "@" in parts.netloc or not _HOST.fullmatch(host):
        raise _no_host(text, tool)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _no_host(text: str, tool: str) -> ArgumentsInvalid:
    return ArgumentsInvalid(
        f"`{text[:200]}` in `hosts` is no host",
        where=tool,
        fix="write data.example.org, or 127.0.0.1:8080",
    )


def network_needs(hosts: Sequence[str], command: str) -> list[Need]:
    """Return what has to be allowed before a command may reach hosts."""
    return [Need(action=NETWORK, resource=host, reason=command) for host in hosts]


def dialler(hosts: Sequence[str], client: Client, context: CallContext) -> Dial | None:
    """Return what connects for a command; None when it named no host.

    Raises: PolicyDenied for a host that policies close to requests.
    """
    for host in hosts:
        for scheme in ("http", "https"):
            for authority in (host, host.rpartition(":")[0]):
                context.forbid_denied(REQUEST, f"{scheme}://{authority}/")
    if not hosts:
        return None

    async def dial(host: str, port: int) -> Streams:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if place not in hosts:
            raise PolicyDenied(
                "not in `hosts`", where=place, fix="name it in `hosts`, and a person is asked"
            )
        named = private_hosts(f"http://{place}/")

        def allow_address(ip: str, host: str, port: int) -> None:
            if is_private(ip) and ip not in named and not context.evaluate(PRIVATE, ip).allowed:
                raise PolicyDenied(f"it is {ip}, which is no public address", where=place)

        return await client.connect(host, port, allow_address=allow_address)

    return dial
