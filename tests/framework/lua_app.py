"""A runtime whose model is scripted by each test, and Lua code run as entries of its app."""

import asyncio
import itertools
from contextlib import contextmanager

from micro_agi.llm.providers.scripted import Asked
from micro_agi.security.context import root_context
from micro_agi.testing.transcript import scripted_runtime

IMPORTS = {
    "agent_context": "wippy.agent:context",
    "agent_registry": "wippy.agent.discovery:registry",
    "traits": "wippy.agent.discovery:traits",
    "tools": "wippy.agent.discovery:tools",
    "tool_caller": "wippy.agent:tool_caller",
    "selector": "wippy.agent:selector",
    "prompt": "wippy.llm:prompt",
    "llm": "wippy.llm:llm",
    "models": "wippy.llm.discovery:models",
    "compress": "wippy.llm.util:compress",
}


class LuaApp:
    """Runs Lua as operator's entries of one app; `script` is what the model says next."""

    def __init__(self, played, wait):
        self.runtime = played.runtime
        self.model = played.model
        self.wait = wait
        self.script = []
        self._numbers = itertools.count()

    def answer(self, asked: Asked):
        reply = self.script.pop(0)
        return reply(asked) if callable(reply) else reply

    def define(self, *entries):
        """Write entries, as the operator."""
        changes = self.runtime.registry.snapshot().changes()
        for entry in entries:
            known = entry["id"] in self.runtime.registry.snapshot()
            (changes.update if known else changes.create)({"meta": {}, **entry})
        self.wait(changes.apply(root_context()))

    def remove(self, *ids):
        """Delete entries, as the operator."""
        changes = self.runtime.registry.snapshot().changes()
        for entry_id in ids:
            changes.delete(entry_id)
        self.wait(changes.apply(root_context()))

    def function(self, source, *, modules=("json", "funcs", "process", "time"), imports=IMPORTS):
        """Write a chunk as a function of the app; return its id."""
        entry_id = f"app:case_{next(self._numbers)}"
        data = {"source": source, "method": "handler"}
        data |= {"modules": list(modules), "imports": dict(imports)}
        self.define({"id": entry_id, "kind": "function.lua", "data": data})
        return entry_id

    def run(self, body, *says, context=None, imports=IMPORTS):
        """Run statements; `says` are the model's replies. Return what they return."""
        self.script[:] = says
        self.model.requests.clear()
        source = f"return {{ handler = function(args) {body} end }}"
        entry_id = self.function(source, imports=imports)
        return self.wait(self.runtime.call(entry_id, {}, context=context))


@contextmanager
def lua_app(**options):
    """Open the runtime on an event loop of its own."""
    with asyncio.Runner() as runner:
        holder = []
        opened = scripted_runtime(lambda asked: holder[0].answer(asked), app="bundled", **options)
        app = LuaApp(runner.run(opened.__aenter__()), runner.run)
        holder.append(app)
        try:
            yield app
        finally:
            runner.run(opened.__aexit__(None, None, None))
