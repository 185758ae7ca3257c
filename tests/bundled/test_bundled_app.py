"""The app that comes with the package holds what requirement document 000 lists."""

import asyncio
import json
from pathlib import Path

import pytest

import micro_agi.bundled
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ToolCallFinished
from micro_agi.registry.load import load_app
from micro_agi.testing.transcript import run_transcript, scripted_runtime

APP = Path(next(iter(micro_agi.bundled.__path__))) / "app"
ENTRIES = {e.id: e for e in load_app(APP, source="program").entries}
OURS = {
    # An allow in the same group: what no policy allows is refused here (decisions).
    "app:allow_generated",
    # So that `--model claude-…` and `gemini-…` have a price and a window.
    *("app:claude-sonnet-5-5", "app:claude-haiku-4-5"),
    *("app:gemini-3.5-flash", "app:gemini-2.5-flash"),
}


@pytest.mark.requirement(
    *("000/entries/definition", "000/entries/os-env", "000/entries/process-host"),
    *("000/entries/dependencies", "000/models/two", "000/process/command"),
    "003/setup/dependencies",
)
def test_it_has_the_documents_entries_and_kinds():
    kinds = {
        "app:definition": "ns.definition",
        "app:os_env": "env.storage.os",
        "app:processes": "process.host",
        "app:__dep.llm": "ns.dependency",
        "app:__dep.agent": "ns.dependency",
        "app:deny_core_ns": "security.policy",
        "app:deny_tools_ns": "security.policy",
        "app:gpt-5.1": "registry.entry",
        "app:gpt-4.1-nano": "registry.entry",
        "app:dev_assistant": "registry.entry",
        "app:agent": "process.lua",
        **{
            f"app.tools:{name}": "function.lua"
            for name in ("doc_search", "registry_list", "registry_read", "create_tool", "load_tool")
        },
    }
    assert {i: e.kind for i, e in ENTRIES.items() if i not in OURS} == kinds
    assert "Micro AGI" in ENTRIES["app:definition"].data["readme"]
    assert load_app(APP, source="program").warnings == ()


@pytest.mark.requirement("000/policies/group")
def test_its_deny_policies_are_the_documents():
    for name, resources in (("deny_core_ns", "app:*"), ("deny_tools_ns", "app.tools:*")):
        assert ENTRIES[f"app:{name}"].data == {
            "policy": {"actions": "*", "resources": resources, "effect": "deny"},
            "groups": ["agent_security"],
        }

    async def scope():
        async with scripted_runtime([]) as played:
            return {
                p.id for p in played.runtime.registry.named_scope("app:agent_security").policies
            }

    members = asyncio.run(scope())
    assert members == {"app:deny_core_ns", "app:deny_tools_ns", "app:allow_generated"}


def test_its_create_tool_looks_at_the_policy_before_the_gate_does():
    draft = {"name": "x", "description": "x", "source": "return {}"}

    async def scenario():
        async with scripted_runtime([Call("create_tool", draft), "no"]) as played:
            runtime = played.runtime
            changes = runtime.registry.snapshot().changes()
            rule = {"actions": "*", "resources": "app.generated:*", "effect": "deny"}
            policy = {"policy": rule, "groups": ["agent_security"]}
            changes.create(
                {"id": "app:closed", "kind": "security.policy", "meta": {}, "data": policy}
            )
            await changes.apply(runtime.root())
            (turn,) = await run_transcript(runtime, "go")
            return turn.of(ToolCallFinished)[0]

    result = asyncio.run(scenario())
    assert json.loads(result.content) == {
        "error": "policy denied: registry.create on app.generated:x"
    }


@pytest.mark.requirement("000/doc-search/remote")
def test_the_remote_documentation_is_asked_only_when_configured_and_allowed():
    async def scenario(**settings):
        script = [Call("doc_search", {"path": "lua/core/time"}), "done"]
        async with scripted_runtime(script, **settings) as played:
            (turn,) = await run_transcript(played.runtime, "go")
            return json.loads(turn.of(ToolCallFinished)[0].content)["content"]

    bundled = asyncio.run(scenario())
    refused = asyncio.run(scenario(docs_url="http://127.0.0.1:9/llm"))
    failing = asyncio.run(
        scenario(docs_url="http://127.0.0.1:9/llm", allow_hosts=("http://127.0.0.1:9/*",))
    )
    assert bundled.startswith("# ")
    assert refused.startswith("(bundled page: no policy allows")
    assert failing.startswith("(bundled page: http://127.0.0.1:9/llm/path/en/lua/core/time failed")
