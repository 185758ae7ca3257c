"""Send a dialect's requests over HTTP and read what comes back, for every provider.

A dialect is pure: it writes bodies and reads replies. What they all share is here: the
connection, the stream, the caps, and turning what fails into one of the typed errors. A
server that ignores `stream` and answers JSON is read as well.

A reply counts only when it came to its end. One that breaks off is `network_error`,
whatever was received: half a tool call is never given to anybody. A request that is
cancelled closes its connection, so the service stops writing (and billing).
"""

import asyncio
import email.utils
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from micro_agi.errors import LimitReached
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.embed import Reach, Status, status_at
from micro_agi.llm.failure import ProviderError, error_type, provider_error
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

MAX_REPLY_BYTES = 64 << 20
MAX_ERROR_BYTES = 1 << 20
# After the reply's end a server has this long to end its response too, so that the
# connection can be used again.
DRAIN_S = 0.5
REQUEST_IDS = ("x-request-id", "request-id")


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

    def path(self, request: ModelRequest) -> str:
        """Return what follows the base URL."""
        ...

    def headers(self, request: ModelRequest, access: ProviderAccess) -> Headers:
        """Return the headers of this dialect, the key's included."""
        ...

    def body(self, request: ModelRequest) -> tuple[bytes, str]:
        """Return the request's exact bytes and their hash."""
        ...

    def reply(self, request: ModelRequest, where: str) -> Incoming:
        """Return what collects the reply of one request; `where` is for its errors."""
        ...

    def refusal(
        self, body: Any, *, status: int, where: str, retry_after_s: float | None
    ) -> ProviderError:
        """Build the error for a decoded error response, or for its text when it is no JSON."""
        ...


class Service:
    """A provider at one address, speaking one dialect or several."""

    def __init__(
        self,
        access: ProviderAccess,
        dialect: Callable[[ModelRequest], Dialect],
        *,
        title: str = "",
        key_name: str = "",
        needs_key: bool = False,
        models_path: str = "/models",
    ) -> None:
        """Make a provider; `dialect` says which one a request is for.

        Errors call the service `title` and name the variable that usually holds its key.
        """
        self._access = access
        self._dialect = dialect
        self._title = title
        self._key_name = key_name
        self._needs_key = needs_key
        self._models_path = models_path

    def prepare(self, request: ModelRequest) -> PreparedRequest:
        """Build the exact request; see `request.Provider`."""
        if self._needs_key and not self._access.api_key:
            raise provider_error(
                "authentication_error",
                f"{self._title} API key is required",
                where=self._where(request),
                fix=f"set {self._key_name}",
            )
        dialect = self._dialect(request)
        body, digest = dialect.body(request)
        url = self._access.base_url.rstrip("/") + dialect.path(request)
        return PreparedRequest(request=request, url=url, body=body, hash=digest)

    async def send(self, client: Client, prepared: PreparedRequest, on_event: OnEvent) -> Reply:
        """Send it once; see `request.Provider`."""
        where = self._where(prepared.request)
        dialect = self._dialect(prepared.request)
        wanted = Request(
            method="POST",
            url=prepared.url,
            headers=self._headers(prepared.request, dialect),
            body=prepared.body,
            timeout_s=prepared.request.options.timeout_s,
            # A redirect would turn the POST into a GET, or take the key elsewhere.
            follow=0,
        )
        with _connection_errors(where):
            async with client.stream(wanted) as streamed:
                if streamed.status != 200:
                    raise await self._refusal(streamed, dialect, where)
                incoming = dialect.reply(prepared.request, where)
                await _read(streamed, incoming, on_event, where)
                return _with_request_id(incoming.reply(), streamed)

    def reach(self, card: ModelCard) -> Reach:
        """Return how to reach the service with a request that is no step of a model."""
        request = ModelRequest(model=card, system="", messages=())
        headers = self._headers(request, self._dialect(request))
        return Reach(
            base_url=self._access.base_url.rstrip("/"),
            headers=[h for h in headers if h[0] != "Accept"],
            where=self._where(request),
        )

    async def status(self, client: Client, card: ModelCard) -> Status:
        """Say whether the service answers; see `embed.Checkable`."""
        return await status_at(client, self.reach(card), self._models_path)

    def _where(self, request: ModelRequest) -> str:
        return f"{request.model.name} at {self._access.base_url}"

    def _headers(self, request: ModelRequest, dialect: Dialect) -> Headers:
        headers = [("Content-Type", "application/json"), ("Accept", "text/event-stream")]
        headers += dialect.headers(request, self._access)
        own = {name.lower() for name, _ in self._access.headers}
        return [*(h for h in headers if h[0].lower() not in own), *self._access.headers]

    async def _refusal(self, streamed: Streamed, dialect: Dialect, where: str) -> ProviderError:
        status = streamed.status
        location = header(streamed.headers, "Location")
        if 300 <= status < 400:
            return provider_error(
                "invalid_request",
                f"the server redirects to `{location}`",
                where=where,
                fix="give that address, up to its version, as the base URL",
                status=status,
            )
        try:
            value = msgspec.json.decode(await streamed.read(MAX_ERROR_BYTES))
        except (msgspec.DecodeError, LimitReached):
            value = f"the server answered {status}"
        error = dialect.refusal(
            value, status=status, where=where, retry_after_s=_retry_after(streamed.headers)
        )
        if error_type(error) == "authentication_error" and self._key_name:
            error.fix = f"set {self._key_name} to a key that may use this model"
        return error


async def _read(streamed: Streamed, incoming: Incoming, on_event: OnEvent, where: str) -> None:
    first = await streamed.piece()
    if first.lstrip()[:1] == b"{":
        rest = await streamed.read(MAX_REPLY_BYTES)
        _report(incoming.take_whole(first + rest), on_event)
        return
    frames = Frames()
    left = MAX_REPLY_BYTES
    piece, shown = first, False
    while piece and not incoming.done:
        arrived = frames.feed(piece)
        while arrived and not shown:  # the first text waits for nothing that came with it
            shown = _report(incoming.take([arrived.pop(0)]), on_event)
        # Everything that arrived together makes one event: cheaper, and no text waits.
        _report(incoming.take(arrived), on_event)
        left -= len(piece)
        if left < 0:
            raise _too_long(where)
        if not incoming.done:
            piece = await streamed.piece()
    _report(incoming.take(frames.finish()), on_event)
    if not incoming.complete:
        what = "the model's reply broke off before its end" if first else "the reply is empty"
        raise provider_error("network_error", what, where=where)
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(DRAIN_S):
            while await streamed.piece():
                pass


def _report(added: tuple[str, str], on_event: OnEvent) -> bool:
    """Show what a reply adds; whether there was anything."""
    text, thinking = added
    if thinking:
        on_event(ThinkingDelta(text=thinking))
    if text:
        on_event(TextDelta(text=text))
    return bool(text or thinking)


def _too_long(where: str) -> ProviderError:
    return provider_error(
        "server_error",
        f"the reply is over {MAX_REPLY_BYTES >> 20} MiB",
        where=where,
        retryable=False,
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
    id_ = next(filter(None, (header(streamed.headers, name) for name in REQUEST_IDS)), "")
    return replace(reply, metadata={**reply.metadata, "request_id": id_}) if id_ else reply


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
