"""The module `store`: spec/runtime.md 6.16."""

import asyncio

import pytest

from micro_agi.security.context import Trial, root_context
from micro_agi.testing.clock import FakeClock
from tests.tools.app_bench import app_bench, denying

ENTRIES = [
    {"id": "app:kv", "kind": "store.sql"},
    {"id": "app:other", "kind": "store.sql"},
    {"id": "app:no_store", "kind": "env.storage.os"},
]
OPEN = "local s = store.get('app:kv') "


@pytest.fixture(name="bench")
def bench_fixture():
    with app_bench(ENTRIES) as bench:
        yield bench


def failed(call):
    return f"local v, e = {call} return {{v == nil, e:kind(), e:message()}}"


ROWS = [
    (
        "local s, e = store.get('app:kv') return {type(s), tostring(s), e == nil}",
        ["userdata", "store.Store{app:kv}", True],
    ),
    (failed("store.get('')"), [True, "Invalid", "resource id is required"]),
    (failed("store.get('app:none')"), [True, "NotFound", "entry not found: app:none"]),
    (
        failed("store.get('app:no_store')"),
        [True, "NotFound", "`app:no_store` is a `env.storage.os`, no store"],
    ),
    (
        OPEN + "return {s:set('k', {1, {a = 2.5}, true}), (s:get('k'))}",
        [True, [1, {"a": 2.5}, True]],
    ),
    (OPEN + "s:set('k', '\\xff\\0') return {(s:get('k')) == '\\xff\\0'}", [True]),
    (OPEN + "s:set('k', false) return {(s:get('k')), (s:has('k'))}", [False, True]),
    (OPEN + failed("s:get('none')"), [True, "NotFound", "key not found: none"]),
    (OPEN + failed("s:entry('none')"), [True, "NotFound", "key not found: none"]),
    (OPEN + "return {(s:has('none')), (s:delete('none'))}", [False, False]),
    (
        OPEN + "s:set('k', 1) return {(s:has('k')), (s:delete('k')), (s:has('k'))}",
        [True, True, False],
    ),
    # versions go up, also past a deletion
    (
        OPEN
        + "s:set('k', 1) local a = s:entry('k') s:delete('k') s:set('k', 2) local b = s:entry('k') "
        "return {a.key, a.value, b.value, b.version > a.version}",
        ["k", 1, 2, True],
    ),
    (
        OPEN + "local e = s:put('k', 5) return {e.key, e.value, e.version == s:entry('k').version}",
        ["k", 5, True],
    ),
    (
        OPEN + "s:put('k', 1, {only_if_absent = true}) "
        "local v, e = s:put('k', 2, {only_if_absent = true}) "
        "return {v == nil, e:kind(), (s:get('k'))}",
        [True, "AlreadyExists", 1],
    ),
    (
        OPEN + "local one = s:put('k', 1) local two = s:put('k', 2, {if_version = one.version}) "
        "local v, e = s:put('k', 3, {if_version = one.version}) "
        "return {two.value, v == nil, e:kind(), e:retryable(), (s:get('k'))}",
        [2, True, "Conflict", True, 2],
    ),
    (
        OPEN + "local v, e = s:put('none', 1, {if_version = 3}) return {e:kind(), e:retryable()}",
        ["Conflict", True],
    ),
    # lists are in the order of keys, page by page
    (
        OPEN + "for _, k in ipairs{'b', 'a', 'p:2', 'p:1', 'p:3', 'q'} do s:set(k, k) end "
        "local one = s:list{prefix = 'p:', limit = 2} local two = s:list{prefix = 'p:', after = "
        "one.cursor} "
        "return {one.items[1].key, one.items[2].value, one.has_more, one.cursor, #two.items, "
        "two.items[1].key, two.has_more, two.cursor == nil, #s:list().items, s:info().keys}",
        ["p:1", "p:2", True, "p:2", 1, "p:3", False, True, 6, 6],
    ),
    (OPEN + "return {#s:list{prefix = 'none'}.items}", [0]),
    (OPEN + "return {s:info()}", [{"id": "app:kv", "kind": "store.sql", "keys": 0}]),
    # stores are apart
    (OPEN + "s:set('k', 1) return {(store.get('app:other'):has('k'))}", [False]),
    (OPEN + failed("s:set('', 1)"), [True, "Invalid", "key is required"]),
    (OPEN + failed("s:get('')"), [True, "Invalid", "key is required"]),
    (OPEN + failed("s:set('k', nil)"), [True, "Invalid", "value is required"]),
    (OPEN + failed("s:put('k')"), [True, "Invalid", "value is required"]),
    (OPEN + failed("s:set(('k'):rep(2000), 1)"), [True, "Invalid", "a key has at most 1024 bytes"]),
    (
        OPEN + failed("s:put('k', 1, {if_version = 'x'})"),
        [True, "Invalid", "if_version must be a whole number"],
    ),
    (OPEN + failed("s:set('k', 1, 'soon')"), [True, "Invalid", "ttl must be a number of seconds"]),
    (
        OPEN
        + "return {(pcall(s.get, s, {})), (pcall(s.put, s, 'k', 1, 2)), (pcall(s.get, {}, 'k'))}",
        [False] * 3,
    ),
    *(
        (
            OPEN + f"local r = s:release() local v, e = {call} return {{r, v == nil, e:message()}}",
            [True, True, "store is released"],
        )
        for call in (
            "s:get('k')",
            "s:set('k', 1)",
            "s:has('k')",
            "s:delete('k')",
            "s:entry('k')",
            "s:put('k', 1)",
            "s:list()",
            "s:info()",
        )
    ),
]


@pytest.mark.parametrize(("body", "expected"), ROWS)
def test_a_store_does_what_the_documents_say(bench, body, expected):
    assert bench.run(body, modules=("store",)) == expected


def test_what_has_expired_is_absent_and_then_removed():
    clock = FakeClock()
    with app_bench(ENTRIES, clock=clock.time) as bench:
        bench.run(
            OPEN + "s:set('short', 1, 10) s:put('long', 2, {ttl = 100}) s:set('ever', 3)",
            modules=("store",),
        )
        look = OPEN + "return {(s:has('short')), (s:has('long')), #s:list().items, s:info().keys}"
        assert bench.run(look, modules=("store",)) == [True, True, 3, 3]
        asyncio.run(clock.advance(10))
        assert bench.run(look, modules=("store",)) == [False, True, 2, 2]
        bench.run(OPEN + "s:put('short', 4, {only_if_absent = true})", modules=("store",))
        asyncio.run(clock.advance(1000))
        assert bench.run(look, modules=("store",)) == [True, False, 2, 2]


@pytest.mark.parametrize(
    ("action", "call"),
    [
        ("store.get", "store.get('app:kv')"),
        ("store.info", "s:info()"),
        ("store.key.get", "s:get('k')"),
        ("store.key.get", "s:entry('k')"),
        ("store.key.has", "s:has('k')"),
        ("store.key.set", "s:set('k', 1)"),
        ("store.key.set", "s:put('k', 1)"),
        ("store.key.delete", "s:delete('k')"),
        ("store.key.list", "s:list()"),
    ],
)
def test_a_policy_that_denies_an_operation_is_obeyed(bench, action, call):
    body = ("" if action == "store.get" else OPEN) + failed(call)
    found = bench.run(body, modules=("store",), context=denying((action, "app:kv")))
    assert found == [True, "PermissionDenied", f"not allowed: {action} on app:kv"]


def test_writing_is_not_done_in_a_trial(bench):
    context = root_context().narrowed(trial=Trial())
    body = OPEN + failed("s:set('k', 1)")
    assert bench.run(body, modules=("store",), context=context)[1] == "Unavailable"
