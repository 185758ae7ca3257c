"""The module `ctx`: spec/runtime.md 6.14."""

import pytest

from micro_agi.security.context import root_context
from tests.tools.app_bench import app_bench, denying

READ = """return function() return { ctx.get("a"), (ctx.get("b")), ctx.all() } end"""
READER = {
    "id": "app:reader",
    "kind": "function.lua",
    "data": {"source": READ, "method": "handler", "modules": ["ctx"]},
}


@pytest.fixture(name="bench", scope="module")
def bench_fixture():
    with app_bench([READER]) as bench:
        yield bench


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return ctx.get('user')", {"id": 7}),
        (
            "local v, e = ctx.get('none') return {v == nil, e:kind(), e:message()}",
            [True, "NotFound", "key not found: none"],
        ),
        (
            "local v, e = ctx.get('') return {v == nil, e:kind(), e:message()}",
            [True, "Invalid", "empty key"],
        ),
        ("local all, e = ctx.all() return {all, e == nil}", [{"user": {"id": 7}}, True]),
        ("return {(pcall(ctx.get, {}))}", [False]),
    ],
)
def test_values_of_the_call_are_read(bench, body, expected):
    context = root_context().narrowed(values={"user": {"id": 7}})
    assert bench.run(body, modules=("ctx",), context=context) == expected


def test_values_are_inherited_and_the_callers_win(bench):
    found = bench.run(
        "return (funcs.new():with_context({ b = 2 }):call('app:reader'))",
        modules=("funcs",),
        context=denying(a=1, b=1),
    )
    assert found == [1, 2, {"a": 1, "b": 2}]
