"""Server-sent events, however the bytes arrive."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro_agi.errors import LimitReached
from micro_agi.llm.stream import MAX_FRAME_BYTES, Frames

LINES = st.sampled_from(
    ["data: one", "data:two", "data", "data: ", ": comment", "event: x", "id: 7", "datax: no", "é"]
)
FRAMES = st.lists(st.lists(LINES, max_size=4), max_size=6)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def read(pieces):
    frames = Frames()
    found = [data for piece in pieces for data in frames.feed(piece)]
    return found + frames.finish()


def expected(frames):
    """Read the frames the slow way, from the description of the format."""
    found = []
    for lines in frames:
        values = [line[4:].removeprefix(":").removeprefix(" ") for line in lines if is_data(line)]
        if values:
            found.append("\n".join(values).encode())
    return found


def is_data(line):
    return line == "data" or line.startswith("data:")


@given(frames=FRAMES, end=ENDS, cuts=st.lists(st.integers(0, 400)), whole=st.booleans())
def test_any_split_of_the_bytes_gives_the_same_frames(frames, end, cuts, whole):
    text = "".join(end.join([*lines, "", ""]) for lines in frames)
    raw = text.encode().removesuffix((end * 2).encode() if not whole else b"\0")
    places = sorted({0, len(raw), *(c for c in cuts if c < len(raw))})
    pieces = [raw[a:b] for a, b in pairwise(places)]
    assert read(pieces) == expected(frames)
    assert read([raw[i : i + 1] for i in range(len(raw))]) == expected(frames)


def test_a_byte_order_mark_at_the_start_is_skipped():
    assert read([b"\xef\xbb", b"\xbfdata: x\n\n"]) == [b"x"]


def test_a_frame_is_given_out_as_soon_as_it_is_complete():
    frames = Frames()
    assert frames.feed(b"data: 1\n") == []
    assert frames.feed(b"\ndata: 2") == [b"1"]
    assert frames.finish() == [b"2"]


def test_a_frame_without_an_end_is_bounded():
    frames = Frames()
    half = b"x" * (MAX_FRAME_BYTES // 2)
    frames.feed(half)
    frames.feed(half)
    with pytest.raises(LimitReached):
        frames.feed(b"x")
