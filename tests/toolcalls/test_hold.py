"""While a reply streams, the text of its calls is never shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro_agi.messages import ToolSpec
from micro_agi.toolcalls.hold import Held
from micro_agi.toolcalls.read import read_calls

TOOLS = {"shell": ToolSpec(id="l:shell", name="shell", description="", schema={})}


def stream(pieces):
    """What is shown at once of each piece, and what is shown at the end."""
    held = Held(TOOLS)
    shown = [held.add(piece) for piece in pieces]
    return shown, held.rest(read_calls("".join(pieces), TOOLS))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('Let me see.\n<tool name="shell">{}</tool>', "Let me see.\n"),
        ('Yes\n```xml\n<tool name="shell">{}</tool>\n```\n', "Yes\n"),
        ("Yes\nshell()\n", "Yes\n"),
        ("Yes\n```py\nshell()\n```\n", "Yes\n"),
        ('A <tool name="shell">{}</tool> B', "A B"),
        ("a < b, x <to y, `shell` is\nshe who knows\n```\nshellac\n```\nthe end", None),
        ("Write `<tool name='shell'>{}</tool>` then.", None),
    ],
)
def test_all_but_the_calls_is_shown_whatever_the_pieces(text, shown):
    for pieces in (list(text), [text], [text[i : i + 3] for i in range(0, len(text), 3)]):
        at_once, rest = stream(pieces)
        assert "".join(at_once) + rest == (text if shown is None else shown)


def test_plain_text_is_shown_as_it_comes():
    assert stream(["He", "llo ", "the", "re.\n", "Bye"])[0] == ["He", "llo ", "the", "re.\n", "Bye"]


@given(
    st.lists(
        st.sampled_from(
            ["<", "tool", " name='shell'>", "{}", "</tool>", "`", "```", "\n", "shell(", ")", "x "]
        ),
        max_size=20,
    )
)
def test_nothing_is_shown_twice_or_lost(pieces):
    at_once, rest = stream(pieces)
    text, shown = "".join(pieces), "".join(at_once)
    assert text.startswith(shown)
    if not read_calls(text, TOOLS).calls:
        assert shown + rest == text
