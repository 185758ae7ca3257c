"""Streamed Markdown: blocks that are finished are rendered once, only the tail again.

A block is finished when the next one has begun; that is decided on whole lines, since
half a line (`*`, `1`) may still become something else. Nothing of the text is hidden:
HTML is shown as written, and a link shows where it goes.

Imports rich and its Markdown parser (0.13 s), so only a live screen imports this.
"""

import io
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments.token import (  # type: ignore[import-untyped]  # it ships no types
    Comment,
    Keyword,
    Name,
    Number,
    String,
)
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.style import Style
from rich.syntax import ANSISyntaxTheme, Syntax
from rich.theme import Theme

from micro_agi.terminal.canvas import BLANK, Line, line

THEME = Theme(
    {
        "markdown.h1": "bold underline",
        "markdown.h2": "bold underline",
        "markdown.h3": "bold",
        "markdown.h4": "bold",
        "markdown.code": "cyan",
        "markdown.code_block": "none",
        "markdown.block_quote": "dim",
        "markdown.item.bullet": "bold",
        "markdown.item.number": "bold",
        "markdown.list": "none",
        "markdown.hr": "dim",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
        "markdown.link": "bold",
        "markdown.link_url": "underline",
    }
)
"""The sixteen colours of the terminal's own theme at most, and no backgrounds."""

CODE = ANSISyntaxTheme(
    {
        Comment: Style(dim=True),
        Keyword: Style(color="blue"),
        Name.Function: Style(bold=True),
        Number: Style(color="cyan"),
        String: Style(color="green"),
    }
)
"""Red is left for errors."""


class Stream:
    """The text of one answer on its way in."""

    def __init__(self) -> None:
        self.tail = ""
        """What may still change its look."""
        self._parser = _parser()
        self._lines = 0
        self._seen = 0

    def add(self, text: str) -> None:
        """Append a piece."""
        self.tail += text
        self._lines += text.count("\n")

    def finished(self) -> str:
        """Take away and return the blocks that are finished; "" when none is."""
        if self._lines == self._seen:
            return ""
        self._seen = self._lines
        whole = self.tail[: self.tail.rfind("\n") + 1]
        blocks = [t.map for t in self._parser.parse(whole) if t.level == 0 and t.map]
        if not blocks or not blocks[-1][0]:
            return ""
        lines = whole.splitlines(keepends=True)
        done = "".join(lines[: blocks[-1][0]])
        self.tail = self.tail[len(done) :]
        return done

    def rest(self) -> str:
        """Take away and return everything that is left."""
        left, self.tail = self.tail, ""
        return left


def render(source: str, columns: int) -> list[Line]:
    """Return Markdown as coloured lines: blocks with one blank line between them."""
    screen = console(columns)
    lines: list[Line] = []
    for block in _blocks(_parser().parse(source)):
        markdown = _Plainly("", hyperlinks=False)
        markdown.parsed = block
        drawn = _lines(screen, markdown)
        lines += [BLANK, *drawn] if lines and drawn else drawn
    return lines


def _blocks(tokens: list[Token]) -> list[list[Token]]:
    """Cut a document at the ends of its outermost blocks."""
    blocks: list[list[Token]] = []
    start = 0
    for at, token in enumerate(tokens, 1):
        if token.level == 0 and token.nesting <= 0:
            blocks.append(tokens[start:at])
            start = at
    return blocks


def render_code(source: str, language: str, columns: int) -> list[Line]:
    """Return a source text as coloured lines."""
    return _lines(console(columns), _syntax(source, language))


def console(columns: int) -> Console:
    """Return a console that draws into memory with the colours that every terminal has."""
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system="standard",
        width=columns,
        theme=THEME,
        highlight=False,
        markup=False,
        emoji=False,
        no_color=False,
        legacy_windows=False,
    )


def _lines(screen: Console, renderable: Markdown | Syntax) -> list[Line]:
    with screen.capture() as captured:
        screen.print(renderable)
    lines = [line(text) for text in captured.get().split("\n")]
    while lines and lines[-1].blank:
        lines.pop()
    while lines and lines[0].blank:
        lines.pop(0)
    return lines


def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")


class _Heading(Heading):
    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = {}


class _CodeBlock(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _syntax(str(self.text).rstrip(), self.lexer_name)


class _Plainly(Markdown):
    """Markdown for a conversation: headings at the left, code without a background."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _CodeBlock,
        "code_block": _CodeBlock,
    }


def _syntax(source: str, language: str) -> Syntax:
    return Syntax(
        source.rstrip(),
        language,
        theme=CODE,
        background_color="default",
        word_wrap=True,
        padding=(0, 2),
    )
