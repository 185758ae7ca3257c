"""The scripted server speaks the real wire form: the official client reads it."""

import asyncio
import subprocess
import sys

import pytest

from micro_agi.testing.clock import FakeClock
from micro_agi.testing.model_server import Fault, Reply, ScriptedServer
from micro_agi.testing.scripted import Call

SAID = Reply(
    text=("Hello ", "you."),
    thinking="hm",
    calls=(Call("clock", {"zone": "UTC"}),),
    usage={"prompt": 10, "cached": 4, "completion": 3, "thinking": 1},
)
TOOL = {"name": "clock", "description": "x", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module")
def openai():
    """Imported here, or every test process would pay half a second for it."""
    import openai

    return openai


def client_of(openai, server):
    return openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0)


def test_the_official_client_reads_chat_completions(openai):
    tools = [{"type": "function", "function": TOOL}]
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": tools}
    with ScriptedServer([SAID, SAID]).in_thread() as server, client_of(openai, server) as client:
        whole = client.chat.completions.create(**asked)
        with client.chat.completions.stream(
            **asked, stream_options={"include_usage": True}
        ) as stream:
            streamed = stream.get_final_completion()
    for reply in (whole, streamed):
        assert reply.choices[0].message.content == "Hello you."
        assert reply.choices[0].finish_reason == "tool_calls"
        call = reply.choices[0].message.tool_calls[0]
        assert (call.function.name, call.function.arguments) == ("clock", '{"zone":"UTC"}')
        assert reply.usage.prompt_tokens_details.cached_tokens == 4


def test_the_official_client_reads_responses(openai):
    asked = {"model": "m", "input": "hi", "tools": [{"type": "function", "strict": False, **TOOL}]}
    with ScriptedServer([SAID, SAID]).in_thread() as server, client_of(openai, server) as client:
        whole = client.responses.create(**asked)
        with client.responses.stream(**asked) as stream:
            streamed = stream.get_final_response()
    for reply in (whole, streamed):
        assert reply.output_text == "Hello you."
        assert [item.type for item in reply.output] == ["reasoning", "message", "function_call"]
        assert reply.output[2].arguments == '{"zone":"UTC"}'
        assert reply.usage.output_tokens_details.reasoning_tokens == 1


def test_the_official_client_sees_models_and_faults(openai):
    script = [Fault(status=401, code="invalid_api_key"), Fault(status=429, retry_after="3")]
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    serving = ScriptedServer(script, models=["a", "b"]).in_thread()
    with serving as server, client_of(openai, server) as client:
        assert [m.id for m in client.models.list()] == ["a", "b"]
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(**asked)
        with pytest.raises(openai.RateLimitError) as limited:
            client.chat.completions.create(**asked)
    assert limited.value.response.headers["Retry-After"] == "3"


def test_a_function_can_answer_every_request(openai):
    def echo(body):
        return Reply(text=body["messages"][-1]["content"])

    with ScriptedServer(echo).in_thread() as server, client_of(openai, server) as client:
        said = [
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
            for text in ("one", "two")
        ]
    assert [s.choices[0].message.content for s in said] == ["one", "two"]
    assert [r.body["messages"][0]["content"] for r in server.received] == ["one", "two"]


def test_a_clock_wakes_sleepers_in_order_and_only_when_moved():
    async def main():
        clock = FakeClock(wall=100.0)
        woken = []

        async def sleeper(name, seconds):
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic()))

        tasks = [asyncio.create_task(sleeper(n, s)) for n, s in (("b", 2), ("a", 1), ("c", 9))]
        assert await clock.until_sleeping() > 0
        await asyncio.sleep(0)
        await clock.advance(3)
        tasks[2].cancel()
        return woken, clock.time()

    assert asyncio.run(main()) == ([("a", 1.0), ("b", 2.0)], 103.0)


def test_the_http_library_is_imported_by_the_first_request_only():
    code = (
        "import sys, micro_agi.llm.gateway, micro_agi.llm.providers.table, micro_agi.llm.choose\n"
        "from micro_agi.net.client import Client\nClient()\n"
        "print([m for m in ('aiohttp', 'yarl') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
