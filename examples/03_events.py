"""Watch a turn in which the agent makes a tool, loads it and uses it.

Everything that happens is an event, and the journal keeps all but the pieces of streamed
text: after the turn the same events are read back from it.

Prints:
    [create_tool] ok
    app.generated:double is version 1, 1 test passed
    [load_tool] ok
    [double] ok
    21 doubled is 42.
    journalled: turn_started, step_started, step_finished, tool_call_started, …
"""

import asyncio
import tempfile

from micro_agi.api import Parts, open_runtime
from micro_agi.messages import AnyEvent, ToolCallFinished, ToolCreated
from micro_agi.testing.scripted import PROVIDER, Call, ScriptedModel, scripted_card

DOUBLE = {
    "name": "double",
    "description": "Double a number",
    "source": "return { handler = function(args) return args.n * 2 end }",
    "input_schema": {"type": "object", "properties": {"n": {"type": "number"}}},
    "tests": [{"args": {"n": 4}, "expect": 8}],
}
SCRIPT = [
    Call("create_tool", DOUBLE),
    Call("load_tool", {"id": "app.generated:double"}),
    Call("double", {"n": 21}),
    lambda asked: f"21 doubled is {asked.last.text}.",
]


def show(event: AnyEvent) -> None:
    """Print what a person would want to see of an event."""
    match event:
        case ToolCallFinished(name=name, error=error):
            print(f"[{name}] {'ok' if error is None else error['what']}")
        case ToolCreated(tool=tool, version=version, report=report):
            print(f"{tool} is version {version}, {report['tests']['passed']} test passed")


async def main() -> None:
    parts = Parts(providers={PROVIDER: ScriptedModel(SCRIPT)}, card=scripted_card(), offline=True)
    with tempfile.TemporaryDirectory() as home:
        async with open_runtime(app="bundled", home=home, parts=parts) as rt:
            session = await rt.session("arithmetic")
            finished = await session.run("double 21", show)
            print(finished.text)
            rows = await rt.journal.read("arithmetic")
            kinds = [row.event.__struct_config__.tag for row in rows]
            print(f"journalled: {', '.join(kinds[:4])}, …")


asyncio.run(main())
