"""How well ids, paths and numbers are found, on a corpus that was labelled by hand."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro_agi.agent.facts import facts, lost, mentions

LABELLED = Path(__file__).with_name("facts.txt")
LABEL = re.compile("«(.*?)»")


@pytest.mark.requirement("006/compaction/detector")
def test_the_detector_finds_nearly_all_and_little_else(record_property):
    right = found = wanted = 0
    wrong = []
    for line in LABELLED.read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        labelled = Counter(LABEL.findall(line))
        detected = Counter(facts(LABEL.sub(r"\1", line)))
        right += (labelled & detected).total()
        found += detected.total()
        wanted += labelled.total()
        if labelled != detected:
            wrong.append((line, list(labelled - detected), list(detected - labelled)))
    precision, recall = right / found, right / wanted
    said = f"{wanted} facts: precision {precision:.3f}, recall {recall:.3f}"
    record_property("facts", said)
    print(said, *wrong, sep="\n")
    assert precision >= 0.95, said
    assert recall >= 0.95, said


@given(st.text(), st.text())
def test_what_is_lost_was_there_and_is_not_there_any_more(before, after):
    for fact in lost(before, after):
        assert fact in before
        assert not mentions(after, fact)


@given(st.text())
def test_nothing_is_lost_by_repeating(text):
    assert lost(text, text) == []


def test_a_number_inside_another_one_is_not_there():
    assert lost("order 42 and 17", "order 1425 and 17") == ["42"]
    assert lost("see /srv/a", "see /srv/ab") == ["/srv/a"]


def test_the_commonest_come_first_then_the_newest():
    assert lost("11 22 33 22", "") == ["22", "33", "11"]


def test_a_long_text_without_facts_takes_no_time_to_speak_of():
    """Patterns that go back and forth would need years for this."""
    assert facts("a-" * 50_000 + "." * 50_000 + "a/" * 20_000 + "a." * 50_000) != ["never"]
