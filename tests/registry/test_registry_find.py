"""The filter language of `find`, through snapshots."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_agi.errors import EntryInvalid
from micro_agi.registry.entry import Entry
from micro_agi.registry.find import compile_filter
from micro_agi.registry.snapshot import build

ENTRIES = [
    Entry(
        id="app:a", kind="registry.entry", meta={"type": "agent.gen1", "n": 42, "tags": ["x", "y"]}
    ),
    Entry(id="app:b", kind="function.lua", meta={"type": "tool", "n": 42.0, "tags": ["x"]}),
    Entry(id="app.tools:b", kind="function.lua", meta={"type": "tool", "title": "Time now"}),
    Entry(id="apple:c", kind="library.lua", meta={"flag": True, "a.b": "dotted", "one": 1}),
]
SNAPSHOT = build(1, ENTRIES, None)


def ids(criteria):
    return [e.id for e in SNAPSHOT.find(criteria)]


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, ["app.tools:b", "app:a", "app:b", "apple:c"]),
        (None, ["app.tools:b", "app:a", "app:b", "apple:c"]),
        ({".ns": "app"}, ["app:a", "app:b"]),
        ({".ns": "app*"}, ["app.tools:b", "app:a", "app:b", "apple:c"]),
        ({".ns": "app.*"}, ["app.tools:b"]),
        ({".id": "*:b"}, ["app.tools:b", "app:b"]),
        ({".id": "app*:b"}, ["app.tools:b", "app:b"]),
        ({".id": "app:b*b"}, []),
        ({".name": "b"}, ["app.tools:b", "app:b"]),
        ({".kind": "function.*"}, ["app.tools:b", "app:b"]),
        ({".kind": "*.lua", "meta.type": "tool", ".ns": "app"}, ["app:b"]),
        ({".kind": "f?nction.lua"}, []),
        ({".kind": "*.*a"}, []),
        ({"meta.n": 42}, ["app:a", "app:b"]),
        ({"meta.n": 42.0}, ["app:a", "app:b"]),
        ({"meta.flag": True}, ["apple:c"]),
        ({"meta.flag": 1}, []),
        ({"meta.one": True}, []),
        ({"meta.a.b": "dotted"}, ["apple:c"]),
        ({"meta.tags": ["y", "x"]}, ["app:a"]),
        ({"meta.tags": ["x"]}, ["app:a", "app:b"]),
        ({"meta.tags": "x"}, []),
        ({"*meta.tags": "x"}, ["app:a", "app:b"]),
        ({"*meta.title": "me n"}, ["app.tools:b"]),
        ({"^meta.title": "Time"}, ["app.tools:b"]),
        ({"^meta.title": ""}, ["app.tools:b"]),
        ({"$meta.title": "now"}, ["app.tools:b"]),
        ({"~meta.title": "^T.+w$"}, ["app.tools:b"]),
        ({"~meta.n": "4"}, []),
        # The documents' runtime returns everything for these.
        ({"kind": "function.lua"}, ["app.tools:b", "app:b"]),
        ({"namespace": "app"}, ["app:a", "app:b"]),
        ({"ns": "app", "name": "a", "id": "app:a"}, ["app:a"]),
        ({"meta": {"type": "tool", "n": 42}}, ["app:b"]),
        ({"meta": {}, "kind": "library.lua"}, ["apple:c"]),
    ],
)
def test_find_returns_exactly_what_meets_every_criterion(criteria, expected):
    assert ids(criteria) == expected


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ({"type": "tool"}, "meta.type"),
        ({"knd": "x"}, "kind"),
        ({".meta": "x"}, "known are"),
        ({"meta.": "x"}, "known are"),
        ({"*name": "x"}, "known are"),
        ({1: "x"}, "known are"),
        ({".kind": 5}, "a string"),
        ({"^meta.title": 5}, "a string"),
        ({"meta": "x"}, "a table of fields"),
        ({"~meta.title": "("}, "missing )"),
        ({"~meta.title": "a(?=b)"}, "RE2"),
        (["x"], "table required"),
    ],
)
def test_what_find_does_not_understand_is_an_error_and_never_everything(criteria, said):
    with pytest.raises(EntryInvalid) as refused:
        ids(criteria)
    assert said in str(refused.value)


NAMES = st.sampled_from(["app", "app.tools", "b", "B", "a*", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1.0, 0.5]) | NAMES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
SOME_ENTRIES = st.lists(
    st.builds(
        lambda ns, name, kind, meta: Entry(id=f"{ns}:{name}", kind=kind, meta=meta),
        *(NAMES, NAMES, NAMES, st.dictionaries(st.sampled_from(["type", "x"]), VALUES)),
    ),
    max_size=12,
)
CRITERIA = st.dictionaries(
    st.sampled_from([".ns", ".kind", ".name", ".id", "meta.type", "meta.x", "*meta.x"]),
    NAMES | st.sampled_from(["*", "a*", "*p", "app*s"]),
    max_size=3,
)


@settings(deadline=None)
@given(SOME_ENTRIES, CRITERIA)
def test_the_index_finds_what_looking_at_every_entry_finds(entries, criteria):
    snapshot = build(1, entries, None)
    wanted = compile_filter(criteria)
    by_hand = sorted(e.id for e in {e.id: e for e in entries}.values() if wanted.matches(e))
    assert [e.id for e in snapshot.find(criteria)] == by_hand
