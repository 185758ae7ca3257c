"""One request that generates: from its body to the last byte, or until its client leaves.

Raw ASGI, since a client that leaves has to be noticed also while nothing is sent to it: for
as long as the reply is being made, one task listens for that and nothing else.
"""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct
from starlette.types import Receive, Scope, Send

from micro_agi.errors import InputInvalid
from micro_agi.modelserver.chat_request import Limits
from micro_agi.modelserver.engine import Piece
from micro_agi.modelserver.generation import Finished, Job
from micro_agi.modelserver.refusal import Refused
from micro_agi.modelserver.reply import End, Reply
from micro_agi.modelserver.wire import ReplyWire, failed

MAX_BODY_BYTES = 32 << 20
Item: TypeAlias = "list[Piece] | tuple[Finished, End]"


class Work(Struct, frozen=True, kw_only=True):
    """A request that was read, ready for the queue."""

    prompt: list[int]
    limits: Limits
    reply: Reply
    wire: ReplyWire


class Stream:
    """Brings the pieces of a reply from the engine's thread to the event loop."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[Item] = asyncio.Queue()

    async def next(self) -> Item:
        """Return what came next; the last item is a pair."""
        return await self._items.get()

    def take(self, token: int) -> bool:
        """Take a token, and say whether to go on. In the engine's thread."""
        pieces = self._reply.take(token)
        if pieces:
            self._post(pieces)
        return not self._reply.ended

    def finished(self, finished: Finished) -> None:
        """Take the end. In the engine's thread."""
        end = self._reply.end(cut=finished.why == "length", last=finished.last)
        self._post((finished, end))

    def _post(self, item: Item) -> None:
        self._loop.call_soon_threadsafe(self._items.put_nowait, item)


class Endpoint:
    """Answers requests of one kind."""

    def __init__(
        self, read: Callable[[bytes], Work], submit: Callable[[Work, Stream], Job]
    ) -> None:
        """`read` may take its time: it runs in a thread, one request after the other."""
        self._read = read
        self._submit = submit
        self._reading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await _body(receive)
        if body is None:
            return
        async with self._reading:
            work = await asyncio.to_thread(self._read, body)
        stream = Stream(work.reply)
        job = self._submit(work, stream)
        left = asyncio.create_task(_gone(receive))
        left.add_done_callback(lambda _: job.cancel())
        try:
            await (_streamed if work.limits.stream else _whole)(work, stream, send)
        finally:
            left.cancel()
            job.cancel()


async def _whole(work: Work, stream: Stream, send: Send) -> None:
    pieces: list[Piece] = []
    while isinstance(item := await stream.next(), list):
        pieces += item
    finished, end = item
    if finished.why == "cancelled":
        return
    if finished.error is not None:
        raise finished.error
    body = work.wire.whole([*pieces, *end.pieces], end.calls, end.finish, finished.counted)
    await _send(send, "application/json", body)


async def _streamed(work: Work, stream: Stream, send: Send) -> None:
    # The first piece before the headers: a failure until then has a status of its own.
    item = await stream.next()
    if isinstance(item, tuple) and item[0].error is not None:
        raise item[0].error
    wire = work.wire
    await _start(send, "text/event-stream")
    await _more(send, wire.start())
    while isinstance(item, list):
        await _more(send, wire.pieces(item))
        item = await stream.next()
    finished, end = item
    if finished.why == "cancelled":
        return
    if finished.error is not None:
        await _more(send, failed(finished.error), last=True)
        return
    counted = finished.counted if work.limits.stream_usage else None
    rest = wire.pieces(end.pieces) + wire.calls(end.calls) + wire.finish(end.finish, counted)
    await _more(send, rest, last=True)


async def _body(receive: Receive) -> bytes | None:
    """Return the body, or None when the client left before it was there.

    Raises: Refused when it is too large.
    """
    body = bytearray()
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        length += len(piece)
        # What is a little too large is read to its end: most clients read no answer before.
        more = message.get("more_body", False) and length <= 2 * MAX_BODY_BYTES
        if length <= MAX_BODY_BYTES:
            body += piece
        if not more:
            break
    if length > MAX_BODY_BYTES:
        error = InputInvalid(
            f"the body has more than {MAX_BODY_BYTES >> 20} MiB",
            where="body",
            fix="shorten the conversation",
        )
        raise Refused(error, status=413)
    return bytes(body)


async def _gone(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, kind: str, body: bytes) -> None:
    await _start(send, kind, length=len(body))
    await _more(send, body, last=True)


async def _start(send: Send, kind: str, *, length: int | None = None) -> None:
    headers = [(b"content-type", kind.encode()), (b"cache-control", b"no-store")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _more(send: Send, body: bytes, *, last: bool = False) -> None:
    if body or last:
        await send({"type": "http.response.body", "body": body, "more_body": not last})
