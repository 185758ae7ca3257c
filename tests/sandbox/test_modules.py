"""The pure modules base64, hash, uuid and url; and the table of modules."""

import base64
import hashlib
import uuid

import pytest

from micro_agi.errors import EntryInvalid
from micro_agi.sandbox.modules import is_privileged, nearest_function, require_known

VALUES = [
    ("base64.encode('hi\\0')", base64.b64encode(b"hi\0").decode()),
    ("base64.decode('aGkA') == 'hi\\0'", True),
    ("base64.decode('aG\\r\\nkA') == 'hi\\0'", True),
    ("base64.encode('') .. base64.decode('')", ""),
    ("select(2, base64.encode(5)):message()", "string expected"),
    *((f"select(2, base64.decode('{bad}')):kind()", "Invalid") for bad in ("aGk", "a-k=", "aGkA=")),
    ("hash.md5('abc')", hashlib.md5(b"abc").hexdigest()),
    ("hash.sha1('abc')", hashlib.sha1(b"abc").hexdigest()),
    ("hash.sha256('abc')", hashlib.sha256(b"abc").hexdigest()),
    ("hash.sha512('abc')", hashlib.sha512(b"abc").hexdigest()),
    ("#hash.sha256('abc', true)", 32),
    # RFC 2104 and 4231 examples: the data comes first.
    ("hash.hmac_md5('what do ya want for nothing?', 'Jefe')", "750c783e6ab0b503eaa86e310a5db738"),
    (
        "hash.hmac_sha256('what do ya want for nothing?', 'Jefe')",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    ("#hash.hmac_sha512('x', ('k'):rep(200))", 128),
    ("hash.fnv32('hello')", 0xB6FA7167),
    ("hash.fnv64('hello')", float(0x7B495389BDBDD4C7)),
    ("select(2, hash.md5(1)):message()", "data must be a string"),
    ("select(2, hash.hmac_md5('x', 1)):message()", "secret must be a string"),
    (
        f"uuid.v5('{uuid.NAMESPACE_DNS}', 'python.org')",
        str(uuid.uuid5(uuid.NAMESPACE_DNS, "python.org")),
    ),
    (
        f"uuid.v3('{uuid.NAMESPACE_DNS}', 'python.org')",
        str(uuid.uuid3(uuid.NAMESPACE_DNS, "python.org")),
    ),
    ("select(2, uuid.v5('x', 'y')):message()", "invalid namespace UUID"),
    ("select(2, uuid.v3(1, 'y')):message()", "namespace and name must be strings"),
    *((f"uuid.version(uuid.v{v}())", v) for v in (1, 4, 7)),
    ("uuid.variant(uuid.v4())", "RFC4122"),
    ("uuid.validate(5)", False),
    ("uuid.validate('{6BA7B810-9DAD-11D1-80B4-00C04FD430C8}')", True),
    ("uuid.validate('6ba7b8109-dad-11d1-80b4-00c04fd430c8')", False),
    ("uuid.format('6BA7B8109DAD11D180B400C04FD430C8')", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
    (
        "uuid.format('urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'simple')",
        "6ba7b8109dad11d180b400c04fd430c8",
    ),
    ("select(2, uuid.format(uuid.v4(), 'x')):message()", "unsupported format"),
    ("select(2, uuid.parse('zz')):message()", "invalid UUID format"),
    ("select(2, uuid.parse(1)):message()", "input must be a string"),
    ("math.abs(uuid.parse(uuid.v7()).timestamp - os.time()) < 3", True),
    ("math.abs(uuid.parse(uuid.v1()).timestamp - os.time()) < 3", True),
    ("#uuid.parse(uuid.v1()).node", 6),
    ("url.encode('a b&c/é~')", "a+b%26c%2F%C3%A9~"),
    ("url.decode('a+b%26c')", "a b&c"),
    ("select(2, url.decode('%zz')):kind()", "Invalid"),
    ("http_client.encode_uri('a b')", "a+b"),
    ("http_client.decode_uri('a+b')", "a b"),
    ("url.encode_query({b = 2, a = {'x', 'y z'}, c = true})", "a=x&a=y+z&b=2&c=true"),
    ("url.decode_query('?a=1&a=2&b=x+y&c')", {"a": ["1", "2"], "b": "x y", "c": ""}),
    (
        "url.parse('HTTPS://u:p%40@Example.com:8080/a%20b?q=1#top')",
        {
            **{"scheme": "https", "user": "u", "password": "p@", "host": "example.com"},
            **{"port": 8080, "path": "/a b", "query": "q=1", "fragment": "top"},
        },
    ),
    ("url.parse('http://[::1]:80/').host", "[::1]"),
    ("select(2, url.parse('http://x:99999/')):kind()", "Invalid"),
    ("url.build(url.parse('https://u:p@h:1/a%20b?q=1#f'))", "https://u:p@h:1/a%20b?q=1#f"),
    # RFC 3986 5.4, with base http://a/b/c/d;p?q
    *(
        (f"url.join('http://a/b/c/d;p?q', '{reference}')", expected)
        for reference, expected in [
            ("g:h", "g:h"),
            ("g", "http://a/b/c/g"),
            ("./g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y#s", "http://a/b/c/g?y#s"),
            ("#s", "http://a/b/c/d;p?q#s"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../..", "http://a/"),
            ("../../../g", "http://a/g"),
        ]
    ),
]


@pytest.mark.parametrize(("expression", "expected"), VALUES)
def test_the_pure_modules_behave_as_the_documents_say(lua, expression, expected):
    assert lua.value(f"({expression})") == [expected]


def test_libraries_cannot_be_changed_but_can_be_listed(lua):
    source = """return function()
      local names = {}
      for name in pairs(base64) do names[#names + 1] = name end
      return { #names, pcall(function() base64.encode = 1 end), pcall(rawset, string, "x", 1) }
    end"""
    found = lua.run(source, modules=("base64",))
    assert found[:2] == [2, False]
    assert False in found[2:]


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("jsn", "no module `jsn`", "json"),
        ("io", "not available yet", "json"),
        ("os", "no module", ""),
    ],
)
def test_an_unknown_module_is_refused_with_the_nearest_names(name, what, fix):
    with pytest.raises(EntryInvalid) as invalid:
        require_known(name, where="test:unit at data.modules[0]")
    assert what in invalid.value.what
    assert fix in invalid.value.fix


def test_the_nearest_function_and_the_operators_modules():
    assert nearest_function("time", "nowz") == ["time.now"]
    assert is_privileged(["json", "registry"])
    assert not is_privileged(["json", "http_client"])
    require_known("channel", where="anywhere")
