"""The documentation service, through `Docs`: bundled pages, and a remote API that may fail."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_agi.errors import EntryInvalid, EntryNotFound, InputInvalid
from micro_agi.net.client import Client
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext, root_context
from micro_agi.security.policy import Policy, Scope
from micro_agi.tools.docs import MARKER, MAX_BYTES, Docs, cut, parse_page

HEAD = "---\ntitle: Lamps\nsummary: How to light one.\nkeywords: [oil, wick]\n---\n"


@pytest.fixture(name="docs")
def docs_fixture(tmp_path):
    (tmp_path / "guides").mkdir()
    (tmp_path / "guides" / "lamps.md").write_text(HEAD + "Fill it.\n\n## Wicks\n\nTrim them.\n")
    long = "\n".join(f"{n} bottles stand on the wall, ä" for n in range(1000))
    text = HEAD.replace("Lamps", "Bottles").replace("wick", "wall") + long
    (tmp_path / "guides" / "bottles.md").write_text(text)
    (tmp_path / "README.md").write_text("For writers.")
    return Docs(tmp_path)


def page(docs, path, **options):
    return asyncio.run(docs.page(path, **options))


def test_a_page_has_the_shape_of_the_documentation_api(docs):
    assert page(docs, "guides/lamps").splitlines() == [
        *("# Lamps", "_Path: en/guides/lamps_", "How to light one.", ""),
        *("## Table of Contents", "- Wicks", ""),
        *("## Content", "Fill it.", "", "## Wicks", "", "Trim them.", ""),
        *("## Navigation", "Previous: Bottles (guides/bottles)"),
    ]


def test_an_unknown_page_names_the_nearest(docs):
    with pytest.raises(EntryNotFound) as caught:
        page(docs, "guides/lamp-oil")
    assert "guides/lamps" in caught.value.fix


def test_a_page_that_resembles_nothing_still_leads_on(docs):
    with pytest.raises(EntryNotFound) as caught:
        page(docs, "zzz/qqq")
    assert "guides/bottles" in caught.value.fix


def test_a_long_page_is_cut_on_a_line_and_can_be_read_to_its_end(docs):
    parts, offset = [], 0
    while True:
        text = page(docs, "bottles", offset=offset)
        body, marker, rest = text.partition(f"\n{MARKER}\nnext offset: ")
        assert len(body.encode()) <= MAX_BYTES
        parts.append(body)
        if not marker:
            break
        offset = int(rest.split()[0])
    whole = docs.corpus.render(docs.corpus.find("bottles"))
    assert "\n".join(parts) == whole


def test_an_offset_outside_the_page_is_refused_with_the_range(docs):
    with pytest.raises(InputInvalid) as caught:
        page(docs, "lamps", offset=10_000)
    assert "give 0 to" in caught.value.fix


@given(
    text=st.text(alphabet="aä漢🍎\n", max_size=200),
    size=st.integers(min_value=4, max_value=40),
)
@settings(max_examples=200, deadline=None)
def test_cut_text_is_never_longer_and_never_splits_a_character(text, size):
    first, marker, rest = cut(text, max_bytes=size).partition(f"\n{MARKER}\nnext offset: ")
    assert len(first.encode()) <= size
    assert text.startswith(first)
    if marker:
        data = text.encode()
        assert data[: int(rest.split()[0])].decode().rstrip("\n") == first


def test_a_search_lists_title_path_summary_and_excerpt(docs):
    text = asyncio.run(docs.search("how do I trim wicks"))
    assert text.startswith("1. Lamps (path: guides/lamps)\n   How to light one.\n")
    assert "Trim them" in text


def test_a_search_without_hits_shows_every_page(docs):
    text = asyncio.run(docs.search("xyzzy"))
    assert text.startswith("No page matches.")
    assert "- guides/lamps: Lamps. How to light one." in text
    assert asyncio.run(docs.toc()) in text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("no front matter", "begins with front matter"),
        ("---\ntitle: x\n---\nbody", "lacks summary, keywords"),
        ("---\ncolour: red\n---\nbody", "`colour: red` is no line"),
        ("---\ntitle: x\ntitle: y\n---\nbody", "`title: y` is no line"),
    ],
)
def test_a_page_with_wrong_front_matter_names_the_file(text, what):
    with pytest.raises(EntryInvalid) as caught:
        parse_page("guides/x", text)
    assert what in caught.value.what
    assert caught.value.where == "guides/x"


@pytest.mark.parametrize("path", ["", "/", "toc", "en/toc", "index.md"])
def test_no_path_gives_the_table_of_contents(docs, path):
    assert page(docs, path) == asyncio.run(docs.toc())


@given(text=st.text(max_size=40) | st.sampled_from(["\ud800", "../" * 50, "a" * 100_000, "\x00"]))
@settings(max_examples=100, deadline=None)
def test_any_text_may_be_asked_for(text):
    docs = Docs()
    assert asyncio.run(docs.search(text))
    with contextlib.suppress(EntryNotFound):
        assert asyncio.run(docs.page(text))


# ---- remote


@dataclass
class Remote:
    """A documentation API on loopback."""

    status: str = "200 OK"
    body: str = "remote text"
    headers: str = ""
    requests: list[str] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[0])
        body = self.body.encode()
        head = f"HTTP/1.1 {self.status}\r\n{self.headers}Content-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()


def with_remote(
    tmp_path, remote: Remote, use: Callable[[Docs], object], *, stopped: bool = False
) -> object:
    (tmp_path / "lamps.md").write_text(HEAD + "Fill it.")

    async def scenario() -> object:
        server = await asyncio.start_server(remote.serve, "127.0.0.1", 0)
        remote.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/llm"
        if stopped:
            server.close()
            await server.wait_closed()
        client = Client(offline=True)
        try:
            return await use(Docs(tmp_path, docs_url=remote.url, client=client))
        finally:
            await client.close()
            server.close()

    return asyncio.run(scenario())


def allowed(url_pattern: str) -> CallContext:
    rule = Policy(
        id="app:docs", effect="allow", actions=("http_client.request",), resources=(url_pattern,)
    )
    return CallContext(actor=Actor("agent:a"), scope=Scope((rule,)))


def test_a_remote_page_is_preferred_and_marked_with_its_address(tmp_path):
    remote = Remote()
    text = with_remote(tmp_path, remote, lambda d: d.page("en/lua/x.md", context=root_context()))
    assert text == f"(from {remote.url}/path/en/lua/x)\nremote text"
    assert remote.requests == ["GET /llm/path/en/lua/x HTTP/1.1"]


def test_a_remote_query_is_percent_encoded(tmp_path):
    remote = Remote()
    question = "a b&c=dé"
    with_remote(tmp_path, remote, lambda d: d.search(question, context=allowed("http://*")))
    assert remote.requests == ["GET /llm/search?q=a%20b%26c%3Dd%C3%A9 HTTP/1.1"]


def test_a_long_query_with_a_lone_surrogate_still_makes_a_request(tmp_path):
    remote = Remote()
    query = "\ud800" + "x" * 100_000
    with_remote(tmp_path, remote, lambda d: d.search(query, context=root_context()))
    assert remote.requests == [f"GET /llm/search?q=?{'x' * 1999} HTTP/1.1"]


def test_the_remote_table_of_contents_is_asked_for(tmp_path):
    remote = Remote(body="- everything")
    text = with_remote(tmp_path, remote, lambda d: d.toc(context=root_context()))
    assert text.endswith("\n- everything")


@pytest.mark.parametrize(
    ("remote", "why"),
    [
        (Remote(status="404 Not Found"), "HTTP 404"),
        (Remote(status="500 Internal Server Error"), "HTTP 500"),
        (Remote(body="x" * (2 << 20)), "too large"),
    ],
)
def test_a_remote_that_fails_ends_in_the_bundled_page_and_a_note(tmp_path, remote, why):
    text = with_remote(tmp_path, remote, lambda d: d.page("lamps", context=root_context()))
    note, _, rest = text.partition("\n")
    assert note.startswith(f"(bundled page: {remote.url}/path/en/lamps failed:")
    assert why in note
    assert rest.startswith("# Lamps")


def test_a_remote_that_does_not_answer_ends_in_the_bundled_page(tmp_path):
    text = with_remote(
        tmp_path, Remote(), lambda d: d.search("wick", context=root_context()), stopped=True
    )
    assert text.startswith("(bundled page: ")
    assert "1. Lamps" in text


@pytest.mark.parametrize("context", [None, CallContext(actor=Actor("agent:a"), scope=Scope())])
def test_a_remote_is_not_asked_without_a_policy(tmp_path, context):
    remote = Remote()
    text = with_remote(tmp_path, remote, lambda d: d.page("lamps", context=context))
    assert remote.requests == []
    assert "no policy allows" in text
    assert "# Lamps" in text


def test_a_redirect_to_where_no_policy_leads_is_not_followed(tmp_path):
    remote = Remote(status="302 Found", headers="Location: http://localhost:1/secret\r\n")
    text = with_remote(
        tmp_path, remote, lambda d: d.page("lamps", context=allowed("http://127.0.0.1*"))
    )
    assert "failed: `http_client.request` on `http://localhost:1/secret`" in text
    assert "# Lamps" in text


def test_a_page_that_is_nowhere_is_not_found_although_a_remote_was_asked(tmp_path):
    remote = Remote(status="404 Not Found")
    with pytest.raises(EntryNotFound):
        with_remote(tmp_path, remote, lambda d: d.page("nowhere", context=root_context()))
