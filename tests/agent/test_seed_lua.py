"""The Lua of requirement document 000 runs unmodified as entries of an app."""

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ToolCallFinished
from micro_agi.testing.transcript import run_transcript, scripted_runtime
from tests.agent.seed_app import INDEX

SEED = Path(__file__).parent.parent / "fixtures" / "seed000"
HOST = "wippy.ai"

TOOLS = """
namespace: app.tools
entries:
  - name: doc_search
    kind: function.lua
    source: file://doc_search.lua
    method: handler
    modules: [http_client, json]
    meta: {type: tool, llm_alias: doc_search}
  - name: create_tool
    kind: function.lua
    source: file://create_tool.lua
    method: handler
    modules: [registry, json, security]
    meta: {type: tool, llm_alias: create_tool}
  - name: load_tool
    kind: function.lua
    source: file://load_tool.lua
    method: handler
    modules: [registry]
    meta: {type: tool, llm_alias: load_tool, effect: load_tool}
"""


def part(name: str) -> str:
    return (SEED / f"{name}.lua.part").read_text("utf-8")


def create_tool() -> str:
    """The document's three fragments, with what it leaves out around them."""
    return f"""
{part("create_limits")}
local function refusal(input)
    if #input.name > MAX_NAME_LEN then return "name too long" end
    if #input.source > MAX_SOURCE_LEN then return "source too long" end
    for _, module in ipairs(input.modules or {{}}) do
        if not ALLOWED_MODULES[module] then return "module not allowed: " .. module end
    end
    for _, pattern in ipairs(BLOCKED_PATTERNS) do
        if input.source:find(pattern) then return "blocked pattern: " .. pattern end
    end
end

local function handler(input)
    local reason = refusal(input)
    if reason then return {{ error = reason }} end
    local id = (input.namespace or NAMESPACE) .. ":" .. input.name
    local existing = registry.get(id)
    local action = existing and "registry.update" or "registry.create"
    local modules, schema = input.modules or {{}}, input.input_schema or {{ type = "object" }}
{part("create_policy")}
{part("create_entry")}
    return {{ created = true, id = id }}
end

return {{ handler = handler }}
"""


def app(tmp_path: Path) -> str:
    source = tmp_path / "app" / "src"
    (source / "tools").mkdir(parents=True)
    (source / "_index.yaml").write_text(INDEX)
    tools = source / "tools"
    (tools / "_index.yaml").write_text(TOOLS)
    (tools / "doc_search.lua").write_text((SEED / "doc_search.lua").read_text("utf-8"))
    (tools / "create_tool.lua").write_text(create_tool())
    load = (
        f'local registry = require("registry")\n{part("load_tool")}\nreturn {{ handler = handler }}'
    )
    (tools / "load_tool.lua").write_text(load)
    return str(tmp_path / "app")


@asynccontextmanager
async def documentation():
    """A TLS server on loopback that answers for the document's host."""

    async def page(request):
        path = request.match_info["path"]
        if path == "missing":
            raise web.HTTPNotFound
        return web.Response(text=f"page {path} " + "x" * 9000)

    async def search(request):
        return web.Response(text=f"found {request.query['q']}")

    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    application = web.Application()
    application.router.add_get("/llm/path/en/{path:.+}", page)
    application.router.add_get("/llm/search", search)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server).start()
        yield runner.addresses[0][1], client
    finally:
        await runner.cleanup()


def play(tmp_path, *script, **settings):
    async def scenario():
        async with documentation() as (port, tls):

            async def resolve(host, _):
                assert host == HOST
                return [("127.0.0.1", port)]

            async with scripted_runtime(
                [*script, "done"],
                app=app(tmp_path),
                parts={"resolve": resolve, "tls": tls},
                **settings,
            ) as played:
                (turn,) = await run_transcript(played.runtime, "go")
                return turn

    return asyncio.run(scenario())


ALLOWED = {"allow_hosts": (f"https://{HOST}/llm/*", "http://127.0.0.1/*")}


@pytest.mark.requirement("000/doc-search/verbatim", "000/doc-search/truncated")
def test_doc_search_fetches_searches_and_truncates(tmp_path):
    calls = [
        Call("doc_search", {"path": "lua/core/time"}),
        Call("doc_search", {"query": "time"}),
        Call("doc_search", {"path": "missing"}),
        Call("doc_search", {}),
    ]
    turn = play(tmp_path, *calls, **ALLOWED)
    page, found, missing, neither = (json.loads(e.content) for e in turn.of(ToolCallFinished))
    assert page["path"] == "lua/core/time"
    assert page["content"].startswith("page lua/core/time ")
    assert page["content"].endswith("x\n... (truncated)")
    assert len(page["content"]) == 8000 + len("\n... (truncated)")
    assert found == {"results": "found time"}
    assert missing == {"error": "HTTP 404"}
    assert neither == {"error": "provide either 'path' or 'query'"}


def test_doc_search_is_refused_where_no_policy_allows_its_host(tmp_path):
    turn = play(tmp_path, Call("doc_search", {"path": "x"}))
    (result,) = turn.of(ToolCallFinished)
    assert "not allowed" in result.error["what"]


@pytest.mark.requirement("000/load/verbatim", "000/create/fragments", "000/create/policy")
def test_create_and_load_make_a_tool_that_the_next_step_can_call(tmp_path):
    draft = {
        "name": "triple",
        "description": "Triple a number",
        "source": "return { handler = function(a) return a.n * 3 end }",
        "input_schema": {"type": "object", "properties": {"n": {"type": "number"}}},
    }
    turn = play(
        tmp_path,
        Call("create_tool", draft),
        Call("load_tool", {"id": "app.generated:triple"}),
        Call("triple", {"n": 5}),
    )
    assert turn.lines == [
        *("[create_tool] ok", "[load_tool] ok", "[+] app.generated:triple"),
        *("[triple] ok", "done"),
    ]
    assert turn.of(ToolCallFinished)[-1].content == "15"


@pytest.mark.parametrize("namespace", ["app", "app.tools"])
@pytest.mark.requirement("000/policies/core-namespace", "000/policies/tools-namespace")
def test_create_refuses_the_protected_namespaces_by_policy(tmp_path, namespace):
    draft = {"name": "x", "namespace": namespace, "source": "return {}"}
    turn = play(tmp_path, Call("create_tool", draft))
    (result,) = turn.of(ToolCallFinished)
    assert json.loads(result.content) == {
        "error": f"policy denied: registry.create on {namespace}:x"
    }


def test_load_says_what_is_missing_and_what_is_no_tool(tmp_path):
    turn = play(
        tmp_path,
        Call("load_tool", {"id": "app.generated:nothing"}),
        Call("load_tool", {"id": "app:dev_assistant"}),
    )
    missing, wrong = (json.loads(e.content) for e in turn.of(ToolCallFinished))
    assert "entry not found: app.generated:nothing" in missing["error"]
    assert wrong == {"error": "not a tool (meta.type != 'tool'): app:dev_assistant"}
