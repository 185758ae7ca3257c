"""URL patterns that a tool may request, in the one form that policies can answer.

A pattern is `scheme://host[:port]/path*`: it always has a slash after the host, so that
`https://example.com*` cannot cover `https://example.com.evil.net`.
"""

import ipaddress
from urllib.parse import urlsplit

from micro_agi.errors import InputInvalid
from micro_agi.security.policy import Policy

SCHEMES = ("https", "http")


def url_patterns(text: str) -> tuple[str, ...]:
    """Return the policy patterns for what a person or a tool wrote as a host.

    >>> url_patterns("api.example.com")
    ('https://api.example.com/*',)
    >>> url_patterns("http://127.0.0.1:8080")
    ('http://127.0.0.1:8080/*',)
    >>> url_patterns("https://api.example.com/v1/*")
    ('https://api.example.com/v1/*',)

    Raises: InputInvalid when no host is named, or it has a star, a user or a fragment.
    """
    url = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _invalid(text, str(error)) from error
    if parts.scheme not in SCHEMES:
        raise _invalid(text, f"the scheme must be one of: {', '.join(SCHEMES)}")
    if not host or "*" in host or parts.username is not None or parts.fragment:
        raise _invalid(text, "name one host, without a star, a user or a fragment")
    if "*" in parts.query or "*" in parts.path.rstrip("*") or parts.path.endswith("**"):
        raise _invalid(text, "a star may stand only at the end of the path")
    bracketed = f"[{host}]" if ":" in host else host
    authority = bracketed if port is None else f"{bracketed}:{port}"
    path = (parts.path or "/*") + (f"?{parts.query}" if parts.query else "")
    # `.*` at the end would drop the dot as well and cover more than it says.
    if path.endswith(".*"):
        raise _invalid(text, "`.*` at the end covers more than it says; write `/*`")
    return (f"{parts.scheme}://{authority}{path}",)


def private_hosts(pattern: str) -> tuple[str, ...]:
    """Return the private addresses that a pattern names literally; empty for a public host."""
    host = urlsplit(pattern).hostname or ""
    if host == "localhost":
        return ("127.0.0.1", "::1")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ()
    return () if address.is_global else (str(address),)


def allow_policies(policy_id: str, pattern: str) -> tuple[Policy, ...]:
    """Return the policies that let a tool request `pattern`, also on a private address it names."""
    request = Policy(
        id=policy_id, effect="allow", actions=("http_client.request",), resources=(pattern,)
    )
    addresses = private_hosts(pattern)
    if not addresses:
        return (request,)
    private = Policy(
        id=f"{policy_id}/private",
        effect="allow",
        actions=("http_client.private_ip",),
        resources=addresses,
    )
    return (request, private)


def _invalid(text: str, why: str) -> InputInvalid:
    return InputInvalid(
        f"`{text}` is no URL pattern: {why}",
        where="hosts",
        fix="write it like https://api.example.com/* or http://127.0.0.1:8080/*",
    )
