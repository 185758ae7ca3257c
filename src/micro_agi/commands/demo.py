"""`micro-agi demo`: the two exchanges of the README, offline, with everything real but the model.

The scripted model below reads the results of its tools and derives each reply from them:
change what a tool returns, and the answer changes. The registry, the policies, the gate,
the sandbox, the documentation search and the HTTP client are the ones every agent gets.
"""

import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp import web
from msgspec import Struct

from micro_agi.app import Parts, Runtime
from micro_agi.commands.invocation import Invocation
from micro_agi.home import BUNDLED
from micro_agi.llm.providers.scripted import (
    PROVIDER,
    Asked,
    Call,
    ScriptedModel,
    ScriptedReply,
    scripted_card,
)
from micro_agi.messages import Message, ToolCallFinished, TurnFinished
from micro_agi.settings import Settings
from micro_agi.terminal.chat import Chat
from micro_agi.terminal.console import Console
from micro_agi.terminal.input import GivenLines
from micro_agi.terminal.output import Output
from micro_agi.terminal.render import PlainScreen

PORT = 8973
"""Tried first, so that a second run finds the same tool; any other will do."""

AFTERWARDS = """\
The tools stay: `micro-agi tool list` shows them, `micro-agi tool show NAME` one of them.
For a real model set OPENAI_API_KEY, or start a local server and give
`--base-url http://127.0.0.1:PORT/v1 --model NAME`; then run `micro-agi`."""

CLOCK = """\
local time = require("time")

local function handler()
    return { utc = time.now():utc():format(time.RFC3339) }
end

return { handler = handler }
"""

FETCH = """\
local http_client = require("http_client")
local json = require("json")

local function handler(input)
    local response, err = http_client.get(input.url)
    if err then
        return nil, err
    end
    if response.status_code ~= 200 then
        return nil, "HTTP " .. response.status_code
    end
    return json.decode(response.body)
end

return { handler = handler }
"""

URL_SCHEMA = {
    "type": "object",
    "properties": {"url": {"type": "string", "description": "What to fetch"}},
    "required": ["url"],
}


async def run(invocation: Invocation) -> int:
    """Play the demo; return 0 when both questions were answered from a tool, else 1."""
    async with local_server() as url:
        given = invocation.settings
        granted = () if given.no_input else (f"{url}/*",)
        # `yes` would grant without a word; here the grant is the one line that says so.
        settings = replace(
            given, app=BUNDLED, yes=False, allow_hosts=(*given.allow_hosts, *granted)
        )
        questions = ["what time is it?", f"fetch {url}/get and show my ip"]
        console = _console(settings, questions)
        console.print(
            "demo: all of this is real but the model, which is a script: no key, no network"
        )
        if granted:
            console.print(f"granted for this demo, by you: tools may request {granted[0]}")
        else:
            console.print(f"nothing is granted: tools may not request {url}")
        parts = Parts(
            providers={PROVIDER: ScriptedModel(Script(url).reply)},
            card=scripted_card(),
            offline=True,
        )
        async with await Runtime.open(settings, parts=parts) as runtime:
            outcomes = await play(runtime, console)
    console.print(AFTERWARDS)
    console.output.flush()
    return 0 if outcomes == ["answered"] * len(questions) else 1


async def play(runtime: Runtime, console: Console) -> list[str]:
    """Ask the questions in one session, as a person would; return how the turns ended."""
    session = await runtime.session(None)
    console.print("")
    await Chat(runtime, console, session, notices=runtime.notices).run()
    recorded = [row.event for row in await runtime.journal.read(session.id)]
    failed = any(isinstance(e, ToolCallFinished) and e.error for e in recorded)
    outcomes: list[str] = [e.outcome for e in recorded if isinstance(e, TurnFinished)]
    return [] if failed else outcomes


def _console(settings: Settings, questions: list[str]) -> Console:
    """Return a console whose lines are known beforehand."""
    output, errors = Output(sys.stdout), Output(sys.stderr)
    live = sys.stdout.isatty() and not settings.plain
    return Console(
        settings,
        reader=GivenLines(questions, prompts=output),
        output=output,
        screen=None if live else PlainScreen(output, remarks=errors),
    )


@asynccontextmanager
async def local_server() -> AsyncIterator[str]:
    """Serve `/get` on loopback, answering with what it knows about the request."""

    async def get(request: web.Request) -> web.Response:
        facts = {"origin": request.remote, "url": str(request.url), "path": request.path}
        return web.json_response(facts)

    application = web.Application()
    application.router.add_get("/get", get)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", PORT)
        try:
            await site.start()
        except OSError:  # somebody else has the port
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


class Result(Struct, frozen=True):
    """A tool result as the scripted model reads it."""

    tool: str
    value: Mapping[str, Any]

    @property
    def error(self) -> str:
        """What went wrong, or ""."""
        said = self.value.get("error")
        if isinstance(said, Mapping):
            return str(said.get("what"))
        return str(said) if said else ""


class Script:
    """Decides each reply from the newest user message and the results after it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def reply(self, asked: Asked) -> ScriptedReply:
        """Return the next reply of the model."""
        question, results = since_question(asked.messages)
        if results and results[-1].error:
            return f"That did not work: {results[-1].error}."
        if "time" in question:
            return self._time(results)
        if question.startswith("fetch "):
            return self._fetch(question.split()[1], results)
        return "This model is a script and knows two questions: the time, and fetching a URL."

    def _time(self, results: list[Result]) -> ScriptedReply:
        match [r.tool for r in results]:
            case []:
                return Call("doc_search", {"path": "lua/core/time"})
            case ["doc_search"]:
                return self._create_clock(str(results[0].value.get("content", "")))
            case [*_, "create_tool"]:
                return Call("load_tool", {"id": results[-1].value["id"]})
            case [*_, "load_tool"]:
                return Call(str(results[-1].value["alias"]), {})
            case _:
                again = known_already(results)
                return words(f"{again}The current UTC time is {results[-1].value['utc']}.")

    def _create_clock(self, page: str) -> ScriptedReply:
        if "time.now" not in page:
            return "The documentation does not say how to tell the time."
        moment = "2026-02-13T03:13:41Z"
        draft = {
            "name": "current_time_utc",
            "description": "Tell the current time in UTC, as RFC 3339",
            "source": CLOCK,
            "modules": ["time"],
            "tests": [{"args": {}, "now": moment, "expect": {"utc": moment}}],
        }
        return Call("create_tool", draft)

    def _fetch(self, url: str, results: list[Result]) -> ScriptedReply:
        match [r.tool for r in results]:
            case []:
                return self._create_fetch(url)
            case [*_, "create_tool"]:
                return Call("load_tool", {"id": results[-1].value["id"]})
            case [*_, "load_tool"]:
                return Call(str(results[-1].value["alias"]), {"url": url})
            case _:
                again = known_already(results)
                return words(f"{again}Your IP is {results[-1].value['origin']}.")

    def _create_fetch(self, url: str) -> ScriptedReply:
        answer = {"status_code": 200, "body": json.dumps({"origin": "203.0.113.7"})}
        draft = {
            "name": "http_get",
            "description": "Fetch a URL and return its JSON",
            "source": FETCH,
            "modules": ["http_client", "json"],
            "hosts": [f"{self._url}/*"],
            "input_schema": URL_SCHEMA,
            "tests": [
                {
                    "args": {"url": url},
                    "host": {"http_client.get": answer},
                    "expect": {"origin": "203.0.113.7"},
                }
            ],
        }
        return Call("create_tool", draft)


def since_question(messages: Sequence[Message]) -> tuple[str, list[Result]]:
    """Return the newest user message and the tool results after it."""
    last = max(n for n, m in enumerate(messages) if m.role == "user")
    results = [as_result(m) for m in messages[last + 1 :] if m.role == "tool"]
    return messages[last].text.lower(), results


def as_result(message: Message) -> Result:
    """Read a tool message; text that is no JSON object becomes `{"text": …}`."""
    try:
        value = json.loads(message.text)
    except json.JSONDecodeError:
        value = None
    return Result(message.name, value if isinstance(value, dict) else {"text": message.text})


def known_already(results: list[Result]) -> str:
    """Say so when the gate found the same tool there."""
    made = next((r.value for r in results if r.tool == "create_tool"), {})
    return "I had made that tool before. " if made.get("unchanged") else ""


def words(text: str) -> list[str]:
    """Cut an answer into the pieces that a model would stream."""
    return [word + " " for word in text.split(" ")[:-1]] + [text.split(" ")[-1]]
