"""A model server on loopback that answers from a script, in the form of every provider.

It speaks Chat Completions, Responses, Anthropic's Messages and Google's Gemini in their
real wire form (the official client reads it, which a test shows), streamed or not, and
fails in the ways that real ones do. Use it inside a test's event loop
(`async with ScriptedServer([...]) as server`) or beside it (`with server.in_thread()`), for
programs that are started as processes.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import msgspec
from aiohttp import web
from msgspec import Struct, field

from micro_agi.llm.providers.scripted import Call
from micro_agi.testing.cloud_wire import AnthropicWire, GoogleWire
from micro_agi.testing.model_wire import ChatWire, ResponsesWire, Scripted, Wire

FaultKind = Literal["status", "cut", "half_call", "in_band", "not_json"]
WireName = Literal["chat", "responses", "anthropic", "google"]


class Form(Struct, frozen=True, kw_only=True):
    """How one wire form is served."""

    wire: Callable[[int, Mapping[str, Any], Scripted], Wire]
    base: str
    """What a client's base URL ends in."""
    path: str
    key: str = "Bearer "
    header: str = "Authorization"
    wait_in_header: bool = True
    """Whether a rate limit says its wait in `Retry-After`, not in the body alone."""


FORMS: Mapping[WireName, Form] = {
    "chat": Form(wire=ChatWire, base="/v1", path="/chat/completions"),
    "responses": Form(wire=ResponsesWire, base="/v1", path="/responses"),
    "anthropic": Form(wire=AnthropicWire, base="", path="/v1/messages", key="", header="x-api-key"),
    "google": Form(
        wire=GoogleWire,
        base="/v1beta",
        path="/models/{model:[^:]+}:{method:(?:stream)?[gG]enerateContent}",
        key="",
        header="x-goog-api-key",
        wait_in_header=False,
    ),
}


class Reply(Struct, frozen=True, kw_only=True):
    """One reply. `text` may be given in the pieces that are streamed."""

    text: str | tuple[str, ...] = ()
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    finish: str = ""
    """`length` or `content_filter`, in Chat's words; empty means the natural one."""
    usage: Mapping[str, int] | None = field(
        default_factory=lambda: {"prompt": 11, "completion": 7, "cached": 0, "thinking": 0}
    )
    """`prompt` includes `cached` and `cache_write`; None sends none, as some servers do."""
    done: bool = True
    """Whether a Chat stream ends with `[DONE]`."""
    whole: bool = False
    """Answer one JSON object even when a stream is asked for, as some servers do."""
    delay_s: float = 0.0
    """Wait before the first byte."""

    @property
    def pieces(self) -> tuple[str, ...]:
        """The text in the pieces that are streamed."""
        return (self.text,) if isinstance(self.text, str) else self.text


class Fault(Struct, frozen=True, kw_only=True):
    """One failure, after the first `after` frames of `reply` where it is inside a stream."""

    kind: FaultKind = "status"
    status: int = 500
    message: str = "the server has a problem"
    code: str = ""
    type: str = ""
    retry_after: str = ""
    reply: Reply = Reply(text=("Half of ", "the answer."))
    after: int = 2


Answer: TypeAlias = Reply | Fault
Script: TypeAlias = Sequence[Answer | Callable[[dict[str, Any]], Answer]]


class Received(Struct, frozen=True):
    """One request that the server got."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    raw: bytes


class ScriptedServer:
    """Answers each request with the script's next answer, or with its only function's."""

    def __init__(
        self,
        script: Script | Callable[[dict[str, Any]], Answer],
        *,
        models: Sequence[str | Mapping[str, Any]] = ("scripted-model",),
        key: str = "",
        port: int = 0,
        vector: Callable[[str], Sequence[float]] | None = None,
    ) -> None:
        """With `key`, requests without it are answered 401. Port 0 takes a free one.

        `vector` answers `/v1/embeddings`, last text first: the order is the client's to restore.
        """
        self._script = script
        self._models = [m if isinstance(m, Mapping) else {"id": m} for m in models]
        self._key = key
        self._port = port
        self._vector = vector
        self._runner: web.AppRunner | None = None
        self.received: list[Received] = []
        """Every request for a reply, in order."""
        self.abandoned = 0
        """Requests whose client went away before the answer was whole."""
        self._changed = asyncio.Event()
        self._closing = False
        self.connections: set[tuple[str, int]] = set()
        """The other ends of all connections; their number shows whether they are reused."""

    @property
    def base_url(self) -> str:
        """Address with `/v1`, for `--base-url`."""
        return self.address("chat")

    def address(self, wire: WireName) -> str:
        """Return the base URL for a client that speaks this wire form."""
        return f"http://127.0.0.1:{self._port}{FORMS[wire].base}"

    async def until(self, reached: Callable[["ScriptedServer"], bool]) -> None:
        """Wait for something about this server: a request received, one abandoned."""
        while not reached(self):
            self._changed.clear()
            await self._changed.wait()

    async def __aenter__(self) -> "ScriptedServer":
        app = web.Application(client_max_size=64 << 20)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_post("/v1/embeddings", self._embed)
        app.router.add_get("/v1beta/models", self._list_models)
        for form in FORMS.values():
            app.router.add_post(form.base + form.path, self._handler(form))
        # A handler ends with its client, so that `abandoned` can count it.
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        if self._runner is not None:
            await self._runner.cleanup()

    @contextmanager
    def in_thread(self) -> Iterator["ScriptedServer"]:
        """Serve from an own thread and event loop until the block ends."""
        ready = threading.Event()
        running: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

        async def serve() -> None:
            stop = asyncio.Event()
            async with self:
                running.append((asyncio.get_running_loop(), stop))
                ready.set()
                await stop.wait()

        # `asyncio.run` also ends the handlers that are still waiting for something.
        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        assert ready.wait(10), "the scripted server did not start"
        try:
            yield self
        finally:
            loop, stop = running[0]
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/v1beta"):
            return web.json_response(
                {"models": [{"name": f"models/{m['id']}"} for m in self._models]}
            )
        data = [{"object": "model", "owned_by": "script"} | dict(m) for m in self._models]
        return web.json_response({"object": "list", "data": data})

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = msgspec.json.decode(raw)
        self.received.append(Received(request.path, dict(request.headers), body, raw))
        if self._vector is None:
            return web.json_response({"error": {"message": "no embeddings here"}}, status=404)
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        items = [
            {"object": "embedding", "index": n, "embedding": list(self._vector(text))}
            for n, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": sum(map(len, texts)), "total_tokens": sum(map(len, texts))}
        return web.json_response({"object": "list", "data": items[::-1], "usage": usage})

    def _handler(self, form: Form) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await self._answer(request, form)
            except asyncio.CancelledError:
                self.abandoned += not self._closing
                self._changed.set()
                raise

        return handle

    async def _answer(self, request: web.Request, form: Form) -> web.StreamResponse:
        raw = await request.read()
        body = msgspec.json.decode(raw)
        self.received.append(Received(request.path, dict(request.headers), body, raw))
        self._changed.set()
        peer = request.transport and request.transport.get_extra_info("peername")
        self.connections.add(tuple(peer or ("", 0))[:2])
        answer = self._next(body)
        if self._key and request.headers.get(form.header) != form.key + self._key:
            answer = Fault(status=401, message="Incorrect API key provided", code="invalid_api_key")
        reply = answer.reply if isinstance(answer, Fault) else answer
        wire = form.wire(len(self.received), body, reply)
        if isinstance(answer, Fault):
            return await _fail(request, answer, wire, wait_in_header=form.wait_in_header)
        await asyncio.sleep(answer.delay_s)
        streams = body.get("stream") or request.match_info.get("method", "").startswith("stream")
        if answer.whole or not streams:
            return web.json_response(wire.whole())
        return await _stream(request, wire.frames())

    def _next(self, body: dict[str, Any]) -> Answer:
        if callable(self._script):
            return self._script(body)
        number = len(self.received) - 1
        if number >= len(self._script):
            return Fault(status=400, message=f"the script has only {len(self._script)} answers")
        answer = self._script[number]
        return answer(body) if callable(answer) else answer


async def _fail(
    request: web.Request, fault: Fault, wire: Wire, *, wait_in_header: bool
) -> web.StreamResponse:
    match fault.kind:
        case "status":
            says = wait_in_header and fault.retry_after
            headers = {"Retry-After": fault.retry_after} if says else {}
            return web.json_response(wire.failure(fault), status=fault.status, headers=headers)
        case "not_json":
            return web.Response(text="<html>Bad gateway</html>", status=fault.status)
        case "in_band":
            return await _stream(request, [*wire.frames()[: fault.after], wire.in_band(fault)])
        case "cut":
            return await _stream(request, wire.frames()[: fault.after], cut=True)
        case "half_call":
            return await _stream(request, wire.half_call(), cut=True)


async def _stream(
    request: web.Request, frames: list[bytes], *, cut: bool = False
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for frame in frames:
        await response.write(frame)
    if cut and request.transport is not None:
        # Time for what was written to be read, then an end without the last chunk.
        await asyncio.sleep(0.02)
        request.transport.abort()
        return response
    await response.write_eof()
    return response
