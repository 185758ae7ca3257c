"""The server: its routes, who may use them, and what each asks of the model.

`Server` is an ASGI application over one engine. `answer.py` carries a request that generates,
`generation.py` queues it, `prompt.py` writes what the model reads, `reply.py` reads what it
writes.
"""

import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from micro_agi.errors import EntryNotFound, InputInvalid, MicroAgiError, PolicyDenied
from micro_agi.modelserver.answer import Endpoint, Stream, Work
from micro_agi.modelserver.chat_request import read_chat, read_completion
from micro_agi.modelserver.engine import Engine
from micro_agi.modelserver.generation import Generations, Job
from micro_agi.modelserver.guard import Guard
from micro_agi.modelserver.prompt import Prompts
from micro_agi.modelserver.refusal import Refused, answer
from micro_agi.modelserver.reply import PlainParser, RawParser, Reply
from micro_agi.modelserver.wire import ReplyWire, to_json
from micro_agi.values import Secret

AT_ONCE = 4
"""Sequences in service at a time; decisions/0044 has what batches of them gain."""
WAITING = 64
"""Requests that may wait for their turn; more are told to come back."""
OPEN_PATHS = ("/health",)
"""Without the token: it tells nothing but that somebody is there."""


class Server:
    """The application of one model."""

    def __init__(
        self,
        engine: Engine,
        token: Secret,
        *,
        names: Collection[str] = (),
        at_once: int = AT_ONCE,
        waiting: int = WAITING,
    ) -> None:
        """`names` are host names it goes by, see `guard.py`."""
        self._engine = engine
        self._guard = Guard(token, names=names)
        self._prompts = Prompts(engine)
        self._started = int(time.time())
        self._generations = Generations(engine, at_once=at_once, waiting=waiting)
        routes = [
            Route("/health", self._health),
            Route("/v1/models", self._models),
            Route("/v1/models/{name:path}", self._model),
            Route("/v1/chat/completions", Endpoint(self._chat, self._submit), methods=["POST"]),
            Route("/v1/completions", Endpoint(self._completion, self._submit), methods=["POST"]),
        ]
        self._app = Starlette(
            routes=routes,
            lifespan=self._lifespan,
            exception_handlers={
                **dict.fromkeys((404, 405), _no_such_path),
                **dict.fromkeys((MicroAgiError, Refused), _refuse),
                Exception: _our_bug,
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or take part in the start and the end of the process."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._admit(Request(scope))
        except (MicroAgiError, Refused) as error:
            await answer(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _admit(self, request: Request) -> None:
        headers = request.headers
        self._guard.check_place(host=headers.get("host"), origin=headers.get("origin"))
        if request.url.path in OPEN_PATHS:
            return
        if not self._guard.check_token(headers.get("authorization")):
            error = PolicyDenied(
                "the token is missing or wrong",
                where="the header Authorization",
                fix="send `Authorization: Bearer TOKEN`; the server printed it when it started",
            )
            raise Refused(error, status=401, code="invalid_api_key")

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._generations.open()
        try:
            yield
        finally:
            # At most one token's time; the loop has nothing else to do any more.
            self._generations.close()

    async def _health(self, request: Request) -> Response:
        return _json({"status": "ok", **self._generations.load()})

    async def _models(self, request: Request) -> Response:
        return _json({"object": "list", "data": [self._facts()]})

    async def _model(self, request: Request) -> Response:
        self._check_model(request.path_params["name"])
        return _json(self._facts())

    def _facts(self) -> Mapping[str, Any]:
        facts = {"id": self._engine.name, "object": "model", "created": self._started}
        return facts | {"owned_by": "micro-agi", "max_model_len": self._engine.window}

    def _check_model(self, name: str) -> None:
        if name != self._engine.name:
            error = EntryNotFound(
                f"there is no model `{name}` here", where="model", fix=f"use `{self._engine.name}`"
            )
            raise Refused(error, status=404, code="model_not_found")

    def _chat(self, body: bytes) -> Work:
        request = read_chat(body)
        self._check_model(request.limits.model)
        prompt = self._prompts.of(request)
        tokens = self._engine.prompt(prompt.messages, prompt.tools)
        tokens += self._engine.encode(prompt.opening) if prompt.opening else []
        rendered = self._engine.render(prompt.messages, prompt.tools)
        parser = self._engine.parser(rendered + prompt.opening, prompt.tools) or PlainParser(
            request.tools,
            self._prompts.notation,
            opening=prompt.opening,
            thinks=rendered.rstrip().endswith("<think>"),
        )
        complete = parser.has_call if prompt.opening else None
        return Work(
            prompt=tokens,
            limits=request.limits,
            reply=Reply(self._engine.decode, parser, stop=request.limits.stop, complete=complete),
            wire=ReplyWire(self._engine.name, "chat"),
        )

    def _completion(self, body: bytes) -> Work:
        request = read_completion(body)
        self._check_model(request.limits.model)
        given = request.prompt
        return Work(
            prompt=self._engine.encode(given) if isinstance(given, str) else list(given),
            limits=request.limits,
            reply=Reply(self._engine.decode, RawParser(), stop=request.limits.stop),
            wire=ReplyWire(self._engine.name, "completion"),
        )

    def _submit(self, work: Work, stream: Stream) -> Job:
        window, length = self._engine.window, len(work.prompt)
        room = window - length
        if room < 1:
            error = InputInvalid(
                f"the prompt is too long: it has {length} tokens, and the context length of"
                f" `{self._engine.name}` is {window} tokens, the reply included",
                where="messages",
                fix="shorten the conversation",
            )
            raise Refused(error, status=400, code="context_length_exceeded")
        if not length:
            raise InputInvalid(
                "the prompt has no tokens", where="messages", fix="say something in it"
            )
        job = Job(
            work.prompt,
            work.limits.sampling,
            # What does not fit any more ends with `length`, as a smaller limit would.
            max_tokens=min(work.limits.max_tokens or room, room),
            take=stream.take,
            finished=stream.finished,
        )
        self._generations.submit(job)
        return job


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, MicroAgiError | Refused), "only these are handled here"
    return answer(error)


async def _our_bug(request: Request, error: Exception) -> Response:
    """Answer; the traceback goes to the log, since the error is raised again behind this."""
    what = f"this is a bug of the model server: {type(error).__name__}"
    return answer(MicroAgiError(what, fix="report what the server printed"))


async def _no_such_path(request: Request, error: Exception) -> Response:
    paths = "/health, /v1/models, /v1/chat/completions, /v1/completions"
    said = EntryNotFound(
        f"there is no `{request.method} {request.url.path}` here",
        where="the path",
        fix=f"use one of: {paths}",
    )
    return answer(Refused(said, status=getattr(error, "status_code", 404)))


def _json(value: Mapping[str, Any]) -> Response:
    return Response(to_json(value), media_type="application/json")
