"""Encode what a worker is asked to do, with the units that it does not know yet."""

from collections.abc import Mapping
from typing import Any

import msgspec

from micro_agi.sandbox.unit import Unit
from micro_agi.sandbox.wire import FOUR, REQUEST, SIX, U16, U32

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


def _definition(unit: Unit, known: Mapping[str, int]) -> list[Any]:
    imports = [[alias, known[imported.hash]] for alias, imported in unit.imports]
    return [known[unit.hash], unit.id, unit.source, unit.method, list(unit.modules), imports]
