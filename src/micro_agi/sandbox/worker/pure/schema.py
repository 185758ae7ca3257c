"""Check JSON text against a JSON Schema (draft 2020-12) for `json.validate`.

It runs in the worker because a small schema can ask for exponential work: here the
deadline and the memory limit of the call hold. No reference leaves the schema, and
patterns use the linear engine.
"""

import json
from collections.abc import Callable
from typing import Any

import jsonschema_rs

CACHED = 100
"""Compiled schemas kept, as spec/runtime.md 6.2 says."""

BAD_SCHEMA = b"S"
BAD_DATA = b"D"
MISMATCH = b"M"
VALID = b"V"

_compiled: dict[bytes, Any] = {}


def _refuse(reference: str) -> Any:
    raise ValueError(f"references to other documents are not followed: {reference}")


def _compile(schema: bytes) -> Any:
    """Return a validator for the schema's text, from the cache if it was used before."""
    if schema not in _compiled:
        if len(_compiled) >= CACHED:
            _compiled.pop(next(iter(_compiled)))
        _compiled[schema] = jsonschema_rs.Draft202012Validator(
            schema.decode(), retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions()
        )
    return _compiled[schema]


def check(schema: bytes, data: bytes) -> bytes:
    """Return `VALID`, or another of the letters and every violation, one line each."""
    try:
        validator = _compile(schema)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        return BAD_SCHEMA + str(error).encode()
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        return BAD_DATA + str(error).encode()
    lines = [_line(error) for error in validator.iter_errors(value)]
    return MISMATCH + "\n".join(lines).encode() if lines else VALID


def warm() -> None:
    """Compile a regular expression once, before the lock.

    The first one of a process asks how many processors there are: in files, and with a
    system call that a locked worker dies of.
    """
    check(b'{"pattern": "^(a|b)+$"}', b'"a"')


def _line(error: Any) -> str:
    path = "/".join(str(step) for step in error.instance_path)
    return f"at /{path}: {error.message}"


ACCELERATORS: dict[str, Callable[..., bytes]] = {"schema_check": check}
