"""Nothing an agent can do writes outside `app.generated`, or widens what it may do."""

import asyncio
import json
from pathlib import Path

import pytest

from micro_agi.errors import EntryNotFound
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ToolCallFinished
from micro_agi.testing.transcript import run_transcript, scripted_runtime
from tests.agent.seed_app import INDEX

HANDLER = "return { handler = function() return 1 end }"

TOOLS = """
namespace: app.tools
entries:
  - name: lua
    kind: function.lua
    source: file://lua.lua
    method: handler
    modules: [registry, security, funcs, json]
    meta:
      type: tool
      llm_alias: lua
      input_schema:
        type: object
        properties: {operations: {type: array}, version: {type: integer}}
"""

LUA = """
local registry = require("registry")

local function handler(input)
    if input.version then
        for _, version in ipairs(registry.versions()) do
            if version:id() == input.version then
                local ok, err = registry.apply_version(version)
                return { ok = ok, error = err and tostring(err) }
            end
        end
    end
    local changes = registry.snapshot():changes()
    for _, operation in ipairs(input.operations) do
        local what = operation.op == "delete" and operation.entry.id or operation.entry
        changes[operation.op](changes, what)
    end
    local version, err = changes:apply()
    if err then return nil, err end
    return { version = version:id() }
end

return { handler = handler }
"""


def app(tmp_path: Path) -> str:
    """An app whose operator gave a Lua tool the registry, as seed 000 does."""
    source = tmp_path / "app" / "src"
    (source / "tools").mkdir(parents=True)
    (source / "_index.yaml").write_text(INDEX)
    (source / "tools" / "_index.yaml").write_text(TOOLS)
    (source / "tools" / "lua.lua").write_text(LUA)
    return str(tmp_path / "app")


def tool(entry_id, **changes):
    meta = {"type": "tool", "llm_alias": entry_id.partition(":")[2], **changes.pop("meta", {})}
    data = {"source": HANDLER, "method": "handler", **changes.pop("data", {})}
    return {"id": entry_id, "kind": "function.lua", "meta": meta, "data": data, **changes}


def attempt(tmp_path, *operations, prepare=None):
    """Let an agent apply operations through its Lua tool; return the error, and what changed."""

    async def scenario():
        call = Call("lua", {"operations": list(operations)})
        async with scripted_runtime([call, "done"], app=app(tmp_path)) as played:
            runtime = played.runtime
            if prepare:
                await prepare(runtime)
            before = {e.id: e.hash for e in runtime.registry.snapshot().entries()}
            (turn,) = await run_transcript(runtime, "go")
            after = {e.id: e.hash for e in runtime.registry.snapshot().entries()}
            changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
            return turn.of(ToolCallFinished)[0], changed

    return asyncio.run(scenario())


def op(kind, entry):
    return {"op": kind, "entry": entry}


def test_an_honest_write_to_app_generated_succeeds(tmp_path):
    result, changed = attempt(tmp_path, op("create", tool("app.generated:x")))
    assert result.error is None
    assert changed == {"app.generated:x"}


POLICY = {
    "policy": {"actions": "*", "resources": "*", "effect": "allow"},
    "groups": ["agent_security"],
}


@pytest.mark.parametrize(
    "entry",
    [
        tool("app:x"),
        tool("app.tools:x"),
        tool("app.generated.evil:x"),
        tool("system:x"),
        tool("app.grants:x"),
        tool("local:x"),
        tool("wippy.llm:x"),
        tool("app.generatedx:x"),
        tool("other:x"),
        tool(":x"),
        tool("app.generated:"),
        tool("app.generated:app:x"),
        tool("app.generated:X"),
        tool("app.generated: x"),
        tool("app.generated:x\n"),
        tool("app.generated:../x"),
        tool("app.generated:x", kind="library.lua"),
        tool("app.generated:x", kind="process.lua"),
        tool("app.generated:x", kind="function.native", data={"target": "create_tool"}),
        tool("app.generated:x", kind="registry.entry", meta={"type": "agent.gen1"}),
        tool("app.generated:x", kind="registry.entry", meta={"type": "llm.model"}),
        {"id": "app.generated:x", "kind": "security.policy", "meta": {}, "data": POLICY},
        {"id": "app.grants:x", "kind": "security.policy", "meta": {}, "data": POLICY},
        tool("app.generated:x", meta={"type": "agent.trait"}),
        tool("app.generated:x", meta={"effect": "load_tool"}),
        tool("app.generated:x", meta={"llm_alias": "lua"}),
        tool("app.generated:x", meta={"llm_alias": "Bad Name"}),
        tool("app.generated:x", data={"modules": ["registry"]}),
        tool("app.generated:x", data={"modules": ["funcs"]}),
        tool("app.generated:x", data={"modules": ["os"]}),
        tool("app.generated:x", data={"imports": {"lua": "app.tools:lua"}}),
        tool("app.generated:x", data={"pool": {"size": 100}}),
        tool("app.generated:x", data={"source": "syntax error here"}),
        tool("app.generated:x", data={"policy": POLICY["policy"]}),
    ],
    ids=lambda e: f"{e['id']!r}-{e['kind']}-{sorted(e['meta'])}-{sorted(e['data'])}",
)
@pytest.mark.requirement(
    *("000/security/own-prompt", "000/security/own-tools", "000/security/infrastructure"),
)
def test_no_create_leaves_the_fence(tmp_path, entry):
    result, changed = attempt(tmp_path, op("create", entry))
    assert result.error is not None
    assert changed == set()


@pytest.mark.parametrize("kind", ["update", "delete"])
@pytest.mark.parametrize(
    "entry_id",
    [
        *("app:dev_assistant", "app:deny_core_ns", "app:allow_generated", "app.tools:lua"),
        *("system:create_tool", "system:read_result"),
    ],
)
def test_what_the_operator_wrote_is_neither_changed_nor_deleted(tmp_path, kind, entry_id):
    result, changed = attempt(tmp_path, op(kind, tool(entry_id)))
    assert result.error is not None
    assert changed == set()


def test_a_harmless_first_operation_opens_nothing_for_the_second(tmp_path):
    result, changed = attempt(
        tmp_path, op("create", tool("app.generated:x")), op("create", tool("app:x"))
    )
    assert result.error["code"] == "policy.denied"
    assert changed == set()


def test_a_rollback_by_an_agent_restores_no_policy_and_no_agent(tmp_path):
    async def scenario():
        call = Call("lua", {"version": 0})
        async with scripted_runtime([call, "done"], app=app(tmp_path)) as played:
            runtime = played.runtime
            changes = runtime.registry.snapshot().changes()
            agent = runtime.registry.get("app:dev_assistant").as_dict()
            agent["data"] = {**agent["data"], "prompt": "You help, carefully."}
            changes.update(agent)
            await changes.apply(runtime.root())
            (turn,) = await run_transcript(runtime, "go")
            prompt = runtime.registry.get("app:dev_assistant").data["prompt"]
            return json.loads(turn.of(ToolCallFinished)[0].content), prompt

    result, prompt = asyncio.run(scenario())
    assert prompt == "You help, carefully."
    assert result.get("ok") is not True


def test_without_any_policy_group_nothing_can_be_written(tmp_path):
    async def forget_policies(runtime):
        changes = runtime.registry.snapshot().changes()
        for name in ("deny_core_ns", "deny_tools_ns", "allow_generated"):
            changes.delete(f"app:{name}")
        await changes.apply(runtime.root())

    result, changed = attempt(
        tmp_path, op("create", tool("app.generated:x")), prepare=forget_policies
    )
    assert result.error["code"] == "policy.denied"
    assert changed == set()


def test_an_agent_whose_policy_is_missing_is_not_even_loaded(tmp_path):
    folder = app(tmp_path)
    named = "    prompt: You help.\n    security: {policies: [app:deny_all]}\n"
    Path(folder, "src", "_index.yaml").write_text(INDEX.replace("    prompt: You help.\n", named))

    async def scenario():
        async with scripted_runtime(["never asked"], app=folder) as played:
            session = await played.runtime.session()
            await session.load()

    with pytest.raises(EntryNotFound, match="app:deny_all"):
        asyncio.run(scenario())
