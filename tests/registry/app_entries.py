"""Entries and contexts that the registry's tests share."""

import asyncio

from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext, root_context
from micro_agi.security.policy import Scope
from micro_agi.testing.registry import memory_registry

ROOT = root_context()


def policy(entry_id, effect, resources, *, actions="*", groups=("agent_security",), **more):
    rule = {"actions": actions, "resources": resources, "effect": effect, **more}
    return {
        "id": entry_id,
        "kind": "security.policy",
        "data": {"policy": rule, "groups": list(groups)},
    }


def tool(entry_id, source="return {}", **changes):
    return {
        "id": entry_id,
        "kind": "function.lua",
        "meta": {"type": "tool", "title": "A tool", **changes.pop("meta", {})},
        "data": {"source": source, "method": "handler", **changes.pop("data", {})},
        **changes,
    }


def plain(entry_id, **data):
    return {"id": entry_id, "kind": "registry.entry", "data": data}


def library(entry_id, **imports):
    return {
        "id": entry_id,
        "kind": "library.lua",
        "data": {"source": "return {}", "imports": imports},
    }


APP = (
    policy("app:deny_core_ns", "deny", "app:*"),
    policy("app:deny_tools_ns", "deny", "app.tools:*"),
    policy("app:allow_generated", "allow", "app.generated:*", actions="registry.*"),
    plain("app:dev_assistant", prompt="hello"),
    library("app:helpers"),
    tool("app.tools:load_tool", meta={"llm_alias": "load_tool"}),
    tool("app.tools:doc_search"),
)


def agent(call_id="", **changes):
    """Make the context of an agent's call."""
    context = CallContext(
        actor=Actor("agent:app:dev_assistant"),
        scope=Scope(),
        agent="app:dev_assistant",
        session="s1",
        call_id=call_id,
    )
    return context.narrowed(**changes)


def with_registry(work, entries=APP, **options):
    """Open a registry on `entries`, run `await work(registry)`, return what it returns."""

    async def run():
        registry = await memory_registry(entries, **options)
        try:
            return await work(registry)
        finally:
            registry.database.close()

    return asyncio.run(run())


async def create(registry, entry, context=ROOT, **options):
    return await registry.snapshot().changes().create(entry).apply(context, **options)


async def update(registry, entry, context=ROOT, **options):
    return await registry.snapshot().changes().update(entry).apply(context, **options)


async def delete(registry, entry_id, context=ROOT, **options):
    return await registry.snapshot().changes().delete(entry_id).apply(context, **options)
