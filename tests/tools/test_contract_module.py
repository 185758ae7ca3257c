"""The module `contract`: spec/runtime.md 2.10 and 6.17."""

import pytest

from tests.tools.app_bench import app_bench, denying

MATH = """return {
  add = function(a, b) return a + b end,
  who = function() return require("ctx").all() end,
  fail = function() return nil, errors.new{ message = "m", kind = "Conflict" } end,
}"""


def function(name, method):
    data = {"source": MATH, "method": method, "modules": ["ctx"]}
    return {"id": f"app:{name}", "kind": "function.lua", "data": data}


def binding(name, contract="app:calculator", **more):
    methods = {"add": "app:add", "who": "who", "fail": "app:fail"}
    return {
        "id": f"app:{name}",
        "kind": "contract.binding",
        "data": {"contracts": [{"contract": contract, "methods": methods, **more}]},
    }


ENTRIES = [
    *(function(name, name) for name in ("add", "who", "fail")),
    {
        "id": "app:calculator",
        "kind": "contract.definition",
        "data": {
            "methods": [
                {"name": "add", "description": "adds"},
                *({"name": name} for name in ("who", "fail", "unbound")),
            ]
        },
    },
    {"id": "app:empty", "kind": "contract.definition", "data": {"methods": []}},
    binding("plain"),
    binding("needy", context_required=["user", "tenant"]),
    binding("best", default=True),
]
OPEN = "local i = contract.open('app:plain') "


@pytest.fixture(name="bench", scope="module")
def bench_fixture():
    with app_bench(ENTRIES) as bench:
        yield bench


def failed(call):
    return f"local v, e = {call} return {{v == nil, e:kind(), e:message()}}"


ROWS = [
    (
        OPEN + "return {type(i), tostring(i), i:add(1, 2)}",
        ["userdata", "contract.Instance{app:plain}", 3],
    ),
    (OPEN + failed("i:fail()"), [True, "Conflict", "m"]),
    (OPEN + failed("i:unbound()"), [True, "NotFound", "method 'unbound' not bound"]),
    (OPEN + "return {i.nothing == nil, (pcall(function() i:nothing() end))}", [True, False]),
    (OPEN + "return {(pcall(function() i.add = 1 end)), (pcall(i.add, {}, 1))}", [False, False]),
    (OPEN + "local f = i:add_async(20, 22) return f:response():receive():data()", 42),
    (
        OPEN + "local f = i:add_async(1, 1) "
        "return {type(f), f:response():receive():data(), f:is_complete()}",
        ["userdata", 2, True],
    ),
    # values: of the query, typed; of the scope table, which wins
    (
        "local i = contract.open('app:plain?a=1&b=true&c=x%20y&d=2.5&e=', {a = 5}) return "
        "(i:who())",
        {"a": 5, "b": True, "c": "x y", "d": 2.5, "e": ""},
    ),
    (
        failed("contract.open('app:needy', {user = 1})"),
        [True, "Invalid", "missing required context keys: [tenant]"],
    ),
    (
        failed("contract.open('app:needy')"),
        [True, "Invalid", "missing required context keys: [user, tenant]"],
    ),
    ("return (contract.open('app:needy?user=1&tenant=t'):who())", {"user": 1, "tenant": "t"}),
    (failed("contract.open('')"), [True, "Invalid", "binding id is required"]),
    (failed("contract.open('app:none')"), [True, "NotFound", "entry not found: app:none"]),
    (failed("contract.open('app:add')"), [True, "NotFound", "binding not found: app:add"]),
    # contracts
    (
        "local c = contract.get('app:calculator') return {c:id(), #c:methods(), "
        "c:method('add').description}",
        ["app:calculator", 4, "adds"],
    ),
    (
        failed("contract.get('app:calculator'):method('nope')"),
        [True, "NotFound", "method 'nope' not found in contract 'app:calculator'"],
    ),
    (failed("contract.get('')"), [True, "Invalid", "contract id is required"]),
    (failed("contract.get('app:plain')"), [True, "NotFound", "contract not found: app:plain"]),
    (
        "return (contract.get('app:calculator'):implementations())",
        ["app:best", "app:needy", "app:plain"],
    ),
    (
        "return (contract.find_implementations('app:calculator'))",
        ["app:best", "app:needy", "app:plain"],
    ),
    ("return (contract.find_implementations('app:empty'))", []),
    ("return tostring(contract.get('app:calculator'):open())", "contract.Instance{app:best}"),
    (
        "return tostring(contract.get('app:calculator'):open('app:plain', {x = 1}))",
        "contract.Instance{app:plain}",
    ),
    (
        failed("contract.get('app:empty'):open()"),
        [True, "NotFound", "no default binding for contract 'app:empty'"],
    ),
    (
        failed("contract.get('app:empty'):open('app:plain')"),
        [True, "NotFound", "`app:plain` does not bind contract 'app:empty'"],
    ),
    (
        "local c = contract.get('app:calculator') local d = c:with_context({a = "
        "1}):with_context({b = 2}):with_options({}) "
        "return {(d:open():who()), (c:open():who())}",
        [{"a": 1, "b": 2}, {}],
    ),
    (
        OPEN + "return {contract.is(i, 'app:calculator'), contract.is(i, 'app:empty'), "
        "contract.is(5, 'app:empty')}",
        [True, False, False],
    ),
]


@pytest.mark.parametrize(("body", "expected"), ROWS)
def test_contracts_do_what_the_documents_say(bench, body, expected):
    assert bench.run(body, modules=("contract",)) == expected


def test_an_instance_can_act_as_somebody_else(bench):
    body = """local c = contract.get("app:calculator"):with_actor(security.new_actor("user:9"))
      return (c:with_scope(security.new_scope()):open():add(1, 1))"""
    assert bench.run(body, modules=("contract", "security")) == 2


@pytest.mark.parametrize(
    ("action", "resource", "body"),
    [
        ("contract.get", "app:calculator", failed("contract.get('app:calculator')")),
        ("contract.open", "app:plain", failed("contract.open('app:plain')")),
        ("contract.call", "add", OPEN + failed("i:add(1, 2)")),
        ("contract.call", "add", OPEN + failed("i:add_async(1, 2)")),
        (
            "contract.implementations",
            "app:calculator",
            failed("contract.find_implementations('app:calculator')"),
        ),
        (
            "contract.context",
            "context",
            failed("contract.get('app:calculator'):with_context({})"),
        ),
    ],
)
def test_a_policy_that_denies_a_step_is_obeyed(bench, action, resource, body):
    context = denying((action, resource))
    found = bench.run(body, modules=("contract",), context=context)
    assert found == [True, "PermissionDenied", f"not allowed: {action} on {resource}"]
