"""URL patterns cover what they say, and nothing that only looks like it."""

import pytest

from micro_agi.errors import InputInvalid
from micro_agi.security.hosts import allow_policies, private_hosts, url_patterns
from micro_agi.security.policy import covers


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("api.example.com", "https://api.example.com/*"),
        ("API.Example.com:8443", "https://api.example.com:8443/*"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/*"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("https://api.example.com/v1/*", "https://api.example.com/v1/*"),
        ("https://api.example.com/v1?q=1", "https://api.example.com/v1?q=1"),
    ],
)
def test_a_host_becomes_a_pattern(text, pattern):
    assert url_patterns(text) == (pattern,)


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "https://*", "*.example.com", "https://*.example.com/", "ftp://x.example"),
        *("https://user:pw@x.example", "https://x.example/a*b", "https://x.example/a.*"),
        *("https://x.example:port", "https://x.example/#f", "file:///etc/passwd"),
    ],
)
def test_what_no_policy_can_answer_is_refused(text):
    with pytest.raises(InputInvalid) as refused:
        url_patterns(text)
    assert "https://api.example.com/*" in refused.value.fix


def test_a_pattern_does_not_reach_a_longer_host_name():
    (pattern,) = url_patterns("https://example.com")
    assert covers(pattern, "https://example.com/x")
    assert not covers(pattern, "https://example.com.evil.example/x")
    assert not covers(pattern, "https://example.com:444/x")


@pytest.mark.parametrize(
    ("pattern", "addresses"),
    [
        ("http://127.0.0.1:1/*", ("127.0.0.1",)),
        ("http://localhost/*", ("127.0.0.1", "::1")),
        ("http://10.0.0.1/*", ("10.0.0.1",)),
        ("http://169.254.169.254/*", ("169.254.169.254",)),
        ("https://example.com/*", ()),
        ("https://93.184.216.34/*", ()),
    ],
)
def test_private_addresses_are_recognised(pattern, addresses):
    assert private_hosts(pattern) == addresses
    assert len(allow_policies("p", pattern)) == 1 + bool(addresses)
