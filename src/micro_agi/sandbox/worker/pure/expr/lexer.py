"""Cut a formula into tokens.

Positions count characters from 0; messages show line and column. A word behind a dot is a
name even if it is an operator elsewhere (`order.in`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from micro_agi.sandbox.worker.pure.expr.limits import (
    INT_MAX,
    SOURCE_CHARACTERS,
    ExpressionError,
)

Kind = Literal["int", "float", "string", "name", "operator", "end"]

WORDS = frozenset(
    {"not", "and", "or", "in", "matches", "contains", "startsWith", "endsWith"}
    | {"let", "if", "else"}
)
# Longest first: `**` before `*`, `..` before `.`.
SYMBOLS = (
    *("**", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", ".."),
    *("+", "-", "*", "/", "%", "^", "<", ">", "!", "?", ":", "|", "=", ";", ",", ".", "#"),
    *("(", ")", "[", "]", "{", "}"),
)
ESCAPES = {
    **{"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"},
    **{"\\": "\\", "'": "'", '"': '"', "`": "`", "/": "/"},
}
HEX_ESCAPES = {"x": 2, "u": 4, "U": 8}
BASES = {"x": (16, "0123456789abcdef"), "o": (8, "01234567"), "b": (2, "01")}


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    """Of a name or operator; of a number, its digits; of a string, its content."""
    at: int


def error_at(source: str, at: int, what: str) -> ExpressionError:
    """Build the error of something wrong at a character of the source."""
    line = source.count("\n", 0, at) + 1
    column = at - (source.rfind("\n", 0, at) + 1) + 1
    return ExpressionError(f"{what} ({line}:{column})")


def tokens(source: str) -> list[Token]:
    """Return all tokens, the last of kind `end`.

    Raises:
        ExpressionError: the text is too long or holds what no token begins with.
    """
    if len(source) > SOURCE_CHARACTERS:
        raise ExpressionError(f"the expression is longer than {SOURCE_CHARACTERS} characters")
    return [*_Lexer(source).all(), Token("end", "", len(source))]


def _starts_name(character: str) -> bool:
    return character.isalpha() or character in "_$"


class _Lexer:
    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.behind_dot = False

    def all(self) -> Iterator[Token]:
        while self._skip_blanks():
            token = self._one()
            self.behind_dot = token.kind == "operator" and token.text in (".", "?.")
            yield token

    def _skip_blanks(self) -> bool:
        source = self.source
        while self.at < len(source):
            if source[self.at].isspace():
                self.at += 1
            elif source.startswith("//", self.at):
                self.at = _end_of(source, "\n", self.at)
            elif source.startswith("/*", self.at):
                if source.find("*/", self.at + 2) < 0:
                    raise self._wrong("a comment without an end")
                self.at = _end_of(source, "*/", self.at + 2)
            else:
                return True
        return False

    def _wrong(self, what: str) -> ExpressionError:
        return error_at(self.source, self.at, what)

    def _one(self) -> Token:
        start, character = self.at, self.source[self.at]
        if character in "'\"":
            return Token("string", self._quoted(character), start)
        if character == "`":
            return Token("string", self._raw(), start)
        following = self.source[start + 1 : start + 2]
        if _is_digit(character) or (
            character == "." and _is_digit(following) and not self.behind_dot
        ):
            return self._number()
        if _starts_name(character):
            return self._word()
        for symbol in SYMBOLS:
            if self.source.startswith(symbol, start):
                # `a ?.5 : 1` is a condition, not an optional member.
                if symbol == "?." and _is_digit(self.source[start + 2 : start + 3]):
                    symbol = "?"
                self.at += len(symbol)
                return Token("operator", symbol, start)
        raise self._wrong(f"unexpected character {character!r}")

    def _word(self) -> Token:
        start = self.at
        while self.at < len(self.source) and (
            _starts_name(self.source[self.at]) or self.source[self.at].isdigit()
        ):
            self.at += 1
        text = self.source[start : self.at]
        is_operator = text in WORDS and not self.behind_dot
        return Token("operator" if is_operator else "name", text, start)

    def _number(self) -> Token:
        start = self.at
        base = BASES.get(self.source[start + 1 : start + 2].lower())
        if self.source[start] == "0" and base:
            self.at += 2
            return self._integer(start, self._digits(base[1]), base[0])
        text = self._digits("0123456789")
        whole = True
        if self._peek() == "." and self.source[self.at + 1 : self.at + 2] != ".":
            self.at += 1
            whole = False
            text += "." + self._digits("0123456789")
        exponent = self._exponent()
        if whole and not exponent:
            return self._integer(start, text, 10)
        return Token("float", text + exponent, start)

    def _integer(self, start: int, digits: str, base: int) -> Token:
        if self._peek() and _starts_name(self._peek()):
            raise self._wrong("a number cannot be followed by a letter")
        if not digits or len(digits) > 64 or int(digits, base) > INT_MAX:
            raise error_at(self.source, start, "not a 64-bit integer")
        return Token("int", str(int(digits, base)), start)

    def _exponent(self) -> str:
        sign = 2 if self.source[self.at + 1 : self.at + 2] in ("+", "-") else 1
        if self._peek() not in ("e", "E"):
            return ""
        if not _is_digit(self.source[self.at + sign : self.at + sign + 1]):
            return ""
        self.at += sign
        sign_text = "-" if self.source[self.at - 1] == "-" else ""
        return "e" + sign_text + self._digits("0123456789")

    def _digits(self, allowed: str) -> str:
        start = self.at
        while self._peek() and (self._peek().lower() in allowed or self._peek() == "_"):
            self.at += 1
        return self.source[start : self.at].replace("_", "")

    def _peek(self) -> str:
        return self.source[self.at : self.at + 1]

    def _raw(self) -> str:
        stop = self.source.find("`", self.at + 1)
        if stop < 0:
            raise self._wrong("a string without an end")
        text = self.source[self.at + 1 : stop]
        self.at = stop + 1
        return text

    def _quoted(self, quote: str) -> str:
        start = self.at
        parts: list[str] = []
        self.at += 1
        while (character := self._peek()) != quote:
            if character in ("", "\n"):
                raise error_at(self.source, start, "a string without an end")
            self.at += 1
            parts.append(self._escape() if character == "\\" else character)
        self.at += 1
        return "".join(parts)

    def _escape(self) -> str:
        character = self._peek()
        self.at += 1
        if character in HEX_ESCAPES:
            return self._code_point(HEX_ESCAPES[character], 16)
        if character and character in "01234567":
            self.at -= 1
            return self._code_point(3, 8)
        if character not in ESCAPES:
            raise error_at(self.source, self.at - 1, f"unknown escape \\{character}")
        return ESCAPES[character]

    def _code_point(self, length: int, base: int) -> str:
        digits = self.source[self.at : self.at + length]
        if self._peek() == "{":
            stop = self.source.find("}", self.at)
            digits, length = self.source[self.at + 1 : max(stop, self.at + 1)], stop - self.at + 1
        allowed = "0123456789abcdef"[:base]
        if not 1 <= len(digits) <= 8 or any(one.lower() not in allowed for one in digits):
            raise self._wrong("a bad escape")
        code = int(digits, base)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise self._wrong("an escape that is no character")
        self.at += length
        return chr(code)


def _is_digit(character: str) -> bool:
    return character != "" and character in "0123456789"


def _end_of(source: str, mark: str, at: int) -> int:
    found = source.find(mark, at)
    return len(source) if found < 0 else found + len(mark)
