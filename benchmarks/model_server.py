"""The model server beside a bare `generate` loop: `./run model-bench`.

Needs torch, so it runs in the environment of `./run model-test` and not with the others. Both
run the same network, untrained, on the same tokens, greedily and on one thread, in turns. The
server is the command as people start it, in a process of its own.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from benchmarks.processes import threads_cpu_s
from benchmarks.table import Row, faster, ratio, save, show

TITLE = "model_server: the same network, served and in a bare loop"
ROUNDS = 7
TOKENS = 64
SHORT, LONG = 200, 1500
"""Words of the two prompts; a word is a token."""
TOGETHER = 4
VOCABULARY = 8000
GOAL = 1.05
NAME, TOKEN = "bench", "a-token"
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "", "parameters": {}}}
    for name in ("w1", "w2", "w3")
]
TEMPLATE = (
    "{% for tool in tools %}{{ tool.function.name }} {% endfor %}"
    "{% for message in messages %}{{ message.content }} {% endfor %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Seconds of one reply."""

    first: float
    """Until its first token."""
    whole: float
    cpu_first: float
    """Of the process that computes."""
    cpu_whole: float

    @property
    def token(self) -> float:
        """Of a further token."""
        return (self.whole - self.first) / (TOKENS - 1)

    @property
    def cpu_token(self) -> float:
        """CPU of a further token."""
        return (self.cpu_whole - self.cpu_first) / (TOKENS - 1)


class Clock:
    """Wall and CPU from the start to the first token, and to the end."""

    def __init__(self, cpu_s: Callable[[], float]) -> None:
        self._cpu_s = cpu_s
        self._first: tuple[float, float] | None = None
        self._started = self._now()

    def token(self) -> None:
        """Note a token; the first one counts."""
        self._first = self._first or self._now()

    def took(self) -> Took:
        """Return what it took."""
        assert self._first is not None, "there was a token"
        wall, cpu = self._started
        whole = self._now()
        return Took(
            first=self._first[0] - wall,
            whole=whole[0] - wall,
            cpu_first=self._first[1] - cpu,
            cpu_whole=whole[1] - cpu,
        )

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), self._cpu_s()


def network_in(folder: Path) -> None:
    """Save an untrained network whose token takes 10 to 30 ms on one core."""
    torch.manual_seed(0)
    # Each token is a word: text that is shown at once, whatever an untrained network says.
    plain = Tokenizer(models.WordLevel({f"w{n}": n for n in range(VOCABULARY)}, unk_token="w0"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, chat_template=TEMPLATE)
    tokenizer.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        eos_token_id=None,
        pad_token_id=0,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


class Bare:
    """The library's own loop."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self._network = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def reply(self, text: str) -> Took:
        """Generate, and note when the first token was there."""
        made = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tools=TOOLS, return_dict=True
        )
        streamer = _Streamer()
        with torch.inference_mode():
            self._network.generate(
                torch.tensor([made["input_ids"]]),
                max_new_tokens=TOKENS,
                do_sample=False,
                streamer=streamer,
            )
        return streamer.clock.took()


class _Streamer:
    """Notes when the first token came; the prompt comes before it."""

    def __init__(self) -> None:
        self.clock, self._prompt = Clock(time.process_time), True

    def put(self, value: Any) -> None:
        if not self._prompt:
            self.clock.token()
        self._prompt = False

    def end(self) -> None: ...


class Served:
    """The server, in a process of its own, asked as a chat client with tools does."""

    def __init__(self, folder: Path, home: Path) -> None:
        command = [sys.executable, "-m", "micro_agi", "--model", str(folder), "model-server"]
        # Nothing of one round is taken from a prefix that an earlier one left.
        options = ["--port", "0", "--name", NAME, "--threads", "1", "--cache-mb", "0"]
        known = {"MICRO_AGI_HOME": str(home), "MICRO_AGI_MODEL_SERVER_TOKEN": TOKEN}
        self._process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, text=True, env=os.environ | known
        )
        assert self._process.stdout is not None
        lines = iter(self._process.stdout.readline, "")
        said = next((line for line in lines if line.startswith("serving ")), None)
        assert said is not None, "the server did not start"
        self._url = said.split(" at ")[1].split()[0]

    async def reply(self, session: aiohttp.ClientSession, text: str) -> Took:
        """Ask for a streamed reply, and note when its first text was there."""
        body = {
            "model": NAME,
            "messages": [{"role": "user", "content": text}],
            "tools": TOOLS,
            "max_tokens": TOKENS,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        clock = Clock(lambda: threads_cpu_s(self._process.pid))
        used: dict[str, Any] = {}
        async with session.post(f"{self._url}/chat/completions", json=body) as reply:
            assert reply.status == 200, await reply.text()
            async for line in reply.content:
                if not line.startswith(b"data: {"):
                    continue
                chunk = json.loads(line[6:])
                used = chunk.get("usage") or used
                if any(choice["delta"].get("content") for choice in chunk["choices"]):
                    clock.token()
        took = clock.took()
        assert used["completion_tokens"] == TOKENS, used
        assert used["prompt_tokens_details"]["cached_tokens"] == 0, used
        return took

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()


async def measure(served: Served, bare: Bare) -> list[Row]:
    """Run both in turns, and several requests at once."""
    ours: dict[int, list[Took]] = {SHORT: [], LONG: []}
    theirs: dict[int, list[Took]] = {SHORT: [], LONG: []}
    together: list[float] = []
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for n in range(ROUNDS + 1):
            for length in (SHORT, LONG):
                text = _words(length)
                # Each is first as often as the other.
                if n % 2:
                    one = await served.reply(session, text)
                    two = await asyncio.to_thread(bare.reply, text)
                else:
                    two = await asyncio.to_thread(bare.reply, text)
                    one = await served.reply(session, text)
                if n:  # the first round warms up
                    ours[length].append(one)
                    theirs[length].append(two)
            started = time.perf_counter()
            replies = [served.reply(session, _words(SHORT)) for _ in range(TOGETHER)]
            await asyncio.gather(*replies)
            if n:
                together.append(TOGETHER * TOKENS / (time.perf_counter() - started))

    def row(name: str, length: int, value: Callable[[Took], float]) -> Row:
        mine, other = (
            statistics.median(map(value, times[length])) * 1000 for times in (ours, theirs)
        )
        return ratio(name, mine, other, "ms", peer_name="bare loop", goal=GOAL)

    def rate(name: str, mine: float, *, goal: float) -> Row:
        other = statistics.median(1 / took.token for took in theirs[SHORT])
        return faster(name, mine, other, "tokens/s", peer_name="bare loop", goal=goal)

    return [
        *(
            row(f"{what}, {length:,} of prompt", length, value)
            for what, value in (
                ("first token", lambda t: t.first),
                ("first token, CPU", lambda t: t.cpu_first),
                ("further token", lambda t: t.token),
                ("further token, CPU", lambda t: t.cpu_token),
            )
            for length in (SHORT, LONG)
        ),
        rate("tokens/s", statistics.median(1 / took.token for took in ours[SHORT]), goal=1 / GOAL),
        rate(f"tokens/s, {TOGETHER} replies at once", statistics.median(together), goal=1.0),
    ]


def _words(count: int) -> str:
    return " ".join(f"w{n}" for n in torch.randint(0, VOCABULARY, (count,)).tolist())


def main() -> None:
    """Measure, print, save."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    print(f"torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "network"
        network_in(folder)
        served = Served(folder, Path(place) / "home")
        try:
            rows = asyncio.run(measure(served, Bare(folder)))
        finally:
            served.stop()
    print(show(TITLE, rows))
    save("model_server", rows)


if __name__ == "__main__":
    main()
