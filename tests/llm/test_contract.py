"""What every model provider promises, in every wire form."""

import asyncio
import hashlib
import json
from itertools import pairwise

import pytest

from micro_agi.llm.gateway import Gateway
from micro_agi.llm.request import ModelRequest, ProviderAccess
from micro_agi.messages import (
    Image,
    Message,
    Text,
    TextDelta,
    ThinkingDelta,
    Usage,
    message,
)
from micro_agi.net.client import Client
from micro_agi.testing.model_server import Reply, ScriptedServer
from micro_agi.testing.scripted import Call
from micro_agi.values import Secret
from tests.llm.asked import KINDS, MODEL_AT, SPENT, Asked


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.requirement("agents/providers/contract")
def test_text_thinking_calls_usage_and_cost_arrive(kind, whole):
    said = Reply(
        text=("Let me ", "look: é🙂"),
        thinking="hm",
        calls=(Call("clock", {"zone": "UTC"}, id="call_abc123"), Call("clock", {})),
        usage=SPENT,
        whole=whole,
    )
    asked = Asked([said], kind)
    reply = asked.reply
    assert (reply.text, reply.thinking) == ("Let me look: é🙂", "hm")
    assert asked.shown == reply.text
    assert [e.text for e in asked.events if isinstance(e, ThinkingDelta)] == ["hm"]
    first, second = reply.tool_calls
    assert (first.id, first.name, first.arguments) == ("call_abc123", "clock", '{"zone":"UTC"}')
    assert second.arguments == "{}"
    assert reply.finish_reason == "tool_call"
    assert reply.usage == Usage(prompt=40, cached=60, completion=20, thinking=5)
    assert reply.cost_usd == pytest.approx((40 + 60 * 0.1 + 20 * 10) / 1e6)
    sent = asked.server.received[0]
    assert (reply.model, sent.body.get("model", sent.path)[-40:]) == ("m", MODEL_AT[kind.wire])


def test_the_hash_is_that_of_the_bytes_the_server_got(kind):
    asked = Asked([Reply(text="hi")], kind)
    assert asked.reply.request_hash == hashlib.sha256(asked.server.received[0].raw).hexdigest()


def test_connections_are_used_again(kind):
    asked = Asked([Reply(text="hi")] * 5, kind, times=5)
    assert len(asked.replies) == 5
    assert len(asked.server.connections) == 1


def test_malformed_arguments_come_through_as_the_model_wrote_them(kind):
    malformed = Reply(calls=(Call("clock", '{"zone": UTC'),))
    asked = Asked([malformed, Reply(text="ok")], kind)
    if kind is KINDS["google"]:  # which finds them itself, and sends none
        assert asked.reply.text == "ok"
        assert "malformed tool call; trying again" in asked.warnings[0].text
    else:
        assert asked.reply.tool_calls[0].arguments == '{"zone": UTC'


def test_what_was_written_to_a_cache_is_told_apart():
    spent = {"prompt": 100, "cached": 30, "cache_write": 50, "completion": 5}
    reply = Asked([Reply(text="x", usage=spent)], KINDS["anthropic"]).reply
    assert reply.usage == Usage(prompt=70, cached=30, cache_write=50, completion=5)


@pytest.mark.parametrize("name", [n for n in KINDS if n != "google"])
def test_a_malformed_call_goes_back_as_an_object(name):
    kind = KINDS[name]
    malformed = Reply(calls=(Call("clock", '{"zone": UTC'),))
    asked = Asked([malformed, Reply(text="ok")], kind, times=2)
    assert asked.reply.text == "ok"
    assert "malformed" in asked.server.received[1].raw.decode()


def calls_and_results(kind, body):
    """Return (id, name) of the calls, and ids of the results, as a request holds them."""
    if kind.wire == "chat":
        said = [c for m in body["messages"] for c in m.get("tool_calls", ())]
        told = [m["tool_call_id"] for m in body["messages"] if m["role"] == "tool"]
        return [(c["id"], c["function"]["name"]) for c in said], told
    if kind.wire == "responses":
        said = [i for i in body["input"] if i["type"] == "function_call"]
        told = [i["call_id"] for i in body["input"] if i["type"] == "function_call_output"]
        return [(i["call_id"], i["name"]) for i in said], told
    if kind.wire == "anthropic":
        blocks = [b for m in body["messages"] for b in m["content"]]
        said = [(b["id"], b["name"]) for b in blocks if b["type"] == "tool_use"]
        return said, [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
    parts = [p for c in body["contents"] for p in c["parts"]]
    said = [p["functionCall"] for p in parts if "functionCall" in p]
    told = [p["functionResponse"] for p in parts if "functionResponse" in p]
    return [(c.get("id"), c["name"]) for c in said], [r.get("id") for r in told]


def test_several_calls_go_back_with_their_results(kind):
    calls = (Call("clock", {"zone": "UTC"}), Call("clock", {}), Call("dice", {"n": 2}))
    asked = Asked([Reply(text="Both.", calls=calls), Reply(text="done")], kind, times=2)
    assert asked.reply.text == "done"
    ours = [c.id for c in asked.replies[0].tool_calls]
    assert len(set(ours)) == 3
    said, told = calls_and_results(kind, asked.server.received[1].body)
    assert [name for _, name in said] == ["clock", "clock", "dice"]
    # Google's calls may have no id; then none is sent, and the order tells.
    wanted = [None] * 3 if kind.wire == "google" else ours
    assert [id_ for id_, _ in said] == told == wanted


@pytest.mark.requirement("agents/providers/call-ids")
def test_ids_never_collide_between_steps(kind):
    step = Reply(calls=(Call("clock", {}), Call("clock", {})))
    asked = Asked([step] * 4, kind, times=4)
    ids = [c.id for reply in asked.replies for c in reply.tool_calls]
    assert len(set(ids)) == 8


def test_what_was_sent_stays_as_it_was_and_the_conversation_grows_behind_it(kind):
    step = Reply(text="Look.", thinking="hm", calls=(Call("clock", {"zone": "é"}),))
    asked = Asked([step] * 3, kind, times=3)
    bodies = [r.raw for r in asked.server.received]
    tails = (b'],"', b"]}")
    for before, after in pairwise(bodies):
        end = max(before.rfind(b'hello"'), before.rfind(b"of clock"))
        assert end > 0
        assert after.startswith(before[:end])
        assert any(before.rfind(t) > end for t in tails)


@pytest.mark.requirement("agents/providers/tool-choice")
def test_a_forced_tool_reaches_the_request(kind):
    for choice, found in (("clock", "clock"), ("any", ""), ("none", "")):
        body = Asked([Reply(text="x")], kind, tool_choice=choice).server.received[0].body
        wire = body.get("tool_choice") or body["toolConfig"]["functionCallingConfig"]
        text = json.dumps(wire).lower()
        assert ("clock" in text) == bool(found)
        assert choice == "clock" or any(w in text for w in (choice, "required"))


def test_images_arrive_in_messages_and_in_tool_results(kind):
    step = Reply(calls=(Call("clock", {}, id="call_12345"),))
    pictures = [
        Message(role="user", parts=(Text("see"), Image(data="QUJD", mime="image/jpeg"))),
        Asked([step], kind).replies[0].message,
        Message(
            role="tool",
            parts=(Text("a shot"), Image(data="REVG", mime="image/png")),
            tool_call_id="call_12345",
            name="clock",
        ),
    ]
    raw = Asked([Reply(text="seen")], kind, messages=pictures).server.received[0].raw.decode()
    assert raw.count("QUJD") == raw.count("REVG") == 1
    assert "image/jpeg" in raw
    assert raw.index("QUJD") < raw.index("a shot") < raw.index("REVG")


def test_a_failed_call_is_marked_where_the_service_can_tell(kind):
    step = Reply(calls=(Call("clock", {}, id="call_12345"),))
    talk = [
        message("user", "x"),
        Asked([step], kind).replies[0].message,
        message("tool", '{"what":"no"}', tool_call_id="call_12345", metadata={"error": True}),
    ]
    raw = Asked([Reply(text="x")], kind, messages=talk).server.received[0].raw.decode()
    marks = {"anthropic": '"is_error":true', "google": '"response":{"error":'}
    assert marks.get(kind.wire, "what") in raw


def test_pieces_are_shown_in_order_and_thinking_before_the_text(kind):
    said = Reply(text=("a", "b", "c"), thinking="first")
    shown = Asked([said], kind).events
    kinds = [type(e) for e in shown]
    assert kinds[0] is ThinkingDelta
    assert set(kinds[1:]) == {TextDelta}
    assert "".join(e.text for e in shown) == "firstabc"


def test_a_cancelled_request_closes_its_connection(kind):
    async def main():
        client = Client(offline=True)
        async with ScriptedServer([Reply(text="late", delay_s=600)]) as server:
            url = server.address(kind.wire)
            access = ProviderAccess(base_url=url, api_key=Secret("k"))
            gateway = Gateway(client, kind.build(access))
            wanted = ModelRequest(model=kind.card, system="", messages=[message("user", "x")])
            asking = asyncio.create_task(gateway.generate(wanted, lambda _: None))
            await server.until(lambda s: len(s.received) == 1)
            asking.cancel()
            await server.until(lambda s: s.abandoned == 1)
            await client.close()
            return asking

    asking = asyncio.run(asyncio.wait_for(main(), 10))
    assert asking.cancelled()


def test_a_reply_cut_by_its_length_says_so_even_with_calls(kind):
    asked = Asked([Reply(text="And so", calls=(Call("clock", {}),), finish="length")], kind)
    assert asked.reply.finish_reason == "length"


def test_a_filtered_reply_says_so(kind):
    assert Asked([Reply(text="", finish="content_filter")], kind).reply.finish_reason == "filtered"


def test_without_usage_it_is_estimated_and_marked(kind):
    asked = Asked([Reply(text="hello there", usage=None)], kind)
    assert asked.reply.usage.prompt > 10
    assert asked.reply.usage.completion > 0
    assert asked.reply.metadata["estimated_usage"] is True
