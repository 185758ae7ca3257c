"""Every model request comes out of the journal again, byte for byte."""

import asyncio

import pytest

from micro_agi.llm.providers.scripted import Call
from micro_agi.testing.transcript import run_transcript, scripted_runtime


def test_a_turn_is_rebuilt():
    async def scenario():
        script = [Call("list_tools"), "two", "three"]
        async with scripted_runtime(script) as played:
            await run_transcript(played.runtime, "hello", "and?", session="s")
            return await played.runtime.replay("s")

    replay = asyncio.run(scenario())
    assert [(r.turn, r.step, r.verdict) for r in replay.requests] == [
        (1, 1, "identical"),
        (1, 2, "identical"),
        (2, 1, "identical"),
    ]
    assert replay.identical
