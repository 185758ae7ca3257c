"""The module `env`: spec/runtime.md 2.3 and 6.13."""

import pytest

from tests.tools.app_bench import app_bench, denying


def variable(name, **data):
    return {"id": name, "kind": "env.variable", "data": {"storage": "app:os", **data}}


ENTRIES = [
    {"id": "app:os", "kind": "env.storage.os"},
    {"id": "app:memory", "kind": "env.storage.memory"},
    {"id": "app:file", "kind": "env.storage.file", "data": {"path": "x"}},
    {"id": "app:first", "kind": "env.storage.router", "data": {"storages": ["memory", "os"]}},
    {"id": "app:round", "kind": "env.storage.router", "data": {"storages": ["app:round"]}},
    {"id": "app:broken", "kind": "env.storage.router", "data": {"storages": ["nowhere"]}},
    variable("app:home", variable="HOME_DIR"),
    variable("app:empty", variable="EMPTY"),
    variable("app:defaulted", variable="EMPTY_TOO", default="d"),
    variable("app:app:by_id"),
    variable("test:own", variable="OWN"),
    variable("app:kept", variable="KEPT", storage="app:memory", default="at first"),
    variable("app:fixed", variable="FIXED", storage="memory", readonly=True),
    variable("app:routed", variable="ROUTED", storage="app:first"),
    variable("app:lost", variable="LOST", storage="app:broken"),
    variable("app:filed", variable="FILED", storage="app:file"),
    variable("app:rounds", variable="ROUNDS", storage="app:round"),
]
USABLE = [e for e in ENTRIES if e["id"] not in ("app:lost", "app:filed", "app:rounds")]
ENVIRON = {"HOME_DIR": "/home/x", "SECRET": "s", "EMPTY": "", "OWN": "o", "ROUTED": "from os"}


@pytest.fixture(name="bench", scope="module")
def bench_fixture():
    with app_bench(ENTRIES, environ=ENVIRON) as bench:
        yield bench


def failed(call):
    return f"local v, e = {call} return {{v == nil, e:kind(), e:message()}}"


ROWS = [
    ("return {env.get('HOME_DIR')}", ["/home/x"]),
    # by id, and by a name in the caller's namespace
    ("return {env.get('app:home')}", ["/home/x"]),
    ("return {env.get('own')}", ["o"]),
    ("return {env.get('EMPTY_TOO')}", ["d"]),
    (failed("env.get('EMPTY')"), [True, "NotFound", "environment variable not found: EMPTY"]),
    # the environment itself is out of reach
    (failed("env.get('SECRET')"), [True, "NotFound", "environment variable not found: SECRET"]),
    (failed("env.get('')"), [True, "Invalid", "empty key"]),
    (failed("env.set('', 'x')"), [True, "Invalid", "empty key"]),
    ("return {(pcall(env.get, {})), (pcall(env.set, 'KEPT'))}", [False, False]),
    (
        "local a = env.get('KEPT') local b = env.set('KEPT', 'new') return {a, b, "
        "(env.get('KEPT'))}",
        ["at first", True, "new"],
    ),
    (
        failed("env.set('HOME_DIR', 'x')"),
        [True, "Invalid", "environment variable is read-only: HOME_DIR"],
    ),
    (
        failed("env.set('FIXED', 'x')"),
        [True, "Invalid", "environment variable is read-only: FIXED"],
    ),
    (
        failed("env.set('KEPT', ('x'):rep(70000))"),
        [True, "Invalid", "a value has at most 65536 bytes"],
    ),
    (
        "local a = env.get('ROUTED') env.set('ROUTED', 'mine') return {a, (env.get('ROUTED'))}",
        ["from os", "mine"],
    ),
    (failed("env.get('LOST')"), [True, "NotFound", "referenced storage not found: app:nowhere"]),
    (
        failed("env.get('FILED')"),
        [True, "Invalid", "`app:file` is a `env.storage.file`, which cannot hold variables yet"],
    ),
    (failed("env.get('ROUNDS')"), [True, "Invalid", "storages refer to each other in a circle"]),
]


@pytest.mark.parametrize(("body", "expected"), ROWS)
def test_variables_do_what_the_documents_say(bench, body, expected):
    assert bench.run(body, modules=("env",)) == expected


def test_all_variables_are_those_that_have_a_value_and_may_be_read():
    with app_bench(USABLE, environ=ENVIRON) as bench:
        found = bench.run("return (env.get_all())", modules=("env",))
        assert found == {
            **{"HOME_DIR": "/home/x", "EMPTY_TOO": "d", "OWN": "o", "KEPT": "at first"},
            "ROUTED": "from os",
        }
        denied = denying(("env.get", "HOME_DIR"), ("env.get", "test:own"))
        found = bench.run("return (env.get_all())", modules=("env",), context=denied)
        assert sorted(found) == ["EMPTY_TOO", "KEPT", "ROUTED"]


@pytest.mark.parametrize("name", ["HOME_DIR", "app:home"])
@pytest.mark.parametrize("rule", ["HOME_DIR", "app:home"])
def test_a_denial_of_any_name_of_a_variable_denies_it(bench, name, rule):
    context = denying(("env.get", rule), ("env.set", rule))
    for call, verb in [(f"env.get('{name}')", "access"), (f"env.set('{name}', 'x')", "set")]:
        assert bench.run(failed(call), modules=("env",), context=context) == [
            True,
            "PermissionDenied",
            f"not allowed to {verb} environment variable: {name}",
        ]
