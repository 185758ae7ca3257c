"""Read a formula: tokens to nodes, by operator precedence.

Depth is bounded, so that neither this parser nor what walks its nodes can run out of stack;
long chains of operators are no depth. Only `ExpressionError` leaves this module.
"""

import difflib
from collections.abc import Iterable

from micro_agi.sandbox.worker.pure.expr.catalogue import (
    ARITIES,
    BINARY,
    CLOSURES,
    COMPARISONS,
    NAMES,
    NEGATABLE,
    RIGHT,
    SYNONYMS,
    UNARY,
)
from micro_agi.sandbox.worker.pure.expr.lexer import Token, error_at, tokens
from micro_agi.sandbox.worker.pure.expr.limits import DEPTH, ExpressionError
from micro_agi.sandbox.worker.pure.expr.nodes import (
    Binary,
    Call,
    Chain,
    Condition,
    Let,
    ListOf,
    Literal,
    MapOf,
    Member,
    Method,
    Name,
    Node,
    Pointer,
    Slice,
    Unary,
)
from micro_agi.sandbox.worker.pure.expr.patterns import compiled

CONSTANTS = {"true": True, "false": False, "nil": None, "null": None}


def parse(source: str) -> Node:
    """Return the formula's node.

    Raises:
        ExpressionError: it is no formula, with the place in it.
    """
    return _Parser(source).whole()


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean …?)` for a misspelt name, or nothing."""
    found = difflib.get_close_matches(name, sorted(known), n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(f'`{one}`' for one in found)}?)" if found else ""


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokens(source)
        self.place = 0
        self.depth = 0
        self.closures = 0

    @property
    def current(self) -> Token:
        return self.tokens[self.place]

    def whole(self) -> Node:
        node = self._sequence()
        if self.current.kind != "end":
            raise self._unexpected()
        return node

    def _wrong(self, what: str, token: Token | None = None) -> ExpressionError:
        return error_at(self.source, (token or self.current).at, what)

    def _unexpected(self) -> ExpressionError:
        token = self.current
        if token.kind == "end":
            return self._wrong("the expression ends too early")
        return self._wrong(f"unexpected {token.kind} {token.text!r}")

    def _next(self) -> Token:
        token = self.current
        if token.kind != "end":
            self.place += 1
        return token

    def _is(self, text: str) -> bool:
        return self.current.kind == "operator" and self.current.text == text

    def _accept(self, text: str) -> bool:
        found = self._is(text)
        if found:
            self.place += 1
        return found

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._wrong(f"`{text}` expected")

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > DEPTH:
            raise self._wrong(f"nested more than {DEPTH} levels")

    def _sequence(self) -> Node:
        """Expressions with `;` between them: the last is the value."""
        at = self.current.at
        node = self._expression(0)
        if not self._accept(";"):
            return node
        self._deeper()
        following = Let("", node, self._sequence(), at)
        self.depth -= 1
        return following

    def _expression(self, least: int) -> Node:
        self._deeper()
        if least == 0 and self._is("let"):
            node = self._let()
        elif least == 0 and self._is("if"):
            node = self._if()
        else:
            node = self._operators(least)
            if least == 0 and self._is("?"):
                node = self._condition(node)
        self.depth -= 1
        return node

    def _let(self) -> Node:
        at = self._next().at
        name = self._next()
        if name.kind != "name":
            raise self._wrong("a name expected after `let`", name)
        self._expect("=")
        value = self._expression(0)
        self._expect(";")
        return Let(name.text, value, self._sequence(), at)

    def _if(self) -> Node:
        at = self._next().at
        test = self._expression(0)
        yes = self._block()
        if not self._accept("else"):
            raise self._wrong("`else` expected")
        no = self._expression(0) if self._is("if") else self._block()
        return Condition(test, yes, no, at)

    def _block(self) -> Node:
        self._expect("{")
        node = self._sequence()
        self._expect("}")
        return node

    def _condition(self, test: Node) -> Node:
        at = self._next().at
        if self._accept(":"):
            return Condition(test, test, self._expression(0), at)
        yes = self._expression(0)
        self._expect(":")
        return Condition(test, yes, self._expression(0), at)

    def _operators(self, least: int) -> Node:
        node = self._primary()
        links = 0
        while True:
            token = self.current
            negated = self._negates(least)
            if negated:
                token = self._next()
            operator = self.current.text
            if self.current.kind != "operator" or BINARY.get(operator, -1) < least:
                return node
            self._next()
            if operator == "|":
                links += 1
                node = self._piped(node, links)
                continue
            if operator in COMPARISONS:
                node = self._comparison(node, operator, token)
                continue
            right = self._expression(BINARY[operator] + (operator not in RIGHT))
            node = self._binary(operator, node, right, token)
            if negated:
                node = Unary("not", node, token.at)

    def _negates(self, least: int) -> bool:
        if not self._is("not"):
            return False
        following = self.tokens[self.place + 1]
        if following.kind != "operator" or following.text not in NEGATABLE:
            raise self._unexpected()
        return BINARY[following.text] >= least

    def _comparison(self, left: Node, operator: str, token: Token) -> Node:
        """Read `a < b < c` as `a < b and b < c`."""
        right = self._expression(BINARY[operator] + 1)
        node: Node = Binary(operator, left, right, token.at)
        while self.current.kind == "operator" and self.current.text in COMPARISONS:
            token = self._next()
            left, right = right, self._expression(BINARY[token.text] + 1)
            node = Binary("and", node, Binary(token.text, left, right, token.at), token.at)
        return node

    def _binary(self, operator: str, left: Node, right: Node, token: Token) -> Node:
        pattern = None
        if operator == "matches" and isinstance(right, Literal) and isinstance(right.value, str):
            try:
                pattern = compiled(right.value)
            except ExpressionError as error:
                raise self._wrong(str(error), token) from None
        return Binary(SYNONYMS.get(operator, operator), left, right, token.at, pattern)

    def _piped(self, value: Node, links: int) -> Node:
        if links > DEPTH:
            raise self._wrong(f"more than {DEPTH} links in a chain")
        name = self._next()
        if name.kind != "name":
            raise self._wrong("a function expected after `|`", name)
        return self._postfix(self._call(name, (value,)))

    def _primary(self) -> Node:
        token = self.current
        if token.kind == "operator":
            if token.text in UNARY:
                self._next()
                operand = self._expression(UNARY[token.text])
                return Unary(SYNONYMS.get(token.text, token.text), operand, token.at)
            return self._postfix(self._bracketed())
        if token.kind == "end":
            raise self._unexpected()
        self._next()
        if token.kind == "name":
            return self._postfix(self._named(token))
        return self._postfix(_literal(token))

    def _bracketed(self) -> Node:
        at = self.current.at
        if self._accept("("):
            node = self._sequence()
            self._expect(")")
            return node
        if self._accept("["):
            return ListOf(tuple(self._list("]")), at)
        if self._accept("{"):
            return self._map(at)
        if self._is("#") or self._is("."):
            if not self.closures:
                raise self._wrong(f"`{self.current.text}` has a meaning only inside a closure")
            return self._pointer(at)
        raise self._unexpected()

    def _pointer(self, at: int) -> Node:
        # A dot alone stays: `.name` is `#.name`.
        if self._is("."):
            return Pointer("", at)
        self._next()
        name = ""
        # `#index` and `#acc` are written together; `# in list` is not.
        if self.current.kind == "name" and self.current.at == at + 1:
            name = self._next().text
        if name not in ("", "index", "acc"):
            raise self._wrong(f"there is no `#{name}`, only `#`, `#index` and `#acc`")
        return Pointer(name, at)

    def _named(self, token: Token) -> Node:
        if self._is("("):
            return self._call(token, ())
        if token.text in CONSTANTS:
            return Literal(CONSTANTS[token.text], token.at)
        return Name(token.text, token.at)

    def _call(self, name: Token, before: tuple[Node, ...]) -> Node:
        if name.text not in CLOSURES and name.text not in ARITIES:
            raise self._wrong(f"unknown function `{name.text}`{nearest(name.text, NAMES)}", name)
        self._expect("(")
        if name.text in CLOSURES:
            return self._closure_call(name, before)
        arguments = (*before, *self._list(")"))
        arity = ARITIES[name.text]
        if len(arguments) < arity.least:
            raise self._wrong(f"not enough arguments to call `{name.text}`", name)
        if arity.most is not None and len(arguments) > arity.most:
            raise self._wrong(f"too many arguments to call `{name.text}`", name)
        return Call(name.text, arguments, name.at)

    def _closure_call(self, name: Token, before: tuple[Node, ...]) -> Node:
        shape = CLOSURES[name.text]
        if not before:
            if self._is(")"):
                raise self._wrong(f"not enough arguments to call `{name.text}`", name)
            before = (self._expression(0),)
            more = self._accept(",")
        else:
            more = not self._is(")")
        closure = None
        options: dict[str, Node] = {}
        if more and not self._is(")"):
            closure = self._closure()
            for option in shape.options:
                if self._accept(",") and not self._is(")"):
                    options[option] = self._expression(0)
            self._accept(",")
        if closure is None and shape.required:
            raise self._wrong(f"`{name.text}` needs a closure, such as `# > 1`", name)
        if not self._accept(")"):
            raise self._wrong(f"`)` expected at the end of the arguments of `{name.text}`")
        return Call(name.text, before, name.at, closure, options)

    def _closure(self) -> Node:
        self.closures += 1
        node = self._block() if self._is("{") and not self._map_ahead() else self._expression(0)
        self.closures -= 1
        return node

    def _map_ahead(self) -> bool:
        """Whether `{name: …` begins here: no closure's body can, so it is meant as a map."""
        following = self.tokens[self.place + 1 : self.place + 3]
        is_key = following[0].kind in ("name", "string", "int")
        return is_key and (following[-1].kind, following[-1].text) == ("operator", ":")

    def _list(self, end: str) -> list[Node]:
        found: list[Node] = []
        while not self._accept(end):
            if found:
                self._expect(",")
                if self._accept(end):
                    break
            found.append(self._expression(0))
        return found

    def _map(self, at: int) -> Node:
        pairs: list[tuple[Node, Node]] = []
        while not self._accept("}"):
            if pairs:
                self._expect(",")
                if self._accept("}"):
                    break
            key = self._key()
            self._expect(":")
            pairs.append((key, self._expression(0)))
        return MapOf(tuple(pairs), at)

    def _key(self) -> Node:
        token = self._next()
        if token.kind in ("name", "string", "int"):
            return Literal(token.text, token.at)
        if token.kind == "operator" and token.text == "(":
            node = self._expression(0)
            self._expect(")")
            return node
        raise self._wrong("a map key is a name, a string, a number or an expression in `()`", token)

    def _postfix(self, node: Node) -> Node:
        optional_seen = False
        for _ in range(DEPTH):
            token = self.current
            optional = self._accept("?.")
            optional_seen = optional_seen or optional
            if optional and self._is("["):
                node = self._index(node, optional=True)
            elif optional or self._accept("."):
                node = self._member(node, optional, token)
            elif self._is("["):
                node = self._index(node, optional=False)
            else:
                return Chain(node, token.at) if optional_seen else node
        raise self._wrong(f"more than {DEPTH} links in a chain")

    def _member(self, of: Node, optional: bool, token: Token) -> Node:
        name = self._next()
        if name.kind != "name":
            raise self._wrong("a name expected after the dot", name)
        if self._accept("("):
            return Method(of, name.text, tuple(self._list(")")), optional, name.at)
        return Member(of, Literal(name.text, name.at), optional, token.at)

    def _index(self, of: Node, *, optional: bool) -> Node:
        at = self._next().at
        start = None if self._is(":") else self._expression(0)
        if start is not None and self._accept("]"):
            return Member(of, start, optional, at)
        self._expect(":")
        stop = None if self._is("]") else self._expression(0)
        self._expect("]")
        return Slice(of, start, stop, at)


def _literal(token: Token) -> Literal:
    if token.kind == "int":
        return Literal(int(token.text), token.at)
    if token.kind == "float":
        return Literal(float(token.text), token.at)
    return Literal(token.text, token.at)
