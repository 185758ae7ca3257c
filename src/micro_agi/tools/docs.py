"""Serve documentation pages: by path, by question, as a table of contents.

The pages are the bundled corpus, our own Markdown with front matter (its README tells
how to write one). An operator may name a remote documentation API; it is asked first,
if a policy allows its URL, and whatever goes wrong there ends in the bundled page and a
note that says so. What comes from outside is data: it is marked with its address.

Called by the `doc_search` tool and the command line.
Source: shapes of spec/runtime.md 9; the cut at 8,000 bytes and its marker are seed 000's.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from msgspec import Struct

from micro_agi.errors import EntryInvalid, EntryNotFound, InputInvalid, MicroAgiError
from micro_agi.net.addresses import is_private
from micro_agi.net.client import Client
from micro_agi.search.index import Hit, Index
from micro_agi.search.ranked import MAX_QUERY_CHARS
from micro_agi.security.context import CallContext
from micro_agi.values import nearest

MAX_BYTES = 8_000
"""Of one answer: a page or a list of hits. Seed 000's `MAX_CHARS`."""
MARKER = "... (truncated)"
SECTIONS = ("guides", "lua", "concepts")
"""Order of the folders in the table of contents: what a tool writer needs first."""
KEYS = ("title", "summary", "keywords", "aliases", "module")
"""What front matter may say; all but `aliases` and `module` are required."""

CONTENTS = ("", "toc", "index")
"""Paths that ask for the table of contents."""
REMOTE_TIMEOUT_S = 15.0
"""A model waits for it, and the bundled page is the better answer after that."""
REMOTE_BYTES = 1 << 20

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_PREFIX = re.compile(r"^(?:[a-z]+://[^/]+/)?(?:llm/)?(?:path/|docs/)?(?:en/)?", re.IGNORECASE)


class Page(Struct, frozen=True, kw_only=True):
    """One page of the corpus."""

    path: str
    """Without language and suffix: `lua/core/time`."""
    title: str
    summary: str
    keywords: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    """Other paths that people and models guess."""
    module: str = ""
    """The Lua module it documents, or ""."""
    body: str

    def headings(self) -> list[str]:
        """Return the texts of second-level headings, without backquotes."""
        return [text.replace("`", "") for text in _HEADING.findall(_FENCE.sub("", self.body))]


class Corpus:
    """A set of pages in memory, with their search index. Pure after construction."""

    def __init__(self, pages: Iterable[Page]) -> None:
        self.pages: tuple[Page, ...] = tuple(sorted(pages, key=_place))
        self._by_path = {page.path: page for page in self.pages}
        self._by_name = _named(self.pages)
        self._index = Index()
        for page in self.pages:
            self._index.add(
                page.path,
                title=f"{page.title} {page.path} {page.module}",
                keywords=" ".join((*page.keywords, *page.headings())),
                body=f"{page.summary}\n{page.body}",
            )

    def find(self, path: str) -> Page:
        """Return the page at a path, forgiving what is easily got wrong.

        A language, a suffix, slashes and anchors around it are ignored; an alias, a name
        in another folder (`lua/time`) and a function (`time.parse`) lead to their page.

        Raises: EntryNotFound with the nearest paths.
        """
        wanted = _tidy(path)
        last = wanted.rpartition("/")[2]
        for name in (wanted, last, re.split(r"[.:]", last)[0]):
            if page := self._by_name.get(_alike(name)):
                return page
        raise EntryNotFound(
            f"no documentation page `{path[:200]}`",
            where="documentation",
            fix=f"try {', '.join(self._near(wanted))}; or search with a query of a few words",
        )

    def hits(self, query: str, limit: int = 5) -> list[Hit]:
        """Return the pages that answer a question best; `Hit.key` is a path."""
        return self._index.search(query, limit)

    def render(self, page: Page) -> str:
        """Return a page's text as the documentation API shapes it."""
        lines = [f"# {page.title}", f"_Path: en/{page.path}_", page.summary, ""]
        lines += ["## Table of Contents", *(f"- {text}" for text in page.headings()), ""]
        lines += ["## Content", page.body.strip(), "", "## Navigation"]
        place = self.pages.index(page)
        around = {"Previous": self.pages[:place][-1:], "Next": self.pages[place + 1 :][:1]}
        lines += [f"{word}: {p.title} ({p.path})" for word, ps in around.items() for p in ps]
        return "\n".join(lines)

    def search_text(self, query: str, limit: int = 5) -> str:
        """Return hits as text: title, path, summary and excerpt of each."""
        blocks = [
            f"{number}. {page.title} (path: {page.path})\n   {page.summary}\n   {hit.excerpt}"
            for number, hit in enumerate(self.hits(query, limit), 1)
            for page in [self._by_path[hit.key]]
        ]
        if not blocks:
            return f"No page matches. All pages:\n{self.toc()}"
        return "\n".join(blocks)

    def toc(self) -> str:
        """Return every page's path, title and summary, one to a line."""
        return "\n".join(f"- {p.path}: {p.title}. {p.summary}" for p in self.pages)

    def _near(self, wanted: str) -> list[str]:
        names = nearest(_alike(wanted), self._by_name)
        by_spelling = [self._by_name[name].path for name in names]
        by_words = [hit.key for hit in self.hits(wanted, 3)]
        near = list(dict.fromkeys([*by_spelling, *by_words]))[:4]
        return near or [page.path for page in self.pages[:4]]


class Docs:
    """The documentation service: the bundled pages, and a remote API when one is set.

    Pages are read at the first question, so that a start costs nothing.
    """

    def __init__(
        self,
        pages: Path | None = None,
        *,
        docs_url: str = "",
        client: Client | None = None,
    ) -> None:
        """Use `pages`, a directory, or the bundled corpus.

        `docs_url` is the setting of that name: the address before `/path/en/…`. It is
        asked through `client` only when both are given.
        """
        self._pages = pages
        self._docs_url = docs_url.rstrip("/")
        self._client = client
        self._corpus: Corpus | None = None

    @property
    def corpus(self) -> Corpus:
        """The pages on this machine, for callers without an event loop or a context."""
        if self._corpus is None:
            self._corpus = Corpus(read_pages(self._pages or bundled()))
        return self._corpus

    async def page(self, path: str, *, offset: int = 0, context: CallContext | None = None) -> str:
        """Return the page at a path, from byte `offset`, at most 8,000 bytes of it.

        An empty path and `toc` give the table of contents.
        Raises: EntryNotFound with the nearest paths; InputInvalid for an offset past the end.
        """
        if _tidy(path) in CONTENTS:
            return await self.toc(offset=offset, context=context)
        remote, note = await self._remote(f"/path/en/{_quoted(_tidy(path), safe='/')}", context)
        if remote is None:
            remote = self.corpus.render(self.corpus.find(path))
        return note + cut(remote, offset=offset)

    async def search(
        self, query: str, limit: int = 5, *, offset: int = 0, context: CallContext | None = None
    ) -> str:
        """Return the best pages for a question as text; from a remote API, what it says."""
        remote, note = await self._remote(f"/search?q={_quoted(query[:MAX_QUERY_CHARS])}", context)
        if remote is None:
            remote = self.corpus.search_text(query, limit)
        return note + cut(remote, offset=offset)

    async def toc(self, *, offset: int = 0, context: CallContext | None = None) -> str:
        """Return the table of contents."""
        remote, note = await self._remote("/toc", context)
        return note + cut(self.corpus.toc() if remote is None else remote, offset=offset)

    async def _remote(self, path: str, context: CallContext | None) -> tuple[str | None, str]:
        """Return the remote text, or None, and the note that tells the reader which it is."""
        if not self._docs_url or self._client is None:
            return None, ""
        url = self._docs_url + path
        if context is None or not context.evaluate("http_client.request", url).allowed:
            return None, f"(bundled page: no policy allows `http_client.request` on {url})\n"
        try:
            return await self._get(self._client, url, context), f"(from {url})\n"
        except (MicroAgiError, OSError) as error:
            why = error.what if isinstance(error, MicroAgiError) else str(error) or "no answer"
            return None, f"(bundled page: {url} failed: {why})\n"

    async def _get(self, client: Client, url: str, context: CallContext) -> str:
        own_host = urlsplit(self._docs_url).hostname

        def allow_address(address: str, host: str, port: int) -> None:
            # The operator named this host, wherever it is; a redirect may not lead inside.
            if host != own_host and is_private(address):
                context.require("http_client.private_ip", address)

        response = await client.request(
            "GET",
            url,
            headers=(("User-Agent", "micro-agi"), ("Accept", "text/markdown, text/plain, */*")),
            timeout_s=REMOTE_TIMEOUT_S,
            max_bytes=REMOTE_BYTES,
            check=lambda hop: context.require("http_client.request", hop),
            allow_address=allow_address,
        )
        if response.status != 200:
            raise EntryNotFound(f"HTTP {response.status}", where=url)
        return response.body.decode("utf-8", "replace")


def bundled() -> Path:
    """Return the directory of the corpus inside the package."""
    # Not importlib.resources: it costs 20 ms at each start, and wheels are always unpacked.
    return Path(__file__).parent.parent / "bundled" / "docs"


def read_pages(root: Path) -> list[Page]:
    """Read every Markdown file below `root`; `README.md` is for writers and is no page.

    Raises: EntryInvalid naming the file whose front matter is wrong.
    """
    files = [file for file in sorted(root.rglob("*.md")) if file.name != "README.md"]
    paths = [file.relative_to(root).with_suffix("").as_posix() for file in files]
    return [parse_page(p, file.read_text("utf-8")) for p, file in zip(paths, files, strict=True)]


def parse_page(path: str, text: str) -> Page:
    """Parse one page: front matter between `---` lines, `key: value` each, lists in brackets.

    Raises: EntryInvalid with the file and what is wrong.
    """
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0]:
        raise EntryInvalid("a page begins with front matter between two `---` lines", where=path)
    facts: dict[str, str] = {}
    for line in parts[1].splitlines():
        key, colon, value = line.partition(":")
        if not colon or key not in KEYS or key in facts:
            raise EntryInvalid(
                f"`{line}` is no line of front matter", where=path, fix=f"keys: {', '.join(KEYS)}"
            )
        facts[key] = value.strip()
    missing = [key for key in ("title", "summary", "keywords") if not facts.get(key)]
    if missing:
        raise EntryInvalid(f"front matter lacks {', '.join(missing)}", where=path)
    return Page(
        path=path,
        title=facts["title"],
        summary=facts["summary"],
        keywords=_list(facts["keywords"]),
        aliases=_list(facts.get("aliases", "")),
        module=facts.get("module", ""),
        body=parts[2],
    )


def cut(text: str, *, offset: int = 0, max_bytes: int = MAX_BYTES) -> str:
    """Return at most `max_bytes` bytes of `text` from byte `offset`, whole lines if possible.

    When something is left, a marker line and a line with the next offset follow.

    Raises: InputInvalid if the offset is not inside the text.
    """
    data = text.encode("utf-8", "replace")
    if offset < 0 or (offset and offset >= len(data)):
        raise InputInvalid(
            f"offset {offset} is outside the text",
            where="offset",
            fix=f"give 0 to {max(len(data) - 1, 0)}",
        )
    end = min(offset + max_bytes, len(data))
    if end == len(data):
        return data[offset:].decode("utf-8", "ignore")
    line = data.rfind(b"\n", offset + max_bytes // 2, end)
    if line >= 0:
        end = line + 1
    while data[end] & 0xC0 == 0x80:  # never inside a UTF-8 sequence
        end -= 1
    part = data[offset:end].decode("utf-8", "ignore").rstrip("\n")
    return f"{part}\n{MARKER}\nnext offset: {end} of {len(data)} bytes"


def _quoted(text: str, *, safe: str = "") -> str:
    # Lone surrogates, which a model's JSON can hold, are no UTF-8.
    return quote(text, safe=safe, errors="replace")


def _list(text: str) -> tuple[str, ...]:
    parts = text.removeprefix("[").removesuffix("]").split(",")
    return tuple(part.strip() for part in parts if part.strip())


def _place(page: Page) -> tuple[int, str]:
    folder = page.path.partition("/")[0]
    return SECTIONS.index(folder) if folder in SECTIONS else len(SECTIONS), page.path


def _named(pages: Sequence[Page]) -> dict[str, Page]:
    """Map everything that leads to a page: paths before aliases before last names."""
    known = [(page.path, page) for page in pages]
    known += [(alias, page) for page in pages for alias in page.aliases]
    known += [(page.path.rpartition("/")[2], page) for page in pages]
    names: dict[str, Page] = {}
    for name, target in known:
        names.setdefault(_alike(name), target)
    return names


def _tidy(path: str) -> str:
    """Cut off what surrounds a page's path: a host, `path/`, `en/`, `.md`, anchors, slashes."""
    bare = path.strip()[:300].partition("#")[0].partition("?")[0]
    return _PREFIX.sub("", bare.strip("/"), count=1).strip("/").removesuffix(".md")


def _alike(name: str) -> str:
    """Return what names have in common that a reader takes for the same."""
    return name.lower().replace("_", "-")
