"""Strict YAML: what is written is what is meant, or an error with its place."""

import contextlib
import re

import pytest
import yaml as pyyaml
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_agi.errors import InputInvalid
from micro_agi.registry import yaml
from micro_agi.registry.yaml import load


def value(text):
    return load(text, "x.yaml").value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("# nothing\n", None),
        ("a:", {"a": None}),
        ("[~, null, Null, NULL]", [None] * 4),
        ("[true, True, TRUE, false]", [True, True, True, False]),
        ("[on, off, yes, no, y, n, On, NO]", ["on", "off", "yes", "no", "y", "n", "On", "NO"]),
        ("[1:30, 12:30:45]", ["1:30", "12:30:45"]),
        ("[2024-01-01, 2024-01-01T10:00:00Z]", ["2024-01-01", "2024-01-01T10:00:00Z"]),
        ("[0, -7, +3, 0x1f, 0o17]", [0, -7, 3, 31, 15]),
        ("[017, 0b11, 1_000, 08]", ["017", "0b11", "1_000", "08"]),
        ("[1.5, .5, 1., 1e3, -2.5E-1]", [1.5, 0.5, 1.0, 1000.0, -0.25]),
        ("[1e, e1, ., -, 1.2.3]", ["1e", "e1", ".", "-", "1.2.3"]),
        ("['1', \"true\", !!str 5, ! 6]", ["1", "true", "5", "6"]),
        ("[!!int 5, !!float 5, !!bool true]", [5, 5.0, True]),
        ("- |\n  a\n  b\n- >\n  a\n  b\n", ["a\nb\n", "a b\n"]),
        ("${env:X}: ${y}", {"${env:X}": "${y}"}),
        ("on: 1", {"on": 1}),
        ("'<<': 1", {"<<": 1}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: é😀", {"a": "é😀"}),
        ("--- a\n...", "a"),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(text, expected):
    found = value(text)
    assert found == expected
    assert str(found) == str(expected)  # 1 is not True, 1.0 is not 1


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("a: 1\nb:\n  c: 2\n  c: 3", "x.yaml:4:3 at b", "the key `c` occurs twice"),
        ("a: 1\n1: 2", "x.yaml:2:1", "a key must be a text"),
        ("true: 2", "x.yaml:1:1", "a key must be a text"),
        ("[a]: 2", "x.yaml:1:1", "a key must be a text"),
        ("a:\n  - b\n  - c: .inf", "x.yaml:3:8 at a[1].c", ".inf is no JSON number"),
        ("a: .nan", "x.yaml:1:4 at a", "no JSON number"),
        ("a: 1e999", "x.yaml:1:4 at a", "too large"),
        ("a: 99999999999999999999999", "x.yaml:1:4 at a", "64 bits"),
        ("a: " + "9" * 5000, "x.yaml:1:4 at a", "64 bits"),
        ("a: !!python/object:os.system x", "x.yaml:1:4 at a", "is not read"),
        ("a: !x {b: 1}", "x.yaml:1:4 at a", "is not read"),
        ("a: !!binary aGk=", "x.yaml:1:4 at a", "is not read"),
        ("a: !!set {b}", "x.yaml:1:4 at a", "is not read"),
        ("a: !!timestamp 2024-01-01", "x.yaml:1:4 at a", "is not read"),
        ("a: !!int x", "x.yaml:1:4 at a", "is no int"),
        ("a: *none", "x.yaml:1:4 at a", "`*none` stands for nothing"),
        ("a: &a [*a]", "x.yaml:1:8 at a[0]", "`*a` holds itself"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "x.yaml:3:3 at c", "does not merge"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1", "a second document"),
        ("a: [1, 2", "x.yaml:2:1 at a[1]", "no YAML"),
        ("a:\n  b: 'x", "x.yaml:2:8", "no YAML"),
        ("a: b: c", "x.yaml:1:5", "no YAML"),
        ("\ta: 1", "x.yaml:1:1", "no YAML"),
        ("a: \x01", "x.yaml:1", "no YAML"),
    ],
)
def test_an_error_names_line_column_and_key(text, where, said):
    with pytest.raises(InputInvalid) as refused:
        value(text)
    assert said in refused.value.what
    assert refused.value.where.startswith(where)


def test_aliases_cannot_make_much_out_of_little(monkeypatch):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(InputInvalid, match="stands for more than"):
        value("\n".join(lines))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_nesting_is_bounded(opening):
    with pytest.raises(InputInvalid, match=r"nested deeper|no YAML"):
        value(opening * 50_000)
    assert value("[" * 60 + "]" * 60)
    links = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 70))]
    with pytest.raises(InputInvalid, match="nested deeper"):
        value("\n".join(links))


def test_a_very_large_file_is_not_read(monkeypatch):
    monkeypatch.setattr(yaml, "MAX_BYTES", 10)
    with pytest.raises(InputInvalid, match="the file has 11 characters"):
        value("a" * 11)


# PyYAML writes these three as they are, and YAML 1.1 breaks the line at them.
LETTERS = st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029")
# PyYAML writes these without quotes: YAML 1.1 reads no number in them, and 1.2 does.
NUMBERS_OF_1_2 = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+|0o[0-7]+")


def texts(length):
    return st.text(LETTERS, max_size=length).filter(lambda t: not NUMBERS_OF_1_2.fullmatch(t))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts(12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts(6), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(JSON)
def test_what_another_program_writes_as_yaml_is_read_back(written):
    text = pyyaml.safe_dump(written, allow_unicode=True)
    assert value(text) == written


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("ab:-[]{},&*!|>'\"# \n\t1.~<?%@`"), max_size=40))
def test_no_text_does_anything_but_load_or_be_refused(text):
    with contextlib.suppress(InputInvalid):
        value(text)
