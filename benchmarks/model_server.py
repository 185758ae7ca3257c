"""The model server beside a bare `generate` loop: `python -m benchmarks.model_server`.

Needs torch, so it runs in the environment of `./run model-test` and not with the others. Both
run the same network, untrained, on the same prompts, greedily and on one thread, in turns.
"""

import asyncio
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import aiohttp
import torch
import transformers
from tokenizers import Tokenizer, models

from benchmarks.table import Row, ratio, save, show
from micro_agi.modelserver.load import Options, load_engine
from micro_agi.modelserver.serve import listen, serving
from micro_agi.modelserver.server import Server
from micro_agi.values import Secret

TITLE = "model_server: the same network, served and in a bare loop"
ROUNDS = 5
TOKENS = 32
PROMPT = 200
TOGETHER = 4


def network_in(folder: Path) -> None:
    """Save an untrained network whose token takes some 10 to 20 ms on one core."""
    torch.manual_seed(0)
    # Each token is a word: text that is shown at once, whatever an untrained network says.
    plain = Tokenizer(models.WordLevel({f"w{n}": n for n in range(8000)}, unk_token="w0"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=plain).save_pretrained(folder)
    config = transformers.Qwen2Config(
        vocab_size=8000,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        eos_token_id=None,
    )
    transformers.Qwen2ForCausalLM(config).save_pretrained(folder)


def bare(network: Any, prompt: list[int]) -> tuple[float, float]:
    """Generate with the library's own loop; return time to the first token, and in all."""
    streamer = _FirstToken()
    started = time.perf_counter()
    with torch.inference_mode():
        network.generate(
            torch.tensor([prompt]), max_new_tokens=TOKENS, do_sample=False, streamer=streamer
        )
    return streamer.first - started, time.perf_counter() - started


class _FirstToken:
    """Notes when the first token came; the prompt comes before it."""

    def __init__(self) -> None:
        self.seen, self.first = 0, 0.0

    def put(self, value: Any) -> None:
        self.seen += 1
        if self.seen == 2:
            self.first = time.perf_counter()

    def end(self) -> None: ...


async def served(
    session: aiohttp.ClientSession, url: str, prompt: list[int]
) -> tuple[float, float]:
    """Ask the server for the same, streamed; return the same times."""
    body = {"model": "bench", "prompt": prompt, "max_tokens": TOKENS, "temperature": 0}
    started, first = time.perf_counter(), 0.0
    async with session.post(f"{url}/completions", json=body | {"stream": True}) as reply:
        assert reply.status == 200, await reply.text()
        async for line in reply.content:
            if not first and line.startswith(b"data: {") and json.loads(line[6:])["choices"]:
                first = time.perf_counter()
    return first - started, time.perf_counter() - started


async def measure(folder: Path) -> list[Row]:
    """Run both in turns, then several requests at once."""
    engine = load_engine(str(folder), Options(name="bench", threads=1, window=2048), print)
    network = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    together: list[float] = []
    token = "t"
    # The server has a loop of its own, as it has in life; the client only waits.
    ready: list[str] = []
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(Server(engine, Secret(token)), listen("127.0.0.1", 0)) as address:
            ready.append(address)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    await asyncio.to_thread(started.wait)
    try:
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            for n in range(ROUNDS + 1):
                # A prompt of its own each time: nothing is taken from a kept prefix.
                prompts = [torch.randint(0, 256, (PROMPT,)).tolist() for _ in range(TOGETHER + 1)]
                mine = await served(session, ready[0], prompts[0])
                other = await asyncio.to_thread(bare, network, prompts[0])
                at_once = time.perf_counter()
                await asyncio.gather(*(served(session, ready[0], p) for p in prompts[1:]))
                if n:  # the first round warms up
                    ours.append(mine)
                    theirs.append(other)
                    together.append(time.perf_counter() - at_once)
    finally:
        stop.set()
        thread.join()
    rows = [
        ("time to the first token", [m[0] for m in ours], [t[0] for t in theirs], "ms"),
        (
            "time of a further token",
            [(m[1] - m[0]) / (TOKENS - 1) for m in ours],
            [(t[1] - t[0]) / (TOKENS - 1) for t in theirs],
            "ms",
        ),
        (f"{TOGETHER} replies at once", together, [t[1] * TOGETHER for t in theirs], "ms"),
    ]
    return [
        ratio(
            name,
            statistics.median(mine) * 1000,
            statistics.median(other) * 1000,
            unit,
            peer_name="bare loop",
            goal=1.05,
        )
        for name, mine, other, unit in rows
    ]


def main() -> None:
    """Measure, print, save."""
    with tempfile.TemporaryDirectory() as folder:
        network_in(Path(folder))
        rows = asyncio.run(measure(Path(folder)))
    print(show(TITLE, rows))
    save("model_server", rows)


if __name__ == "__main__":
    main()
