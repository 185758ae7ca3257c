"""OpenTelemetry spans: off by default, named by the GenAI conventions, without content."""

import asyncio
import json
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks.long_turn import with_agents
from micro_agi.errors import InputInvalid
from micro_agi.llm.providers.scripted import Call, Spent
from micro_agi.messages import Usage
from micro_agi.sessions.cost import costs
from micro_agi.testing.transcript import run_transcript, scripted_runtime

SECRET = "the-canary-in-a-message"


def by_stage(asked):
    """Read the documentation's entry, fail once, ask a delegate, and say so."""
    results = sum(m.role == "tool" for m in asked.messages)
    if "You are coder" in asked.request.system:
        return "written"
    replies = [
        [Call("registry_read", {"id": "app:dev_assistant"}), Spent(Usage(prompt=5, completion=2))],
        Call("registry_read", {"id": SECRET}),
        Call("ask_coder", {"message": SECRET}),
        f"Done with {SECRET}.",
    ]
    return replies[results]


def played(**settings):
    """Run the turn and return its finished spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def scenario():
        async with scripted_runtime(
            by_stage, parts={"tracer_provider": provider}, **settings
        ) as play:
            runtime = play.runtime
            await with_agents(runtime)
            session = await runtime.session("s", agent="app:boss")
            session.agent.add_tools("app.tools:registry_read")
            return await session.run(f"go, {SECRET}", lambda _: None)

    finished = asyncio.run(scenario())
    assert finished.outcome == "answered"
    provider.shutdown()
    return exporter.get_finished_spans()


@pytest.mark.requirement("issue-6/spans")
def test_a_turn_is_a_tree_of_spans_named_by_the_conventions():
    spans = played()
    by_id = {s.context.span_id: s for s in spans}

    def path(span):
        above = by_id[span.parent.span_id] if span.parent else None
        return [*(path(above) if above else ()), span.name]

    paths = sorted(" / ".join(path(s)) for s in spans)
    turn, chat = "invoke_agent app:boss", "chat scripted"
    assert paths == sorted(
        [
            turn,
            *[f"{turn} / {chat}"] * 4,
            *[f"{turn} / execute_tool registry_read"] * 2,
            *[f"{turn} / execute_tool registry_read / host_call registry.get"] * 2,
            f"{turn} / execute_tool ask_coder",
            f"{turn} / execute_tool ask_coder / invoke_agent app:coder",
            f"{turn} / execute_tool ask_coder / invoke_agent app:coder / {chat}",
        ]
    )
    first = next(s for s in spans if s.name == chat)
    assert first.kind.name == "CLIENT"
    assert dict(first.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "scripted",
        "gen_ai.conversation.id": "s",
        "gen_ai.response.finish_reasons": ("tool_call",),
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 2,
        "micro_agi.step": 1,
    }
    failed = [s for s in spans if s.status.status_code.name == "ERROR"]
    assert {s.name for s in failed} == {"execute_tool registry_read", "host_call registry.get"}
    assert all(s.attributes["error.type"] for s in failed)
    assert all(s.end_time >= s.start_time for s in spans)


@pytest.mark.requirement("issue-6/spans")
@pytest.mark.parametrize("wrote", ["The user wants to know what there is, and has read words.", ""])
def test_the_request_of_a_summariser_is_a_span_and_counts_as_cost(wrote):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def script(asked):
        if "You shorten" in asked.request.system:
            return [wrote, Spent(Usage(prompt=700, completion=30))]
        if asked.number:
            return ["done", Spent(Usage(prompt=100_000))]
        return "words that the user has read " * 300

    async def scenario():
        async with scripted_runtime(script, parts={"tracer_provider": provider}) as play:
            await run_transcript(play.runtime, "what is there?", "and now?", session="s")
            return costs(await play.runtime.journal.read("s"))

    [cost] = asyncio.run(scenario()).models
    provider.shutdown()
    spans = exporter.get_finished_spans()
    [chat] = [s for s in spans if s.attributes.get("micro_agi.purpose") == "compaction"]
    turn = [s for s in spans if s.name.startswith("invoke_agent")][-1]
    assert (chat.name, chat.kind.name) == ("chat scripted", "CLIENT")
    assert chat.parent.span_id == turn.context.span_id
    tokens = chat.attributes["gen_ai.usage.input_tokens"]
    assert tokens >= 700
    assert turn.start_time <= chat.start_time <= chat.end_time <= turn.end_time
    assert ("error.type" in chat.attributes) == (not wrote)
    assert (cost.calls, cost.failed) == (3, int(not wrote))
    assert cost.usage.prompt >= 100_000 + tokens


@pytest.mark.requirement("issue-6/spans")
def test_spans_hold_no_content_unless_it_is_switched_on():
    assert SECRET not in "".join(s.to_json() for s in played())
    told = {s.name: s.to_json() for s in played(otel_content=True)}
    for name in ("invoke_agent app:boss", "execute_tool registry_read", "execute_tool ask_coder"):
        assert SECRET in told[name], name


@pytest.mark.requirement("issue-6/spans")
def test_spans_go_to_a_file_that_only_the_owner_reads(tmp_path):
    async def scenario():
        async with scripted_runtime(["Hi."], home=str(tmp_path), otel="file") as play:
            await run_transcript(play.runtime, "hello")

    asyncio.run(scenario())
    [file] = tmp_path.rglob("logs/spans.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    names = [json.loads(line)["name"] for line in file.read_text().splitlines()]
    assert names == ["chat scripted", "invoke_agent app:dev_assistant"]


def test_a_place_that_makes_no_sense_is_an_error():
    async def scenario():
        async with scripted_runtime([], otel="collector:4318"):
            pass

    with pytest.raises(InputInvalid, match="no place for spans"):
        asyncio.run(scenario())


@pytest.mark.requirement("issue-6/spans")
def test_nothing_of_it_is_imported_while_it_is_off(tmp_path):
    program = (
        "import asyncio, sys\n"
        "from micro_agi.testing.transcript import run_transcript, scripted_runtime\n"
        "async def go():\n"
        "    async with scripted_runtime(['Hi.']) as play:\n"
        "        await run_transcript(play.runtime, 'hello')\n"
        "asyncio.run(go())\n"
        "print([m for m in sys.modules if 'opentelemetry' in m or m == 'micro_agi.spans'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
