"""Who may talk to the server: not everything that reaches loopback is its owner.

Any web page can send requests to 127.0.0.1 from its visitor's browser, directly or by a
name that it lets point there. So, loopback or not, each request needs the token; a request
that a page of another origin sent is refused, and so is one whose Host is a name we do not
go by (an address is no name: it cannot be made to point elsewhere).
Source: spec/local-agent.md W13.
"""

import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from micro_agi.errors import PolicyDenied
from micro_agi.values import Secret

LOCAL = frozenset({"localhost"})


class Guard:
    """Decides about one request by its headers."""

    def __init__(self, token: Secret, *, names: Collection[str] = ()) -> None:
        """`names` are those the server goes by, besides `localhost` and any address."""
        self._token = token
        self._names = LOCAL | {name.lower() for name in names}

    def check_place(self, *, host: str | None, origin: str | None) -> None:
        """Return if the request was meant for this server, and no web page of others sent it.

        Raises: PolicyDenied.
        """
        if host is None or not self._is_ours(f"//{host}"):
            raise PolicyDenied(
                f"this server does not go by the name `{host or ''}`",
                where="the header Host",
                fix="use its address, or start it with --host NAME",
            )
        if origin is not None and origin.split("//")[-1].lower() != host.lower():
            raise PolicyDenied(
                "web pages may not use this server",
                where=f"the header Origin: {origin}"[:200],
                fix="send the request from a program, without Origin",
            )

    def check_token(self, authorization: str | None) -> bool:
        """Whether the header carries the token; takes as long for any wrong one."""
        scheme, _, given = (authorization or "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(), self._token.reveal().encode())
        return right and scheme.lower() == "bearer"

    def _is_ours(self, url: str) -> bool:
        try:
            name = urlsplit(url).hostname or ""
            if name.lower() in self._names:
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
