"""What compatible servers do differently, and how their replies are read all the same."""

import msgspec
import pytest

from micro_agi.errors import ProviderUnavailable
from micro_agi.llm.providers.openai_chat_reply import ChatReply
from micro_agi.messages import Usage


def frames(*deltas, finish="stop"):
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return [msgspec.json.encode(chunk) for chunk in chunks]


def reply_to(*deltas, finish="stop"):
    reply = ChatReply()
    reply.take(frames(*deltas, finish=finish))
    return reply.reply()


def call(index=None, name=None, arguments=None, **fields):
    function = {"name": name, "arguments": arguments}
    index = {} if index is None else {"index": index}
    return {"tool_calls": [{**index, "function": function, **fields}]}


def calls_of(*deltas, finish="tool_calls"):
    return [(c.name, c.arguments) for c in reply_to(*deltas, finish=finish).tool_calls]


def test_arguments_that_already_parse_may_still_go_on():
    assert calls_of(call(0, "f", "1", id="call_12345"), call(0, None, "2")) == [("f", "12")]


def test_missing_and_short_and_repeated_ids_are_replaced_by_unique_ones():
    reply = reply_to(call(0, "f", "{}"), call(1, "g", "{}", id="0"), call(2, "h", "{}", id="0"))
    ids = [c.id for c in reply.tool_calls]
    assert len(set(ids)) == 3
    assert all(len(i) == 9 and i.isalnum() for i in ids)


def test_calls_without_an_index_are_told_apart():
    assert calls_of(
        call(None, "f", '{"a"', id="call_aaaaa"),
        call(None, None, ":1}"),
        call(None, "g", "{}", id="call_bbbbb"),
    ) == [("f", '{"a":1}'), ("g", "{}")]


def test_calls_that_all_have_index_0_are_told_apart_by_id():
    assert calls_of(
        call(0, "f", "{}", id="call_aaaaa"), call(0, "g", '{"b":2}', id="call_bbbbb")
    ) == [("f", "{}"), ("g", '{"b":2}')]


def test_arguments_given_as_an_object_become_text():
    assert calls_of(call(0, "f", {"a": [1]})) == [("f", '{"a":[1]}')]


def test_no_arguments_are_an_empty_object():
    assert calls_of(call(0, "f", "")) == [("f", "{}")]


def test_the_older_function_call_is_read():
    assert calls_of(
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": '{"a":1}'}},
        finish="function_call",
    ) == [("f", '{"a":1}')]


def test_calls_count_even_when_the_finish_reason_says_stop():
    assert reply_to(call(0, "f", "{}"), finish="stop").finish_reason == "tool_call"


def test_an_unknown_finish_reason_counts_as_stop():
    assert reply_to({"content": "hi"}, finish="eos_token").finish_reason == "stop"


def test_content_in_parts_is_text_and_thinking():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    reply = reply_to({"content": [thinking, {"type": "text", "text": "hi"}]})
    assert (reply.text, reply.thinking) == ("hi", "hm")


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_thinking_has_two_names(field):
    assert reply_to({field: "hm"}).thinking == "hm"


def test_a_refusal_is_shown_and_marked():
    reply = reply_to({"refusal": "I will not."})
    assert (reply.text, reply.finish_reason) == ("I will not.", "filtered")


def test_undecodable_frames_are_skipped():
    reply = ChatReply()
    assert reply.take([b"nonsense", *frames({"content": "x"}), b" [DONE]"]) == ("x", "")
    assert reply.done


def test_a_reply_is_complete_with_a_finish_reason_or_done_and_not_before():
    reply = ChatReply()
    reply.take(frames({"content": "x"})[:1])
    assert not reply.complete
    reply.take([b"[DONE]"])
    assert reply.complete


def test_an_error_in_any_shape_is_raised():
    for frame in (b'{"error":{"message":"boom"}}', b'{"error":"boom"}'):
        with pytest.raises(ProviderUnavailable, match="boom"):
            ChatReply().take([frame])


def test_usage_is_read_from_odd_places():
    reply = ChatReply()
    reply.take([b'{"choices":[],"usage":{"prompt_tokens":10,"prompt_cache_hit_tokens":4}}'])
    assert reply.reply().usage == Usage(prompt=6, cached=4)


def test_a_whole_reply_that_is_none_says_so():
    for body in (b"<html>", b"{}", b'{"choices":[]}'):
        with pytest.raises(ProviderUnavailable):
            ChatReply().take_whole(body)
