"""Secrets in events and in streams, whole and in pieces."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from micro_agi.messages import Delegated, TextDelta, ThinkingDelta, TurnFinished, Usage, Warned
from micro_agi.sessions.redact import Redactor, Stream
from micro_agi.values import Secret

KEY = "sk-canary-0123456789"
ENDED = TurnFinished(turn=1, outcome="answered", text="", usage=Usage())


def redactor(*secrets):
    return Redactor(Secret(text) for text in secrets)


def shown(stream, *events):
    return [out for event in events for out in stream.shown(event)]


def test_a_secret_is_taken_out_of_an_event_and_others_are_untouched():
    hide, plain = redactor(KEY), Warned(text="nothing here")
    assert hide.event(Warned(text=f"the key {KEY} leaked")) == Warned(text="the key *** leaked")
    assert hide.event(plain) is plain


@pytest.mark.parametrize("secret", ['say "hé\\llo"', "line\nbreak\ttab", "schlüssel-😀"])
def test_a_secret_that_json_writes_otherwise_is_found_too(secret):
    event = redactor(secret).event(Warned(text=f"<{secret}>", where=secret))
    assert event == Warned(text="<***>", where="***")


def test_a_longer_secret_goes_before_the_shorter_one_in_it():
    assert redactor("abcdef", "abcdefgh").text("abcdefgh abcdef") == "*** ***"


def test_the_placeholder_that_some_local_servers_want_for_a_key_is_no_secret():
    hide = redactor("x", "")
    assert hide.empty
    assert hide.text("xenial") == "xenial"


def test_one_that_becomes_known_later_is_hidden_from_then_on():
    hide = redactor()
    stream = Stream(hide)
    assert shown(stream, TextDelta(text=KEY)) == [TextDelta(text=KEY)]
    hide.add(Secret(KEY))
    pieces = shown(stream, TextDelta(text=KEY[:9]), TextDelta(text=KEY[9:]))
    assert pieces == [TextDelta(text="***")]


def test_what_only_began_like_a_secret_is_shown_before_what_follows():
    stream = Stream(redactor(KEY))
    events = (TextDelta(text="a sk-can"), ThinkingDelta(text="sk-"), ENDED)
    assert shown(stream, *events) == [
        TextDelta(text="a "),
        TextDelta(text="sk-can"),
        ThinkingDelta(text="sk-"),
        ENDED,
    ]


def test_two_delegates_that_speak_at_once_do_not_mix():
    def said(call, text):
        return Delegated(call_id=call, agent="a", event=TextDelta(text=text))

    stream = Stream(redactor(KEY))
    events = (said("1", KEY[:5]), said("2", KEY[5:]), said("1", KEY[5:]), ENDED)
    assert shown(stream, *events) == [said("2", KEY[5:]), said("1", "***"), ENDED]


alphabet = st.text("ab", min_size=0, max_size=12)


@given(st.lists(alphabet, max_size=12), st.lists(st.text("ab", min_size=6, max_size=9), max_size=3))
@example(["aaaaa", "aaaaaab"], ["aaaaaa"])
def test_however_a_text_is_cut_no_secret_is_shown_and_nothing_else_is_lost(pieces, secrets):
    hide = redactor(*secrets)
    stream = Stream(hide)
    out = shown(stream, *(TextDelta(text=piece) for piece in pieces), ENDED)
    text = "".join(event.text for event in out[:-1])
    assert not any(secret in text for secret in secrets)
    rest = text.replace("***", "")
    assert len(rest) <= len("".join(pieces))
    if not any(secret in "".join(pieces) for secret in secrets):
        assert text == "".join(pieces)
