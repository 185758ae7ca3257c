"""Carry values between Lua and the evaluator: msgpack, as the wire has it.

What comes is written by trusted Lua and still read with care; what goes is bounded in bytes
and depth, since a small formula can make a value that shares its parts a thousand times.
Text that is not UTF-8 keeps its bytes. Instants, durations and zones are extensions.
"""

import struct
from typing import Any

from micro_agi.sandbox.worker.pure.expr.limits import RESULT_BYTES, VALUE_DEPTH, ExpressionError
from micro_agi.sandbox.worker.pure.expr.moments import SECOND, Moment, Span, Zone
from micro_agi.sandbox.worker.pure.expr.patterns import as_bytes

TIME, DURATION, ZONE = 1, 2, 3
TOO_LARGE = f"the result takes more than {RESULT_BYTES} bytes"


def packed(value: Any) -> bytes:
    """Return the bytes of a value.

    Raises:
        ExpressionError: it is too large or nested too deeply.
    """
    out = bytearray()
    _put(value, out, 0)
    return bytes(out)


def _put(value: Any, out: bytearray, depth: int) -> None:
    if depth > VALUE_DEPTH:
        raise ExpressionError(f"the result is nested more than {VALUE_DEPTH} levels")
    if len(out) > RESULT_BYTES:
        raise ExpressionError(TOO_LARGE)
    kind = type(value)
    if kind is str:
        data = as_bytes(value)
        out += struct.pack(">BI", 0xDB, len(data)) + data
    elif value is None:
        out.append(0xC0)
    elif kind is bool:
        out.append(0xC3 if value else 0xC2)
    elif kind is int:
        out += struct.pack(">Bq", 0xD3, value)
    elif kind is float:
        out += struct.pack(">Bd", 0xCB, value)
    elif kind is list:
        out += struct.pack(">BI", 0xDD, len(value))
        for item in value:
            _put(item, out, depth + 1)
    elif kind is dict:
        _put_map(value, out, depth)
    else:
        data = _extension(value)
        out += struct.pack(">BBB", 0xC7, len(data) - 1, data[0]) + data[1:]


def _put_map(value: dict[Any, Any], out: bytearray, depth: int) -> None:
    # Lua has no nil in a table: a name without a value is no name.
    present = [(key, item) for key, item in value.items() if item is not None]
    out += struct.pack(">BI", 0xDF, len(present))
    for key, item in present:
        _put(key, out, depth + 1)
        _put(item, out, depth + 1)


def _extension(value: Any) -> bytes:
    if isinstance(value, Span):
        return struct.pack(">Bq", DURATION, value.ns)
    if isinstance(value, Zone):
        return bytes([ZONE]) + _zone_bytes(value)
    assert isinstance(value, Moment), "no other kind of value exists"
    second, nanosecond = divmod(value.ns, SECOND)
    if not -(1 << 63) <= second < 1 << 63:
        raise ExpressionError("the time is too far away")
    return struct.pack(">Bqi", TIME, second, nanosecond) + _zone_bytes(value.zone)


def _zone_bytes(zone: Zone) -> bytes:
    mark, offset = (b"N", 0) if zone.fixed_s is None else (b"F", zone.fixed_s)
    return mark + struct.pack(">i", offset) + as_bytes(zone.name)[:100]


def unpacked(data: bytes) -> Any:
    """Return the value that trusted Lua packed."""
    value, _ = _take(data, 0, 0)
    return value


FIXED = {0xCB: ">d", 0xD3: ">q"}
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def _take(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > VALUE_DEPTH + 1:
        raise ExpressionError(f"the variables are nested more than {VALUE_DEPTH} levels")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    if first < 0x90:
        return _take_map(data, at + 1, first - 0x80, depth)
    if first < 0xA0:
        return _take_list(data, at + 1, first - 0x90, depth)
    if first < 0xC0:
        return _take_text(data, at + 1, first - 0xA0)
    if first >= 0xE0:
        return first - 256, at + 1
    if first in CONSTANTS:
        return CONSTANTS[first], at + 1
    if first in FIXED:
        return struct.unpack_from(FIXED[first], data, at + 1)[0], at + 9
    if first == 0xC7:
        return _take_extension(data, at + 1)
    (count,) = struct.unpack_from(">I", data, at + 1)
    if first in (0xC6, 0xDB):
        return _take_text(data, at + 5, count)
    take = _take_list if first == 0xDD else _take_map
    return take(data, at + 5, count, depth)


def _take_text(data: bytes, at: int, count: int) -> tuple[str, int]:
    return data[at : at + count].decode("utf-8", "surrogateescape"), at + count


def _take_list(data: bytes, at: int, count: int, depth: int) -> tuple[list[Any], int]:
    found = []
    for _ in range(count):
        item, at = _take(data, at, depth + 1)
        found.append(item)
    return found, at


def _take_map(data: bytes, at: int, count: int, depth: int) -> tuple[dict[Any, Any], int]:
    found = {}
    for _ in range(count):
        key, at = _take(data, at, depth + 1)
        found[key], at = _take(data, at, depth + 1)
    return found, at


def _take_extension(data: bytes, at: int) -> tuple[Any, int]:
    length, kind = data[at], data[at + 1]
    content, end = data[at + 2 : at + 2 + length], at + 2 + length
    if kind == DURATION:
        return Span(struct.unpack(">q", content)[0]), end
    if kind == ZONE:
        return _zone_of(content), end
    second, nanosecond = struct.unpack_from(">qi", content)
    return Moment(second * SECOND + nanosecond, _zone_of(content[12:])), end


def _zone_of(content: bytes) -> Zone:
    (offset,) = struct.unpack_from(">i", content, 1)
    name = content[5:].decode("utf-8", "surrogateescape")
    return Zone(name, offset if content[:1] == b"F" else None)
