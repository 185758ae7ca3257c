"""The `crypto` module, to the letter of spec/runtime.md 6.6, checked against others' code."""

import base64
import hashlib
import hmac
import json
import time
from random import Random

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from micro_agi.errors import LimitReached, ToolFailed
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.modules import MODULES as AVAILABLE
from micro_agi.security.context import Trial, root_context
from micro_agi.testing.sandbox import LuaBench

KEY = "k" * 32
MODULES = ("crypto", "json", "hash", "base64")


def hexadecimal(name, key, data):
    return hmac.new(key.encode(), data.encode(), name).hexdigest()


VALUES = [
    ("#crypto.random.bytes(1)", 1),
    ("#crypto.random.bytes(1048576)", 1048576),
    ("crypto.random.bytes(16) ~= crypto.random.bytes(16)", True),
    ("#crypto.random.string(40)", 40),
    ("crypto.random.string(300):find('^[A-Za-z0-9]+$')", 1),
    ("crypto.random.string(5, 'a')", "aaaaa"),
    ("crypto.random.string(200, 'xyz'):find('^[xyz]+$')", 1),
    ("crypto.random.string(3, 'é')", "ééé"),
    ("#crypto.random.string(7, '\\xff')", 7),
    ("uuid.version(crypto.random.uuid())", 4),
    ("crypto.hmac.sha256('key', 'data')", hexadecimal("sha256", "key", "data")),
    ("crypto.hmac.sha512('key', 'data')", hexadecimal("sha512", "key", "data")),
    ("crypto.hmac.sha256('key', 'data') == hash.hmac_sha256('data', 'key')", True),
    ("crypto.hmac.sha256('k', '')", hexadecimal("sha256", "k", "")),
    *((f"#crypto.encrypt.aes('hello', ('k'):rep({n}))", 12 + 5 + 16) for n in (16, 24, 32)),
    ("#crypto.encrypt.chacha20('', ('k'):rep(32))", 28),
    *(
        (f"crypto.decrypt.{c}(crypto.encrypt.{c}('hi\\0', '{KEY}'), '{KEY}') == 'hi\\0'", True)
        for c in ("aes", "chacha20")
    ),
    (f"crypto.decrypt.aes(crypto.encrypt.aes('x', '{KEY}', 'ad'), '{KEY}', 'ad')", "x"),
    (f"crypto.encrypt.aes('x', '{KEY}') ~= crypto.encrypt.aes('x', '{KEY}')", True),
    (
        "base64.encode(crypto.pbkdf2('password', 'salt', 1000, 32))",
        base64.b64encode(hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 1000, 32)).decode(),
    ),
    (
        "base64.encode(crypto.pbkdf2('p', 's', 2, 70, 'sha512'))",
        base64.b64encode(hashlib.pbkdf2_hmac("sha512", b"p", b"s", 2, 70)).decode(),
    ),
    ("crypto.constant_time_compare('abc', 'abc')", True),
    ("crypto.constant_time_compare('abc', 'abd')", False),
    ("crypto.constant_time_compare('abc', 'abcd')", False),
    ("crypto.constant_time_compare('', '')", True),
]


@pytest.mark.parametrize(("expression", "expected"), VALUES)
def test_the_functions_give_what_the_documents_say(lua, expression, expected):
    assert lua.value(f"({expression})") == [expected]


ERRORS = [
    *(
        (f"random.{f}({n})", "length must be a positive integer")
        for f in ("bytes", "string")
        for n in (0, -1)
    ),
    *(
        (f"random.{f}(1048577)", "length exceeds maximum allowed size (1MB)")
        for f in ("bytes", "string")
    ),
    ("random.string(4, '')", "charset cannot be empty"),
    *((f"hmac.{f}('', 'data')", "key cannot be empty") for f in ("sha256", "sha512")),
    *(
        (f"{f}.aes('x', 'short')", "key must be 16, 24, or 32 bytes")
        for f in ("encrypt", "decrypt")
    ),
    *((f"{f}.chacha20('x', 'short')", "key must be 32 bytes") for f in ("encrypt", "decrypt")),
    *(
        (f"decrypt.{f}('elevenbytes', '{KEY}')", "encrypted data too short")
        for f in ("aes", "chacha20")
    ),
    ("pbkdf2('', 's', 1, 1)", "password cannot be empty"),
    ("pbkdf2('p', '', 1, 1)", "salt cannot be empty"),
    ("pbkdf2('p', 's', 0, 1)", "iterations must be positive"),
    ("pbkdf2('p', 's', 10000001, 1)", "iterations exceeds maximum (10000000)"),
    ("pbkdf2('p', 's', 1, 0)", "key length must be positive"),
    ("pbkdf2('p', 's', 1, 1048577)", "key length exceeds maximum (1048576)"),
    ("pbkdf2('p', 's', 1, 1, 'md5')", "unsupported hash function: md5"),
    ("jwt.encode({a = 1}, '')", "key cannot be empty"),
    ("jwt.verify('a.b.c', '')", "key cannot be empty"),
    ("jwt.encode({'list'}, 'k')", "claims and header must have names, not positions"),
    ("jwt.encode({}, 'junk', 'RS256')", "invalid RSA private key: "),
    ("jwt.encode({}, '-----BEGIN PUBLIC KEY-----')", "a PEM key cannot be the secret of HS256"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_a_bad_argument_is_an_invalid_error_with_the_documents_words(lua, call, message):
    found = lua.value(
        f"(function() local v, e = crypto.{call} return {{v == nil, e:kind(), e:message()}} end)()"
    )
    assert found[0][:2] == [True, "Invalid"]
    assert found[0][2].startswith(message)


TAMPERED = [
    "crypto.decrypt.{c}(crypto.encrypt.{c}('x', K), ('j'):rep(32))",
    "crypto.decrypt.{c}(crypto.encrypt.{c}('x', K, 'one'), K, 'two')",
    "crypto.decrypt.{c}(crypto.encrypt.{c}('x', K, 'one'), K)",
    "crypto.decrypt.{c}(crypto.encrypt.{c}('x', K) .. 'y', K)",
    "crypto.decrypt.{c}(crypto.encrypt.{c}('x', K):sub(1, -2), K)",
    "crypto.decrypt.{c}(('n'):rep(12), K)",
]


@pytest.mark.parametrize("cipher", ["aes", "chacha20"])
@pytest.mark.parametrize("call", TAMPERED)
def test_what_was_changed_is_not_decrypted(lua, call, cipher):
    source = (
        f"return function(K) local v, e = {call.format(c=cipher)} return {{v == nil, e:kind()}} end"
    )
    assert lua.run(source, KEY, modules=MODULES) == [True, "Internal"]


@pytest.mark.parametrize(("name", "cipher"), [("aes", AESGCM), ("chacha20", ChaCha20Poly1305)])
def test_the_layout_is_nonce_ciphertext_tag(lua, name, cipher):
    source = f"return function(k) return base64.encode(crypto.encrypt.{name}('text', k, 'ad')) end"
    sealed = base64.b64decode(lua.run(source, KEY, modules=MODULES))
    assert cipher(KEY.encode()).decrypt(sealed[:12], sealed[12:], b"ad") == b"text"


def test_the_table_of_modules_names_what_a_worker_has(lua):
    source = """return function(table)
      local found = {}
      for name in pairs(table and crypto[table] or crypto) do found[#found + 1] = name end
      return found
    end"""
    has = AVAILABLE["crypto"]
    assert set(lua.run(source, modules=MODULES)) == set(has.functions)
    for table, names in has.members.items():
        assert set(lua.run(source, table, modules=MODULES)) == set(names)


WRONG_TYPES = [
    *("random.bytes()", "random.bytes('x')", "random.bytes(1.5)", "random.string({})"),
    *("hmac.sha256(nil, 'x')", "hmac.sha512('k')", "encrypt.aes({}, 'k')", "decrypt.aes('x')"),
    *("encrypt.chacha20('x', K, {})", "jwt.encode('x', 'k')", "jwt.encode({}, {})"),
    *("jwt.verify(nil, 'k')", "jwt.verify('a.b.c', 'k', 'HS256', 1)", "pbkdf2('p', 's', 'x', 1)"),
    *("constant_time_compare('a')", "constant_time_compare({}, 'a')", "pbkdf2('p', {}, 1, 1)"),
]


@pytest.mark.parametrize("call", WRONG_TYPES)
def test_an_argument_of_a_wrong_type_raises(lua, call):
    with pytest.raises(ToolFailed, match="bad argument"):
        lua.run(
            f"local K = ('k'):rep(32) return function() return crypto.{call} end", modules=MODULES
        )


def part(token, n):
    text = token.split(".")[n]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def made(name, key, header, claims):
    """A token as anybody else would make it."""

    def encoded(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signed = b".".join(encoded(json.dumps(one).encode()) for one in (header, claims))
    signature = hmac.new(key.encode(), signed, name).digest()
    return (signed + b"." + encoded(signature)).decode()


def test_a_token_has_the_default_header_and_sorted_claims(lua):
    source = (
        "return function() return crypto.jwt.encode({ sub = 'me', exp = 10, a = {} }, 'secret') end"
    )
    token = lua.run(source, modules=MODULES)
    assert part(token, 0) == b'{"alg":"HS256","typ":"JWT"}'
    assert part(token, 1) == b'{"a":[],"exp":10,"sub":"me"}'
    assert hmac.new(b"secret", token.rpartition(".")[0].encode(), "sha256").digest() == part(
        token, 2
    )


def test_extra_header_fields_are_merged_and_leave_the_claims(lua):
    source = """return function()
      local claims = { sub = "me", _header = { kid = "1", typ = "X", alg = "none" } }
      local token = crypto.jwt.encode(claims, "secret", "HS512")
      return { token, claims._header.kid }
    end"""
    token, kept = lua.run(source, modules=MODULES)
    assert json.loads(part(token, 0)) == {"alg": "HS512", "kid": "1", "typ": "X"}
    assert json.loads(part(token, 1)) == {"sub": "me"}
    assert kept == "1"


@pytest.mark.parametrize("name", ["HS256", "HS384", "HS512"])
def test_tokens_of_others_are_verified_and_integral_numbers_are_integers(lua, name):
    claims = {"exp": 4e9, "n": {"m": [2.0, 2.5]}, "s": "x"}
    token = made(f"sha{name[2:]}", "secret", {"alg": name}, claims)
    source = """return function(token, name)
      local c, e = crypto.jwt.verify(token, "secret", name)
      if e then return nil, e end
      return { math.type(c.exp), tostring(c.exp), math.type(c.n.m[1]), c.n.m[2], c.s }
    end"""
    found = lua.run(source, token, name, modules=MODULES)
    assert found == ["integer", "4000000000", "integer", 2.5, "x"]


def test_an_unknown_algorithm_means_the_default(lua):
    source = """return function()
      local token = crypto.jwt.encode({ exp = 4000000000 }, "k", "nonsense")
      return crypto.jwt.verify(token, "k", "other").exp
    end"""
    assert lua.run(source, modules=MODULES) == 4000000000


GOOD = {"exp": 4000000000}
NOW = int(time.time())
REJECTED = [
    (made("sha256", "other", {"alg": "HS256"}, GOOD), "signature is invalid"),
    (made("sha512", "secret", {"alg": "HS512"}, GOOD), "signed with HS512, HS256 is expected"),
    (made("sha256", "secret", {"alg": "none"}, GOOD), "signed with none"),
    (made("sha256", "secret", {}, GOOD), "signed with nil"),
    (made("sha256", "secret", {"alg": "HS256", "crit": ["x"]}, GOOD), "critical"),
    (made("sha256", "secret", {"alg": "HS256"}, {"exp": NOW - 10}), "token is expired"),
    (made("sha256", "secret", {"alg": "HS256"}, {"exp": "soon"}), "invalid exp claim"),
    (made("sha256", "secret", {"alg": "HS256"}, {**GOOD, "nbf": NOW + 1000}), "not valid yet"),
    (made("sha256", "secret", {"alg": "HS256"}, {**GOOD, "nbf": []}), "invalid nbf claim"),
    (made("sha256", "secret", {"alg": "HS256"}, {"sub": "x"}), "no exp claim"),
    (made("sha256", "secret", {"alg": "HS256"}, [1]), "no JSON object"),
    ("", "malformed"),
    ("a.b", "malformed"),
    ("a.b.c.d", "malformed"),
    ("eyJhbGciOiJIUzI1NiJ9.e30.!!", "malformed"),
    ("eyJhbGciOiJIUzI1NiJ9..", "signature is invalid"),
    (made("sha256", "secret", {"alg": "HS256"}, GOOD) + "=", "malformed"),
]


@pytest.mark.parametrize(("token", "message"), REJECTED, ids=range(len(REJECTED)))
def test_a_token_that_does_not_hold_is_an_internal_error(lua, token, message):
    source = """return function(token)
      local c, e = crypto.jwt.verify(token, "secret")
      return { c == nil, e:kind(), e:message() }
    end"""
    absent, kind, text = lua.run(source, token, modules=MODULES)
    assert (absent, kind) == (True, "Internal")
    assert message in text


def test_exp_may_be_left_out_only_when_asked_and_is_checked_when_there(lua):
    source = """return function(with, without)
      local fine = crypto.jwt.verify(without, "secret", nil, false)
      local _, e = crypto.jwt.verify(with, "secret", "HS256", false)
      return { fine.sub, e:message() }
    end"""
    header = {"alg": "HS256"}
    expired = made("sha256", "secret", header, {"exp": 5})
    timeless = made("sha256", "secret", header, {"sub": "x"})
    assert lua.run(source, expired, timeless, modules=MODULES) == ["x", "token is expired"]


def test_a_trial_checks_tokens_by_its_own_clock(lua):
    source = "return function(t) return crypto.jwt.verify(t, 'secret').exp end"
    token = made("sha256", "secret", {"alg": "HS256"}, {"exp": 1000})
    context = root_context().narrowed(trial=Trial(now_ns=999 * 10**9, host={}))
    assert lua.run(source, token, modules=MODULES, context=context) == 1000


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


def pem_of(key):
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(
        serialization.Encoding.PEM, form, serialization.NoEncryption()
    ).decode()


def public_pem_of(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def test_an_rsa_token_is_signed_and_verified_inside_the_lock(lua, rsa_key):
    source = """return function(private, public)
      local token, e = crypto.jwt.encode({ exp = 4000000000, sub = "me" }, private, "RS256")
      if e then return nil, e end
      local claims = crypto.jwt.verify(token, public, "RS256")
      local forged = token:sub(1, -6) .. "AAAAA"
      local _, changed = crypto.jwt.verify(forged, public, "RS256")
      local _, confused = crypto.jwt.verify(token, public)
      return { token, claims.sub, changed:kind(), confused:kind() }
    end"""
    found = lua.run(source, pem_of(rsa_key), public_pem_of(rsa_key), modules=MODULES)
    assert found[1:] == ["me", "Internal", "Invalid"]
    signed, _, _ = found[0].rpartition(".")
    rsa_key.public_key().verify(
        part(found[0], 2), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
    )


def test_a_key_of_another_sort_is_invalid(lua, rsa_key):
    curve = ec.generate_private_key(ec.SECP256R1())
    source = """return function(private, public, half)
      local _, a = crypto.jwt.encode({}, private, "RS256")
      local _, b = crypto.jwt.verify("eyJhbGciOiJSUzI1NiJ9.e30.AA", public, "RS256")
      local _, c = crypto.jwt.encode({}, half, "RS256")
      return { a:kind(), a:message(), b:kind(), c:kind() }
    end"""
    found = lua.run(
        source, pem_of(curve), public_pem_of(curve), public_pem_of(rsa_key), modules=MODULES
    )
    assert found == ["Invalid", "invalid RSA private key: not an RSA key", "Invalid", "Invalid"]


def damaged(pem, random):
    """The same key with a few bytes changed."""
    first, *middle, last = pem.splitlines()
    body = bytearray(base64.b64decode("".join(middle)))
    for _ in range(random.randint(1, 3)):
        body[random.randrange(len(body))] = random.randrange(256)
    return "\n".join([first, base64.b64encode(body).decode(), last])


def test_a_damaged_key_signs_nothing_that_does_not_hold_and_costs_no_worker(lua):
    key, random = rsa.generate_private_key(65537, 1024), Random(1)
    source = """return function(private, public, whole)
      local token, a = crypto.jwt.encode({ exp = 4000000000 }, private, "RS256")
      local _, b = crypto.jwt.verify("eyJhbGciOiJSUzI1NiJ9.e30.AA", public, "RS256")
      local holds = token and crypto.jwt.verify(token, whole, "RS256") ~= nil
      return { holds or a:kind(), b:kind() }
    end"""
    for _ in range(60):
        keys = damaged(pem_of(key), random), damaged(public_pem_of(key), random)
        first, second = lua.run(source, *keys, public_pem_of(key), modules=MODULES)
        assert first in (True, "Invalid")
        assert second in ("Invalid", "Internal")


def test_a_derivation_ends_at_the_deadline_of_the_call(lua):
    source = "return function() return #crypto.pbkdf2('p', 's', 10000000, 64, 'sha512') end"
    with pytest.raises(LimitReached, match=r"computed for more than 0\.2 s"):
        lua.run(source, modules=MODULES, limits=Limits(wall_s=0.2))
    assert lua.run("return function() return #crypto.random.bytes(3) end", modules=MODULES) == 3


def test_data_that_does_not_fit_is_a_limit_not_a_crash():
    bench = LuaBench(workers=1, limits=Limits(wall_s=3.0))
    source = """return function(k)
      local ok, e = pcall(function()
        local text = ("x"):rep(20 << 20)
        return crypto.encrypt.aes(text .. text, k)
      end)
      return { ok, type(e) == "string" }
    end"""
    try:
        assert bench.run(source, KEY, modules=MODULES)[1] is True
    finally:
        bench.close()
