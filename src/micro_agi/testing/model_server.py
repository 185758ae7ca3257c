"""A model server on loopback that answers from a script: Chat Completions and Responses.

It speaks the real wire form (the official client reads it, which a test shows), streamed
or not, and fails in the ways that real ones do. Use it inside a test's event loop
(`async with ScriptedServer([...]) as server`) or beside it (`with server.in_thread()`), for
programs that are started as processes.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec
from aiohttp import web

from micro_agi.llm.providers.scripted import Call
from micro_agi.testing.model_wire import WIRES

FaultKind = Literal["status", "cut", "half_call", "in_band", "not_json"]
PATHS: Mapping[str, str] = {"/v1/chat/completions": "chat", "/v1/responses": "responses"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply. `text` may be given in the pieces that are streamed."""

    text: str | tuple[str, ...] = ()
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    finish: str = ""
    """Chat's finish reason (`length`, `content_filter`); empty means the natural one."""
    usage: Mapping[str, int] | None = field(
        default_factory=lambda: {"prompt": 11, "completion": 7, "cached": 0, "thinking": 0}
    )
    """Prompt includes the cached; None sends none, as some servers do."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
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


@dataclass(frozen=True, slots=True)
class Received:
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
        self.connections: set[tuple[str, int]] = set()
        """The other ends of all connections; their number shows whether they are reused."""

    @property
    def base_url(self) -> str:
        """Address with `/v1`, for `--base-url`."""
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> "ScriptedServer":
        app = web.Application(client_max_size=64 << 20)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_post("/v1/embeddings", self._embed)
        for path in PATHS:
            app.router.add_post(path, self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
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

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = msgspec.json.decode(raw)
        self.received.append(Received(request.path, dict(request.headers), body, raw))
        peer = request.transport and request.transport.get_extra_info("peername")
        self.connections.add(tuple(peer or ("", 0))[:2])
        answer = self._next(body)
        if self._key and request.headers.get("Authorization") != f"Bearer {self._key}":
            answer = Fault(status=401, message="Incorrect API key provided", code="invalid_api_key")
        reply = answer.reply if isinstance(answer, Fault) else answer
        wire = WIRES[PATHS[request.path]](len(self.received), body, reply)
        if isinstance(answer, Fault):
            return await _fail(request, answer, wire.frames())
        await asyncio.sleep(answer.delay_s)
        if answer.whole or not body.get("stream"):
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


async def _fail(request: web.Request, fault: Fault, frames: list[bytes]) -> web.StreamResponse:
    error = {"message": fault.message, "type": fault.type, "code": fault.code or None}
    match fault.kind:
        case "status":
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return web.json_response({"error": error}, status=fault.status, headers=headers)
        case "not_json":
            return web.Response(text="<html>Bad gateway</html>", status=fault.status)
        case "in_band":
            last = b"data: " + msgspec.json.encode({"type": "error", "error": error}) + b"\n\n"
            return await _stream(request, [*frames[: fault.after], last])
        case "cut":
            return await _stream(request, frames[: fault.after], cut=True)
        case "half_call":
            start = next(i for i, frame in enumerate(frames) if b"function" in frame)
            return await _stream(request, frames[: start + 2], cut=True)


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
