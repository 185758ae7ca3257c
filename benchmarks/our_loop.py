"""Our side of every comparison: a real session with its journal on disk."""

import json
import time
from pathlib import Path
from typing import Any, TextIO

from benchmarks.client import PROMPT, TOOLS, Job, more_schema, told
from benchmarks.waits import WAITS
from micro_agi.agent.session import Session
from micro_agi.app import Runtime
from micro_agi.home import new_session_id
from micro_agi.messages import (
    AnyEvent,
    Message,
    StepFinished,
    Text,
    TextDelta,
    ToolCall,
    ToolCallFinished,
    TurnFinished,
    TurnStarted,
    Usage,
    message,
)
from micro_agi.settings import load
from micro_agi.terminal.output import Output
from micro_agi.terminal.render import PlainScreen

APP = """\
version: "1.0"
namespace: bench

entries:
  - name: agent
    kind: registry.entry
    meta:
      type: agent.gen1
      name: bench
    prompt: {prompt}
    model: bench
    max_tokens: 2048
    tools: [{tools}]

  - name: echo
    kind: function.lua
    source: |
      return {{handler = function(args) return args.text end}}
    method: handler
    meta:
      type: tool
      llm_alias: lua
      llm_description: Return the text that was given.
      input_schema:
        type: object
        properties:
          text:
            type: string
        required: [text]
        additionalProperties: false
"""
REFERENCES = {"": "", "lua": "bench:echo", "echo": "app.native:echo", "wait": "app.native:wait"}


class OurLoop:
    """A runtime with one agent, and what was seen of the last turn."""

    def __init__(self, runtime: Runtime, out: TextIO) -> None:
        self.runtime = runtime
        output = Output(out)
        self.screen = PlainScreen(output, remarks=output)
        self.steps = 0
        self.called_at = 0.0
        """When the last reply with calls had come, on the machine's clock."""

    @classmethod
    async def open(cls, job: Job, *, out: TextIO, **limits: float) -> "OurLoop":
        """Open a runtime on an app with one agent and the job's tool; `limits` are settings."""
        home = Path(job.home)
        sources = home / "app" / "src"
        sources.mkdir(parents=True)
        named = [REFERENCES[job.tool], "bench.more:*" if job.more else ""]
        tools = ", ".join(f'"{name}"' for name in named if name)
        app = APP.format(prompt=PROMPT, tools=tools)
        (sources / "_index.yaml").write_text(app, "utf-8")
        if job.more:
            (sources / "more").mkdir()
            (sources / "more" / "_index.yaml").write_text(more_tools(job.more), "utf-8")
        flags = {"app": str(home / "app"), "home": str(home / "state"), "tool_budget": job.budget}
        model = {"base_url": job.base_url, "model": "bench", "api_key": "none-but-scrubbed"}
        settings = load(flags={**flags, **model, **limits})
        runtime = await Runtime.open(settings)
        runtime.trust()
        if job.tool in TOOLS:
            # Neither changes anything: what the hand loop has no word for.
            runtime.tool(replayable=True)(TOOLS[job.tool])
        return cls(runtime, out)

    async def conversation(self, history: int) -> Session:
        """Open a session, with that many messages in its journal if there shall be any."""
        session_id = new_session_id()
        if history:
            journal = await self.runtime.journal.open(session_id, agent="bench:agent")
            for number in range(history // 4):
                await journal.append(exchange(number), turn=number + 1)
        session = await self.runtime.session(session_id)
        await session.load()
        return session

    async def session(self, text: str, out: TextIO) -> int:
        """Open a new session, run one turn on a screen of its own, and return its steps."""
        output = Output(out)
        screen = PlainScreen(output, remarks=output)
        session = await self.runtime.session(None)
        screen.begin()
        finished = await session.run(text, screen.show)
        screen.end()
        assert finished.outcome == "answered", finished
        return finished.steps

    async def turn(self, session: Session, text: str) -> None:
        """Run one turn, shown on a plain screen."""
        self.steps, self.called_at = 0, 0.0
        self.screen.begin()
        finished = await session.run(text, self._show)
        self.screen.end()
        assert finished.outcome == "answered", finished
        self.steps = finished.steps

    def _show(self, event: AnyEvent) -> None:
        if isinstance(event, TextDelta):
            WAITS.text()
        elif isinstance(event, StepFinished) and event.message.tool_calls:
            self.called_at = time.monotonic()
        elif isinstance(event, ToolCallFinished):
            assert event.error is None, event.error
        self.screen.show(event)


def more_tools(count: int) -> str:
    """Return the file with the tools that nobody calls; JSON is YAML, too."""
    entries = [
        {
            "name": f"matter_{number}",
            "kind": "function.lua",
            "source": "return {handler = function(args) return args.text end}",
            "method": "handler",
            "meta": {
                "type": "tool",
                "llm_description": f"Take care of matter {number}, in the way that it needs.",
                "input_schema": more_schema(number),
            },
        }
        for number in range(count)
    ]
    return json.dumps({"version": "1.0", "namespace": "bench.more", "entries": entries})


def exchange(number: int) -> list[AnyEvent]:
    """Return the events of an earlier turn that leave four messages, as `client.exchange`."""
    call_id = f"call_h{number:08}"
    call = ToolCall(id=call_id, name="echo", arguments=f'{{"text":"{told(number)}"}}')
    return [
        TurnStarted(turn=number + 1, message=message("user", told(number)), agent="bench:agent"),
        _step(1, Message(role="assistant", tool_calls=(call,))),
        ToolCallFinished(
            call_id=call_id, name="echo", tool="app.native:echo", content=told(number)
        ),
        _step(2, Message(role="assistant", parts=(Text(told(number)),))),
        TurnFinished(
            turn=number + 1, outcome="answered", text=told(number), usage=Usage(), steps=2
        ),
    ]


def _step(number: int, answer: Message) -> AnyEvent:
    reason: Any = "tool_call" if answer.tool_calls else "stop"
    return StepFinished(
        step=number, model="bench", message=answer, finish_reason=reason, usage=Usage(prompt=11)
    )
