"""Say what kind of network an address belongs to: pure functions over text.

`http_client` and the tests' offline switch decide by these. Names are never looked up
here; decimal and octal spellings of an address are turned into plain ones by the resolver
(or refused by the HTTP library) before they come here.
"""

import ipaddress
from typing import Literal, TypeAlias

Reach = Literal["public", "loopback", "private", "link_local", "reserved"]
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# An own table, because `ipaddress.is_private` changed its answer for several of these
# blocks between Python 3.11 releases. Anything that is not ordinary global unicast is here.
_BLOCKS: tuple[tuple[Reach, tuple[str, ...]], ...] = (
    ("loopback", ("127.0.0.0/8", "::1/128")),
    ("link_local", ("169.254.0.0/16", "fe80::/10")),
    (
        "private",
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10"),
    ),
    (
        "reserved",
        (
            *("0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
            *("::/128", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16"),
            # Of IPv6, 2000::/3 is the public network. The rest holds ways to write an IPv4
            # address that only translators know: 64:ff9b:1::/48, ::ffff:0:0:0/96.
            *("::/3", "4000::/2", "8000::/1"),
        ),
    ),
)
_NETWORKS = [(reach, ipaddress.ip_network(block)) for reach, blocks in _BLOCKS for block in blocks]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def reach(ip: str) -> Reach:
    """Return how far the address reaches; anything that is no address is `reserved`.

    An IPv6 address that carries an IPv4 one (mapped, compatible, 6to4, NAT64) is judged by
    that one, because that is where the packets end.

    >>> reach("::ffff:10.0.0.1"), reach("9.9.9.9"), reach("0.0.0.0"), reach("localhost")
    ('private', 'public', 'reserved', 'reserved')
    """
    try:
        address: _Address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return "reserved"
    address = _embedded(address)
    for name, network in _NETWORKS:
        if address.version == network.version and address in network:
            return name
    return "public"


def is_private(ip: str) -> bool:
    """Whether tools may not reach the address without a grant: all that is not public."""
    return reach(ip) != "public"


def is_loopback(ip: str) -> bool:
    """Whether the address is this machine."""
    return reach(ip) == "loopback"


def literal(host: str) -> str:
    """Return the address that a URL's host spells, without brackets and zone, or ""."""
    text = host.strip("[]").partition("%")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _embedded(address: _Address) -> _Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    # ::a.b.c.d is obsolete, but some stacks still route it; :: and ::1 keep their meaning.
    if address in _NAT64 or 1 < int(address) < 1 << 32:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
