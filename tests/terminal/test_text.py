"""What models and tools write cannot do anything to a terminal but be read."""

import doctest

import pytest

from micro_agi.terminal import text, wording
from micro_agi.terminal.text import facts, first_line, printable


@pytest.mark.parametrize("module", [text, wording])
def test_the_examples_in_the_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("\x1b]52;c;cm0=\x07", "␛]52;c;cm0=␇"),
        ("\x9b2J", "\ufffd2J"),
        ("a\r\nb\rc", "a\nbc"),
        ("user\u202eexe.txt", "userexe.txt"),
        ("\ud83d", "\ufffd"),
        ("汉字 👩‍💻\t\n", "汉字 👩‍💻\t\n"),
    ],
)
def test_controls_become_signs_and_other_text_stays(given, shown):
    assert printable(given) == shown


def test_a_long_first_line_is_cut_and_says_so():
    assert first_line("x" * 1000, 10) == "x" * 9 + "…"


def test_facts_that_are_not_known_take_no_line():
    assert facts("what", fix="do this") == "what\n  fix: do this"
