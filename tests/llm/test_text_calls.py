"""Models that call tools in their text, from the gateway's door to a whole turn."""

import asyncio

import pytest

from micro_agi.errors import ProviderRefused
from micro_agi.llm.failure import provider_error
from micro_agi.llm.gateway import Gateway
from micro_agi.llm.request import ModelOptions, ModelRequest
from micro_agi.messages import TextDelta, ToolSpec, message
from micro_agi.net.client import Client
from micro_agi.testing.scripted import Broken, Call, Finish, ScriptedModel, scripted_card

TOOLS = (ToolSpec(id="l:look", name="look", description="Look.", schema={"type": "object"}),)
TAG = '<tool name="look">{"at": 1}</tool>'


def ask(reply, *, capabilities=("generate",), sent=None, **options):
    """One request with tools; returns the reply, what was shown and what the model was asked."""
    model = ScriptedModel([reply] if not callable(reply) else reply)
    shown = []

    async def nothing(_):
        pass

    async def main():
        gateway = Gateway(Client(offline=True), {"scripted": model}, sleep=nothing)
        request = ModelRequest(
            model=scripted_card(capabilities=capabilities),
            system="Be kind.",
            messages=sent or [message("user", "hello")],
            tools=TOOLS,
            options=ModelOptions(**options),
        )
        return await gateway.generate(request, shown.append)

    result = asyncio.run(main())
    return result, [e.text for e in shown if isinstance(e, TextDelta)], model.requests[-1]


def calls(reply):
    return [(c.name, c.arguments, c.problem) for c in reply.tool_calls]


def test_a_model_without_tool_use_is_taught_in_its_prompt_and_its_calls_are_read():
    reply, shown, asked = ask(["I lo", "ok. <to", f"{TAG[3:]} ", "ok"])
    assert (asked.tools, asked.options.tool_choice) == ((), "auto")
    assert asked.system.startswith("Be kind.\n\n# Tools")
    assert "## look" in asked.system
    assert calls(reply) == [("look", '{"at": 1}', "")]
    assert reply.finish_reason == "tool_call"
    assert reply.text == "I look.\n\nok"
    assert "".join(shown) == "I look. ok"


def cut_for_good(*pieces):
    """A stream that is cut behind these pieces, by a service that is gone then."""
    gone = provider_error("server_error", "gone", retryable=False)
    model = ScriptedModel([[*pieces, Broken()], gone])
    shown = []

    async def nothing(_):
        pass

    async def main():
        gateway = Gateway(Client(offline=True), {"scripted": model}, sleep=nothing)
        asked = ModelRequest(
            model=scripted_card(capabilities=("generate",)),
            system="",
            messages=[message("user", "hello")],
            tools=TOOLS,
        )
        return await gateway.send(gateway.prepare(asked), shown.append, keep_cut=True)

    return asyncio.run(main()), "".join(e.text for e in shown if isinstance(e, TextDelta))


@pytest.mark.requirement("agents/providers/cut-streams")
@pytest.mark.parametrize("written", [TAG[:20], TAG, f"{TAG} and {TAG[:20]}"])
def test_of_a_reply_that_is_cut_for_good_no_call_in_its_text_counts(written):
    reply, shown = cut_for_good("I look. ", written)
    assert (reply.finish_reason, reply.tool_calls) == ("cut", ())
    assert reply.text.startswith("I look.")
    assert "<tool" not in reply.text + shown
    with pytest.raises(ProviderRefused, match="gone"):
        cut_for_good(TAG[:20])


def test_its_calls_and_their_results_go_back_as_text():
    earlier, _, _ = ask([TAG])
    result = message("tool", "a tree", tool_call_id=earlier.tool_calls[0].id, name="look")
    _, _, asked = ask(["fine"], sent=[message("user", "go"), earlier.message, result])
    assert [(m.role, m.text) for m in asked.messages[1:]] == [
        ("assistant", TAG),
        ("user", '<tool_result name="look">\na tree\n</tool_result>'),
    ]


def test_a_model_with_tool_use_is_read_only_where_the_agent_allows_it():
    able = ("generate", "tool_use")
    reply, shown, asked = ask([TAG], capabilities=able, text_tool_calls=True)
    assert (calls(reply), reply.text, shown) == ([("look", '{"at": 1}', "")], "", [])
    assert (asked.tools, asked.system) == (TOOLS, "Be kind.")
    reply, shown, _ = ask([TAG], capabilities=able)
    assert (calls(reply), reply.text, shown) == ([], TAG, [TAG])


def test_a_call_of_its_own_wins_and_the_text_stays():
    reply, shown, _ = ask(
        [f"like {TAG}", Call("look", {"at": 2}, id="own")],
        capabilities=("generate", "tool_use"),
        text_tool_calls=True,
    )
    assert [c.id for c in reply.tool_calls] == ["own"]
    assert reply.text == "".join(shown) == f"like {TAG}"


def test_nothing_is_taught_or_read_when_no_tool_may_be_called():
    for capabilities in (("generate",), ("generate", "tool_use")):
        reply, _, asked = ask(
            [TAG], capabilities=capabilities, tool_choice="none", text_tool_calls=True
        )
        assert calls(reply) == []
        assert asked.system == "Be kind."


def test_a_reply_cut_at_the_token_limit_says_so():
    reply, shown, _ = ask(["a ", TAG[:20], Finish("length")])
    assert (reply.finish_reason, "".join(shown)) == ("length", "a ")
    assert "never closed" in reply.tool_calls[0].problem


def test_a_call_that_a_break_of_the_connection_cut_in_two_is_read_whole():
    pieces = [["see ", TAG[:20], Broken()], [TAG[20:]]]
    reply, shown, asked = ask(lambda asked: pieces[asked.number])
    assert asked.messages[-2].text == f"see {TAG[:20]}"
    assert calls(reply) == [("look", '{"at": 1}', "")]
    assert "".join(shown) == "see "


@pytest.mark.parametrize("capabilities", [(), ("generate", "tool_use")])
def test_without_tools_in_words_the_request_is_untouched(capabilities):
    _, _, asked = ask(["hi"], capabilities=capabilities)
    assert asked.tools == TOOLS
