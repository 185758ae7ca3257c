"""Split Markdown by its structure for `text.splitter.markdown`.

Each chunk stands under one heading and begins with it (with `hierarchy`: with all headings
above it too). Blocks (paragraphs, lists, quotes, tables, code) stay whole and verbatim while
they fit; what is too long goes through the recursive splitter. markdown-it-py finds the
blocks; nothing is rendered.

Rows of a table are chunks of their own, each below the table's head, unless `join_rows`.
Code is left out unless `code`. Source: spec/runtime.md 6.8.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import normalizeReference

from micro_agi.sandbox.worker.pure.lists import pack, unpack
from micro_agi.sandbox.worker.pure.splitter import SPLIT, Splitter, TooMuch, too_much

# Blocks only: what is inside a line matters for links to definitions alone.
_PARSER = MarkdownIt("commonmark").enable("table").disable("inline")
_CODE = frozenset({"fence", "code_block"})
_LINK = re.compile(
    r"(?P<code>(?<!`)(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`))"
    r"|\[(?P<text>(?:[^\[\]\\]|\\.)*)\](?:\[(?P<label>(?:[^\[\]\\]|\\.)*)\])?(?![(\[:])",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the documents let a caller choose."""

    code: bool
    links: bool
    hierarchy: bool
    join_rows: bool


@dataclass(slots=True)
class _Writer:
    """Collects blocks below one heading into chunks."""

    splitter: Splitter
    hierarchy: bool
    chunks: list[str] = field(default_factory=list)
    headings: list[tuple[int, str]] = field(default_factory=list)
    """Level and line of the headings that hold here, outermost first."""
    blocks: list[str] = field(default_factory=list)
    length: int = 0
    bare: bool = False
    """Whether nothing stands below the last heading yet."""

    @property
    def title(self) -> str:
        lines = [line for _, line in self.headings]
        return "\n".join(lines if self.hierarchy else lines[-1:])

    @property
    def room(self) -> int:
        """Characters for blocks. A title of more than half a chunk is not counted."""
        size = self.splitter.size
        taken = len(self.title) + 1 if self.headings else 0
        return size - taken if taken * 2 <= size else size

    def heading(self, level: int, text: str) -> None:
        self.flush()
        above = [each for each in self.headings if each[0] < level]
        # Below a deeper heading its own chunks name it, if they name the whole path.
        if self.bare and not (self.hierarchy and above == self.headings):
            self._write("")
        self.headings = [*above, (level, f"{'#' * level} {text}")]
        self.bare = True

    def add(self, block: str) -> None:
        if self.blocks and self.length + 1 + len(block) > self.room:
            self.flush()
        if len(block) > self.room:
            inner = Splitter(
                self.room, min(self.splitter.overlap, self.room - 1), self.splitter.separators
            )
            inner.left = self.splitter.left
            for part in inner.split(block):
                self._write(part)
            return
        self.length += len(block) + (1 if self.blocks else 0)
        self.blocks.append(block)

    def flush(self) -> None:
        if self.blocks:
            self._write("\n".join(self.blocks))
        self.blocks, self.length = [], 0

    def close(self) -> list[str]:
        self.flush()
        if self.bare:
            self._write("")
        return self.chunks

    def _write(self, body: str) -> None:
        chunk = f"{self.title}\n{body}".strip("\n")
        self.splitter.left -= len(chunk)
        if self.splitter.left < 0:
            raise TooMuch
        self.chunks.append(chunk)
        self.bare = False


def split(text: str, splitter: Splitter, options: Options) -> list[str]:
    """Return the chunks of a Markdown text.

    Raises: TooMuch, and RecursionError for what nests too deeply to be read.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    environment: dict[str, Any] = {}
    tokens = _PARSER.parse(text, environment)
    lines = text.split("\n")
    references = environment.get("references", {}) if options.links else {}
    writer = _Writer(splitter, options.hierarchy)
    for first, last in _blocks(tokens):
        token = tokens[first]
        if token.type == "heading_open":
            writer.heading(int(token.tag[1:]), _resolve(tokens[first + 1].content, references))
        elif token.type == "table_open":
            _add_table(writer, tokens[first:last], lines, references, options)
        elif token.type not in _CODE:
            for block in _parts(tokens[first:last], lines, writer.room):
                writer.add(_resolve(block, references))
        elif options.code:
            writer.add(_source(token, lines))
    return writer.close()


def _blocks(tokens: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Yield where each outermost block begins and ends."""
    first = 0
    for n, token in enumerate(tokens):
        if token.level == 0 and token.nesting <= 0:
            yield first, n + 1
            first = n + 1


def _source(token: Any, lines: Sequence[str]) -> str:
    start, stop = token.map
    return "\n".join(lines[start:stop]).rstrip()


def _parts(tokens: Sequence[Any], lines: Sequence[str], room: int) -> list[str]:
    """Return a block, or the items of a list that does not fit."""
    whole = _source(tokens[0], lines)
    if len(whole) <= room or not tokens[0].type.endswith("_list_open"):
        return [whole]
    items = [t for t in tokens if t.type == "list_item_open" and t.level == 1]
    return [_source(item, lines) for item in items]


def _add_table(
    writer: _Writer,
    tokens: Sequence[Any],
    lines: Sequence[str],
    references: dict[str, Any],
    options: Options,
) -> None:
    rows = [_source(t, lines) for t in tokens if t.type == "tr_open"]
    start = tokens[0].map[0]
    head = "\n".join(lines[start : start + 2])
    rows = [_resolve(row, references) for row in rows[1:]]
    writer.flush()
    if not rows:
        writer.add(head)
    while rows:
        taken = 1
        length = len(head) + 1 + len(rows[0])
        while options.join_rows and taken < len(rows):
            length += 1 + len(rows[taken])
            if length > writer.room:
                break
            taken += 1
        writer.add("\n".join([head, *rows[:taken]]))
        writer.flush()
        rows = rows[taken:]


def _resolve(text: str, references: dict[str, Any]) -> str:
    """Write links to definitions out: `[text][label]` becomes `[text](address)`."""
    if not references:
        return text

    def written(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        target = references.get(normalizeReference(match["label"] or match["text"]))
        if target is None:
            return match[0]
        title = f' "{target["title"]}"' if target.get("title") else ""
        return f"[{match['text']}]({target['href']}{title})"

    return _LINK.sub(written, text)


def markdown(size: bytes, overlap: bytes, flags: bytes, separators: bytes, text: bytes) -> bytes:
    """Return `SPLIT` and the packed chunks, or another letter and why.

    Shape: `flags` are four digits: code, links, hierarchy, join_rows.
    """
    code, links, hierarchy, join_rows = (flag == ord("1") for flag in flags)
    options = Options(code=code, links=links, hierarchy=hierarchy, join_rows=join_rows)
    words = [word.decode() for word in unpack(separators)]
    try:
        chunks = split(text.decode(), Splitter(int(size), int(overlap), words), options)
    except TooMuch:
        return too_much()
    except RecursionError:
        return b"Ethe text is nested too deeply"
    return SPLIT + pack(chunk.encode() for chunk in chunks)


# The first parse compiles patterns; done here, each worker has them.
split(
    "# a\n\n- b\n\n| c |\n|---|\n| d |\n\n[e]: f",
    Splitter(9, 0, [""]),
    Options(code=True, links=True, hierarchy=True, join_rows=True),
)

ACCELERATORS: dict[str, Callable[..., bytes]] = {"split_markdown": markdown}
