"""Replies of Anthropic and Google in the forms that occur, and what is kept of them."""

from contextlib import suppress

import msgspec
import pytest

from micro_agi.errors import ProviderRefused, ProviderUnavailable
from micro_agi.llm.failure import error_type
from micro_agi.llm.providers.anthropic_reply import AnthropicReply
from micro_agi.llm.providers.google_reply import GoogleReply


def read(kind, *events):
    reply = kind("model-1", "here")
    shown = [reply.take([msgspec.json.encode(event)]) for event in events]
    return reply, shown


def block(index, start, *deltas):
    begun = {"type": "content_block_start", "index": index, "content_block": start}
    more = [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
    return [begun, *more, {"type": "content_block_stop", "index": index}]


def ended(reason="end_turn"):
    return [{"type": "message_delta", "delta": {"stop_reason": reason}}, {"type": "message_stop"}]


def test_blocks_keep_their_order_and_what_is_sealed():
    thought = {"type": "thinking", "thinking": "", "signature": ""}
    deltas = [
        {"type": "thinking_delta", "thinking": "a"},
        {"type": "thinking_delta", "thinking": "b"},
        {"type": "signature_delta", "signature": "S"},
    ]
    reply, shown = read(
        AnthropicReply,
        {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 3}}},
        {"type": "ping"},
        *block(0, thought, *deltas),
        *block(1, {"type": "redacted_thinking", "data": "XYZ"}),
        *block(2, {"type": "text", "text": "It"}, {"type": "text_delta", "text": " is"}),
        *block(3, {"type": "tool_use", "id": "toolu_0001", "name": "clock", "input": {}}),
        *block(4, {"type": "something_new", "x": 1}, {"type": "newer_delta", "y": 2}),
        *ended("tool_use"),
    )
    found = reply.reply()
    assert ("".join(t for t, _ in shown), "".join(t for _, t in shown)) == ("It is", "ab")
    assert (found.text, found.thinking, found.finish_reason) == ("It is", "ab", "tool_call")
    assert found.tool_calls[0].arguments == "{}"
    assert found.opaque["anthropic"] == {
        "model": "model-1",
        "layout": [
            {"as_is": {"type": "thinking", "thinking": "ab", "signature": "S"}},
            {"as_is": {"type": "redacted_thinking", "data": "XYZ"}},
            {"text": 5},
            {"call": "toolu_0001"},
        ],
    }
    assert found.message.metadata == found.opaque


def test_thinking_that_was_cut_off_has_no_signature_and_does_not_go_back():
    thought = {"type": "thinking", "thinking": "", "signature": ""}
    reply, _ = read(
        AnthropicReply,
        *block(0, thought, {"type": "thinking_delta", "thinking": "half of"}),
        *ended("max_tokens"),
    )
    assert reply.reply().thinking == "half of"
    assert (reply.reply().finish_reason, reply.reply().opaque) == ("length", {})


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "filtered"),
        ("a_new_one", "stop"),
    ],
)
def test_stop_reasons_of_anthropic(reason, finish):
    reply, _ = read(AnthropicReply, *block(0, {"type": "text", "text": "x"}), *ended(reason))
    assert (reply.complete, reply.done) == (True, True)
    assert reply.reply().finish_reason == finish


def chunk(*parts, finish="", **fields):
    candidate = {"content": {"role": "model", "parts": list(parts)}}
    return {"candidates": [candidate | ({"finishReason": finish} if finish else {})], **fields}


def test_signed_parts_stay_apart_from_unsigned_ones():
    reply, _ = read(
        GoogleReply,
        chunk({"text": "plan", "thought": True, "thoughtSignature": "T"}),
        chunk({"text": "One "}),
        chunk({"text": "two "}),
        chunk({"text": "three", "thoughtSignature": "S"}),
        chunk({"functionCall": {"name": "clock"}, "thoughtSignature": "C"}),
        chunk({"text": "", "thoughtSignature": "E"}, finish="STOP"),
    )
    found = reply.reply()
    [call] = found.tool_calls
    assert (found.text, found.thinking, found.finish_reason) == (
        "One two three",
        "plan",
        "tool_call",
    )
    assert call.provider == {"google": {"model": "model-1", "thoughtSignature": "C"}}
    assert found.opaque["google"]["layout"] == [
        {"as_is": {"text": "plan", "thought": True, "thoughtSignature": "T"}},
        {"text": 8},
        {"text": 5, "thoughtSignature": "S"},
        {"call": call.id},
        {"text": 0, "thoughtSignature": "E"},
    ]


def test_nothing_is_kept_of_a_reply_without_signatures():
    reply, _ = read(GoogleReply, chunk({"text": "hi"}, finish="STOP"))
    assert reply.reply().opaque == {}
    assert reply.reply().metadata["estimated_usage"] is True


def test_ids_of_gemini_are_kept_when_they_are_fit():
    same = {"functionCall": {"name": "clock", "args": {}, "id": "abcdefghij"}}
    short = {"functionCall": {"name": "clock", "args": {}, "id": "call_0"}}
    reply, _ = read(GoogleReply, chunk(same, same, short, finish="STOP"))
    first, second, third = (call.id for call in reply.reply().tool_calls)
    assert first == "abcdefghij"
    assert second.startswith("google-")
    assert third.startswith("google-")
    assert second != third


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("MAX_TOKENS", "length"), ("SAFETY", "filtered"), ("SPII", "filtered"), ("OTHER", "error")],
)
def test_finish_reasons_of_google(reason, finish):
    reply, _ = read(GoogleReply, chunk({"text": "x"}, finish=reason))
    assert reply.reply().finish_reason == finish


def test_a_blocked_prompt_is_refused_and_a_malformed_call_is_tried_again():
    with pytest.raises(ProviderRefused, match="SAFETY") as refused:
        read(GoogleReply, {"promptFeedback": {"blockReason": "SAFETY"}})
    assert error_type(refused.value) == "content_filtered"
    end = chunk(finish="MALFORMED_FUNCTION_CALL")
    end["candidates"][0]["finishMessage"] = "print(x)"
    with pytest.raises(ProviderUnavailable, match="malformed tool call: print"):
        read(GoogleReply, end)


@pytest.mark.parametrize("kind", [AnthropicReply, GoogleReply])
@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"content": 1}'])
def test_what_is_no_reply_is_a_failure_of_the_server(kind, body):
    with pytest.raises(ProviderUnavailable) as failed:
        kind("m", "here").take_whole(body)
    assert error_type(failed.value) == "server_error"
    assert failed.value.where.startswith("here")


CALL = {"type": "tool_use", "id": "toolu_0001", "name": "n", "input": {"a": 1}}
SEALED = {"type": "thinking", "thinking": "t", "signature": "s"}
SAMPLES = {
    AnthropicReply: [
        {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 3}}},
        *block(0, SEALED, {"type": "signature_delta", "signature": "S"}),
        *block(1, CALL, {"type": "input_json_delta", "partial_json": "{}"}),
        *ended(),
        {"type": "error", "error": {"type": "x", "message": "y"}},
        {"content": [SEALED, CALL, {"type": "text", "text": "x"}], "stop_reason": "x"},
    ],
    GoogleReply: [
        chunk(
            {"text": "a", "thought": True, "thoughtSignature": "s"},
            {"text": "b", "thoughtSignature": "s"},
            {"functionCall": {"name": "n", "id": "abc", "args": {"x": 1}}},
            finish="STOP",
            usageMetadata={"promptTokenCount": 3},
        ),
        {"error": {"code": 429, "details": [{"reason": "r", "retryDelay": "3s"}]}},
    ],
}
ODD = (None, 1, -1.5, "", "x", True, [], [1], [None], {}, {"a": 1}, 10**12)


def variants(value):
    """Every way to put something odd into one place of a value."""
    yield from ODD
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from ({**value, key: odd} for odd in variants(inner))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from ([*value[:i], odd, *value[i + 1 :]] for odd in variants(inner))


@pytest.mark.parametrize("kind", SAMPLES)
def test_whatever_a_service_sends_is_read_or_is_an_error_of_the_service(kind):
    samples = SAMPLES[kind]
    for number, sample in enumerate(samples):
        for odd in variants(sample):
            with suppress(ProviderRefused, ProviderUnavailable):
                read(kind, *samples[:number], odd)[0].reply()
            with suppress(ProviderRefused, ProviderUnavailable):
                kind("m", "here").take_whole(msgspec.json.encode(odd))
