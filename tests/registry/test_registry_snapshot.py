"""Snapshots: immutable, shared, indexed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_agi.errors import EntryNotFound
from micro_agi.registry.entry import Entry, from_dict
from micro_agi.registry.persistent import LEAF, PersistentMap
from micro_agi.registry.snapshot import build

KEYS = st.text(st.characters(codec="ascii"), max_size=3)


@settings(deadline=None)
@given(
    st.dictionaries(KEYS, st.integers(), max_size=300),
    st.lists(st.tuples(KEYS, st.none() | st.integers()), max_size=60),
)
def test_a_persistent_map_is_a_dictionary_whose_old_states_stay(items, steps):
    states = [(PersistentMap(items), dict(items))]
    for key, value in steps:
        before, expected = states[-1]
        expected = {**expected, key: value}
        if value is None:
            del expected[key]
        states.append((before.changed(key, value), expected))
    for found, expected in states:
        assert len(found) == len(expected)
        assert {k: found.get(k) for k in expected} == expected
        assert sorted(found.values()) == sorted(expected.values())


class Clash(str):
    """A key whose hash is that of all others of its class."""

    __slots__ = ()

    def __hash__(self):
        return 7


def test_keys_with_equal_hashes_are_kept_apart():
    keys = [Clash(n) for n in range(3 * LEAF)]
    found = PersistentMap({k: str(k) for k in keys})
    assert all(found.get(k) == k for k in keys)
    assert found.changed(keys[5], None).get(keys[5]) is None


def test_a_change_among_100_000_entries_copies_a_few_hundred_pointers_at_most():
    entries = PersistentMap({f"ns:{n}": n for n in range(100_000)})
    changed = entries.changed("ns:5", -1)
    assert sum(nodes_not_in(changed._root, known_nodes(entries._root))) < 500


def known_nodes(node):
    found = {id(node)}
    if isinstance(node, tuple):
        for child in node:
            found |= known_nodes(child)
    return found


def nodes_not_in(node, known):
    """Yield the size of each node of one tree that is not part of the other."""
    if id(node) in known:
        return
    yield len(node)
    if isinstance(node, tuple):
        for child in node:
            yield from nodes_not_in(child, known)


IDS = st.sampled_from([f"{ns}:{name}" for ns in ("a", "b", "a.b") for name in "xyz"])
ENTRIES = st.builds(
    lambda i, kind, alias, imports: Entry(
        id=i,
        kind=kind,
        meta={"type": "tool", "llm_alias": alias},
        data={"imports": {"l": imports}},
    ),
    *(IDS, st.sampled_from(["function.lua", "library.lua", "registry.entry"])),
    *(st.sampled_from(["one", "two"]), IDS),
)


@settings(deadline=None)
@given(st.lists(ENTRIES | IDS, max_size=25))
def test_a_changed_snapshot_equals_one_that_is_built_anew(steps):
    snapshot, expected, earlier = build(0, [], None), {}, []
    for number, step in enumerate(steps, 1):
        earlier.append((snapshot, dict(expected)))
        if isinstance(step, Entry):
            snapshot = snapshot.changed(number, {step.id: step})
            expected[step.id] = step
        else:
            snapshot = snapshot.changed(number, {step: None})
            expected.pop(step, None)
    for found, entries in [*earlier, (snapshot, expected)]:
        fresh = build(0, entries.values(), None)
        assert found.entries() == fresh.entries()
        for index, key in INDEX_KEYS:
            assert by_id(found.indexed(index, key)) == by_id(fresh.indexed(index, key))


INDEX_KEYS = [
    *(("namespace", ns) for ns in ("a", "b", "a.b")),
    *(("kind", k) for k in ("function.lua", "library.lua", "registry.entry")),
    *(("alias", a) for a in ("one", "two")),
    *(("needs", f"{ns}:{name}") for ns in ("a", "b") for name in "xyz"),
    ("type", "tool"),
]


def by_id(entries):
    return sorted(e.id for e in entries)


def test_a_missing_id_lists_the_nearest():
    snapshot = build(1, [Entry(id="app.tools:doc_search", kind="function.lua")], None)
    with pytest.raises(EntryNotFound) as missing:
        snapshot.get("app.tools:doc_serch")
    assert missing.value.what == "entry not found: app.tools:doc_serch"
    assert missing.value.fix == "did you mean: app.tools:doc_search"


def test_what_is_handed_out_as_a_dictionary_is_a_copy():
    given_ = {"id": {"ns": "app", "name": "x"}, "kind": "registry.entry", "data": {"a": [1]}}
    entry = from_dict(given_)
    given_["data"]["a"].append(2)
    entry.as_dict()["data"]["a"].append(3)
    assert entry.as_dict() == {
        "id": "app:x",
        "kind": "registry.entry",
        "meta": {},
        "data": {"a": [1]},
    }


def test_the_content_hash_depends_on_content_and_not_on_order_or_revision():
    one = Entry(id="a:b", kind="k", meta={"x": 1, "y": 2}, revision=1)
    two = Entry(id="a:b", kind="k", meta={"y": 2, "x": 1}, revision=2)
    assert one.hash == two.hash
    assert one == two
    assert one.hash != Entry(id="a:b", kind="k", meta={"x": 1, "y": 3}).hash
