"""Canaries: a registered secret is found nowhere, whoever repeats it."""

import asyncio
import logging

import msgspec
import pytest

from micro_agi.llm.providers.scripted import Call, Thinking
from micro_agi.messages import TextDelta, ThinkingDelta, ToolCallFinished
from micro_agi.testing.transcript import scripted_runtime

KEY = "sk-canary-of-the-model-0123456789"
TOKEN = "tok-canary-of-the-operator-987"
VARIABLE = [
    {"id": "app:process_env", "kind": "env.storage.os"},
    {
        "id": "app:token",
        "kind": "env.variable",
        "meta": {"secret": True},
        "data": {"variable": "SERVICE_TOKEN", "storage": "app:process_env"},
    },
]


def leaky(secret):
    """A script whose model says the secret in every way there is."""
    third = len(secret) // 3
    cut = [secret[:third], secret[third : 2 * third], secret[2 * third :]]
    return [
        [Thinking(cut[0]), Thinking(cut[1] + cut[2]), *cut, Call("echo", {"text": secret})],
        [Call("raises", {"text": secret}), Call("echo", f'{{"text": "{secret}"')],
        [f"It is {cut[0]}", cut[1], f"{cut[2]}."],
    ]


@pytest.mark.parametrize("secret", [KEY, TOKEN], ids=["key", "variable"])
def test_a_secret_is_in_no_event_no_journal_no_log_and_no_prompt(secret, tmp_path, caplog):
    shown = []

    async def echo(text: str) -> str:
        logging.getLogger("micro_agi.tools").info("asked for %s", text)
        return f"{text}, {TOKEN} and {KEY}"

    echo.__doc__ = f"Return what it is given, with {TOKEN} or {KEY}."

    async def raises(text: str) -> str:
        """Fail with what it is given."""
        raise ValueError(f"no {text} here")

    async def scenario():
        parts = {"environ": {"SERVICE_TOKEN": TOKEN}}
        settings = {"home": str(tmp_path), "api_key": KEY, "otel": "file", "otel_content": True}
        async with scripted_runtime(leaky(secret), parts=parts, **settings) as played:
            runtime = played.runtime
            changes = runtime.registry.snapshot().changes()
            for entry in VARIABLE:
                changes.create(entry)
            await changes.apply(runtime.root())
            runtime.tool(echo)
            runtime.tool(raises)
            session = await runtime.session("s")
            session.agent.add_tools(
                [
                    {"id": "app.native:echo", "context": {"token": "${SERVICE_TOKEN}"}},
                    "app.native:raises",
                ]
            )
            await session.run(f"use {KEY}", shown.append)
            assert (await runtime.replay("s")).identical
            return played.model.requests

    requests = asyncio.run(scenario())
    # The state with journal, inputs and what results are stored; logs; spans with content.
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"state.db", "spans.jsonl"} <= {path.name for path in kept}
    said = msgspec.json.encode(shown)
    prompts = msgspec.json.encode(
        [[r.messages, r.system, [[t.description, t.schema] for t in r.tools]] for r in requests]
    )
    for place in (said, prompts, *(path.read_bytes() for path in kept)):
        assert secret.encode() not in place
    for kind in (TextDelta, ThinkingDelta):
        assert secret not in "".join(e.text for e in shown if isinstance(e, kind))
    finished = [e for e in shown if isinstance(e, ToolCallFinished)]
    assert len(finished) == 3
    assert all("***" in e.content for e in finished[:2])
