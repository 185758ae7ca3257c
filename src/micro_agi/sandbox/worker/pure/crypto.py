"""Encrypt, sign, derive and draw for the `crypto` module.

Everything runs in the locked worker, so a key never leaves the call that brought it and no
text that a guest made is parsed in the parent. The work is OpenSSL's, through `cryptography`,
imported before the lock. What may not happen here is OpenSSL drawing random numbers: it asks
for its process id first, which the filter punishes. So nonces come from the kernel, and the
one operation that needs blinding, the RSA signature, does its arithmetic here.

Answers begin with one letter: `VALID`, or the reason why not. Source: spec/runtime.md 6.6;
decisions/0024-crypto-in-the-worker.md.
"""

import os
import secrets
from collections.abc import Callable, Mapping

from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import constant_time, hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from micro_agi.sandbox.worker.pure.digest import ACCELERATORS as DIGESTS

VALID = b"V"
BAD_KEY = b"K"
REFUSED = b"R"

NONCE_BYTES = 12
MOST_RSA_BITS = 8192
"""A signature with a longer key takes seconds."""
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""What stands before a SHA-256 digest in an RSA signature (RFC 8017, 9.2)."""
HASHES: Mapping[bytes, Callable[[], hashes.HashAlgorithm]] = {
    b"sha256": hashes.SHA256,
    b"sha512": hashes.SHA512,
}
CIPHERS: Mapping[bytes, Callable[[bytes], AESGCM | ChaCha20Poly1305]] = {
    b"aes": AESGCM,
    b"chacha20": ChaCha20Poly1305,
}


def draw(count: bytes) -> bytes:
    """Return that many random bytes; the number is text."""
    return os.urandom(int(count))


def pick(count: bytes, charset: bytes) -> bytes:
    """Return that many characters of a charset, each as likely as the other.

    Characters are those of UTF-8, or bytes where the charset is not UTF-8.
    """
    try:
        characters = [character.encode() for character in charset.decode()]
    except UnicodeDecodeError:
        characters = [charset[n : n + 1] for n in range(len(charset))]
    if len(characters) > 256:
        return b"".join(secrets.choice(characters) for _ in range(int(count)))
    return b"".join(characters[n] for n in _numbers_below(len(characters), int(count)))


def _numbers_below(limit: int, count: int) -> bytes:
    # Bytes beyond the last whole multiple would favour the first characters; they are dropped.
    whole = 256 - 256 % limit
    surplus = bytes(range(whole, 256))
    folded = bytes(n % limit for n in range(256))
    found = b""
    while len(found) < count:
        found += os.urandom(count - len(found) + 16).translate(folded, surplus)
    return found[:count]


def encrypt(cipher: bytes, data: bytes, key: bytes, associated: bytes) -> bytes:
    """Return nonce, ciphertext and tag in one string."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + CIPHERS[cipher](key).encrypt(nonce, data, associated)


def decrypt(cipher: bytes, data: bytes, key: bytes, associated: bytes) -> bytes:
    """Return `VALID` and the text, or `REFUSED`: a wrong key, other associated data, a change."""
    try:
        nonce, sealed = data[:NONCE_BYTES], data[NONCE_BYTES:]
        return VALID + CIPHERS[cipher](key).decrypt(nonce, sealed, associated)
    except InvalidTag:
        return REFUSED


def derive(password: bytes, salt: bytes, iterations: bytes, length: bytes, digest: bytes) -> bytes:
    """Return a key by PBKDF2. One uninterruptible computation: the call's deadline ends it."""
    derivation = PBKDF2HMAC(HASHES[digest](), int(length), salt, int(iterations))
    return derivation.derive(password)


def same(a: bytes, b: bytes) -> bytes:
    """Return `VALID` for equal strings, in a time that tells only their lengths."""
    return VALID if constant_time.bytes_eq(a, b) else REFUSED


def sign(message: bytes, pem: bytes) -> bytes:
    """Return `VALID` and the RS256 signature, or `BAD_KEY` and what is wrong with the key."""
    try:
        # The check of the primes draws random numbers. A key that is no key is found below.
        key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, rsa.RSAPrivateKey):
            return BAD_KEY + b"not an RSA key"
        if key.key_size > MOST_RSA_BITS:
            return BAD_KEY + f"longer than {MOST_RSA_BITS} bits".encode()
        signature = _signature(message, key.private_numbers())
        key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except (TypeError, ValueError, ZeroDivisionError, OverflowError, UnsupportedAlgorithm) as error:
        return BAD_KEY + _first_line(error)
    except InvalidSignature:
        return BAD_KEY + b"its numbers do not belong together"
    return VALID + signature


def _signature(message: bytes, key: rsa.RSAPrivateNumbers) -> bytes:
    """RSASSA-PKCS1-v1_5 with SHA-256 by the Chinese remainder theorem, blinded.

    The blinding keeps the time from telling the key; a fault or a false part of the key
    shows when the caller checks the signature.
    """
    modulus, exponent = key.public_numbers.n, key.public_numbers.e
    size = (modulus.bit_length() + 7) // 8
    info = SHA256_INFO + DIGESTS["sha256"](message)
    if size < len(info) + 11:
        raise ValueError("the key is too short")
    padded = b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info
    factor = secrets.randbelow(modulus - 2) + 2
    blinded = int.from_bytes(padded, "big") * pow(factor, exponent, modulus) % modulus
    low = pow(blinded, key.dmq1, key.q)
    high = pow(blinded, key.dmp1, key.p)
    joined = low + (high - low) * key.iqmp % key.p * key.q
    return (joined * pow(factor, -1, modulus) % modulus).to_bytes(size, "big")


def verify(message: bytes, signature: bytes, pem: bytes) -> bytes:
    """Return `VALID`, `REFUSED`, or `BAD_KEY` and what is wrong with the public key."""
    try:
        key = load_pem_public_key(pem)
        if not isinstance(key, rsa.RSAPublicKey):
            return BAD_KEY + b"not an RSA key"
        if key.key_size > MOST_RSA_BITS:
            return BAD_KEY + f"longer than {MOST_RSA_BITS} bits".encode()
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return REFUSED
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        return BAD_KEY + _first_line(error)
    return VALID


def _first_line(error: Exception) -> bytes:
    text = str(error).split("\n")[0].split(".")[0]
    return text[:200].encode(errors="replace")


ACCELERATORS: dict[str, Callable[..., bytes]] = {
    "crypto_draw": draw,
    "crypto_pick": pick,
    "crypto_encrypt": encrypt,
    "crypto_decrypt": decrypt,
    "crypto_derive": derive,
    "crypto_same": same,
    "crypto_sign": sign,
    "crypto_verify": verify,
}
