"""What a model signed comes back to it byte for byte, from a journal that another process reads."""

import asyncio
import json
import sys

import pytest

from micro_agi.app import Parts, Runtime
from micro_agi.settings import load
from micro_agi.testing.cloud_wire import sealed
from micro_agi.testing.model_server import Reply, ScriptedServer
from micro_agi.testing.scripted import Call
from micro_agi.testing.transcript import run_transcript

WIRES = {
    "anthropic": ("claude-test", "anthropic_url", '"max_tokens"'),
    "google": ("gemini-test", "google_url", '"generationConfig"'),
}
FIRST = (
    Reply(thinking="look it up é", text="Let me see.", calls=(Call("doc_search", {"query": "x"}),)),
    Reply(thinking="now I know", text=("It is ", "so.")),
)
FOREIGN = ("anthropic", "google.genai", "httpx", "httpx2", "openai", "pydantic_ai")
ELSEWHERE = """
import asyncio, json, sys
from micro_agi.app import Parts, Runtime
from micro_agi.settings import load
from micro_agi.testing.transcript import assert_replays, run_transcript

async def main(flags):
    async with await Runtime.open(load(flags=flags), parts=Parts(offline=True)) as runtime:
        [turn] = await run_transcript(runtime, "and then?", session="s")
        await assert_replays(runtime)  # the turn of the other process too
        print(turn.finished.text, *(m for m in json.loads(sys.argv[2]) if m in sys.modules))

for flags in json.loads(sys.argv[1]):
    asyncio.run(main(flags))
"""


async def play(home):
    """Return the bodies that each service got: two from this process, one from another."""
    servers = {}
    told = []
    for wire, (model, setting, _) in WIRES.items():
        server = servers[wire] = ScriptedServer([*FIRST, Reply(text="On it goes.")])
        await server.__aenter__()
        flags = {"home": str(home / wire), "model": model, "local_ports": "1"}
        told.append(flags | {setting: server.address(wire)})
        async with await Runtime.open(load(flags=told[-1]), parts=Parts(offline=True)) as runtime:
            [turn] = await run_transcript(runtime, "what is it?", session="s")
            assert turn.finished.text == "It is so."
    unwanted = [*FOREIGN, "micro_agi.llm.providers.google"]  # the second turn uses that one
    arguments = [sys.executable, "-c", ELSEWHERE, json.dumps(told), json.dumps(unwanted)]
    other = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    said, _ = await other.communicate()
    for server in servers.values():
        await server.__aexit__()
    return {wire: [r.raw.decode() for r in s.received] for wire, s in servers.items()}, said


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    return asyncio.run(asyncio.wait_for(play(tmp_path_factory.mktemp("restart")), 50))


@pytest.mark.requirement("agents/providers/signatures")
@pytest.mark.parametrize("wire", WIRES)
def test_signed_thinking_goes_back_from_another_process_as_it_came(played, wire):
    _, second, third = played[0][wire]
    history = second[: second.rindex(f"}}]}}],{WIRES[wire][2]}")]
    assert third.startswith(history)
    assert sealed("look it up é") in history
    assert sealed("now I know") in third[len(history) :]


def test_only_the_dialect_in_use_is_imported(played):
    lines = played[1].decode().splitlines()
    assert lines == ["On it goes.", "On it goes. micro_agi.llm.providers.google"]
