"""The `text` module, to the letter of spec/runtime.md 6.8."""

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_agi.errors import LimitReached, ToolFailed
from micro_agi.sandbox.limits import Limits

QUICK = Limits(wall_s=0.3, total_s=2.0)


def regexp(lua, pattern, call):
    """Return what a method call gives, nil as None, or what compiling failed with."""
    source = """return function(pattern)
      local re, err = text.regexp.compile(pattern)
      if err then return { kind = err:kind(), message = err:message() } end
      return { value = re:%s }
    end"""
    found = lua.run(source % call, pattern, modules=("text",))
    return found["value"] if set(found) <= {"value"} and found else found.get("message")


MATCHES = [
    ("b+", "match_string('abbc')", True),
    ("x", "match_string('abbc')", False),
    ("", "match_string('')", True),
    ("b+", "find_string('abbcb')", "bb"),
    ("x", "find_string('abc')", None),
    ("x*", "find_string('abc')", None),
    ("b", "find_all_string('abbcb')", ["b", "b", "b"]),
    ("x", "find_all_string('abc')", []),
    ("a|ab", "find_string('ab')", "a"),
    ("(a)(b)?(c)", "find_string_submatch('xac')", ["ac", "a", "", "c"]),
    ("(x)", "find_string_submatch('abc')", None),
    ("x*", "find_string_submatch('abc')", [""]),
    ("(.)=(.)", "find_all_string_submatch('a=1;b=2')", [["a=1", "a", "1"], ["b=2", "b", "2"]]),
    ("x", "find_all_string_submatch('abc')", []),
    ("é", "find_string_index('aéb')", [2, 3]),
    ("x", "find_string_index('abc')", None),
    ("x*", "find_string_index('abc')", [1, 0]),
    ("[ab]", "find_all_string_index('abc')", [[1, 1], [2, 2]]),
    ("x", "find_all_string_index('abc')", None),
    ("(a)(?P<n>b)(?<m>c)", "num_subexp()", 3),
    ("(a)(?P<n>b)(?<m>c)", "subexp_names()", ["", "", "n", "m"]),
    ("a", "subexp_names()", [""]),
    ("a(b", "string()", "missing ): a(b"),
    ("a(b)", "string()", "a(b)"),
    ("1", "find_string(213)", "1"),
]
EMPTY = [
    ("a*", "find_all_string_index('baaab')", [[1, 0], [2, 4], [6, 5]]),
    ("a*", "find_all_string('baaab')", ["", "aaa", ""]),
    ("", "find_all_string_index('aé')", [[1, 0], [2, 1], [4, 3]]),
    ("\\B", "find_all_string_index('aé')", [[4, 3]]),
    ("a*", "replace_all_string('baaac', 'x')", "xbxcx"),
    ("", "replace_all_string('aé', '-')", "-a-é-"),
    ("a*|b", "find_all_string('baab')", ["", "aa", ""]),
    ("a*?", "find_all_string_index('a')", [[1, 0], [2, 1]]),
    ("$", "find_all_string_index('ab')", [[3, 2]]),
]
DIALECT = [
    ("(?i)hé", "match_string('HÉ')", True),
    ("(?s)a.b", "match_string('a\\nb')", True),
    ("a.b", "match_string('a\\nb')", False),
    ("(?m)^b$", "find_string('a\\nb\\nc')", "b"),
    ("b$", "match_string('b\\n')", False),
    ("b\\z", "match_string('ab')", True),
    ("\\Ab", "match_string('ab')", False),
    ("(?U)a+", "find_string('aaa')", "a"),
    ("a+?", "find_string('aaa')", "a"),
    ("^\\w+$", "match_string('é')", False),
    ("^\\pL+$", "match_string('éß')", True),
    ("^\\d$", "match_string('٣')", False),
    ("\\bé", "match_string('é')", False),
    ("\\s", "match_string('\\194\\160')", False),
    ("\\Qa.b\\E", "match_string('axb')", False),
    ("[[:alpha:]]{2}", "find_string('1ab2')", "ab"),
    (".", "find_all_string('a\\255b')", ["a", "b"]),
]
REPLACED = [
    ("(\\w)(\\w)", "replace_all_string('abcd', '$2$1')", "badc"),
    ("(\\w)(\\w)", "replace_all_string('ab', '$1x')", ""),
    ("(\\w)(\\w)", "replace_all_string('ab', '${1}x')", "ax"),
    ("(?P<first>\\w)\\w", "replace_all_string('ab', '<$first>')", "<a>"),
    ("(?P<first>\\w)\\w", "replace_all_string('ab', '${first}s')", "as"),
    ("a", "replace_all_string('ab', '$$$0')", "$ab"),
    ("a", "replace_all_string('ab', '$9${none}${0')", "${0b"),
    ("a", "replace_all_string('ab', '$')", "$b"),
    ("a", "replace_all_string('ab', '$-%1')", "$-%1b"),
    ("(a)|b", "replace_all_string('ab', '[$1]')", "[a][]"),
    ("a", "replace_all_string('ab', '$01')", "b"),
    ("x", "replace_all_string('ab', 'y')", "ab"),
]
SPLIT = [
    (",", "split('a,b,,c')", ["a", "b", "", "c"]),
    (",", "split('a,b,c', -1)", ["a", "b", "c"]),
    (",", "split('a,b,c', 0)", []),
    (",", "split('a,b,c', 1)", ["a,b,c"]),
    (",", "split('a,b,c', 2)", ["a", "b,c"]),
    (",", "split('a,b,c', 9)", ["a", "b", "c"]),
    (",", "split('')", [""]),
    ("", "split('')", []),
    ("", "split('aéb')", ["a", "é", "b"]),
    ("", "split('abc', 2)", ["a", "bc"]),
    (",", "split(',a,')", ["", "a", ""]),
    ("x*", "split('axbxc')", ["a", "b", "c"]),
    ("a*", "split('baaac')", ["b", "c"]),
]
REFUSED = [
    ("(?=a)", "string()", "invalid perl operator: (?="),
    ("(?<!a)", "string()", "invalid perl operator: (?<!"),
    ("(a)\\1", "string()", "invalid escape sequence: \\1"),
    ("*", "string()", "no argument for repetition operator: *"),
    ("a{1001}", "string()", "invalid repetition size: {1001}"),
]


@pytest.mark.parametrize(
    ("pattern", "call", "expected"), [*MATCHES, *EMPTY, *DIALECT, *REPLACED, *SPLIT, *REFUSED]
)
def test_a_regular_expression_gives_what_the_documents_say(lua, pattern, call, expected):
    assert regexp(lua, pattern, call) == expected


def test_a_pattern_that_is_none_is_invalid(lua):
    source = """return function()
      local re, err = text.regexp.compile("a\\xff(")
      return { re == nil, err:kind(), err:retryable(), tostring(text.regexp.compile("a+")),
        type(text.regexp.compile("a")), (pcall(text.regexp.compile)) }
    end"""
    found = lua.run(source, modules=("text",))
    assert found == [True, "Invalid", False, "a+", "userdata", False]


@pytest.mark.parametrize(
    ("call", "part"),
    [
        ("text.regexp.compile('a').find_string('a')", "text.Regexp expected, got string"),
        ("text.regexp.compile('a'):find_string()", "string expected, got no value"),
        ("text.regexp.compile('a'):find_all_string({})", "string expected, got table"),
        ("text.regexp.compile('a'):replace_all_string('a')", "string expected"),
        ("text.regexp.compile('a'):split('a', 'x')", "integer expected"),
        ("text.regexp.compile({})", "string expected"),
        ("text.diff.new(1)", "table expected"),
        ("text.diff.new():compare('a')", "string expected"),
        ("text.diff.new().compare('a', 'b')", "text.Differ expected"),
        ("text.diff.new():summarize('a')", "table expected"),
        ("text.diff.new():patch_apply('a', 'b')", "table expected"),
        ("text.splitter.recursive(1)", "table expected"),
        ("text.splitter.recursive():split_text()", "string expected"),
        ("text.splitter.recursive():split_batch('a')", "table expected"),
        ("text.splitter.recursive().split_text('a')", "text.Splitter expected"),
    ],
)
def test_arguments_of_a_wrong_type_raise(lua, call, part):
    with pytest.raises(ToolFailed) as failed:
        lua.run(f"return function() return {call} end", modules=("text",))
    assert part in failed.value.what


def test_positions_fit_the_functions_of_strings(lua):
    source = """return function(s)
      local at = text.regexp.compile("[äé]+"):find_string_index(s)
      return s:sub(at[1], at[2])
    end"""
    assert lua.run(source, "xxäéyy", modules=("text",)) == "äé"


@given(
    pattern=st.sampled_from(["a", "b*", "a|b*", "(a)(b)?", "[^a]", "(?:ab)+", "é|a*", "^a"]),
    text=st.text("abéc", max_size=12),
)
@settings(max_examples=120, deadline=None)
def test_matches_are_those_of_another_engine_without_empty_ones_behind_a_match(lua, pattern, text):
    found = regexp(lua, pattern, f"find_all_string_index('{text}')")
    expected, last = [], -1
    for match in re.finditer(pattern, text):
        if match.start() != match.end() or match.start() != last:
            expected.append(span(text, match))
        last = match.end()
    assert found == (expected or None)


def span(text, match):
    return [len(text[: match.start()].encode()) + 1, len(text[: match.end()].encode())]


CATASTROPHES = [
    ("(a+)+$", "('a'):rep(50000) .. 'b'"),
    ("(x+x+)+y", "('x'):rep(100000)"),
    ("(a|aa)+$", "('a'):rep(50000) .. 'b'"),
    ("(.*)*=(.*)*;", "('='):rep(20000)"),
    ("(a?){50}a{50}b", "('a'):rep(5000)"),
]


@pytest.mark.parametrize(("pattern", "text"), CATASTROPHES)
def test_patterns_that_are_catastrophes_elsewhere_are_linear(lua, pattern, text):
    source = f"""return function()
      return {{ value = text.regexp.compile("{pattern}"):match_string({text}) }}
    end"""
    assert lua.run(source, modules=("text",), limits=Limits(wall_s=2.0)) == {"value": False}


def test_a_pattern_too_large_to_compile_is_invalid(lua):
    assert regexp(lua, r"[[:word:]\pL]{1000}", "string()") == "pattern too large - compile failed"


def test_many_patterns_leave_memory_for_the_next_call(lua):
    source = """return function()
      for n = 1, 12 do
        local re = text.regexp.compile("(?:\\\\pL{1,9}|x){" .. n % 3 + 3 .. "}" .. n .. "$")
        re:match_string(("é"):rep(500) .. "x")
      end
      return "done"
    end"""
    for _ in range(2):
        assert lua.run(source, modules=("text",), limits=Limits(wall_s=10.0)) == "done"


def test_more_matches_than_the_heap_holds_end_the_call_alone(lua):
    source = """return function()
      return #text.regexp.compile(""):replace_all_string(("a"):rep(200000), ("x"):rep(1000))
    end"""
    with pytest.raises(LimitReached):
        lua.run(source, modules=("text",))
    assert lua.run("return function() return 1 end") == 1


def diff(lua, call, **arguments):
    source = (
        f"return function(v) local d = assert(text.diff.new(v.options)) return {{ {call} }} end"
    )
    return lua.run(source, arguments, modules=("text",))


def test_a_comparison_is_of_characters_and_is_not_cleaned_up(lua):
    (found,) = diff(lua, "(d:compare('hello world', 'hello there'))")
    assert [(part["operation"], part["text"]) for part in found] == [
        *(("equal", "hello "), ("delete", "wo"), ("insert", "the")),
        *(("equal", "r"), ("delete", "ld"), ("insert", "e")),
    ]


def test_a_summary_counts_bytes(lua):
    (found,) = diff(lua, "d:summarize((d:compare('aé', 'éü')))")
    assert found == {"equals": 2, "insertions": 2, "deletions": 1}


def test_equal_texts_differ_in_nothing(lua):
    assert diff(lua, "(d:compare('', '')), (d:patch_make('a', 'a'))") == [[], []]
    assert diff(lua, "(d:compare('a', 'a'))") == [[{"operation": "equal", "text": "a"}]]


def test_differences_are_shown_in_colour_and_as_html(lua):
    (terminal,) = diff(lua, "(d:pretty_text(d:compare('ab', 'ac')))")
    assert terminal == "a\x1b[31mb\x1b[0m\x1b[32mc\x1b[0m"
    (html,) = diff(lua, "(d:pretty_html(d:compare('a<b>', 'a<\"&\\n')))")
    assert html == (
        '<span>a&lt;</span><del style="background:#ffe6e6;">b&gt;</del>'
        '<ins style="background:#e6ffe6;">&#34;&amp;&para;<br></ins>'
    )


def test_parts_that_are_no_differences_are_passed_over(lua):
    parts = "{1, {text = 5}, {operation = 'x', text = 'y'}, {operation = 'insert', text = 'z'}}"
    assert diff(lua, f"d:summarize({parts})") == [{"equals": 0, "insertions": 1, "deletions": 0}]
    assert diff(lua, f"(d:pretty_text({parts}))") == ["\x1b[32mz\x1b[0m"]


TEXTS = st.text("ab é\n%@+-", max_size=30)


@given(old=TEXTS, new=TEXTS)
@settings(max_examples=80, deadline=None)
def test_a_patch_turns_the_old_text_into_the_new_one(lua, old, new):
    source = """return function(v)
      local d = text.diff.new()
      local patches = d:patch_make(v.old, v.new)
      return { (d:compare(v.old, v.new)), d:patch_apply(patches, v.old) }
    end"""
    parts, patched, whole = lua.run(source, {"old": old, "new": new}, modules=("text",))
    assert (patched, whole) == (new, True)
    assert "".join(p["text"] for p in parts if p["operation"] != "insert") == old
    assert "".join(p["text"] for p in parts if p["operation"] != "delete") == new


def test_a_patch_is_text_and_finds_its_place_in_a_changed_one(lua):
    (patches,) = diff(lua, "(d:patch_make('the quick fox', 'the slow fox'))")
    assert patches == [{"text": "@@ -1,13 +1,12 @@\n the \n-quick\n+slow\n  fox\n"}]
    moved = "d:patch_apply(d:patch_make('the quick fox', 'the slow fox'), 'see the quick fox run')"
    assert diff(lua, moved) == ["see the slow fox run", True]


def test_a_patch_that_does_not_fit_leaves_the_text(lua):
    call = "d:patch_apply(d:patch_make('the quick fox', 'the slow fox'), 'nothing at all here')"
    assert diff(lua, call) == ["nothing at all here", False]


@pytest.mark.parametrize(
    "patches",
    ["{{text = 'x'}}", "{{}}", "{5}", "{{text = '@@ -1 +1 @@\\n%zz'}}", "{{text='\\255'}}"],
)
def test_a_patch_that_is_none_is_invalid_and_leaves_the_text(lua, patches):
    kind_of = "(function(left, whole, err) return left, whole, err:kind() end)"
    text, whole, kind = diff(lua, f"{kind_of}(d:patch_apply({patches}, 'a'))")
    assert (text, whole, kind) == ("a", False, "Invalid")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"diff_timeout": -1}, "diff_timeout must be a number from 0"),
        ({"diff_edit_cost": 1.5}, "diff_edit_cost must be a whole number"),
        ({"match_threshold": 2}, "match_threshold must be a number from 0 to 1"),
        ({"match_distance": "x"}, "match_distance"),
        ({"patch_delete_threshold": -0.1}, "patch_delete_threshold"),
        ({"patch_margin": 0}, "patch_margin must be a whole number from 1 to 15"),
        ({"patch_margin": 16}, "patch_margin"),
    ],
)
def test_options_of_a_differ_have_ranges(lua, options, part):
    source = """return function(o)
      local _, err = text.diff.new(o) return { err:kind(), err:message() }
    end"""
    kind, message = lua.run(source, options, modules=("text",))
    assert kind == "Invalid"
    assert part in message


def test_options_of_a_differ_have_an_effect(lua):
    strict = {"match_threshold": 0, "match_distance": 0}
    call = "d:patch_apply(d:patch_make('the quick fox', 'the slow fox'), 'see the quick fox run')"
    assert diff(lua, call, options=strict) == ["see the quick fox run", False]
    (patches,) = diff(lua, "(d:patch_make('abcdefghi', 'abcdXfghi'))", options={"patch_margin": 1})
    assert patches == [{"text": "@@ -4,3 +4,3 @@\n d\n-e\n+X\n f\n"}]


def test_a_long_comparison_stops_refining_at_its_timeout(lua):
    source = """return function()
      local a, b = {}, {}
      for n = 1, 20000 do a[n], b[n] = n * 7919 % 10, n * 104729 % 7 end
      local parts = text.diff.new({ diff_timeout = 0.05 }):compare(table.concat(a), table.concat(b))
      return #parts > 0
    end"""
    assert lua.run(source, modules=("text",), limits=Limits(wall_s=5.0))


def test_texts_that_are_not_utf8_are_invalid_to_compare(lua):
    source = """return function()
      local d, s = text.diff.new(), text.splitter.recursive()
      local function kind(_, err) return err:kind() end
      return { kind(d:compare("a\\xff", "b")), kind(d:patch_make("a", "\\xff")),
        kind(s:split_text("\\xff")) }
    end"""
    assert lua.run(source, modules=("text",)) == ["Invalid"] * 3


def split(lua, text, options=None, kind="recursive"):
    source = f"""return function(text_, options)
      return assert(assert(text.splitter.{kind}(options)):split_text(text_))
    end"""
    return lua.run(source, text, options, modules=("text",))


WORDS = "one two three four five six"
SPLITS = [
    ("", {}, []),
    ("  \n ", {}, []),
    ("short", {}, ["short"]),
    (WORDS, {"chunk_size": 10, "chunk_overlap": 0}, ["one two", "three four", "five six"]),
    (WORDS, {"chunk_size": 10, "chunk_overlap": 4},
     ["one two", "two three", "four five", "five six"]),
    ("aaa\n\nbbb\nccc", {"chunk_size": 5, "chunk_overlap": 0}, ["aaa", "bbb", "ccc"]),
    ("aaa\n\nbbb", {"chunk_size": 8, "chunk_overlap": 0}, ["aaa\n\nbbb"]),
    ("abcdef", {"chunk_size": 4, "chunk_overlap": 2}, ["abcd", "cdef"]),
    ("äöüé", {"chunk_size": 2, "chunk_overlap": 0}, ["äö", "üé"]),
    ("a,b,c", {"chunk_size": 2, "chunk_overlap": 0, "separators": [","]}, ["a", "b", "c"]),
    ("a,b,c", {"chunk_size": 3, "chunk_overlap": 0, "separators": [","], "keep_separator": True},
     ["a,b", ",c"]),
    ("abcdef", {"chunk_size": 2, "chunk_overlap": 0, "separators": [","]}, ["abcdef"]),
    ("abc", {"chunk_size": 1.0, "chunk_overlap": 0.0}, ["a", "b", "c"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "options", "chunks"), SPLITS)
def test_a_text_is_split_at_the_first_separator_that_fits(lua, text, options, chunks):
    assert split(lua, text, options) == chunks


def test_the_defaults_are_512_characters_and_100_of_overlap(lua):
    chunks = split(lua, "abcd " * 400)
    assert max(map(len, chunks)) in range(500, 513)
    assert chunks[1].startswith(chunks[0][-99:])


@given(
    text=st.text("ab é\n", max_size=200),
    size=st.integers(1, 30),
    overlap=st.integers(0, 29),
)
@settings(max_examples=80, deadline=None)
def test_no_chunk_is_too_long_and_no_word_is_lost(lua, text, size, overlap):
    options = {"chunk_size": size, "chunk_overlap": min(overlap, size - 1)}
    chunks = split(lua, text, options)
    assert all(len(chunk) <= size for chunk in chunks)
    rest = "".join(text.split())
    for chunk in chunks:
        assert chunk in text
    if options["chunk_overlap"] == 0:
        assert "".join("".join(chunks).split()) == rest


@pytest.mark.parametrize("kind", ["recursive", "markdown"])
@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"chunk_size": 0}, "chunk_size must be a whole number, 1 or more"),
        ({"chunk_size": 1.5}, "chunk_size"),
        ({"chunk_size": "9"}, "chunk_size"),
        ({"chunk_overlap": -1}, "chunk_overlap must be a whole number, 0 or more"),
        ({"chunk_size": 10, "chunk_overlap": 10}, "must be smaller than chunk_size (10)"),
        ({"separators": []}, "separators must be a list of strings"),
        ({"separators": [1]}, "separators must be a list of strings"),
        ({"separators": "x"}, "separators must be a list of strings"),
    ],
)
def test_options_of_a_splitter_are_checked(lua, kind, options, part):
    source = f"""return function(o)
      local _, err = text.splitter.{kind}(o) return {{ err:kind(), err:message() }}
    end"""
    name, message = lua.run(source, options, modules=("text",))
    assert name == "Invalid"
    assert part in message


def test_overlap_cannot_make_a_huge_result_of_a_small_text(lua):
    source = """return function()
      local s = text.splitter.recursive({ chunk_size = 5000, chunk_overlap = 4999 })
      local chunks, err = s:split_text(("ab "):rep(20000))
      return { chunks == nil, err:kind(), err:message() }
    end"""
    absent, kind, message = lua.run(source, modules=("text",), limits=Limits(wall_s=5.0))
    assert (absent, kind) == (True, "Invalid")
    assert "16777216 characters" in message


def test_a_batch_copies_its_metadata_to_every_chunk(lua):
    source = """return function(pages)
      local s = text.splitter.recursive({ chunk_size = 3, chunk_overlap = 0 })
      local list, err = s:split_batch(pages)
      if err then return err:message() end
      if list[1] then list[1].metadata.changed = true end
      return list
    end"""
    pages = [{"content": "aa bb", "metadata": {"page": 1}}, {"content": ""}, {"content": "cc"}]
    assert lua.run(source, pages, modules=("text",)) == [
        {"content": "aa", "metadata": {"page": 1, "changed": True}},
        {"content": "bb", "metadata": {"page": 1}},
        {"content": "cc", "metadata": {}},
    ]
    assert lua.run(source, [], modules=("text",)) == []
    bad = lua.run(source, [{"content": "a"}, {"text": "b"}], modules=("text",))
    assert bad == "page 2 has no content that is a string"


PAGE = """Before all.

# Guide

Intro text
on two lines. See [the site][home] or [home].

## Install

- first
- second

```sh
pip install x
```

    indented()

## Table

| a | b |
|---|---|
| 1 | 2 |
| 3 | 4 |

Setext
------

> quoted

## Empty

[home]: https://example.com "Home"
"""
STRUCTURE = [
    ({}, ["Before all.", "# Guide\nIntro text\non two lines. See [the site][home] or [home].",
      "## Install\n- first\n- second", "## Table\n| a | b |\n|---|---|\n| 1 | 2 |",
      "## Table\n| a | b |\n|---|---|\n| 3 | 4 |", "## Setext\n> quoted", "## Empty"]),
    ({"code_blocks": True},
     [2, "## Install\n- first\n- second\n```sh\npip install x\n```\n    indented()"]),
    ({"join_table_rows": True}, [3, "## Table\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"]),
    ({"heading_hierarchy": True}, [2, "# Guide\n## Install\n- first\n- second"]),
    ({"reference_links": True}, [1, '# Guide\nIntro text\non two lines. See '
      '[the site](https://example.com "Home") or [home](https://example.com "Home").']),
]  # fmt: skip


@pytest.mark.parametrize(("options", "expected"), STRUCTURE)
def test_markdown_is_split_by_its_structure(lua, options, expected):
    chunks = split(lua, PAGE, options, "markdown")
    if isinstance(expected[0], int):
        assert chunks[expected[0]] == expected[1]
    else:
        assert chunks == expected


def test_headings_without_text_are_kept_once(lua):
    page = "# A\n\n## B\n\ntext\n\n# C\n"
    assert split(lua, page, {}, "markdown") == ["# A", "## B\ntext", "# C"]
    nested = split(lua, page, {"heading_hierarchy": True}, "markdown")
    assert nested == ["# A\n## B\ntext", "# C"]


def test_a_list_that_does_not_fit_is_split_by_its_items(lua):
    page = "# T\n\n1. first item\n2. second item\n   more\n"
    options = {"chunk_size": 30, "chunk_overlap": 0}
    chunks = split(lua, page, options, "markdown")
    assert chunks == ["# T\n1. first item", "# T\n2. second item\n   more"]


def test_a_paragraph_that_does_not_fit_goes_through_the_recursive_splitter(lua):
    page = "# T\n\none two three four five"
    options = {"chunk_size": 13, "chunk_overlap": 0}
    assert split(lua, page, options, "markdown") == ["# T\none two", "# T\nthree", "# T\nfour five"]
    options["separators"] = [" f", ""]
    assert split(lua, page, options, "markdown")[-1] == "# T\nour five"


def test_code_is_not_taken_for_a_link(lua):
    page = "`[a]` and [a] and [a](x)\n\n[a]: /there"
    assert split(lua, page, {"reference_links": True}, "markdown") == [
        "`[a]` and [a](/there) and [a](x)"
    ]


HOSTILE = [
    "('>'):rep(50000) .. ' x'",
    "('- '):rep(20000) .. 'x'",
    "('['):rep(100000)",
    "('`'):rep(50000)",
    "('| a '):rep(10000) .. '\\n' .. ('|-'):rep(10000)",
    "('[a]: x\\n'):rep(5000) .. ('[a]'):rep(5000)",
    "('# '):rep(50000)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_markdown_is_split_or_stopped_but_never_hurts_the_worker(lua, text):
    source = f"""return function()
      local s = text.splitter.markdown({{ reference_links = true, code_blocks = true }})
      return type(s:split_text({text}))
    end"""
    with contextlib.suppress(LimitReached):
        assert lua.run(source, modules=("text",), limits=QUICK) in ("table", "nil")
    assert lua.run("return function() return 'alive' end") == "alive"
