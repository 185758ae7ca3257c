"""No caller but root gets past the door with anything but a tool of its own.

Each trick is tried through the public change set, as the tools and Lua would.
"""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from micro_agi.errors import EntryInvalid, EntryNotFound, MicroAgiError, PolicyDenied
from micro_agi.registry.changes import Operation
from micro_agi.registry.kinds import KINDS
from micro_agi.security.actor import Actor
from micro_agi.security.context import Trial, root_context
from micro_agi.security.policy import Policy, Scope
from micro_agi.testing.registry import memory_registry
from tests.registry.app_entries import (
    APP,
    ROOT,
    agent,
    create,
    delete,
    library,
    plain,
    policy,
    tool,
    update,
    with_registry,
)

EVERYTHING = policy("app:allow_everything", "allow", "*")
"""An operator's mistake: the floor must hold without the policies."""


def test_an_agent_creates_updates_and_deletes_its_own_tools():
    async def work(registry):
        await create(registry, tool("app.generated:clock"), agent("1"))
        await update(registry, tool("app.generated:clock", "return 1"), agent("2"))
        version = await delete(registry, "app.generated:clock", agent("3"))
        assert version.actor == "agent:app:dev_assistant"
        assert version.agent == "app:dev_assistant"

    with_registry(work)


@pytest.mark.parametrize(
    ("entry_id", "said"),
    [
        ("app:clock", "denied by `app:deny_core_ns`"),
        ("app.tools:clock", "denied by `app:deny_tools_ns`"),
        ("other:clock", "no policy matches"),
        ("app.generated.more:clock", "not this user's"),
        ("app.generatedx:clock", "no policy matches"),
        ("system:clock", "belongs to the runtime"),
        ("app.grants:clock", "belongs to the operator"),
        ("local:clock", "belongs to the operator"),
        ("wippy:clock", "belongs to the operator"),
        ("wippy.llm:clock", "belongs to the operator"),
    ],
)
def test_an_agent_cannot_write_to_another_namespace(entry_id, said):
    async def work(registry):
        with pytest.raises(PolicyDenied) as refused:
            await create(registry, tool(entry_id), agent())
        assert said in str(refused.value)

    with_registry(work)


@pytest.mark.parametrize(
    "entry_id",
    [
        *("app.generated:a:b", "app.generated:Clock", "app.generated:1clock", "app.generated:a b"),
        *("app.generated:a\n", "app.generated:_a", "app.generated:a-b", "app.generated:å"),
        *("app.generated:" + "a" * 65, "app.generated: a", "app.generated::a", "app.generated:*"),
        *("app.generated:a.b", "app.generated:../app", "app.generated:a\x00", "app.generated:"),
        *(" app:x", "app :x", "APP:x", "app.:x", ".app:x", "app..generated:x", "арр:x", ":x", "x"),
        *("app.Grants:x", "app.grants :x", "app.grants\n:x", "system :x", "System:x"),
        *({"ns": "app.generated:a", "name": "b"}, {"ns": "app", "name": "generated:x"}),
        *({"ns": "app.grants", "name": "x"}, {"ns": "app.tools", "name": "x"}),
    ],
)
def test_no_spelling_of_an_id_gets_past_the_door(entry_id):
    async def work(registry):
        before = registry.snapshot().entries()
        for attempt in (create, update):
            with pytest.raises((PolicyDenied, EntryInvalid)):
                await attempt(registry, tool(entry_id), agent())
        with pytest.raises((PolicyDenied, EntryInvalid)):
            await delete(registry, entry_id, agent())
        assert registry.snapshot().entries() == before

    with_registry(work, [*APP, EVERYTHING])


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"function.lua", "function.python"}))
def test_an_agent_writes_no_other_kind(kind):
    async def work(registry):
        for meta in ({}, {"type": "tool"}, {"type": "agent.gen1"}):
            entry = {**tool("app.generated:x"), "kind": kind, "meta": meta}
            with pytest.raises(PolicyDenied, match="only tools may be written"):
                await create(registry, entry, agent())

    with_registry(work, [*APP, EVERYTHING])


@pytest.mark.parametrize("kind", ["agent.gen1", "agent.trait", "llm.model", "Tool", None, ["tool"]])
def test_an_agent_writes_no_function_that_is_no_tool(kind):
    async def work(registry):
        entry = tool("app.generated:x", meta={"type": kind} if kind else {})
        if kind is None:
            del entry["meta"]["type"]
        with pytest.raises(PolicyDenied, match="only tools may be written"):
            await create(registry, entry, agent())

    with_registry(work, [*APP, EVERYTHING])


@pytest.mark.parametrize(
    ("part", "key"),
    [
        *(("meta", k) for k in ("command", "effect", "private", "depends_on", "Type", "security")),
        *(("data", k) for k in ("policy", "groups", "target", "lifecycle", "pool", "prompt")),
    ],
)
def test_an_agent_sets_no_key_that_a_tool_does_not_need(part, key):
    async def work(registry):
        with pytest.raises(PolicyDenied, match=f"may not set `{part}.{key}`"):
            await create(registry, tool("app.generated:x", **{part: {key: "x"}}), agent())

    with_registry(work)


def test_what_is_no_tool_cannot_be_replaced_or_deleted_even_in_its_own_namespace():
    async def work(registry):
        await create(registry, plain("app.generated:notes"))
        await create(registry, library("app.generated:lib"))
        for entry_id in ("app.generated:notes", "app.generated:lib"):
            changes = registry.snapshot().changes
            for attempt in (
                changes().delete(entry_id),
                changes().update(tool(entry_id)),
                changes().delete(entry_id).create(tool(entry_id)),
                changes().create(tool(entry_id)),
            ):
                with pytest.raises(PolicyDenied, match="only tools may be written"):
                    await attempt.apply(agent())

    with_registry(work)


def test_a_harmless_first_operation_opens_nothing_for_the_next():
    async def work(registry):
        changes = registry.snapshot().changes().create(tool("app.generated:x"))
        with pytest.raises(PolicyDenied, match="deny_core_ns"):
            await changes.delete("app:dev_assistant").apply(agent())
        assert "app.generated:x" not in registry.snapshot()
        assert "app:dev_assistant" in registry.snapshot()

    with_registry(work)


@pytest.mark.parametrize(
    "alias", ["load_tool", "doc_search", "Load_Tool", "load-tool", "LOAD_TOOL", "load tool"]
)
def test_a_generated_tool_cannot_take_the_name_of_another(alias):
    async def work(registry):
        with pytest.raises(PolicyDenied):
            await create(registry, tool("app.generated:x", meta={"llm_alias": alias}), agent())

    with_registry(work)


def test_the_name_of_an_entry_counts_where_it_has_no_alias():
    async def work(registry):
        with pytest.raises(PolicyDenied, match=r"belongs to `app.tools:load_tool`"):
            await create(registry, tool("app.generated:load_tool"), agent())
        renamed = tool("app.generated:load_tool", meta={"llm_alias": "my_loader"})
        await create(registry, renamed, agent())
        await create(registry, tool("app.generated:clock"), agent())
        with pytest.raises(PolicyDenied, match=r"belongs to `app.generated:clock`"):
            await create(registry, tool("app.generated:y", meta={"llm_alias": "clock"}), agent())

    with_registry(work)


def test_two_tools_of_one_change_set_cannot_share_a_name():
    async def work(registry):
        changes = registry.snapshot().changes()
        changes.create(tool("app.generated:a", meta={"llm_alias": "same"}))
        changes.create(tool("app.generated:b", meta={"llm_alias": "same"}))
        with pytest.raises(PolicyDenied, match="the name `same` belongs to"):
            await changes.apply(agent())

    with_registry(work)


@pytest.mark.parametrize("alias", [5, ["load_tool"], {"a": 1}, "", None])
def test_an_alias_that_is_no_name_is_refused(alias):
    async def work(registry):
        with pytest.raises((PolicyDenied, EntryInvalid)):
            await create(registry, tool("app.generated:x", meta={"llm_alias": alias}), agent())

    with_registry(work)


def test_silence_of_the_write_scope_is_a_refusal():
    async def work(registry):
        with pytest.raises(PolicyDenied, match="no policy matches"):
            await create(registry, tool("app.generated:x"), agent())

    with_registry(work, APP[:2])


def test_a_deny_of_the_callers_own_scope_counts_too():
    async def work(registry):
        deny = Policy(id="app:readonly", effect="deny", actions=("registry.*",))
        with pytest.raises(PolicyDenied, match="app:readonly"):
            await create(registry, tool("app.generated:x"), agent(scope=Scope((deny,))))
        allow = Policy(id="x:all", effect="allow")
        with pytest.raises(PolicyDenied, match="deny_core_ns"):
            await create(registry, tool("app:x"), agent(scope=Scope((allow,))))

    with_registry(work)


def test_conditions_of_the_write_scope_see_the_actor():
    only = policy(
        "app:only_builder",
        "allow",
        "app.generated:*",
        conditions=[{"field": "actor.id", "operator": "eq", "value": "agent:app:builder"}],
    )

    async def work(registry):
        with pytest.raises(PolicyDenied):
            await create(registry, tool("app.generated:x"), agent())
        await create(registry, tool("app.generated:x"), agent(actor=Actor("agent:app:builder")))

    with_registry(work, [only])


def test_a_policy_outside_the_operators_namespaces_decides_nothing():
    async def work(registry):
        with pytest.raises(EntryNotFound, match="policy group not found"):
            registry.named_scope("app.generated:agent_security")
        assert [p.id for p in registry.write_scope().policies] == [
            "app:allow_generated",
            "app:deny_core_ns",
            "app:deny_tools_ns",
        ]

    with_registry(work)


def test_groups_of_the_name_in_any_namespace_of_the_operator_govern():
    extra = policy("other.rules:no_clocks", "deny", "app.generated:clock*")

    async def work(registry):
        with pytest.raises(PolicyDenied, match=r"other.rules:no_clocks"):
            await create(registry, tool("app.generated:clock"), agent())
        await create(registry, tool("app.generated:watch"), agent())

    with_registry(work, [*APP, extra])


def test_a_deny_with_an_expression_denies_since_it_is_not_evaluated():
    rule = policy("app:maybe", "deny", "app.generated:*", expression="actor.id == 'nobody'")

    async def work(registry):
        with pytest.raises(PolicyDenied, match="app:maybe"):
            await create(registry, tool("app.generated:x"), agent())

    with_registry(work, [*APP, {**rule, "kind": "security.policy.expr"}])


def test_a_new_policy_counts_for_the_next_write():
    async def work(registry):
        await create(registry, tool("app.generated:x"), agent("1"))
        await create(registry, policy("app:stop", "deny", "app.generated:*"))
        with pytest.raises(PolicyDenied, match="app:stop"):
            await update(registry, tool("app.generated:x"), agent("2"))
        await delete(registry, "app:stop")
        await update(registry, tool("app.generated:x"), agent("2"))

    with_registry(work)


def test_a_trial_changes_nothing_not_even_as_root():
    async def work(registry):
        for context in (agent(trial=Trial()), root_context().narrowed(trial=Trial())):
            with pytest.raises(PolicyDenied, match="being tried"):
                await create(registry, tool("app.generated:x"), context)

    with_registry(work)


def test_a_namespace_that_comes_with_files_belongs_to_the_operator():
    async def work(registry):
        with pytest.raises(PolicyDenied, match="belongs to the operator"):
            await create(registry, tool("app.generated:x"), agent())

    with_registry(work, [*APP, tool("app.generated:shipped")])


def test_root_may_write_everywhere_but_in_the_runtimes_namespace():
    async def work(registry):
        await create(registry, policy("app.grants:g", "allow", "x"))
        await create(registry, plain("app:new"))
        for attempt in (create(registry, plain("system:x")), delete(registry, "system:x")):
            with pytest.raises(PolicyDenied, match="belongs to the runtime"):
                await attempt

    with_registry(work)


TEXT = st.text(st.sampled_from("ap.:_ genrtdso*\n\x00A1"), max_size=16)
NAMESPACES = st.sampled_from(
    [
        *("app", "app.tools", "app.grants", "system", "local", "wippy.llm", "app.generated"),
        *("app.generated ", "app.generated.x", "", "other", "App"),
    ]
)
PLAIN_IDS = st.builds(lambda ns, name: f"{ns}:{name}", NAMESPACES, TEXT)
IDS = PLAIN_IDS | TEXT | st.builds(lambda ns, name: {"ns": ns, "name": name}, NAMESPACES, TEXT)
ENTRIES = st.builds(
    lambda entry_id, kind, meta, data: {"id": entry_id, "kind": kind, "meta": meta, "data": data},
    IDS | st.sampled_from([e["id"] for e in APP]) | st.just("app.generated:x"),
    st.sampled_from([*KINDS, "function.lua", "function.lua"]),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["tool", "agent.gen1"])},
        optional={"llm_alias": TEXT, "command": TEXT},
    ),
    st.fixed_dictionaries(
        {"source": st.just("return {}"), "method": st.just("handler")},
        optional={"groups": st.just(["agent_security"]), "policy": st.just({"effect": "allow"})},
    ),
)
STEPS = st.tuples(st.sampled_from(["create", "update", "delete"]), ENTRIES)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(STEPS, min_size=1, max_size=3), min_size=1, max_size=4))
def test_whatever_an_agent_sends_only_its_own_tools_change(change_sets):
    async def work(registry):
        theirs = [e.as_dict() for e in registry.snapshot()]
        scope = registry.write_scope()
        for number, steps in enumerate(change_sets):
            try:
                changes = registry.snapshot().changes()
                for kind, entry in steps:
                    getattr(changes, kind)(entry["id"] if kind == "delete" else entry)
                await changes.apply(agent(str(number)))
            except MicroAgiError:
                continue
        for entry in registry.snapshot():
            if entry.namespace == "app.generated":
                assert entry.kind in ("function.lua", "function.python")
                assert entry.meta["type"] == "tool"
                assert entry.name.replace("_", "a").isalnum()
            else:
                assert entry.as_dict() in theirs
                theirs.remove(entry.as_dict())
        assert theirs == []
        assert registry.write_scope() == scope

    with_registry(work, [*APP, EVERYTHING])


def test_a_rollback_by_an_agent_passes_the_same_door():
    async def work(registry):
        await create(registry, tool("app.generated:x", "return 1"), agent("1"))
        await update(registry, tool("app.generated:x", "return 2"), agent("2"))
        await update(registry, plain("app:dev_assistant", prompt="new"), ROOT)
        with pytest.raises(PolicyDenied):
            await registry.rollback(None, to=0, context=agent("3"))
        with pytest.raises(PolicyDenied):
            await registry.rollback("app:dev_assistant", to=0, context=agent("3"))
        await registry.rollback("app.generated:x", to=1, context=agent("3"))
        assert registry.get("app.generated:x").data["source"] == "return 1"

    with_registry(work)


def test_the_door_is_asked_again_when_another_writer_was_faster():
    """A policy that arrives while a draft is being compiled must count."""

    compiling = asyncio.Event()
    stop = policy("app.grants:stop", "deny", "app.generated:*")

    async def slow(entry):
        compiling.set()
        await written.wait()

    written = asyncio.Event()

    async def write_meanwhile(registry):
        other = await memory_registry(APP, database=registry.database)
        await compiling.wait()
        await create(other, stop)
        written.set()

    async def work(registry):
        meanwhile = asyncio.ensure_future(write_meanwhile(registry))
        with pytest.raises(PolicyDenied, match=r"app.grants:stop"):
            await create(registry, tool("app.generated:x"), agent())
        await meanwhile

    with_registry(work, admit=slow)


def test_an_operation_on_one_id_cannot_carry_another_entry():
    async def work(registry):
        evil = registry.get("app.tools:load_tool")
        operation = Operation("entry.create", "app.generated:x", evil)
        with pytest.raises(EntryInvalid, match="another entry"):
            await registry.apply([operation], agent())

    with_registry(work)
