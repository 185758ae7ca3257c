"""The scripted server's replies, encoded once: what a plan's name stands for.

`text-N` is one reply of N tokens, all sent at once; `slow-N` sends one token a millisecond.
`TOOL-CALLS-STEPS` is a turn of STEPS replies: each but the last says a few words and calls
TOOL, CALLS times; the last one is the answer. `counted-STEPS` is such a turn of long calls of
`echo`, whose usage says as many tokens as the request has bytes; a request without tools,
which is that of a summariser, gets `SUMMARY` between two of its replies.
"""

import json
from dataclasses import dataclass

WORDS = ("Let", " me", " look", " at", " that", " with", " a", " tool.")
ANSWER_TOKENS = 8
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
PROMPT_TOKENS = b'"prompt_tokens": 11'
SUMMARY = "The user wants to look at everything, one thing after the other."
PADDING = " and then some words, as long results have them" * 6


@dataclass(frozen=True, slots=True)
class Plan:
    """The replies of one turn; a client that goes on gets them again from the first."""

    replies: tuple[tuple[bytes, ...], ...]
    """Each as the frames of its stream."""
    pause_s: float = 0.0
    """Between two frames; 0 sends a reply in one piece."""
    counted: bool = False


def plan(name: str) -> Plan:
    """Build the replies that a plan's name stands for."""
    kind, *numbers = name.split("-")
    counts = [int(n) for n in numbers]
    if kind in ("text", "slow"):
        reply = text_reply(tuple(f" word{n % 10}" for n in range(counts[0])))
        return Plan((reply,), 0.001 if kind == "slow" else 0.0)
    if kind == "counted":
        asking = [call_reply("echo", 1, step, PADDING) for step in range(counts[0] - 1)]
        return Plan((*asking, text_reply(WORDS[:ANSWER_TOKENS])), counted=True)
    calls, steps = counts
    asking = [call_reply(kind, calls, step) for step in range(steps - 1)]
    return Plan((*asking, text_reply(WORDS[:ANSWER_TOKENS])))


def text_reply(tokens: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return the frames of an answer, one for each token."""
    deltas: list[dict[str, object]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": token} for token in tokens]
    return _frames(deltas, "stop")


def call_reply(tool: str, calls: int, step: int, padding: str = "") -> tuple[bytes, ...]:
    """Return the frames of a few words and some tool calls, each in four pieces."""
    deltas: list[dict[str, object]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in WORDS]
    for n in range(calls):
        start = {"name": tool, "arguments": ""}
        call = {"index": n, "id": f"call_{step:06}_{n:03}", "type": "function", "function": start}
        deltas.append({"tool_calls": [call]})
        deltas += [
            {"tool_calls": [{"index": n, "function": {"arguments": piece}}]}
            for piece in ('{"te', 'xt":"step', f' {step}.{n}{padding}"}}')
        ]
    return _frames(deltas, "tool_calls")


def _frames(deltas: list[dict[str, object]], finish: str) -> tuple[bytes, ...]:
    choices: list[dict[str, object]] = [
        {"index": 0, "delta": d, "logprobs": None, "finish_reason": None} for d in deltas
    ]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish})
    chunks = [_chunk(choices=[choice], usage=None) for choice in choices]
    chunks.append(_chunk(choices=[], usage=USAGE))
    return (*(b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks), b"data: [DONE]\n\n")


def _chunk(**fields: object) -> dict[str, object]:
    return {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "bench",
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        **fields,
    }
