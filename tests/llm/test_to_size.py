"""Texts shortened by a model: when it is asked, how often, and what it is asked."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro_agi.errors import OutputInvalid
from micro_agi.llm.compress import Manner, measure, split, to_size
from micro_agi.llm.providers.scripted import scripted_card
from micro_agi.llm.request import Reply

ROUGH = Manner(refinements=0)
SMALL = scripted_card(max_tokens=2000, output_tokens=500)


class Model:
    """Answers each request with what a function of it says."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []

    async def __call__(self, request):
        self.requests.append(request)
        return Reply(text=self.answer(request))


def shorten(model, text, target, card=SMALL, manner=ROUGH):
    return asyncio.run(to_size(model, card, text, target, manner))


@given(st.text(max_size=3000), st.integers(10, 500))
def test_splitting_loses_nothing_but_blank_lines(text, size):
    pieces = split(text, size)
    assert all(0 < len(p) <= size for p in pieces)
    assert "".join(pieces).replace("\n", "") == text.replace("\n", "")


@given(st.text(alphabet="ab \n", max_size=2000), st.integers(40, 300), st.integers(0, 10))
def test_chunks_that_overlap_still_end(text, size, overlap):
    pieces = split(text, size, overlap=overlap)
    assert all(0 < len(p) <= size for p in pieces)
    assert len(pieces) <= len(text) // (size // 2 - overlap) + 2


def test_chunks_end_at_blank_lines_where_there_are_any():
    text = "\n\n".join(f"{n:02} " + "x" * 37 for n in range(10))
    assert [p[:2] for p in split(text, 100)] == ["00", "02", "04", "06", "08"]
    first, second = split("a" * 60 + " " + "b" * 60, 100, overlap=10)
    assert (first, second) == ("a" * 60 + " ", "a" * 9 + " " + "b" * 60)


def test_a_short_text_costs_nothing():
    model = Model(lambda request: "never")
    assert shorten(model, "short", 100) == "short"
    assert model.requests == []


@pytest.mark.requirement("003/compress/chunks")
def test_a_text_beyond_the_window_is_summarised_in_chunks_and_joined():
    model = Model(lambda request: "part")
    text = "\n\n".join(f"Paragraph {n}: " + "words " * 20 for n in range(100))
    found = measure(SMALL, text, 100)
    assert not found.fits
    short = Manner(refinements=0, overlap_chars=0)
    summary = shorten(model, text, 100, manner=short)
    assert summary.split("\n\n") == ["part"] * len(model.requests)
    asked = "".join(r.messages[0].text for r in model.requests)
    assert all(f"Paragraph {n}:" in asked for n in range(100))
    assert all(len(r.messages[0].text) <= found.usable_chars for r in model.requests)


def test_summaries_that_are_too_long_together_are_joined_by_one_more_call():
    model = Model(lambda request: "done" if "join" in request.system else "p" * 90)
    text = "words " * 2500
    assert shorten(model, text, 100) == "done"
    assert ["join" in r.system for r in model.requests].count(True) == 1


def test_a_model_that_never_shortens_does_not_keep_us_for_ever():
    model = Model(lambda request: request.messages[0].text)
    shorten(model, "words " * 5000, 200)
    assert len(model.requests) < 60


@pytest.mark.requirement("003/compress/refinement")
def test_a_result_that_misses_the_size_is_corrected_at_most_twice():
    lengths = iter([200, 150, 130])
    model = Model(lambda request: "x" * next(lengths))
    assert len(shorten(model, "words " * 100, 100, manner=Manner())) == 130
    assert "shorten it by about 50 characters" in model.requests[2].system
    expand = iter([60, 98])
    model = Model(lambda request: "x" * next(expand))
    assert len(shorten(model, "words " * 100, 100, manner=Manner())) == 98
    assert "expand it by about 40 characters" in model.requests[1].system


def test_a_correction_that_fails_keeps_what_there_is_and_an_empty_answer_is_an_error():
    answers = iter(["x" * 200, "  "])
    assert len(shorten(Model(lambda r: next(answers)), "words " * 100, 100, manner=Manner())) == 200
    with pytest.raises(OutputInvalid, match="empty response"):
        shorten(Model(lambda r: " "), "words " * 100, 100)


@pytest.mark.parametrize(
    ("window", "output", "usable", "longest"),
    [
        (1_047_576, 32_768, 3_651_508, 131_072),
        (128_000, 16_384, 400_017, 65_536),
        (1000, 200, 1800, 800),  # the reference would read 1,080 characters
        (0, 0, 23_400, 4000),
        (4096, 4096, 7372, 16_384),
    ],
)
def test_what_a_model_can_read_and_write(window, output, usable, longest):
    found = measure(scripted_card(max_tokens=window, output_tokens=output), "x", 10)
    assert (found.usable_chars, found.max_output_chars) == (usable, longest)
