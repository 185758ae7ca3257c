"""Which addresses tools may not reach without a grant."""

import pytest

from micro_agi.net.addresses import is_loopback, is_private, literal, reach


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("9.9.9.9", "public"),
        ("2606:4700::1111", "public"),
        ("127.0.0.1", "loopback"),
        ("127.255.0.9", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.31.0.1", "private"),
        ("172.32.0.1", "public"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("169.254.169.254", "link_local"),
        ("fe80::1%eth0", "link_local"),
        ("0.0.0.0", "reserved"),
        ("::", "reserved"),
        ("224.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("ff02::1", "reserved"),
        ("198.18.0.1", "reserved"),
        ("2001:db8::1", "reserved"),
        ("64:ff9b:1::7f00:1", "reserved"),
        ("::ffff:0:7f00:1", "reserved"),
        ("4000::1", "reserved"),
        ("not an address", "reserved"),
        ("", "reserved"),
    ],
)
def test_every_block_that_is_not_ordinary_internet_is_named(ip, expected):
    assert reach(ip) == expected
    assert is_private(ip) == (expected != "public")


@pytest.mark.parametrize(
    "ip",
    ["::ffff:127.0.0.1", "::127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "::ffff:7f00:1"],
)
def test_an_ipv4_address_inside_an_ipv6_one_decides(ip):
    assert is_loopback(ip)


def test_a_host_that_is_an_address_is_told_from_a_name():
    assert literal("[::1]") == "::1"
    assert literal("10.0.0.1") == "10.0.0.1"
    assert literal("localhost") == ""
    assert literal("2130706433") == ""
