"""What the tests of agents share: entries by name, and a runtime that has them."""

from contextlib import asynccontextmanager

from micro_agi.registry.entry import from_dict
from micro_agi.testing.transcript import scripted_runtime


def agent(name, **data):
    meta = {"type": "agent.gen1", "name": name, **data.pop("meta", {})}
    entry = {"prompt": f"You are {name}.", **data}
    return {"id": f"app:{name}", "kind": "registry.entry", "meta": meta, "data": entry}


def trait(name, **data):
    meta = {"type": "agent.trait", "name": name}
    return {"id": f"app:{name}", "kind": "registry.entry", "meta": meta, "data": data}


def lua(name, body, **meta):
    """A function; it is a tool when it gets a description."""
    source = f"local ctx = require('ctx') return {{ handler = function(...) {body} end }}"
    data = {"source": source, "method": "handler", "modules": ["ctx"]}
    if meta:
        meta = {"type": "tool", "llm_alias": name, **meta}
    return {"id": f"app:{name}", "kind": "function.lua", "meta": meta, "data": data}


def tool(name, **meta):
    return lua(name, "return 'done'", llm_description=f"The tool {name}", **meta)


def binding(name, contract, **methods):
    contracts = [{"contract": contract, "default": True, "methods": methods}]
    data = {"contracts": contracts}
    return {"id": f"app:{name}", "kind": "contract.binding", "meta": {}, "data": data}


@asynccontextmanager
async def playing(script, *entries, natives=(), **settings):
    """A runtime with entries of the operator, and native functions by name as `app:name`."""
    async with scripted_runtime(script, **settings) as played:
        runtime = played.runtime
        for function in natives:
            data = {"target": function.__name__}
            mounted = {"id": f"app:{function.__name__}", "kind": "function.native", "meta": {}}
            runtime.registry.mount([from_dict({**mounted, "data": data})])
            runtime.functions.register(function.__name__, function)
        changes = runtime.registry.snapshot().changes()
        for entry in entries:
            changes.create(entry)
        if entries:
            await changes.apply(runtime.root())
        yield played


async def turn(runtime, text="go", agent="app:a", **context):
    """Run one turn in a session of its own; return how it ended and all its events."""
    session = await runtime.session(None, agent=agent, context=context)
    events = []
    finished = await session.run(text, events.append)
    return finished, events
