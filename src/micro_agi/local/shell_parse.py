"""Take a shell command apart into the simple commands it would run.

The grammar is tree-sitter's for bash. Its trees say what they could not make sense of; that,
and every construct that is not in the list of those understood here, makes the result
`unclear`, and an unclear command is never allowed without a person. What is only known when it
runs (a variable, the output of a command) stays in a word as a gap.

This is for judging what is meant, not the boundary: the room that a command runs in is.
Source: spec/local-agent.md 7.3; decision 0039.
"""

import functools
import re
from collections.abc import Iterator
from typing import Any

from micro_agi.local.shell_command import GAP, HOME, Parsed, Redirect, Simple, Word

MOST_BYTES = 20_000
MOST_COMMANDS = 200
MOST_NESTED = 8
"""Commands in texts of commands: `sh -c`, `eval`."""

LISTS = frozenset(
    {
        *("program", "list", "subshell", "compound_statement", "negated_command", "do_group"),
        *("if_statement", "elif_clause", "else_clause", "while_statement", "for_statement"),
        *("case_statement", "case_item", "comment", "last_case_item"),
    }
)
"""Nodes that only hold other commands, and words."""
IGNORED = frozenset(
    {
        *("variable_name", "comment", "test_operator", "heredoc_start", "heredoc_end"),
        *("heredoc_content", "string_content", "file_descriptor", "extglob_pattern", "regex"),
        *("special_variable_name", "number", "word", "raw_string", "ansi_c_string"),
    }
)
CALCULATES = re.compile(r"-(?:eq|ne|lt|le|gt|ge|v|R)")
"""Tests that evaluate their words as arithmetic, which may run commands in them."""
LOOKS_UP = re.compile(r"-[vR]")
"""Tests of a variable, whose name may be an element with arithmetic in it; also in `[`."""
PLAIN_EXPANSION = re.compile(
    r"\$\{[#!]?\w+\}|\$\{[@*#?!$\d]+\}|\$\{\w+(?::?[-+=?]|##?|%%?|//?|\^\^?|,,?).*\}", re.DOTALL
)
"""Others calculate (`${x:y}`, `${x[y]}`) or run what a variable holds (`${x@P}`)."""
SETS_PROGRAMS = re.compile(r"(?:PATH|IFS|ENV|BASH_ENV|LD_\w+|PS4|PROMPT_COMMAND|SHELLOPTS|CDPATH)")


def parse_command(text: str, directory: str) -> Parsed:
    """Take a command text apart; `directory` is where it starts."""
    parsed = Parsed()
    data = text.encode("utf-8", "replace")
    if len(data) > MOST_BYTES:
        parsed.unclear = f"it is longer than {MOST_BYTES} bytes"
        return parsed
    if data.decode() != text or not all(c.isprintable() or c in "\n\t" for c in text):
        parsed.unclear = "it has characters that shells and people read differently"
        return parsed
    root = _parser().parse(data).root_node
    if root.has_error:
        parsed.unclear = "its grammar is not understood"
    try:
        _Reader(parsed, directory).run(root)
    except RecursionError:
        parsed.unclear = "it is nested too deeply"
    except _TooManyCommands:
        parsed.unclear = f"it has more than {MOST_COMMANDS} commands"
    return parsed


class _TooManyCommands(Exception):
    """Ends the reading of a text that nobody would type."""


@functools.cache
def _parser() -> Any:
    # 20 ms, so not before the first command.
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


class _Reader:
    """Walks a tree in the order in which its commands run."""

    def __init__(self, parsed: Parsed, directory: str) -> None:
        self._parsed = parsed
        self._directory: str | None = directory
        self._function: list[list[Simple]] = []

    def run(self, node: Any) -> None:
        """Read a node that runs something."""
        match node.type:
            case kind if kind in LISTS:
                self._list(node)
            case "pipeline":
                self._pipeline(node, ())
            case "command":
                self._command(node, (), ())
            case "redirected_statement":
                self._redirected(node, ())
            case "function_definition":
                self._define(node)
            case "variable_assignment" | "variable_assignments":
                self._assign(node)
            case "declaration_command" | "unset_command":
                self._declare(node)
            case "test_command":
                self._test(node)
            case kind if kind in IGNORED:
                pass
            case "string" | "concatenation" | "simple_expansion" | "expansion":
                self._substitutions(node)
            case "command_substitution" | "process_substitution":
                self._within(node)
            case _:
                self._unclear(node)
                for child in node.named_children:
                    self.run(child)

    def _list(self, node: Any) -> None:
        before = self._directory
        if node.type == "subshell":
            self._children(node)
            self._directory = before
            return
        self._children(node)
        branches = node.type not in ("program", "list", "compound_statement")
        if branches and self._directory != before:
            self._directory = None  # nobody knows which branch ran

    def _children(self, node: Any) -> None:
        if node.type == "compound_statement" and _text(node).startswith("(("):
            self._unclear(node)  # arithmetic, in which variables may hold commands
        for child in node.named_children:
            self.run(child)

    def _pipeline(self, node: Any, before: tuple[Simple, ...]) -> tuple[Simple, ...]:
        directory = self._directory
        for child in node.named_children:
            start = len(self._parsed.commands)
            match child.type:
                case "command":
                    self._command(child, before, ())
                case "redirected_statement":
                    self._redirected(child, before)
                case "pipeline":
                    before = self._pipeline(child, before)
                case _:
                    self.run(child)
            before = (*before, *self._parsed.commands[start:])
            self._directory = directory  # each part runs in a shell of its own
        return before

    def _redirected(self, node: Any, before: tuple[Simple, ...]) -> None:
        redirects: list[Redirect] = []
        follows: list[Any] = []
        for child in node.named_children:
            if child.type == "file_redirect":
                redirects += self._redirect(child)
            elif child.type in ("heredoc_redirect", "herestring_redirect"):
                follows.append(child)
        start = len(self._parsed.commands)
        body = node.child_by_field_name("body")
        if body is None:
            self._add(Simple(text=_text(node), words=(), redirects=tuple(redirects)))
        elif body.type == "command":
            self._command(body, before, tuple(redirects), text=_text(node))
        elif body.type == "pipeline":
            self._pipeline(body, before)
            self._add(Simple(text=_text(node), words=(), redirects=tuple(redirects)))
        else:
            self.run(body)
            self._add(Simple(text=_text(node), words=(), redirects=tuple(redirects)))
        fed = (*before, *self._parsed.commands[start:])
        for each in follows:
            self._document(each, fed)

    def _document(self, node: Any, before: tuple[Simple, ...]) -> None:
        """Read a here-document; the tree has what stands behind its start in there."""
        for child in node.named_children:
            match child.type:
                case "pipeline":
                    self._pipeline(child, before)
                case "heredoc_body" | "string" | "concatenation":
                    self._substitutions(child)
                case "file_redirect":
                    redirects = tuple(self._redirect(child))
                    self._add(Simple(text=_text(child), words=(), redirects=redirects))
                case kind if kind in IGNORED:
                    pass
                case _:
                    self.run(child)

    def _redirect(self, node: Any) -> list[Redirect]:
        operator = next((_text(c) for c in node.children if not c.is_named), "")
        targets = [c for c in node.named_children if c.type != "file_descriptor"]
        if not targets or (operator in (">&", "<&") and _text(targets[-1]).rstrip("-").isdigit()):
            return []
        return [
            Redirect(writes=">" in operator, target=self._word(target)[0]) for target in targets
        ]

    def _command(
        self,
        node: Any,
        before: tuple[Simple, ...],
        redirects: tuple[Redirect, ...],
        *,
        text: str = "",
    ) -> None:
        words: list[Word] = []
        inner: list[Simple] = []
        assigned: list[str] = []
        own: list[Redirect] = list(redirects)
        for child in node.named_children:
            match child.type:
                case "variable_assignment":
                    assigned.append(_name(child))
                    inner += self._substitutions(child)
                case "file_redirect":
                    own += self._redirect(child)
                case "herestring_redirect":
                    inner += self._substitutions(child)
                case "command_name":
                    word, found = self._word(child.named_children[0])
                    words.append(word)
                    inner += found
                case _:
                    word, found = self._word(child)
                    words.append(word)
                    inner += found
        simple = Simple(
            text=text or _text(node),
            words=tuple(words),
            redirects=tuple(own),
            assigned=tuple(assigned),
            before=before,
            inner=tuple(inner),
            directory=self._directory,
        )
        self._add(simple)
        if simple.program in ("cd", "pushd", "popd"):
            self._directory = _destination(simple)

    def _add(self, simple: Simple) -> None:
        if len(self._parsed.commands) >= MOST_COMMANDS:
            raise _TooManyCommands
        self._parsed.commands.append(simple)
        for body in self._function:
            body.append(simple)

    def _define(self, node: Any) -> None:
        names = [c for c in node.named_children if c.type == "word"]
        if not names:
            self._unclear(node)
            return
        body: list[Simple] = []
        directory, self._directory = self._directory, None
        self._function.append(body)
        for child in node.named_children[1:]:
            self.run(child)
        self._function.pop()
        self._directory = directory
        self._parsed.functions[_text(names[0])] = body

    def _assign(self, node: Any) -> None:
        for each in [node] if node.type == "variable_assignment" else node.named_children:
            if SETS_PROGRAMS.fullmatch(_name(each)):
                self._parsed.unclear = f"it sets {_name(each)}, on which other commands depend"
            self._substitutions(each)

    def _declare(self, node: Any) -> None:
        for child in node.named_children:
            if child.type == "variable_assignment":
                self._assign(child)
            elif _text(child).startswith("-") or "[" in _text(child):
                self._unclear(node)
            else:
                self._substitutions(child)

    def _test(self, node: Any) -> None:
        odd = CALCULATES if _text(node).startswith("[[") else LOOKS_UP
        if any(odd.fullmatch(_text(n)) for n in _all(node)):
            self._unclear(node)
        self._substitutions(node)

    def _word(self, node: Any) -> tuple[Word, list[Simple]]:
        """Return a word, and the commands whose output becomes part of it."""
        inner = self._substitutions(node)
        text, glob = _literal(node, top=True)
        return Word(text, glob), inner

    def _substitutions(self, node: Any) -> list[Simple]:
        """Read every command within a word; whatever else is calculated is unclear."""
        start = len(self._parsed.commands)
        if node.type == "expansion" and not PLAIN_EXPANSION.fullmatch(_text(node)):
            self._unclear(node)
        for each in [node, *node.named_children] if not _runs(node) else [node]:
            if _runs(each):
                self._within(each)
            elif each.type == "arithmetic_expansion":
                if any(n.type in ("variable_name", "simple_expansion") for n in _all(each)):
                    self._unclear(each)
                self._deeper(each)
            elif each is not node:
                self._substitutions(each)
        return self._parsed.commands[start:]

    def _deeper(self, node: Any) -> None:
        for child in node.named_children:
            self._substitutions(child)

    def _within(self, node: Any) -> None:
        directory = self._directory
        for child in node.named_children:
            if child.type == "file_redirect":
                redirects = tuple(self._redirect(child))
                self._add(Simple(text=_text(node), words=(), redirects=redirects))
            else:
                self.run(child)
        self._directory = directory

    def _unclear(self, node: Any) -> None:
        self._parsed.unclear = self._parsed.unclear or f"`{_text(node)[:60]}` cannot be judged"


def _runs(node: Any) -> bool:
    return node.type in ("command_substitution", "process_substitution")


def _all(node: Any) -> Iterator[Any]:
    yield node
    for child in node.children:
        yield from _all(child)


def _text(node: Any) -> str:
    text: str = node.text.decode("utf-8", "replace")
    return text


def _name(assignment: Any) -> str:
    return re.split(r"[=+\[]", _text(assignment), maxsplit=1)[0]


def _destination(simple: Simple) -> str | None:
    arguments = [w for w in simple.arguments if w.text not in ("--", "-P", "-L")]
    if simple.program != "cd" or len(arguments) > 1:
        return None
    if not arguments:
        return HOME
    word = arguments[0]
    if not word.known or word.glob or word.text.startswith("-"):
        return None
    return simple.path(word)


def _literal(node: Any, *, top: bool = False) -> tuple[str, bool]:
    """Return a word without quotes, with gaps, and whether it may become several."""
    text = _text(node)
    match node.type:
        case "word" | "number" | "extglob_pattern":
            plain = re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
            if top and (plain == "~" or plain.startswith("~/")):
                plain = HOME + plain[1:]
            elif top and plain.startswith("~"):
                plain = GAP + plain
            bare = re.sub(r"\\.", "", text)
            return plain, any(c in bare for c in "*?[{")
        case "raw_string":
            return text[1:-1], False
        case "ansi_c_string":
            return (GAP, False) if "\\" in text else (text[2:-1], False)
        case "string":
            parts = [_quoted(child) for child in node.named_children]
            # Spaces beside expansions are no nodes of their own.
            return ("".join(parts) if parts else text[1:-1]), False
        case "concatenation":
            found = [_literal(child, top=top and n == 0) for n, child in enumerate(node.children)]
            return "".join(t for t, _ in found), any(g for _, g in found)
        case "simple_expansion" | "expansion":
            return _variable(text), True
        case _:
            return GAP if node.is_named else text, True


def _quoted(node: Any) -> str:
    if node.type == "string_content":
        return re.sub(r'\\([$`"\\\n])', r"\1", _text(node))
    return _literal(node)[0]


def _variable(text: str) -> str:
    return HOME if text in ("$HOME", "${HOME}") else GAP
