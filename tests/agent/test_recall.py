"""Dynamic memory: when it is asked, what it is told, what the conversation keeps."""

import asyncio

import pytest

from micro_agi.errors import ToolFailed
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import Recalled, Warned
from micro_agi.registry.entry import from_dict
from micro_agi.testing.transcript import scripted_runtime

NATIVE = {"id": "app:recall", "kind": "function.native", "meta": {}, "data": {"target": "recall"}}
HEADING = "Relevant context from your memory:"


def play(remember, *texts, options=None, contract=None, entries=(), values=None, script=None):
    """Run turns of an agent whose memory is `remember(request, values)`."""
    asked = []

    async def native(request, context):
        asked.append(request)
        return remember(request, context.values)

    async def scenario():
        async with scripted_runtime(script or ["fine"] * len(texts)) as played:
            runtime = played.runtime
            runtime.registry.mount([from_dict(NATIVE)])
            runtime.functions.register("recall", native)
            changes = runtime.registry.snapshot().changes()
            memory = contract or {
                "implementation_id": "app:recall",
                "context": {"user": "${user_id}"},
                "options": options or {},
            }
            meta = {"type": "agent.gen1", "name": "a"}
            data = {"prompt": "P.", "memory_contract": memory, "tools": ["app.tools:*"]}
            changes.create({"id": "app:a", "kind": "registry.entry", "meta": meta, "data": data})
            for entry in entries:
                changes.create(entry)
            await changes.apply(runtime.root())
            session = await runtime.session("s", agent="app:a")
            session.agent.update_context({"user_id": "u7"} if values is None else values)
            events = []
            for text in texts:
                await session.run(text, events.append)
            journal = [r.event for r in await runtime.journal.read("s")]
            return played.model.requests, events, journal

    requests, events, journal = asyncio.run(scenario())
    return asked, requests, events, journal


def whales(request, values):
    return {"memories": [{"id": "m1", "content": f"{values['user']} likes whales"}]}


@pytest.mark.requirement("003/memory/recall", "003/memory/context")
def test_a_memory_becomes_a_developer_message_that_the_session_keeps():
    asked, requests, _, journal = play(whales, "hello", "again")
    assert len(asked) == 1  # the first turn is too short a conversation
    memory = requests[1].messages[-1]
    assert (memory.role, memory.text) == ("developer", f"{HEADING}\n\n- u7 likes whales")
    assert memory.metadata == {"memory_ids": ["m1"]}
    assert [e.message for e in journal if isinstance(e, Recalled)] == [memory]


def test_it_is_told_what_happened_and_what_is_known_already():
    def all_of_it(request, _):
        return {"memories": [{"id": f"m{len(request['recent_actions'])}", "content": "x"}]}

    asked, _, _, _ = play(all_of_it, "one", "two", "three", options={"max_actions": 3})
    assert asked[0] == {
        "recent_actions": ["user: one", "assistant: fine", "user: two"],
        "previous_memories": [],
        "constraints": {"max_items": 3, "max_length": 1000},
    }
    assert asked[1]["previous_memories"] == ["m3"]
    assert asked[1]["recent_actions"] == ["user: two", "assistant: fine", "user: three"]


def test_tool_results_are_actions_too():
    script = [Call("registry_list", {"namespace": "nothing"}), "none", "fine"]
    asked, _, _, _ = play(whales, "list", "go on", script=script)
    assert any(a.startswith("tool: registry_list -> {") for a in asked[-1]["recent_actions"])


def test_the_same_memory_is_told_once():
    _, requests, events, _ = play(whales, "one", "two", "three")
    assert len([e for e in events if isinstance(e, Recalled)]) == 1
    assert sum(HEADING in m.text for m in requests[-1].messages) == 1


@pytest.mark.requirement("003/memory/options")
def test_results_are_cut_to_the_constraints():
    def many(request, _):
        return {"memories": [{"id": n, "content": "y" * 40} for n in range(9)]}

    _, _, events, _ = play(many, "one", "two", options={"max_items": 4, "max_length": 100})
    (recalled,) = [e for e in events if isinstance(e, Recalled)]
    assert recalled.message.metadata == {"memory_ids": [0, 1]}


@pytest.mark.requirement("003/memory/options")
@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({"enabled": False}, 0),
        ({"min_conversation_length": 5}, 1),
        ({"min_conversation_length": 0, "recall_cooldown": 0}, 3),
        ({"min_conversation_length": 0, "recall_cooldown": 4}, 1),
    ],
)
def test_length_and_cooldown_say_when_it_is_asked(options, times):
    count = iter(range(100))

    def always_new(request, _):
        return {"memories": [{"id": f"n{next(count)}", "content": "x"}]}

    asked, _, _, _ = play(always_new, "one", "two", "three", options=options)
    assert len(asked) == times


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (lambda r, v: 1 / 0, "failed"),
        (lambda r, v: "no map", "returned something else"),
        (lambda r, v: {"memories": [{"id": 1}]}, "returned something else"),
    ],
)
def test_a_memory_that_is_wrong_is_a_warning_and_the_step_goes_on(answer, what):
    def remember(request, values):
        try:
            return answer(request, values)
        except ZeroDivisionError as error:
            raise ToolFailed("broken") from error

    _, requests, events, _ = play(remember, "one", "two")
    assert len(requests) == 2
    assert any(what in e.text for e in events if isinstance(e, Warned))


@pytest.mark.parametrize("nothing", [None, {}, {"memories": []}])
def test_no_memory_is_no_message(nothing):
    _, _, events, _ = play(lambda r, v: nothing, "one", "two")
    assert [e for e in events if isinstance(e, Recalled | Warned)] == []


@pytest.mark.parametrize(
    ("contract", "what"),
    [
        ({"implementation_id": "app:nothing"}, "app:nothing"),
        ({"context": {"a": 1}}, "names no implementation"),
        ({"implementation_id": "app:dev_assistant"}, "is no memory"),
        ({"implementation_id": "app:recall", "options": {"max_items": "x"}}, "do not fit"),
    ],
)
def test_a_contract_that_is_wrong_is_a_warning(contract, what):
    asked, requests, events, _ = play(whales, "one", "two", contract=contract)
    assert (len(asked), len(requests)) == (0, 2)
    assert any(what in e.text for e in events if isinstance(e, Warned))


def test_a_binding_names_the_function():
    binding = {
        "id": "app:binding",
        "kind": "contract.binding",
        "meta": {},
        "data": {
            "contracts": [{"contract": "wippy.agent:memory", "methods": {"recall": "recall"}}]
        },
    }
    contract = {"implementation_id": "app:binding", "context": {"user": "me"}}
    _, requests, _, _ = play(whales, "one", "two", contract=contract, entries=[binding])
    assert "me likes whales" in requests[1].messages[-1].text


def test_lua_can_be_the_memory():
    source = (
        "return { handler = function(request) "
        "local said = #request.recent_actions .. ' actions' "
        "return { memories = { { id = 'l', content = said } } } end }"
    )
    lua = {
        "id": "app:lua",
        "kind": "function.lua",
        "meta": {},
        "data": {"source": source, "method": "handler"},
    }
    contract = {"implementation_id": "app:lua"}
    _, requests, _, _ = play(whales, "one", "two", contract=contract, entries=[lua])
    assert requests[1].messages[-1].text == f"{HEADING}\n\n- 3 actions"


def test_a_declared_variable_reaches_the_memory_and_is_hidden_in_what_it_says():
    variable = {
        "id": "app:key",
        "kind": "env.variable",
        "meta": {},
        "data": {"storage": "app:in_memory", "variable": "STORE_KEY", "default": "canary-5"},
    }
    storage = {"id": "app:in_memory", "kind": "env.storage.memory", "meta": {}, "data": {}}
    contract = {"implementation_id": "app:recall", "context": {"key": "${STORE_KEY}"}}

    def remember(_, values):
        return {"memories": [{"id": "m", "content": f"opened with {values['key']}"}]}

    _, requests, events, _ = play(
        remember, "one", "two", contract=contract, entries=[variable, storage]
    )
    assert requests[1].messages[-1].text.endswith("opened with ***")
    assert "canary" not in repr((requests[1].messages, events))


def test_a_placeholder_that_nobody_fills_is_a_warning():
    _, _, events, _ = play(lambda r, v: None, "one", values={})
    assert "`${user_id}` in the context of the memory contract is not known" in [
        e.text for e in events if isinstance(e, Warned)
    ]
