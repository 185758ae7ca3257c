"""`agent list|show`: the agents there are, and what one is compiled to."""

import json

from micro_agi.agent.compile import CompiledAgent
from micro_agi.agent.spec import AGENT_TYPE, AgentSpec
from micro_agi.app import Runtime
from micro_agi.commands.invocation import Invocation
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import facts, table
from micro_agi.errors import EntryInvalid, InputInvalid, MicroAgiError
from micro_agi.messages import ToolSpec
from micro_agi.terminal.console import Console
from micro_agi.terminal.text import facts as said


async def list_agents(invocation: Invocation) -> int:
    """List the agents of the app."""
    async with open_runtime(invocation) as rt:
        entries = rt.registry.find({"meta.type": AGENT_TYPE})
    rows = [
        (
            e.id,
            str(e.data.get("model") or "-"),
            str(e.meta.get("comment") or e.meta.get("title") or "-"),
        )
        for e in entries
    ]
    if invocation.as_json:
        invocation.say_json([{"id": i, "model": m, "description": d} for i, m, d in rows])
    elif not rows:
        invocation.say("This app has no agents. An entry with meta.type agent.gen1 is one.")
    else:
        invocation.say(table(("AGENT", "MODEL", "ABOUT"), rows, width=invocation.width))
    return 0


async def show(invocation: Invocation) -> int:
    """Show the exact system prompt, the tools with their schemas, and what is wrong.

    What clocks and prompt functions of traits add at each step is named, not run; their
    build functions and the app's resolver do run, so a person has to trust the app.
    """
    console = Console.open(invocation.settings)
    async with open_runtime(invocation, console=console) as rt:
        compiled = await rt.agent_context().compiled(invocation.args.id)
        model = await _model(rt, compiled.spec.model)
    if invocation.as_json:
        invocation.say_json(_as_json(compiled, model))
        return 0
    spec = compiled.spec
    pairs = [
        ("agent", spec.id),
        ("about", spec.description or spec.title),
        ("model", model),
        ("limits", f"{spec.max_tokens} tokens a reply"),
        ("sent", _sent(spec)),
        ("traits", ", ".join(str(t if isinstance(t, str) else t.get("id")) for t in spec.traits)),
        ("steps", ", ".join(f.id for f in (*compiled.prompt_functions, *compiled.step_functions))),
        ("clock", ", ".join(c.zone for c in compiled.clocks)),
        ("around", ", ".join(f"{e.binding} ({e.kind})" for e in compiled.extensions)),
        ("shown", _shown(compiled)),
    ]
    shown = [(name, text) for name, text in pairs if text]
    invocation.say(facts(shown, width=invocation.width))
    invocation.say("\nsystem prompt:\n")
    invocation.say(compiled.system or "(empty)")
    invocation.say("\ntools:" if compiled.tools else "\nno tools")
    for tool in compiled.tools:
        invocation.say(f"\n  {tool.name}  {_target(tool)}")
        invocation.say(f"    {tool.description}")
        invocation.say(f"    {json.dumps(tool.schema, ensure_ascii=False)}")
    for warning in compiled.warnings:
        invocation.note(said(f"warning: {warning.text}", where=warning.where, fix=warning.fix))
    return 0


def _sent(spec: AgentSpec) -> str:
    """Say what goes into each request besides; what is not set is the model's own."""
    temperature = "" if spec.temperature is None else f"temperature {spec.temperature:g}"
    effort = spec.thinking_effort
    thinking = "" if effort is None else f"thinking effort {effort:g} of 100"
    return ", ".join(part for part in (temperature, thinking) if part)


def _shown(compiled: CompiledAgent) -> str:
    """Say how many of the tools a model is shown, if it is not all."""
    if len(compiled.shown) == len(compiled.tools):
        return ""
    return f"{len(compiled.shown)} of {len(compiled.tools)} tools, the others after tool_search"


def _target(tool: ToolSpec) -> str:
    return f"agent {tool.delegate}" if tool.delegate else tool.id


async def _model(rt: Runtime, wanted: str) -> str:
    """Say which model it would get, or that there is none: showing needs no model."""
    try:
        return (await rt.models.explain(wanted)).why
    except (InputInvalid, EntryInvalid):
        return f"{wanted or 'none named'} (not reachable now)"
    except MicroAgiError as error:  # the app's resolver of models failed, or may not run yet
        return f"{wanted or 'none named'} ({error.what})"


def _as_json(compiled: CompiledAgent, model: str) -> dict[str, object]:
    return {
        "id": compiled.spec.id,
        "model": model,
        "max_tokens": compiled.spec.max_tokens,
        "temperature": compiled.spec.temperature,
        "thinking_effort": compiled.spec.thinking_effort,
        "traits": list(compiled.spec.traits),
        "system": compiled.system,
        "options": dict(compiled.options),
        "tools": [
            {
                "name": t.name,
                "id": t.id,
                "delegate": t.delegate,
                "description": t.description,
                "schema": t.schema,
                "context": t.context,
            }
            for t in compiled.tools
        ],
        "shown": [t.name for t in compiled.shown],
        "extensions": [
            {"kind": e.kind, "binding": e.binding, "phases": e.phases, "priority": e.priority}
            for e in compiled.extensions
        ],
        "warnings": [{"text": w.text, "where": w.where, "fix": w.fix} for w in compiled.warnings],
    }
