"""Compute digests for the modules `hash`, `uuid` and `crypto`.

Uses the interpreter's own C modules, not OpenSSL: that one loads providers and reads
configuration lazily, which a locked worker cannot do.
"""

import importlib
from collections.abc import Callable, Mapping

# Python 3.12 merged the two SHA-2 modules into `_sha2`.
HOMES: Mapping[str, tuple[str, ...]] = {
    "md5": ("_md5",),
    "sha1": ("_sha1",),
    "sha256": ("_sha2", "_sha256"),
    "sha384": ("_sha2", "_sha512"),
    "sha512": ("_sha2", "_sha512"),
}
BLOCK_BYTES: Mapping[str, int] = {"md5": 64, "sha1": 64, "sha256": 64, "sha384": 128, "sha512": 128}
INNER_PAD = bytes(n ^ 0x36 for n in range(256))
OUTER_PAD = bytes(n ^ 0x5C for n in range(256))

Digest = Callable[[bytes], bytes]


def _digest(name: str) -> Digest:
    for home in HOMES[name]:
        try:
            make = getattr(importlib.import_module(home), name)
        except ImportError:
            continue
        return lambda data: bytes(make(data).digest())
    # Imported only here: it loads OpenSSL.
    new = importlib.import_module("hashlib").new
    return lambda data: bytes(new(name, data).digest())


def _hmac(digest: Digest, block_bytes: int) -> Callable[[bytes, bytes], bytes]:
    def sign(data: bytes, secret: bytes) -> bytes:
        key = digest(secret) if len(secret) > block_bytes else secret
        key = key.ljust(block_bytes, b"\0")
        return digest(key.translate(OUTER_PAD) + digest(key.translate(INNER_PAD) + data))

    return sign


ACCELERATORS: dict[str, Callable[..., bytes]] = {}
for _name in HOMES:
    ACCELERATORS[_name] = _digest(_name)
    ACCELERATORS[f"hmac_{_name}"] = _hmac(ACCELERATORS[_name], BLOCK_BYTES[_name])
