"""A model whose replies are a script: everything of the server but the network is real.

A token is one byte of UTF-8, so that characters of several tokens occur, and each mark of the
template is a token of its own. It keeps prefixes in the server's own `Prefixes`, counts what
it computes, and can be made to wait before each token.
"""

import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from micro_agi.errors import InputInvalid
from micro_agi.modelserver.engine import Parser, Sampling, Wire
from micro_agi.modelserver.prefixes import Kept, Prefixes

MARKS = ("<|start|>", "<|end|>")
END = 257
PIECE = 64
"""Tokens of a prompt computed at once."""


@dataclass(eq=False)
class FakeRun:
    prompt: list[int]
    sampling: Sampling
    cached: int
    reply: list[int]
    computed: int
    written: list[int] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return self.computed >= len(self.prompt)


class FakeEngine:
    name = "fake-model"

    def __init__(
        self,
        reply: str | Callable[[str], str],
        *,
        window: int = 4096,
        gated: bool = False,
        shows_tools: bool = True,
        call: Callable[[str, Any], str] = lambda name, arguments: (
            f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n</tool_call>'
        ),
    ) -> None:
        """`reply` gets the prompt's text. With `gated`, each token takes one `gate.release()`."""
        self._reply = reply if callable(reply) else lambda prompt: reply
        self.window = window
        self.gate = threading.Semaphore(0) if gated else None
        self._shows_tools = shows_tools
        self._call = call
        self._prefixes: Prefixes[None] = Prefixes(max_bytes=1 << 20)
        self.computed: list[int] = []
        """Tokens of each prompt that were computed."""
        self.batches: list[int] = []
        """How many sequences got a token together."""
        self.ended: list[FakeRun] = []
        self.fails = False

    def render(self, messages: Sequence[Wire], tools: Sequence[Wire], *, reply: bool = True) -> str:
        shown = f"<|start|>tools\n{json.dumps(list(tools))}<|end|>" if tools else ""
        text = shown if self._shows_tools else ""
        for message in messages:
            if message["role"] == "system" and text not in ("", shown):
                raise InputInvalid("the template takes one system message", where="messages")
            said = message["content"]
            for call in message.get("tool_calls", ()):
                said += self._call(call["function"]["name"], call["function"]["arguments"])
            text += f"<|start|>{message['role']}\n{said}<|end|>"
        return text + "<|start|>assistant\n" * reply

    def prompt(self, messages: Sequence[Wire], tools: Sequence[Wire]) -> list[int]:
        return self.encode(self.render(messages, tools))

    def encode(self, text: str) -> list[int]:
        pieces = re.split(f"({'|'.join(map(re.escape, MARKS))})", text)
        return [
            token
            for piece in pieces
            for token in ([256 + MARKS.index(piece)] if piece in MARKS else piece.encode())
        ]

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(t for t in tokens if t < 256).decode("utf-8", "replace")

    def is_end(self, token: int) -> bool:
        return token == END

    def parser(self, prompt: str, tools: Sequence[Wire]) -> Parser | None:
        return None

    def open_the_gate(self) -> None:
        """Let everything through, so that the server can stop."""
        if self.gate is not None:
            self.gate.release(1_000_000)

    def start(self, prompt: Sequence[int], sampling: Sampling) -> FakeRun:
        match = self._prefixes.match(prompt)
        cached = match.length if match else 0
        self.computed.append(len(prompt) - cached)
        reply = [*self._reply(self.decode(prompt)).encode(), END]
        return FakeRun(list(prompt), sampling, cached, reply, cached)

    def prefill(self, run: FakeRun, *, alone: bool) -> None:
        run.computed += PIECE

    def step(self, runs: Sequence[FakeRun]) -> list[int]:
        if self.gate is not None:
            self.gate.acquire()
        if self.fails:
            raise MemoryError("no memory left")
        self.batches.append(len(runs))
        tokens = [run.reply[len(run.written)] for run in runs]
        for run, token in zip(runs, tokens, strict=True):
            run.written.append(token)
        return tokens

    def finish(self, run: FakeRun) -> None:
        self.ended.append(run)
        tokens = [*run.prompt, *run.written[:-1]]
        if run.ready:
            self._prefixes.keep(Kept(tokens=tokens, prompt=len(run.prompt), size=1, state=None))
