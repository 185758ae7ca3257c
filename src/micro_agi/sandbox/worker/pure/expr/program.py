"""Compile and run formulas for trusted Lua: bytes in, bytes out, never raising.

Compiled formulas are kept by their text and the kinds they were checked with, the least
recently used dropped first. A worker serves many callers: what is kept depends on nothing
else, and holds no value of anybody.

Answers begin with one letter: `V` and the value; `E` and what is wrong; `Z` and the name of a
zone whose file is needed, to be given to `learn` before the same call again.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from micro_agi.sandbox.worker.pure.expr.checker import check
from micro_agi.sandbox.worker.pure.expr.evaluator import Evaluator
from micro_agi.sandbox.worker.pure.expr.limits import ExpressionError
from micro_agi.sandbox.worker.pure.expr.moments import RULES, ZoneWanted
from micro_agi.sandbox.worker.pure.expr.nodes import Node
from micro_agi.sandbox.worker.pure.expr.packing import packed, unpacked
from micro_agi.sandbox.worker.pure.expr.parser import parse
from micro_agi.sandbox.worker.pure.expr.values import is_empty, kind_of

VALUE, ERROR, ZONE = b"V", b"E", b"Z"
LOCAL_ZONE = Path("/etc/localtime")
KEPT = 64
"""Compiled formulas; with the longest text each takes about a megabyte at most."""
LONG_CHARACTERS = 2000
"""A longer formula is compiled again each time rather than kept."""

Kinds = tuple[tuple[str, str], ...]

_compiled: OrderedDict[tuple[str, Kinds | None], Node] = OrderedDict()


def _program(source: str, kinds: Kinds | None) -> Node:
    key = (source, kinds)
    if key in _compiled:
        _compiled.move_to_end(key)
        return _compiled[key]
    node = parse(source)
    check(node, source, None if kinds is None else dict(kinds))
    if len(source) <= LONG_CHARACTERS:
        _compiled[key] = node
        if len(_compiled) > KEPT:
            _compiled.popitem(last=False)
    return node


def _text(source: bytes) -> str:
    try:
        return source.decode()
    except UnicodeDecodeError:
        raise ExpressionError("the expression is not UTF-8") from None


def _answer(work: Callable[[], bytes]) -> bytes:
    try:
        return VALUE + work()
    except ZoneWanted as wanted:
        return ZONE + wanted.name.encode("utf-8", "replace")
    except ExpressionError as error:
        return ERROR + str(error).encode("utf-8", "replace")[:2000]
    except RecursionError:
        return ERROR + b"the expression is nested too deeply"


def compile_(source: bytes, environment: bytes) -> bytes:
    """Check a formula; the value is the kinds of the environment, for `run`.

    An empty `environment` is none: names may then be anything.
    """

    def work() -> bytes:
        kinds = _kinds_of(unpacked(environment)) if environment else None
        _program(_text(source), kinds)
        return b"" if kinds is None else packed([list(pair) for pair in kinds])

    return _answer(work)


def _kinds_of(environment: Mapping[str, Any]) -> Kinds:
    # Lua's empty table is a list as well as a map.
    pairs = ((name, "any" if is_empty(v) else kind_of(v)) for name, v in environment.items())
    return tuple(sorted(pairs))


def run(source: bytes, kinds: bytes, environment: bytes, now_ns: bytes) -> bytes:
    """Run a formula that was compiled with these kinds; an empty `environment` is none."""

    def work() -> bytes:
        known = tuple((name, kind) for name, kind in unpacked(kinds)) if kinds else None
        node = _program(_text(source), known)
        variables = unpacked(environment) if environment else None
        return packed(Evaluator(variables, int(now_ns)).value(node))

    return _answer(work)


def learn(name: bytes, content: bytes) -> bytes:
    """Keep a zone file that the parent sent."""
    RULES.learn(name.decode("utf-8", "replace"), content)
    return VALUE


def learn_local() -> None:
    """Read the machine's own zone; only possible before the lock."""
    try:
        content = LOCAL_ZONE.read_bytes()
    except OSError:
        content = b""
    RULES.learn("Local", content)


ACCELERATORS: dict[str, Callable[..., bytes]] = {
    "expr_compile": compile_,
    "expr_run": run,
    "expr_learn": learn,
}
