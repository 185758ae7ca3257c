"""Send requests to OpenAI and to every server that speaks like it.

One provider serves both dialects; a model card says `options.api: responses` for the newer
one. A server that ignores `stream` and answers JSON is read as well.

A reply counts only when it came to its end. One that breaks off is `network_error`,
whatever was received: half a tool call is never given to anybody.
"""

import asyncio
import email.utils
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from typing import Protocol

import msgspec

from micro_agi.errors import LimitReached
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.embed import Embedded, Status, embed_at, status_at
from micro_agi.llm.failure import ProviderError, provider_error
from micro_agi.llm.providers.openai_chat import ChatDialect
from micro_agi.llm.providers.openai_parts import service_error
from micro_agi.llm.providers.openai_responses import ResponsesDialect
from micro_agi.llm.request import (
    ModelRequest,
    OnEvent,
    PreparedRequest,
    ProviderAccess,
    Reply,
)
from micro_agi.llm.stream import Frames
from micro_agi.messages import TextDelta, ThinkingDelta
from micro_agi.net.client import Client, Headers, Request, Streamed, header
from micro_agi.values import as_object

OFFICIAL = "https://api.openai.com/v1"
MAX_REPLY_BYTES = 64 << 20
MAX_ERROR_BYTES = 1 << 20
# After the reply's end a server has this long to end its response too, so that the
# connection can be used again.
DRAIN_S = 0.5


class Incoming(Protocol):
    """A reply that is being read."""

    complete: bool
    done: bool

    def take(self, frames: list[bytes]) -> tuple[str, str]:
        """Take the data of frames; return the text and the thinking they add."""
        ...

    def take_whole(self, body: bytes) -> tuple[str, str]:
        """Take a reply that came as one JSON object."""
        ...

    def reply(self) -> Reply:
        """Return the whole reply."""
        ...


class Dialect(Protocol):
    """How requests are written and replies are read."""

    path: str

    def body(self, request: ModelRequest) -> tuple[bytes, str]:
        """Return the request's exact bytes and their hash."""
        ...

    def reply(self, request: ModelRequest, where: str) -> Incoming:
        """Return what collects the reply of one request; `where` is for its errors."""
        ...


class OpenAi:
    """A provider of the OpenAI family."""

    def __init__(self, access: ProviderAccess, *, compatible: bool) -> None:
        """With `compatible`, no key is needed and only what all servers know is sent."""
        self._access = access
        self._compatible = compatible
        self._chat = ChatDialect(compatible=compatible)
        self._responses = ResponsesDialect()

    def prepare(self, request: ModelRequest) -> PreparedRequest:
        """Build the exact request; see `request.Provider`."""
        if not self._compatible and not self._access.api_key:
            raise provider_error(
                "authentication_error", "OpenAI API key is required", where=self._where(request)
            )
        dialect = self._dialect(request)
        body, digest = dialect.body(request)
        url = self._access.base_url.rstrip("/") + dialect.path
        return PreparedRequest(request=request, url=url, body=body, hash=digest)

    async def send(self, client: Client, prepared: PreparedRequest, on_event: OnEvent) -> Reply:
        """Send it once; see `request.Provider`."""
        where = self._where(prepared.request)
        wanted = Request(
            method="POST",
            url=prepared.url,
            headers=self._headers(),
            body=prepared.body,
            timeout_s=prepared.request.options.timeout_s,
            # A redirect would turn the POST into a GET, or take the key elsewhere.
            follow=0,
        )
        with _connection_errors(where):
            async with client.stream(wanted) as streamed:
                if streamed.status != 200:
                    raise await _refusal(streamed, where)
                incoming = self._dialect(prepared.request).reply(prepared.request, where)
                await _read(streamed, incoming, on_event, where)
                return _with_request_id(incoming.reply(), streamed)

    async def embed(
        self, client: Client, card: ModelCard, texts: Sequence[str], dimensions: int | None
    ) -> Embedded:
        """Return a vector for each text; see `embed.Embedder`."""
        return await embed_at(client, self._access, card, texts, dimensions)

    async def status(self, client: Client, card: ModelCard) -> Status:
        """Say whether the service answers; see `embed.Checkable`."""
        return await status_at(client, self._access, card)

    def _dialect(self, request: ModelRequest) -> Dialect:
        return self._responses if request.model.options.get("api") == "responses" else self._chat

    def _where(self, request: ModelRequest) -> str:
        return f"{request.model.name} at {self._access.base_url}"

    def _headers(self) -> Headers:
        headers = [("Content-Type", "application/json"), ("Accept", "text/event-stream")]
        if self._access.api_key:
            headers.append(("Authorization", f"Bearer {self._access.api_key.reveal()}"))
        if self._access.organization:
            headers.append(("OpenAI-Organization", self._access.organization))
        own = {name.lower() for name, _ in self._access.headers}
        return [*(h for h in headers if h[0].lower() not in own), *self._access.headers]


async def _read(streamed: Streamed, incoming: Incoming, on_event: OnEvent, where: str) -> None:
    async with aclosing(streamed.chunks()) as pieces:
        first = await anext(pieces, b"")
        if first.lstrip()[:1] == b"{":
            rest = await streamed.read(MAX_REPLY_BYTES)
            _report(incoming.take_whole(first + rest), on_event)
            return
        frames = Frames()
        left = MAX_REPLY_BYTES
        piece = first
        while piece and not incoming.done:
            # Everything that arrived together makes one event: cheaper, and no text waits.
            _report(incoming.take(frames.feed(piece)), on_event)
            left -= len(piece)
            if left < 0:
                raise _too_long(where)
            if not incoming.done:
                piece = await anext(pieces, b"")
        _report(incoming.take(frames.finish()), on_event)
        if not incoming.complete:
            what = "the model's reply broke off before its end" if first else "the reply is empty"
            raise provider_error("network_error", what, where=where)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(DRAIN_S):
                while await anext(pieces, b""):
                    pass


def _report(added: tuple[str, str], on_event: OnEvent) -> None:
    text, thinking = added
    if thinking:
        on_event(ThinkingDelta(text=thinking))
    if text:
        on_event(TextDelta(text=text))


def _too_long(where: str) -> ProviderError:
    return provider_error(
        "server_error",
        f"the reply is over {MAX_REPLY_BYTES >> 20} MiB",
        where=where,
        retryable=False,
    )


async def _refusal(streamed: Streamed, where: str) -> ProviderError:
    status = streamed.status
    location = header(streamed.headers, "Location")
    if 300 <= status < 400:
        return provider_error(
            "invalid_request",
            f"the server redirects to `{location}`",
            where=where,
            fix="give that address, up to its /v1, as --base-url",
            status=status,
        )
    try:
        body = await streamed.read(MAX_ERROR_BYTES)
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, LimitReached):
        value = {"message": f"the server answered {status}"}
    facts = as_object(value)
    return service_error(
        facts.get("error") or facts.get("detail") or value,
        status=status,
        where=where,
        retry_after_s=_retry_after(streamed.headers),
    )


def _retry_after(headers: Headers) -> float | None:
    text = header(headers, "Retry-After").strip()
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        when = email.utils.parsedate_tz(text)
    return max(0.0, email.utils.mktime_tz(when) - time.time()) if when else None


def _with_request_id(reply: Reply, streamed: Streamed) -> Reply:
    id_ = header(streamed.headers, "x-request-id")
    if not id_:
        return reply
    return replace(reply, metadata={**reply.metadata, "request_id": id_})


@contextmanager
def _connection_errors(where: str) -> Iterator[None]:
    try:
        yield
    except LimitReached as problem:
        raise provider_error(
            "server_error", str(problem), where=where, retryable=False
        ) from problem
    except TimeoutError as problem:
        raise provider_error("timeout_error", str(problem), where=where) from problem
    except ConnectionError as problem:
        raise provider_error("network_error", str(problem), where=where) from problem
