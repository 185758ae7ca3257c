"""Encode what a worker is asked to do, with the units that it does not know yet."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from micro_agi.sandbox.failure import limit_reached
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.unit import Unit
from micro_agi.sandbox.wire import FOUR, REQUEST, SIX, U16, U32
from micro_agi.security.context import CallContext

_encode = msgspec.msgpack.Encoder().encode


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is asked to do. A struct, because one is made for every call: 0.2 µs."""

    op: int
    unit: Unit
    args: bytes
    """Encoded list."""
    now_ns: int | None
    """What the clock says in a trial."""
    result_bytes: int

    def payload(self, known: dict[str, int]) -> bytes:
        """Encode the message, with the definitions of units that are not `known` by number."""
        number = known.get(self.unit.hash)
        if number is not None and self.now_ns is None:
            return REQUEST.pack(FOUR, self.op, U16, number, U32, self.result_bytes) + self.args
        definitions = None
        if number is None:
            new = {h: unit for h, unit in self.unit.all_units().items() if h not in known}
            known.update(zip(new, range(len(known), len(known) + len(new)), strict=True))
            definitions = [_definition(unit, known) for unit in new.values()]
            number = known[self.unit.hash]
        head = REQUEST.pack(SIX, self.op, U16, number, U32, self.result_bytes)
        return head + self.args + _encode(self.now_ns) + _encode(definitions)


def request_for(
    op: int, unit: Unit, args: Sequence[Any], context: CallContext, limits: Limits
) -> Request:
    """Encode what to ask a worker, within the limits that can be checked before.

    Raises: LimitReached.
    """
    if context.depth > limits.depth:
        raise limit_reached(
            f"calls within calls are {context.depth} deep, the limit is {limits.depth}",
            where=unit.id,
            fix="call it from further outside",
        )
    packed = _encode(list(args))
    if len(packed) > limits.args_bytes:
        raise limit_reached(
            f"the arguments take {len(packed)} bytes, the limit is {limits.args_bytes}",
            where=unit.id,
            fix="pass less, or in parts",
            kind="Invalid",
        )
    return Request(
        op=op,
        unit=unit,
        args=packed,
        now_ns=context.trial.now_ns if context.trial is not None else None,
        result_bytes=limits.result_bytes,
    )


def _definition(unit: Unit, known: Mapping[str, int]) -> list[Any]:
    imports = [[alias, known[imported.hash]] for alias, imported in unit.imports]
    return [known[unit.hash], unit.id, unit.source, unit.method, list(unit.modules), imports]
