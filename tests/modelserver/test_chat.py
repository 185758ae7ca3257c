"""The server driven by the official client: replies, streams, tools, usage, refusals."""

import json

import pytest

from tests.modelserver.fake import FakeEngine

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
TIME = {"type": "function", "function": {"name": "get_time"}}
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'


def calls_of(reply):
    return [
        (c.function.name, c.function.arguments) for c in reply.choices[0].message.tool_calls or ()
    ]


async def streamed(stream):
    """The text and thinking pieces, the calls, the finish reason and the usage of a stream."""
    pieces, calls, finish, usage = [], [], "", None
    async for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            pieces += [choice.delta.content] if choice.delta.content else []
            calls += choice.delta.tool_calls or []
    return pieces, [(c.function.name, c.function.arguments) for c in calls], finish, usage


@pytest.mark.requirement("004/model-server/endpoints", "004/model-server/usage")
def test_a_reply_whole_and_streamed(play):
    async def scenario(served):
        whole = await served.say("hi")
        assert whole.choices[0].message.content == "héllo 👍"
        assert whole.choices[0].finish_reason == "stop"
        prompt = len(served.engine.encode("<|start|>user\nhi<|end|><|start|>assistant\n"))
        assert whole.usage.prompt_tokens == prompt
        assert whole.usage.completion_tokens == len("héllo 👍".encode()) + 1
        assert whole.usage.prompt_tokens_details.cached_tokens == 0
        stream = await served.say("hi", stream=True, stream_options={"include_usage": True})
        pieces, _, finish, usage = await streamed(stream)
        # A character of several tokens is shown when it is whole.
        assert pieces == list("héllo 👍")
        assert finish == "stop"
        assert usage.prompt_tokens_details.cached_tokens == prompt - 1
        [model] = (await served.client.models.list()).data
        assert (model.id, model.max_model_len) == ("fake-model", 4096)
        idle = {"status": "ok", "serving": 0, "waiting": 0, "leaving": 0}
        assert await served.health() == idle
        plain = await served.client.completions.create(model="fake-model", prompt="x", max_tokens=4)
        assert (plain.choices[0].text, plain.choices[0].finish_reason) == ("hél", "length")

    play(FakeEngine("héllo 👍"), scenario)


@pytest.mark.requirement("004/model-server/text-calls")
@pytest.mark.parametrize(
    "said",
    [CALL, '<tool name="get_weather">{"city": "Rome"}</tool>', 'get_weather(city="Rome")'],
)
def test_a_call_in_the_text_is_a_call_and_its_text_is_not_shown(play, said):
    async def scenario(served):
        reply = await served.say("hi", tools=[WEATHER, TIME])
        assert calls_of(reply) == [("get_weather", '{"city": "Rome"}')]
        assert reply.choices[0].finish_reason == "tool_calls"
        assert reply.choices[0].message.content == "Let me see."
        pieces, calls, finish, _ = await streamed(
            await served.say("hi", tools=[WEATHER, TIME], stream=True)
        )
        assert "".join(pieces).strip() == "Let me see."
        assert (calls, finish) == ([("get_weather", '{"city": "Rome"}')], "tool_calls")
        # Without tools the same reply is text.
        assert calls_of(await served.say("hi")) == []
        assert calls_of(await served.say("hi", tools=[WEATHER], tool_choice="none")) == []

    play(FakeEngine(f"Let me see.\n{said}"), scenario)


def test_a_call_that_cannot_be_read_reaches_the_client_and_can_be_run_by_nobody(play):
    async def scenario(served):
        [(name, arguments)] = calls_of(await served.say("hi", tools=[WEATHER]))
        assert name == "get_weather"
        with pytest.raises(json.JSONDecodeError):
            json.loads(arguments)

    # Never closed, but for the rest complete.
    play(FakeEngine('<tool name="get_weather">{"city": "Rome"}'), scenario)


@pytest.mark.requirement("004/model-server/tool-choice")
def test_a_forced_call_is_prefilled_in_the_models_own_notation(play):
    asked = []

    def goes_on(prompt):
        """Continue what was written for it, and then talk on and on."""
        asked.append(prompt)
        name = "" if "get_weather" in prompt[-60:] else ' "get_weather", "arguments":'
        return name + ' {"city": "Rome"}}\n</tool_call>' + " and so on" * 100

    async def scenario(served):
        forced = {"type": "function", "function": {"name": "get_weather"}}
        for choice in (forced, "required"):
            reply = await served.say("hi", tools=[TIME, WEATHER], tool_choice=choice)
            assert calls_of(reply) == [("get_weather", '{"city": "Rome"}')]
            assert reply.usage.completion_tokens < 80, "it ends with the call"
        assert [prompt.rpartition("assistant\n")[2] for prompt in asked] == [
            '<tool_call>\n{"name": "get_weather", "arguments":',
            '<tool_call>\n{"name":',
        ]

    play(FakeEngine(goes_on), scenario)


def test_another_models_notation_is_learnt_from_its_template(play):
    def written(name, arguments):
        return f'[CALL] {{"name": "{name}", "parameters": {json.dumps(arguments)}}}'

    def replies(prompt):
        if prompt.endswith('"parameters":'):
            return ' {"city": "Rome"}}'
        return "[CALL] no call" if "why" in prompt else written("get_weather", {"city": "Rome"})

    async def scenario(served):
        expected = [("get_weather", '{"city": "Rome"}')]
        forced = {"type": "function", "function": {"name": "get_weather"}}
        assert calls_of(await served.say("hi", tools=[WEATHER])) == expected
        assert calls_of(await served.say("hi", tools=[WEATHER, TIME], tool_choice=forced)) == (
            expected
        )
        text = await served.say("why?", tools=[WEATHER])
        assert text.choices[0].message.content == "[CALL] no call"

    play(FakeEngine(replies, call=written), scenario)


def test_a_model_whose_template_knows_no_tools_is_taught(play):
    asked = []

    def replies(prompt):
        asked.append(prompt)
        return "Sunny." if "<tool_result" in prompt else '<tool name="get_weather">{}</tool>'

    async def scenario(served):
        system = {"role": "system", "content": "Be brief."}
        first = await served.say(system, "hi", tools=[WEATHER])
        assert calls_of(first) == [("get_weather", "{}")]
        said = first.choices[0].message.model_dump(exclude_none=True)
        result = {
            "role": "tool",
            "content": "sun",
            "tool_call_id": said["tool_calls"][0]["id"],
            "name": "get_weather",
        }
        second = await served.say(system, "hi", said, result, tools=[WEATHER])
        assert second.choices[0].message.content == "Sunny."
        assert "Be brief." in asked[0]
        assert "## get_weather" in asked[0]
        assert '<tool name="get_weather">{}</tool>' in asked[1]

    play(FakeEngine(replies, shows_tools=False), scenario)


def test_thinking_is_told_apart_from_the_answer(play):
    async def scenario(served):
        reply = await served.say("hi", tools=[WEATHER])
        said = reply.choices[0].message
        assert (said.reasoning_content, said.content) == ("Is it <b>?", "Yes.")

    play(FakeEngine("<think>\nIs it <b>?\n</think>\n\nYes."), scenario)


@pytest.mark.requirement("004/model-server/sampling")
def test_stop_texts_and_limits_end_a_reply_where_they_should(play):
    async def scenario(served):
        for stop, text in ((["wor"], "hello "), ("lo w", "hel"), ([" worx", "d"], "hello worl")):
            reply = await served.say("hi", stop=stop)
            assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == (
                text,
                "stop",
            )
        assert (await served.say("hi", stop=["world!!"])).choices[0].message.content == (
            "hello world"
        )
        cut = await served.say("hi", max_tokens=4)
        assert (cut.choices[0].message.content, cut.choices[0].finish_reason) == ("hell", "length")
        await served.say("hi", temperature=0.5, top_p=0.9, seed=7)
        sampling = served.engine.ended[-1].sampling
        assert (sampling.temperature, sampling.top_p, sampling.seed) == (0.5, 0.9, 7)

    play(FakeEngine("hello world"), scenario)


@pytest.mark.requirement("004/model-server/refusals")
@pytest.mark.parametrize(
    ("options", "where", "says"),
    [
        ({"extra_body": {"temprature": 1}}, "temprature", "did you mean: temperature"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", "leave it out"),
        ({"n": 2}, "n", "only `1`"),
        ({"temperature": 3}, "temperature", "from 0 to 2"),
        ({"stop": [""]}, "stop", "not empty"),
        ({"max_tokens": 0}, "max_tokens", "at least 1"),
        ({"tool_choice": "required"}, "tool_choice", "needs `tools`"),
        ({"response_format": {"type": "json_object"}}, "response_format", "leave it out"),
        ({"messages": []}, "messages", "not empty"),
        ({"messages": [{"role": "alien", "content": ""}]}, "messages[0].role", "use one of"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0]",
            "reads text",
        ),
        (
            {"messages": [{"role": "user", "content": "x" * 5000}]},
            "messages",
            "too long: it has 5018 tokens, and the context length of `fake-model` is 4096",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_its_place(play, options, where, says):
    async def scenario(served):
        with pytest.raises(served.sdk.BadRequestError) as refused:
            await served.say("hi", **options)
        assert refused.value.param == where
        assert says in refused.value.message
        with pytest.raises(served.sdk.NotFoundError, match="use `fake-model`"):
            await served.say("hi", model="gpt")

    play(FakeEngine("never"), scenario)


def test_a_prompt_without_a_token_is_refused(play):
    """Some tokenizers have none for what they do not know."""

    async def scenario(served):
        served.engine.encode = lambda text: []
        with pytest.raises(served.sdk.BadRequestError, match="the prompt has no tokens"):
            await served.say("hi")

    play(FakeEngine("never"), scenario)
