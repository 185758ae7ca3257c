"""The Lua side of `registry`, `security`, `funcs` and `logger`, with a small host."""

import logging

import pytest

from micro_agi.errors import EntryNotFound, PolicyDenied, ToolFailed
from micro_agi.sandbox.failure import facts_of
from micro_agi.sandbox.host.calls import HostFunction
from micro_agi.sandbox.host.logger import logger_functions
from micro_agi.sandbox.unit import Unit
from micro_agi.security.context import root_context
from micro_agi.testing.sandbox import LuaBench

MODULES = ("registry", "security", "funcs", "logger")
ENTRY = {"id": "app:x", "kind": "registry.entry", "meta": {"type": "tool"}, "data": {"modules": []}}
POLICY = {"id": "app:p", "policy": {"actions": ["*"], "resources": ["*"], "effect": "deny"}}


class Host:
    """Answers what the tests need, and records every call."""

    def __init__(self):
        self.calls = []

    async def __call__(self, call):
        self.calls.append([call.function, *call.args])
        match [call.function, *call.args]:
            case ["registry.get", "app:x", *_]:
                return ENTRY
            case ["registry.get", name, *_]:
                raise EntryNotFound(f"entry not found: {name}")
            case ["registry.find" | "registry.entries" | "registry.namespace", *_]:
                return [ENTRY]
            case ["registry.snapshot", *number]:
                return number[0] if number else 3
            case ["registry.versions"]:
                return [0, 1, 3]
            case ["registry.apply", *_]:
                return 4
            case ["registry.apply_version", 1]:
                return True
            case ["registry.apply_version", _]:
                raise PolicyDenied("registry version change is not allowed")
            case ["security.actor"]:
                return {"id": "agent:a", "meta": {"role": "r"}}
            case ["security.named_scope", _]:
                return {"policies": [POLICY]}
            case ["security.policy", _]:
                return POLICY
            case ["security.evaluate", policies, *_]:
                return "deny" if policies else "undefined"
            case ["security.can", *_]:
                return True
            case ["security.new_actor", "evil", _]:
                raise PolicyDenied("not allowed")
            case ["funcs.allow", "security"]:
                raise PolicyDenied("not allowed: security")
            case ["funcs.call", _, options, *args]:
                return {"options": options, "args": args}
        return None


NAMES = [
    *(["get", "find", "entries", "namespace", "snapshot", "versions", "apply", "apply_version"]),
]


@pytest.fixture(scope="module")
def bench():
    host = Host()
    names = [f"registry.{n}" for n in NAMES]
    names += [
        f"security.{n}"
        for n in [
            "actor",
            "scope",
            "can",
            "evaluate",
            "new_actor",
            "new_scope",
            "scope_change",
            "policy",
            "named_scope",
        ]
    ]
    names += ["funcs.call", "funcs.allow"]
    table = {
        name: HostFunction(run=host, module=name.partition(".")[0], outside=False) for name in names
    }
    bench = LuaBench(host={**table, **logger_functions()})
    bench.host = host
    yield bench
    bench.close()


def run(bench, body):
    bench.host.calls.clear()
    return bench.run(f"return function() {body} end", modules=MODULES)


def test_an_entry_that_is_missing_is_an_error_object(bench):
    body = """local entry, err = registry.get("app:y")
      return { entry == nil, err:kind(), tostring(err), tostring(err:retryable()) }"""
    assert run(bench, body) == [True, "NotFound", "entry not found: app:y", "false"]
    assert run(bench, "return registry.get('app:x')") == ENTRY
    with pytest.raises(ToolFailed, match="string expected"):
        run(bench, "registry.get({})")


def test_snapshots_versions_and_history_are_objects(bench):
    body = """local snap = registry.snapshot()
      local list, second = snap:find({})
      local v = snap:version()
      local h = registry.history()
      return { tostring(snap), tostring(v), v:id(), v:string(), v:previous():id(),
        v:next() == nil, #list, second == nil, #snap:namespace("app"), snap:get("app:x").id,
        tostring(h), #h:versions(), tostring(h:snapshot_at(v)),
        tostring(select(2, h:get_version(9))), tostring(select(2, registry.snapshot_at(0))),
        registry.parse_id("a:b:c").name, tostring(select(2, registry.find("x"))) }"""
    assert run(bench, body) == [
        *("registry.Snapshot{version=v3}", "registry.Version{v3}", 3, "v3", 1, True, 1, True, 1),
        *("app:x", "registry.History{}", 3, "registry.Snapshot{version=v3}"),
        *("version not found", "invalid version ID", "b:c", "filter criteria table required"),
    ]
    assert ["registry.get", "app:x", 3] in bench.host.calls


def test_a_change_set_is_built_here_and_applied_there(bench):
    body = """local changes = registry.snapshot():changes()
      local none, err = changes:apply()
      local bad, why = changes:create({ kind = "k" })
      local same = changes:create({ id = "app:n", kind = "k",
        meta = { a = 1, [5] = 2 }, data = {} })
      changes:update({ id = { ns = "app", name = "m" }, kind = "k" }):delete("app:o")
      return { tostring(err), bad == nil, tostring(why), same == changes, tostring(changes),
        #changes:ops(), changes:ops()[3].kind, tostring(changes:apply()) }"""
    assert run(bench, body) == [
        *("no changes to apply", True, "entry must have valid id field", True),
        *("registry.Changes{ops=3}", 3, "entry.delete", "registry.Version{v4}"),
    ]
    _, operations, base = next(c for c in bench.host.calls if c[0] == "registry.apply")
    assert base == 3
    assert operations == [
        {
            "kind": "entry.create",
            "entry": {"id": "app:n", "kind": "k", "meta": {"a": 1}, "data": {}},
        },
        {"kind": "entry.update", "entry": {"id": "app:m", "kind": "k", "meta": {}}},
        {"kind": "entry.delete", "entry": {"id": "app:o"}},
    ]


def test_an_entry_read_and_written_back_keeps_its_empty_list(bench):
    run(bench, "registry.snapshot():changes():update(registry.get('app:x')):apply()")
    assert bench.host.calls[-1][1][0]["entry"] == ENTRY


def test_versions_are_applied_by_object_only(bench):
    body = """local h = registry.history()
      local ok = registry.apply_version(h:get_version(1))
      local no, err = registry.apply_version(h:get_version(3))
      return { ok, no == nil, err:kind(), tostring(select(2, registry.apply_version(h))),
        (pcall(registry.apply_version, 1)) }"""
    assert run(bench, body) == [True, True, "PermissionDenied", "expected version object", False]


def test_a_delta_names_what_changed_and_nothing_else(bench):
    body = """local a = { id = "x:a", kind = "k", data = { n = 42 } }
      local b = { id = "x:b", kind = "k" }
      local delta = registry.build_delta({ a, b, 5 }, {
        { id = "x:a", kind = "k", data = { n = 42.0 } },
        { id = "x:c", kind = "k" }, { id = "x:d" } })
      return { #delta, delta[1].kind, delta[1].entry.id, delta[2].kind, delta[2].entry.id }"""
    assert run(bench, body) == [2, "entry.create", "x:c", "entry.delete", "x:b"]


def test_actors_scopes_and_policies_are_objects(bench):
    body = """local actor = security.new_actor("service:agent", { role = "agent" })
      local scope = security.named_scope("app:agent_security")
      local policy = security.policy("app:p")
      local bare = scope:without("app:p")
      return { actor:id(), actor:meta().role, scope:evaluate(actor, "registry.create", "app:x"),
        scope:contains("app:p"), bare:contains(policy), bare:evaluate(actor, "a", "r"),
        #bare:with(policy):policies(), policy:id(), policy:evaluate(actor, "a", "r"),
        security.actor():id(), security.scope() == nil, security.can("a", "r"),
        #security.new_scope({ policy, policy }):policies(),
        (pcall(security.new_actor, "evil")), tostring(select(2, security.token_store(""))) }"""
    assert run(bench, body) == [
        *("service:agent", "agent", "deny", True, False, "undefined", 1, "app:p", "deny"),
        *("agent:a", True, True, 1, False, "token store id is required"),
    ]
    evaluated = next(c for c in bench.host.calls if c[0] == "security.evaluate")
    assert evaluated[1:5] == [
        *([POLICY], {"id": "service:agent", "meta": {"role": "agent"}}, "registry.create", "app:x"),
    ]


def test_funcs_call_passes_arguments_by_place(bench):
    args = [1, None, "x", None]
    found = run(bench, "return funcs.call('app:f', 1, nil, 'x', nil)")
    assert bench.host.calls == [["funcs.call", "app:f", {}, *args]]
    # A list with nulls comes and goes whole, though Lua sees holes in it.
    assert found == {"options": {}, "args": args}


def test_an_executor_is_immutable_and_merges_context(bench):
    body = """local one = funcs.new():with_context({ a = 1, b = 1 })
      local two = one:with_context({ b = 2 }):with_options({ timeout = 5 })
      local none, err = one:with_actor(security.actor())
      return { one:call("a:b").options, two:call("a:b", 7), none == nil, tostring(err) }"""
    assert run(bench, body) == [
        {"context": {"a": 1, "b": 1}},
        {"options": {"context": {"a": 1, "b": 2}, "options": {"timeout": 5}}, "args": [7]},
        *(True, "not allowed: security"),
    ]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "function ID required"),
        ("x", "namespace required in function ID"),
        ("a:", "name required in function ID"),
    ],
)
def test_a_bad_target_is_invalid(bench, target, message):
    found = run(bench, f"local _, e = funcs.call('{target}') return {{e:kind(), e:message()}}")
    assert found == ["Invalid", message]


def test_pcall_around_a_failing_call_gives_true_nil_and_the_error(bench):
    found = run(bench, "local ok, v, e = pcall(funcs.call, 'x') return {ok, v == nil, type(e)}")
    assert found == [True, True, "userdata"]


def test_print_and_the_logger_write_to_the_log(bench, caplog):
    with caplog.at_level(logging.DEBUG, "micro_agi.tools"):
        run(
            bench, "print('a', 1.0, nil, true) logger:with({x = 1}):named('n'):warn('hot', {y = 2})"
        )
    said, warned = caplog.records
    assert (said.levelname, said.getMessage()) == ("INFO", "test:unit: a 1 nil true")
    assert (warned.levelname, warned.getMessage()) == ("WARNING", "test:unit: hot")
    assert (warned.fields, warned.logger_name) == ({"x": 1, "y": 2}, "n")


def test_lua_calling_lua_keeps_bytes_and_error_objects():
    callee = Unit(
        id="test:callee",
        source="""return function(x)
      if x == "fail" then 
        return nil, errors.new{ message = "m", kind = "Conflict", retryable = true }
      end
      return x .. "\\xfe"
    end""",
        method="handler",
    )

    async def call(call):
        context = call.context.narrowed(depth=call.context.depth + 1)
        return await bench.pool.call(callee, call.args[2:], context=context, keep_bytes=True)

    host = {"funcs.call": HostFunction(run=call, module="funcs", outside=False, keep_bytes=True)}
    bench = LuaBench(host=host)
    try:
        source = """return function()
          local bytes = funcs.call("test:callee", "\\xff")
          local none, err = funcs.call("test:callee", "fail")
          return { bytes == "\\xff\\xfe", none == nil, err:kind(), err:message(), err:retryable() }
        end"""
        assert bench.run(source, modules=("funcs",)) == [True, True, "Conflict", "m", True]
    finally:
        bench.close()


CALLEE = """return function(what)
  if what == "fail" then
    return nil, errors.new{ message = "m", kind = "Conflict", retryable = true }
  end
  if what == "slow" then time.sleep("1h") end
  return what
end"""


@pytest.fixture(name="futures", scope="module")
def futures_fixture():
    """Run a body that may call one function, `test:callee`, in further workers."""
    unit = Unit(id="test:callee", source=CALLEE, method="handler", modules=("time",))

    async def call(call):
        if call.args[0] == "test:quick":  # the worker's answer can be here at once
            raise ToolFailed("too small")
        if call.args[0] != "test:callee":
            raise EntryNotFound("no such function")
        context = call.context.narrowed(depth=call.context.depth + 1)
        return await bench.pool.call(unit, call.args[2:], context=context, keep_bytes=True)

    function = HostFunction(
        run=call, module="funcs", outside=False, keep_bytes=True, needs="worker"
    )
    bench = LuaBench(host={"funcs.call": function})
    modules = ("funcs", "time")
    yield lambda body: bench.run(f"return function() {body} end", modules=modules)
    bench.close()


FUTURES = [
    (
        "local f, e = funcs.async('test:callee', {1, 'x'}) local p, ok = f:response():receive() "
        "return {e == nil, ok, p:get_format(), p:data(), f:is_complete(), f:result():data()}",
        [True, True, "lua/any", [1, "x"], True, [1, "x"]],
    ),
    (
        "local f = funcs.async('test:callee') return {f:response():receive():data() == nil, "
        "(f:response():receive()) == nil, f:response() == f:channel()}",
        [True, True, True],
    ),
    (
        "local f = funcs.async('test:callee', 'fail') local e, ok = f:response():receive() "
        "local r, p = f:result() local failed, is = f:error() "
        "return {tostring(e), ok, r == nil, p:kind(), failed:kind(), is, f:is_complete(), "
        "f:is_canceled()}",
        ["m", True, True, "Conflict", "Internal", True, True, False],
    ),
    (
        "local f = funcs.async('test:callee', 'slow') local r, e = f:result() local none, is = "
        "f:error() "
        "local before = f:is_complete() local c = f:cancel() local r2, e2 = f:result() "
        "return {r == nil, e == nil, none == nil, is, before, c, f:cancel(), f:is_canceled(), "
        "f:is_complete(), r2 == nil, e2:kind(), e2:message(), tostring((f:response():receive()))}",
        [
            True,
            True,
            True,
            False,
            False,
            True,
            True,
            True,
            True,
            True,
            "Canceled",
            "canceled",
            "canceled",
        ],
    ),
    ("local f, e = funcs.async('test:none') return {f == nil, e:kind()}", [True, "NotFound"]),
    (
        "local f, e = funcs.async('x') return {f == nil, e:message()}",
        [True, "namespace required in function ID"],
    ),
    ("return {(pcall(funcs.async, {}))}", [False]),
    # without waiting in between: looking at it is enough
    (
        "local f = funcs.async('test:callee', 7) while not f:is_complete() do end return "
        "{f:result():data()}",
        [7],
    ),
    # many at once, in the order in which they were asked for
    (
        "local all, out = {}, {} for i = 1, 12 do all[i] = funcs.new():async('test:callee', i) end "
        "for i = 1, 12 do out[i] = all[i]:response():receive():data() end return out",
        list(range(1, 13)),
    ),
    # one that has failed already is a future too; one that was refused is none
    (
        "local f, e = funcs.async('test:quick') return {e == nil, (f:error()):message()}",
        [True, "too small"],
    ),
    (
        "local f, e = funcs.async('test:other') return {f == nil, e:kind()}",
        [True, "NotFound"],
    ),
    # the first of several to answer
    (
        "local slow, quick = funcs.async('test:callee', 'slow'), funcs.async('test:callee', 'q') "
        "local r = channel.select{slow:response():case_receive(), quick:response():case_receive()} "
        "return {r.value:data()}",
        ["q"],
    ),
    (
        "local f = funcs.async('test:callee', 'slow') return {type(f), tostring(f)}",
        ["userdata", "funcs.Future{}"],
    ),
    # a plain call while another is in flight
    (
        "local f = funcs.async('test:callee', 'slow') return {(funcs.call('test:callee', 2)), "
        "f:is_complete()}",
        [2, False],
    ),
]


@pytest.mark.parametrize(("body", "expected"), FUTURES)
def test_futures_do_what_the_documents_say(futures, body, expected):
    assert futures(body) == expected


def test_facts_of_an_error_of_ours_are_its_kind_and_text():
    facts = facts_of(EntryNotFound("gone"))
    assert (facts.kind, facts.message, facts.retryable) == ("NotFound", "gone", False)
    assert root_context().depth == 0
