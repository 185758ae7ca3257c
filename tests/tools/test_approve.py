"""What a person is asked, what the answer is worth, and when it is asked again."""

import asyncio

import pytest
from aiohttp import web

from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ApprovalAnswered, ApprovalAsked, ToolCallFinished
from micro_agi.testing.transcript import run_transcript, scripted_runtime
from micro_agi.tools.approve import YesOnce

SOURCE = """
local http_client = require("http_client")
return { handler = function(input)
    local response, err = http_client.get(input.url)
    if err then return nil, err end
    return response.body
end }
"""


class Says:
    """Answers every question the same way and counts them."""

    name = "person"

    def __init__(self, approval):
        self.approval = approval
        self.asked = []

    async def ask(self, question):
        self.asked.append(question)
        return self.approval


async def serve(handler):
    application = web.Application()
    application.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def hello(request):
    return web.Response(text="hello")


def draft(url, source=SOURCE):
    return {
        "name": "get_page",
        "description": "Fetch",
        "source": source,
        "modules": ["http_client"],
        "hosts": [f"{url}/*"],
        "input_schema": {"type": "object", "properties": {"url": {"type": "string"}}},
    }


def play(approver, script, *, home=None, messages=("go",), handler=hello, **settings):
    """Run turns whose tool fetches from a server on loopback."""

    async def scenario():
        runner, url = await serve(handler)
        try:
            async with scripted_runtime(
                script(url), approver=approver, home=home, **settings
            ) as played:
                turns = await run_transcript(played.runtime, *messages)
                grants = played.runtime.registry.snapshot().namespace("app.grants")
                return turns, list(grants)
        finally:
            await runner.cleanup()

    return asyncio.run(scenario())


def make_and_call(times=1, path="/x"):
    def script(url):
        call = Call("get_page", {"url": f"{url}{path}"})
        load = Call("load_tool", {"id": "app.generated:get_page"})
        return [Call("create_tool", draft(url)), load, *[call] * times, "done"]

    return script


def fetched(turn):
    return [e for e in turn.of(ToolCallFinished) if e.name == "get_page"]


def test_once_is_asked_for_every_call_before_it_starts():
    person = Says("once")
    [turn], grants = play(person, make_and_call(times=2))
    assert [e.content for e in fetched(turn)] == ["hello", "hello"]
    assert len(person.asked) == 2
    assert person.asked[0].tool == "app.generated:get_page"
    assert person.asked[0].agent == "app:dev_assistant"
    assert grants == []
    kinds = [type(e) for e in turn.events]
    first = kinds.index(ApprovalAsked)
    assert kinds[first + 1] is ApprovalAnswered


def test_for_the_session_is_asked_once():
    person = Says("session")
    [turn], grants = play(person, make_and_call(times=3))
    assert [e.content for e in fetched(turn)] == ["hello"] * 3
    assert len(person.asked) == 1
    assert grants == []


def test_a_refusal_is_an_error_to_the_model_and_nothing_is_sent():
    seen = []

    async def count(request):
        seen.append(request.path)
        return web.Response(text="no")

    [turn], _ = play(Says("refuse"), make_and_call(), handler=count)
    (result,) = fetched(turn)
    assert result.error["code"] == "policy.denied"
    assert "--allow-host" in result.error["fix"]
    assert seen == []


def test_always_lasts_and_is_bound_to_the_tools_content(tmp_path):
    home = str(tmp_path)
    port = {}

    def remember(url):
        port["url"] = url
        return make_and_call()(url)

    person = Says("always")
    _, grants = play(person, remember, home=home)
    assert len(person.asked) == 1
    conditions = grants[0].data["policy"]["conditions"]
    assert {c["field"] for c in conditions} == {"actor.id", "meta.tool", "meta.tool_hash"}

    def again(_):
        # The server is at another port now: what counts is that no question comes up.
        return [
            Call("load_tool", {"id": "app.generated:get_page"}),
            Call("get_page", {"url": port["url"] + "/x"}),
            "done",
        ]

    later = Says("refuse")
    play(later, again, home=home)
    assert later.asked == []

    def changed(_):
        new = draft(port["url"], source=SOURCE + "-- changed")
        return [Call("create_tool", new), *again(_)]

    play(later, changed, home=home)
    assert len(later.asked) == 1


def test_yes_never_grants_a_private_address():
    [turn], _ = play(YesOnce(), make_and_call())
    assert "refused by --yes" in fetched(turn)[0].error["what"]


def test_a_grant_for_one_path_does_not_cover_another():
    def script(url):
        narrow = {**draft(url), "hosts": [f"{url}/public/*"]}
        load = Call("load_tool", {"id": "app.generated:get_page"})
        wanted = [
            Call("get_page", {"url": url + p})
            for p in ("/public/a", "/private", "/public/../private")
        ]
        return [Call("create_tool", narrow), load, *wanted, "done"]

    [turn], _ = play(Says("session"), script)
    errors = [e.error for e in fetched(turn)]
    assert errors[0] is None
    assert "not allowed" in errors[1]["what"]
    assert "not allowed" in errors[2]["what"]


def test_a_redirect_is_checked_like_the_first_request():
    async def redirect(request):
        if request.path == "/public/start":
            raise web.HTTPFound("/private")
        return web.Response(text="secret")

    def script(url):
        narrow = {**draft(url), "hosts": [f"{url}/public/*"]}
        load = Call("load_tool", {"id": "app.generated:get_page"})
        return [
            Call("create_tool", narrow),
            load,
            Call("get_page", {"url": f"{url}/public/start"}),
            "x",
        ]

    [turn], _ = play(Says("session"), script, handler=redirect)
    assert "not allowed" in fetched(turn)[0].error["what"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_host_given_on_the_command_line_is_not_asked_about(host):
    person = Says("refuse")

    async def scenario():
        runner, url = await serve(hello)
        url = url.replace("127.0.0.1", host)
        try:
            async with scripted_runtime(
                make_and_call()(url), approver=person, allow_hosts=(f"{url}/*",)
            ) as played:
                (turn,) = await run_transcript(played.runtime, "go")
                return turn
        finally:
            await runner.cleanup()

    turn = asyncio.run(scenario())
    assert [e.content for e in fetched(turn)] == ["hello"]
    assert person.asked == []
