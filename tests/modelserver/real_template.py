"""Replies read by a tokenizer's own response template, with Transformers' own parser."""

import json
import shutil

import pytest
from transformers.utils.chat_parsing import ResponseParser

from micro_agi.modelserver.load import Options, load_engine
from micro_agi.modelserver.template_parser import TemplateParser
from tests.modelserver.real_model import COUNTING, NAME, WEATHER, run_with, say, user

END = "<|im_end|>"
START = "<|im_start|>assistant\n"
FIELDS = {
    "reasoning_content": {"open": "<think>", "close": "</think>", "content": "text"},
    "tool_calls": {
        "open_pattern": r"\s*<tool_call>",
        "close": "</tool_call>",
        "repeats": True,
        "content": "json",
        "transform": {"type": "function", "function": "{content}"},
    },
    "content": {"close_pattern": r"\s*<\|im_end\|>", "content": "text"},
}
JSON = {"start_anchor": START, "fields": FIELDS}
XML = {
    "start_anchor": START,
    "fields": FIELDS
    | {
        "tool_calls": {
            "open_pattern": r"\s*<tool_call>\s*<function=(?P<name>[^>\n]+)>",
            "close_pattern": r"</function>\s*</tool_call>",
            "repeats": True,
            "content": "xml-inline",
            "content_args": {
                "tag_pattern": r"<parameter=(?P<key>\w+)>(?P<value>.*?)</parameter>",
            },
            "transform": {"function": {"name": "{name}", "arguments": "{content}"}},
        }
    },
}
TO_THE_END = {
    "start_anchor": START,
    "fields": {
        "content": {"content": "text"},
        "tool_calls": {"open": "[CALLS]", "content": "json"},
    },
}


def read(template, said, *, prompt=f"<|im_start|>user\nhi{END}\n{START}", step=3, end=END):
    """What is shown of each kind, and the calls, of a reply that comes in pieces."""
    parser = TemplateParser(ResponseParser(template, prefix=prompt, tools=[WEATHER]), template)
    pieces = []
    for at in range(0, len(said), step):
        pieces += parser.feed(said[at : at + step])
    last, calls = parser.finish(end)
    shown = {"thinking": "", "content": ""}
    for kind, text in [*pieces, *last]:
        shown[kind] += text
    return shown["thinking"], shown["content"], [(call.name, call.arguments) for call in calls]


ROME = ("get_weather", '{"city": "Rome"}')
IN_JSON = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
IN_XML = (
    "<tool_call>\n<function=get_weather><parameter=city>Rome</parameter></function>\n</tool_call>"
)


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_thinking_text_and_calls_are_told_apart(step):
    thinking, content, calls = read(
        JSON, f"<think>\nRome?</think>\n\nI look.\n{IN_JSON}\n{IN_JSON}", step=step
    )
    assert (thinking, content, calls) == ("Rome?", "I look.", [ROME, ROME])
    assert read(XML, f"I look.\n{IN_XML}", step=step) == ("", "I look.", [ROME])
    both = [{"name": "get_weather", "arguments": {"city": "Rome"}}] * 2
    assert read(TO_THE_END, f"I look.[CALLS]{json.dumps(both)}", step=step) == (
        "",
        "I look.",
        [ROME, ROME],
    )
    assert read(JSON, "It is sunny.", step=step) == ("", "It is sunny.", [])


@pytest.mark.parametrize(
    ("template", "good", "bad"),
    [
        (JSON, IN_JSON, IN_JSON.replace("}}", "}")),
        (JSON, IN_JSON, "<tool_call>" + "[" * 5000 + "</tool_call>"),
        (JSON, IN_JSON, "<tool_call>5</tool_call>"),
        # Cut off: what is there of the arguments could be run, and must not be.
        (XML, IN_XML, "<tool_call><function=get_weather><parameter=city>Rome</parameter>"),
        (XML, IN_XML, "<tool_call><function=get_weather>"),
    ],
)
def test_a_call_that_cannot_be_read_is_run_by_nobody_and_takes_nothing_with_it(template, good, bad):
    for end in (END, ""):
        _, content, calls = read(template, f"I look.{good}{bad} and", end=end)
        assert content == "I look."
        assert calls[0] == ROME
        [(_, arguments)] = calls[1:]
        with pytest.raises(json.JSONDecodeError):
            json.loads(arguments)


def test_a_call_that_was_begun_for_the_model_goes_on():
    opening = '<tool_call>\n{"name": "get_weather", "arguments":'
    rest = IN_JSON.removeprefix(opening)
    assert read(JSON, rest, prompt=START + opening) == ("", "", [ROME])


RENAMED = {"function": {"name": "read_by_template", "arguments": "{content.arguments}"}}


def loaded_with(template, folder, place, notice=print):
    """The model with this response template."""
    shutil.copytree(folder, place)
    config = json.loads((place / "tokenizer_config.json").read_text("utf-8"))
    config["response_template"] = template
    (place / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    return load_engine(str(place), Options(name=NAME, threads=1), notice)


def test_a_model_with_a_response_template_is_served_by_it(folder, tmp_path):
    """The template gives each call another name, so that nothing else can have read it."""
    renamed = FIELDS | {"tool_calls": FIELDS["tool_calls"] | {"transform": RENAMED}}
    engine = loaded_with(JSON | {"fields": renamed}, folder, tmp_path / "renamed")

    async def scenario(client, _):
        asked = [user("weather in Rome?")]
        forced = {"type": "function", "function": {"name": "get_weather"}}
        for choice in ("auto", forced):
            reply = await say(client, asked, tools=[WEATHER], tool_choice=choice)
            assert reply.choices[0].finish_reason == "tool_calls"
            [call] = reply.choices[0].message.tool_calls
            assert (call.function.name, json.loads(call.function.arguments)) == (
                "read_by_template",
                {"city": "Rome"},
            )
        stream = await say(client, [user("count")], stream=True)
        pieces = [c.choices[0].delta.content or "" async for c in stream if c.choices]
        assert "".join(pieces) == COUNTING
        assert sum(map(bool, pieces)) > 1

    run_with(engine, scenario)


def test_a_response_template_that_is_wrong_is_told_and_left_out(folder, tmp_path):
    notices = []
    engine = loaded_with(JSON | {"fields": {}}, folder, tmp_path / "wrong", notices.append)
    assert any("response template is wrong" in notice for notice in notices)

    async def scenario(client, _):
        reply = await say(client, [user("weather in Rome?")], tools=[WEATHER])
        [call] = reply.choices[0].message.tool_calls
        assert call.function.name == "get_weather"

    run_with(engine, scenario)
