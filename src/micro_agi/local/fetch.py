"""`fetch`: what is at a web address, as text, within the policies and a cap of bytes.

A host that no policy answers about is asked for before the call starts. Each hop of a
redirect needs an allow for its own URL, and its address must be public unless a person
allowed it: what was allowed was one host, not where it leads to. Reading stops at the cap.
With `save_as` the content becomes a file of the workspace, as it came and whole, or nothing
does; it can be undone as every change by a file tool.
Source: spec/local-agent.md 2.5, 7.9.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from micro_agi.errors import (
    ArgumentsInvalid,
    InputInvalid,
    LimitReached,
    MicroAgiError,
    PolicyDenied,
    ToolFailed,
)
from micro_agi.local.changes import Changes
from micro_agi.local.charset import decoded
from micro_agi.local.readers.start import command, options
from micro_agi.local.replace import MAX_BYTES
from micro_agi.local.tool import Arguments, LocalTool, parse, require
from micro_agi.local.workspace import Place, Workspace
from micro_agi.local.write_file import facts_of
from micro_agi.net.addresses import is_private
from micro_agi.net.client import Client, Request, Streamed, header
from micro_agi.security.context import CallContext
from micro_agi.security.hosts import url_patterns
from micro_agi.security.need import Need

TOOL = "local:fetch"
REQUEST = "http_client.request"
PRIVATE = "http_client.private_ip"
TIMEOUT_S = 30.0
CAP_BYTES = 1_000_000
MOST_BYTES = 5_000_000
SAVED_BYTES = MAX_BYTES
"""Of a file: what undo can bring back."""
READABLE_S = 10.0
"""For making a page readable; then it is given as it came."""
SHOWN_OF_ERROR = 500
HEADERS = (
    ("User-Agent", "micro-agi"),
    ("Accept", "text/html, text/*;q=0.9, application/json;q=0.9, */*;q=0.5"),
    # A compressed answer could be a thousand times as large as what was counted.
    ("Accept-Encoding", "identity"),
)
TEXTS = ("json", "xml", "javascript", "yaml", "toml", "csv", "x-www-form-urlencoded", "graphql")
HTML = ("text/html", "application/xhtml+xml")


class Fetch(Arguments, frozen=True):
    url: str
    raw: bool = False
    max_bytes: int = CAP_BYTES
    save_as: str = ""


def fetch(
    client: Client, workspace: Workspace, changes: Changes, *, readable_s: float = READABLE_S
) -> LocalTool:
    """Return the tool; `readable_s` bounds how long a page may take to be made readable."""

    def needs(value: Any, context: CallContext) -> Sequence[Need]:
        wanted = parse(value, Fetch, TOOL)
        url = _address(wanted.url)
        file = _file(wanted)
        written = workspace.to_write(file, f"what is at {url}") if file is not None else []
        # A policy about this very address answers; a person is asked about its host.
        if context.evaluate(REQUEST, url).answer != "undefined":
            return written
        return [Need(action=REQUEST, resource=_host_of(url)), *written]

    def _file(wanted: Fetch) -> Place | None:
        return workspace.file_place(wanted.save_as) if wanted.save_as else None

    async def run(value: Any, context: CallContext) -> dict[str, Any]:
        wanted = parse(value, Fetch, TOOL)
        if not 1 <= wanted.max_bytes <= MOST_BYTES:
            raise ArgumentsInvalid(
                f"max_bytes is {wanted.max_bytes}", where=TOOL, fix=f"give 1 to {MOST_BYTES}"
            )
        if context.trial is not None:
            raise PolicyDenied("nothing is fetched in a trial", where=TOOL)
        file = _file(wanted)
        if file is not None:
            require(workspace.to_write(file), context)
            answer, body, whole = await _fetched(client, wanted, SAVED_BYTES, context)
            return await _saved(answer, body, file, changes, context, whole=whole)
        answer, body, whole = await _fetched(client, wanted, wanted.max_bytes, context)
        return await _answer(answer, body, whole=whole, readable_s=0 if wanted.raw else readable_s)

    return LocalTool(run=run, needs=needs)


def _address(text: str) -> str:
    """Return the URL as it is asked about and requested.

    Raises: InputInvalid for one that is not http or https, or has credentials in it.
    """
    text = text.strip()
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError as error:
        raise _no_url(text, str(error)) from error
    if parts.scheme.lower() not in ("http", "https") or not host:
        raise _no_url(text, "it does not begin with http:// or https:// and a host")
    if "@" in parts.netloc:
        raise _no_url(host, "credentials have no place in it")
    # The scheme and the host have no case: policies would take them for another text.
    path = parts.path or "/"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{path}{query}"


def _no_url(text: str, why: str) -> InputInvalid:
    return InputInvalid(
        f"`{text[:200]}` cannot be fetched: {why}", where="url", fix="give https://host/path"
    )


def _host_of(url: str) -> str:
    parts = urlsplit(url)
    [pattern] = url_patterns(f"{parts.scheme}://{parts.netloc}")
    return pattern


async def _fetched(
    client: Client, wanted: Fetch, max_bytes: int, context: CallContext
) -> tuple[Streamed, bytes, bool]:
    """Return the response, its body up to the cap, and whether that was all of it."""
    url = _address(wanted.url)

    def check(hop: str) -> None:
        verdict = context.evaluate(REQUEST, hop)
        if not verdict.allowed:
            leads = "" if hop == url else f"`{url}` redirects to `{hop[:300]}`, which is "
            raise PolicyDenied(
                f"{leads}not allowed: {hop[:300]}",
                where=verdict.why(),
                fix="fetch that address itself, so that a person can allow its host",
            )

    def allow_address(ip: str, host: str, port: int) -> None:
        if is_private(ip) and not context.evaluate(PRIVATE, ip).allowed:
            raise PolicyDenied(
                f"not allowed: {host}:{port} is {ip}, which is no public address",
                where=TOOL,
                fix=f"a person can start with `--allow-host http://{ip}:{port}`",
            )

    request = Request(
        method="GET",
        url=url,
        headers=HEADERS,
        timeout_s=TIMEOUT_S,
        check=check,
        allow_address=allow_address,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S), client.stream(request) as answer:
            body, whole = await _read(answer, max_bytes)
    except TimeoutError as error:
        raise _failed(f"no complete answer within {TIMEOUT_S:g} s", url) from error
    except ConnectionError as error:
        raise _failed(str(error), url) from error
    return answer, body, whole


async def _read(answer: Streamed, max_bytes: int) -> tuple[bytes, bool]:
    """Return the body up to the cap, and whether that was all of it."""
    body = bytearray()
    while piece := await answer.piece():
        body += piece
        if len(body) > max_bytes:
            return bytes(body[:max_bytes]), False
    return bytes(body), True


async def _saved(
    answer: Streamed,
    body: bytes,
    file: Place,
    changes: Changes,
    context: CallContext,
    *,
    whole: bool,
) -> dict[str, Any]:
    """Make a file of an answer.

    Raises: ToolFailed for an answer that is none, or is not whole; what `Changes.change` raises.
    """
    facts = _facts(answer, body)
    if not whole:
        raise ToolFailed(
            f"it has more than {SAVED_BYTES >> 20} MiB, so nothing was saved",
            where=answer.url,
            fix="get it with the shell: curl, with its host in `hosts`",
        )
    changed = await changes.change(file, lambda _: body, context)
    replaced = {"replaced": True} if changed.id is not None and changed.before is not None else {}
    return {**facts, **facts_of(changed, file), **replaced}


def _facts(answer: Streamed, body: bytes) -> dict[str, Any]:
    """Return what is said of every answer.

    Raises: ToolFailed for a status that is not of success.
    """
    content_type = header(answer.headers, "Content-Type")
    if not 200 <= answer.status < 300:
        said = decoded(body[:SHOWN_OF_ERROR], content_type, html=False)[0]
        raise _failed(f"HTTP {answer.status}: {' '.join(said.split())}", answer.url)
    return {
        "url": answer.url,
        "status": answer.status,
        "content_type": content_type.partition(";")[0].strip().lower() or "unknown",
        "bytes": len(body),
    }


async def _answer(
    answer: Streamed, body: bytes, *, whole: bool, readable_s: float
) -> dict[str, Any]:
    facts = _facts(answer, body)
    content_type = header(answer.headers, "Content-Type")
    kind = content_type.partition(";")[0].strip().lower()
    notes = [] if whole else [f"only the first {len(body)} bytes were read: `max_bytes`"]
    if not _is_text(kind, body):
        return {
            **facts,
            "text": "",
            "notes": [*notes, f"binary content, not shown: {kind}; `save_as` makes a file of it"],
        }
    html = kind in HTML or (not kind and body.lstrip()[:15].lower().startswith(b"<!doctype html"))
    text, encoding = decoded(body, content_type, html=html)
    if html and readable_s:
        page = await _readable(answer.url, text, readable_s)
        if isinstance(page, dict):
            facts["title"], text = page["title"], page["text"]
        else:
            notes.append(f"as HTML, since it could not be made readable: {page.what}")
    facts["encoding"] = encoding
    return {**facts, "text": text, **({"notes": notes} if notes else {})}


def _is_text(kind: str, body: bytes) -> bool:
    if kind.startswith("text/") or any(word in kind for word in TEXTS):
        return True
    # Servers that do not know say nothing, or that anything is bytes.
    return kind in ("", "application/octet-stream") and b"\0" not in body[:8192] and _utf8(body)


def _utf8(body: bytes) -> bool:
    return decoded(body[:8192], "", html=False)[1].startswith("utf-8")


async def _readable(url: str, html: str, seconds: float) -> "dict[str, str] | MicroAgiError":
    """Return title and text of a page, or why they could not be had."""
    process = await asyncio.create_subprocess_exec(
        *command("html_program", "justhtml", ""), stdin=asyncio.subprocess.PIPE, **options()
    )
    page = f"{url}\n{html}".encode("utf-8", "replace")
    try:
        async with asyncio.timeout(seconds):
            said, _ = await process.communicate(page)
    except TimeoutError:
        return LimitReached("it took too long", where=url)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        return LimitReached("its markup takes too much time or memory", where=url)
    found: dict[str, str] = json.loads(said)
    return found


def _failed(what: str, url: str) -> ToolFailed:
    return ToolFailed(what, where=url, fix="check the address; try again later")
