"""Find and mend the JSON object that a model wrote as the arguments of a call.

A repair changes how the object is written, never the characters of a string in it. So what
is read as JSON comes before what is read as Python, whose escapes mean other things.
"""

import ast
import json
import re
import warnings
from typing import Any, NoReturn

from micro_agi.errors import ArgumentsInvalid

# Outside strings: what opens, closes and quotes. Inside: what ends the string or is escaped.
_OUTSIDE = re.compile(r"""[{}\[\]"']""")
_INSIDE = {quote: re.compile(rf"\\.|{quote}", re.DOTALL) for quote in "\"'"}
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_ESCAPED_APOSTROPHE = re.compile(r"(\\[^'])|\\'", re.DOTALL)
_PYTHON_NAMES = {"true": True, "false": False, "null": None}
FIX = 'write {"argument": value} with double quotes'


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


STRICT = json.JSONDecoder(parse_constant=_no_constant)
LOOSE = json.JSONDecoder(strict=False, parse_constant=_no_constant)
"""Takes newlines and tabs in strings as they are."""


def object_end(text: str, start: int) -> int:
    """Return where the object that begins at `start` ends, or -1 when it never does.

    Strings in either quote may hold anything, also brackets.
    """
    depth, at = 0, start
    while (mark := _OUTSIDE.search(text, at)) is not None:
        at = mark.end()
        sign = mark.group()
        if sign in "{[":
            depth += 1
        elif sign in "}]":
            depth -= 1
            if depth == 0:
                return at
        else:
            at = _string_end(text, at, sign)
            if at < 0:
                return -1
    return -1


def read_object(text: str) -> dict[str, Any]:
    """Read an object as JSON, else as JSON with common slips, else as a Python literal.

    Raises: ArgumentsInvalid with what the JSON reader said about the text as it stands.
    """
    said = ""
    for candidate in (text, *_mended(text)):
        try:
            return _object(LOOSE.decode(candidate))
        except (ValueError, RecursionError) as error:
            said = said or str(error)
    try:
        return _object(literal(parse_python(text, "eval").body))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ArgumentsInvalid(
            f"the arguments are not JSON: {said}", where="arguments", fix=FIX
        ) from None


def literal(node: ast.expr) -> Any:
    """Return the JSON value that a Python literal means; `true`, `false`, `null` are ones too.

    Raises: ValueError for anything that is not a literal, and for keys that are not text.
    """
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return _utf16_pairs(value) if isinstance(value, str) else value
        case ast.Name(id=name) if name in _PYTHON_NAMES:
            return _PYTHON_NAMES[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [literal(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            names = [literal(key) if key is not None else None for key in keys]
            if not all(isinstance(name, str) for name in names):
                raise ValueError("the keys of an object are texts")
            return dict(zip(names, map(literal, values), strict=True))
    raise ValueError(f"{ast.unparse(node)} is no literal")


def parse_python(source: str, mode: str) -> Any:
    """Parse Python source without the compiler's opinions about escapes.

    Raises: SyntaxError, ValueError, RecursionError, MemoryError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source, mode=mode)


def json_text(value: dict[str, Any]) -> str:
    """Write arguments as JSON that can always be encoded."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ArgumentsInvalid("the arguments are no JSON object", where="arguments", fix=FIX)
    return value


def _mended(text: str) -> list[str]:
    """Return the text with slips mended: trailing commas, then also escaped apostrophes."""
    pieces = _pieces(text)
    commas = [p if quoted else _TRAILING_COMMA.sub(r"\1", p) for p, quoted in pieces]
    both = [
        _ESCAPED_APOSTROPHE.sub(lambda m: m.group(1) or "'", p) if quoted else p
        for p, (_, quoted) in zip(commas, pieces, strict=True)
    ]
    return ["".join(commas), "".join(both)]


def _pieces(text: str) -> list[tuple[str, bool]]:
    """Cut the text into what is outside strings and what is inside, quotes included."""
    pieces, at = [], 0
    while (start := text.find('"', at)) >= 0:
        end = _string_end(text, start + 1, '"')
        end = len(text) if end < 0 else end
        pieces += [(text[at:start], False), (text[start:end], True)]
        at = end
    return [*pieces, (text[at:], False)]


def _string_end(text: str, at: int, quote: str) -> int:
    """Return where the string ends that was opened before `at`, or -1."""
    for mark in _INSIDE[quote].finditer(text, at):
        if mark.group() == quote:
            return mark.end()
    return -1


def _utf16_pairs(text: str) -> str:
    """Join the halves of characters that were written as two escapes, as JSON does."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
