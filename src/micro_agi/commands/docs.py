"""`docs search|show|toc`: the pages that the agent reads. Works without any app or home."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from micro_agi.commands.invocation import Invocation
from micro_agi.commands.output import table
from micro_agi.errors import InputInvalid
from micro_agi.net.client import Client
from micro_agi.security.context import root_context
from micro_agi.tools.docs import Docs


async def search(invocation: Invocation) -> int:
    """Find pages for a few words."""
    query, limit = " ".join(invocation.args.query), invocation.args.limit
    if limit < 1:
        raise InputInvalid(f"--limit is {limit}", where="--limit", fix="give at least 1")
    if invocation.as_json:
        corpus = Docs().corpus
        pages = {page.path: page for page in corpus.pages}
        invocation.say_json(
            [
                {"path": hit.key, "title": pages[hit.key].title, "summary": pages[hit.key].summary}
                for hit in corpus.hits(query, limit)
            ]
        )
        return 0
    async with _docs(invocation) as docs:
        invocation.say(await docs.search(query, limit, context=root_context()))
    return 0


async def show(invocation: Invocation) -> int:
    """Show a page: all of a bundled one, a remote one in parts as the agent reads it."""
    path, offset = invocation.args.path, invocation.args.offset
    if invocation.settings.docs_url or offset:
        async with _docs(invocation) as docs:
            invocation.say(await docs.page(path, offset=offset, context=root_context()))
        return 0
    corpus = Docs().corpus
    page = corpus.find(path)
    if invocation.as_json:
        invocation.say_json(
            {"path": page.path, "title": page.title, "summary": page.summary, "body": page.body}
        )
    else:
        invocation.say(corpus.render(page))
    return 0


async def toc(invocation: Invocation) -> int:
    """List all pages of the bundled documentation."""
    pages = Docs().corpus.pages
    if invocation.as_json:
        invocation.say_json(
            [{"path": p.path, "title": p.title, "summary": p.summary} for p in pages]
        )
    else:
        rows = [(p.path, f"{p.title}. {p.summary}") for p in pages]
        invocation.say(table(("PATH", "ABOUT"), rows, width=invocation.width))
    return 0


@asynccontextmanager
async def _docs(invocation: Invocation) -> AsyncIterator[Docs]:
    """Open the documentation, the remote one too when a setting names it."""
    client = Client()
    try:
        yield Docs(docs_url=invocation.settings.docs_url, client=client)
    finally:
        await client.close()
