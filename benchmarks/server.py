"""A model server that costs almost nothing: it knows plans (`wire.py`) and cuts requests apart.

A program of its own, so that its CPU is nobody's: `python -m benchmarks.server` prints its
port and serves until its standard input ends. Every client has addresses of its own
(`/<client>/<plan>/v1`) and gets the plan's replies in order, over and over.
"""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import ClassVar

from benchmarks.wire import PROMPT_TOKENS, SUMMARY, Plan, plan, text_reply

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
WINDOW = 1_000_000
"""A long history must fit: what is measured is carrying it, not shortening it."""
COUNTED_WINDOW = 32_768
"""Of plans that count: here the history shall be shortened often."""

known_plan = cache(plan)


@cache
def encoded(name: str, number: int) -> tuple[bytes, ...]:
    """Return a reply as the pieces to write: one chunk for each frame, as real servers send."""
    found = known_plan(name)
    chunks = [chunked(frame) for frame in found.replies[number]]
    return (HEAD, *chunks, END) if found.pause_s else (b"".join((HEAD, *chunks, END)),)


def chunked(frame: bytes) -> bytes:
    """Return one frame as a chunk."""
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def counting(frames: Iterable[bytes], body: bytes) -> bytes:
    """Return a reply that says how many bytes its request had, in one piece."""
    usage = PROMPT_TOKENS.replace(b"11", b"%d" % len(body))
    return b"".join((HEAD, *(chunked(f.replace(PROMPT_TOKENS, usage)) for f in frames), END))


class Connection(asyncio.Protocol):
    """One client's connection."""

    served: ClassVar[Counter[str]] = Counter()
    last: ClassVar[dict[str, float]] = {}
    """When each client's address was last asked for a reply, on the machine's clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.received = bytearray()
        self.wanted = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def data_received(self, data: bytes) -> None:
        self.received += data
        while len(self.received) >= self.wanted:
            if not self.wanted:
                end = self.received.find(b"\r\n\r\n")
                if end < 0:
                    return
                self.head = bytes(self.received[:end])
                self.wanted = end + 4 + body_length(self.head)
                continue
            body = bytes(self.received[len(self.head) + 4 : self.wanted])
            del self.received[: self.wanted]
            self.wanted = 0
            self.answer(self.head.split(b" ", 2)[1].decode(), body)

    def answer(self, path: str, body: bytes) -> None:
        address, _, rest = path.removeprefix("/").partition("/v1")
        if rest == "/models":
            self.send_json(models(address.partition("/")[2]))
        elif rest == "/last":
            self.send_json(json.dumps(self.last[address]).encode())
        else:
            self.last[address] = time.monotonic()
            self.reply(address, address.partition("/")[2], body)

    def reply(self, address: str, name: str, body: bytes) -> None:
        found = known_plan(name)
        if found.counted and b'"tools":' not in body:
            self.transport.write(counting(text_reply((SUMMARY,)), body))
            return
        number = self.served[address] % len(found.replies)
        self.served[address] += 1
        if found.counted:
            self.transport.write(counting(found.replies[number], body))
            return
        pieces = encoded(name, number)
        if found.pause_s:
            task = asyncio.create_task(self.pace(pieces, found))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        else:
            self.transport.write(pieces[0])

    async def pace(self, pieces: tuple[bytes, ...], found: Plan) -> None:
        for piece in pieces:
            self.transport.write(piece)
            await asyncio.sleep(found.pause_s)

    def send_json(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)


def models(name: str) -> bytes:
    """Return the list of models, as a client of a plan is told it."""
    window = COUNTED_WINDOW if name and known_plan(name).counted else WINDOW
    model = {"id": "bench", "object": "model", "max_model_len": window}
    return json.dumps({"object": "list", "data": [model]}).encode()


def body_length(head: bytes) -> int:
    """Return the length of a request's body; no client here sends one in chunks."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


class Server:
    """The running server, as scripts see it."""

    def __init__(self, port: int) -> None:
        self._port = port

    def url(self, client: str, plan_name: str) -> str:
        """Return the base URL, up to `/v1`, of one client and one plan."""
        return f"http://127.0.0.1:{self._port}/{client}/{plan_name}/v1"

    def last_request_at(self, client: str, plan_name: str) -> float:
        """Return when that client last asked, on the clock of `time.monotonic`."""
        with urllib.request.urlopen(self.url(client, plan_name) + "/last") as response:
            return float(json.load(response))


@contextmanager
def running() -> Iterator[Server]:
    """Run the server as a process of its own as long as the block lasts."""
    command = [sys.executable, "-m", "benchmarks.server"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Server(int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


async def serve() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
