"""Every limit stops its attack, says so, and costs nobody else anything."""

import pytest
from msgspec.structs import replace

from micro_agi.errors import LimitReached, ToolFailed
from micro_agi.sandbox.failure import facts_of
from micro_agi.sandbox.host.calls import ALWAYS, HostFunction
from micro_agi.sandbox.limits import Limits
from micro_agi.security.context import root_context
from micro_agi.testing.sandbox import SHORT, LuaBench

QUICK = Limits(wall_s=0.2, total_s=2.0)

ENDLESS = [
    "while true do end",
    "repeat local ok = pcall(function() while true do end end) until false",
    "local f f = function() pcall(f) f() end f()",
    "coroutine.wrap(function() while true do end end)()",
    "string.rep('', 1 << 62)",
    "local s = ('a'):rep(3000) return s:find('.-.-.-.-b')",
    "table.sort({1, 2, 3}, function() while true do end end)",
    "return setmetatable({}, {__index = function(t, k) while true do end end}).x",
    "return tostring(setmetatable({}, {__tostring = function() while true do end end}))",
]


@pytest.mark.parametrize("body", ENDLESS)
def test_code_that_does_not_end_is_stopped_at_its_deadline(lua, body):
    with pytest.raises(LimitReached, match=r"computed for more than 0\.2 s"):
        lua.run(f"return function() {body} end", limits=QUICK)
    assert lua.run("return function() return 'alive' end") == "alive"


def test_a_chunk_that_does_not_end_is_stopped_too(lua):
    with pytest.raises(LimitReached):
        lua.run("while true do end", limits=QUICK)


BOMBS = [
    "local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end",
    "return ('x'):rep(1 << 30)",
    "local s = 'x' while true do s = s .. s end",
    "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
    "return table.concat(setmetatable({}, {__len = function() return 1 << 28 end, "
    "__index = function() return 'xxxxxxxx' end}))",
]


@pytest.mark.parametrize("body", BOMBS)
def test_code_that_takes_all_memory_fails_alone(lua, body):
    with pytest.raises(LimitReached, match=r"memory|computed|ended|large"):
        lua.run(f"return function() {body} end", limits=Limits(wall_s=3.0))
    assert lua.run("return function() return 'alive' end") == "alive"


def test_memory_can_be_caught_and_used_again(lua):
    source = """return function()
      local ok, message = pcall(string.rep, "x", 1 << 30)
      return { ok, message:find("not enough memory") ~= nil, #("y"):rep(1 << 20) }
    end"""
    assert lua.run(source) == [False, True, 1 << 20]


DEEP = [
    ("local t = {} for _ = 1, 100 do t = {t} end return t", "nested too deeply"),
    ("local t = {} t.t = t return t", "nested too deeply"),
    ("local function f(n) return 1 + f(n + 1) end return f(1)", "stack overflow"),
]


@pytest.mark.parametrize(("body", "part"), DEEP)
def test_depth_is_an_error_not_a_crash(lua, body, part):
    with pytest.raises(ToolFailed) as failed:
        lua.run(f"return function() {body} end")
    assert part in failed.value.what


@pytest.mark.parametrize(
    "body", ["return ('x'):rep(1 << 23)", "local t = {} for i = 1, 1e5 do t[i] = i end return t"]
)
def test_a_result_over_its_limit_says_how_much_is_allowed(lua, body):
    with pytest.raises(LimitReached) as reached:
        lua.run(f"return function() {body} end")
    assert reached.value.what == "the result takes more than 262144 bytes"
    assert reached.value.fix


def test_arguments_over_their_limit_never_reach_a_worker(lua):
    with pytest.raises(LimitReached, match="the arguments take"):
        lua.run("return function() end", "x" * (300 << 10))


def test_calls_that_are_too_deep_are_refused(lua):
    with pytest.raises(LimitReached, match="9 deep, the limit is 8"):
        lua.run("return function() end", context=root_context().narrowed(depth=9))


@pytest.fixture(scope="module")
def bench():
    async def nothing(call):
        return None

    function = HostFunction(run=nothing, module=ALWAYS, outside=False)
    bench = LuaBench(host={"print": function}, limits=replace(SHORT, host_calls=50))
    yield bench
    bench.close()


def test_a_flood_of_host_calls_is_stopped(bench):
    with pytest.raises(LimitReached, match="more than 50 host calls"):
        bench.run("return function() while true do print('x') end end")
    assert bench.run("return function() for i = 1, 50 do print(i) end return 'fine' end") == "fine"


def test_waiting_does_not_count_as_computing_but_ends_at_the_total(bench):
    limits = Limits(wall_s=0.1, total_s=0.6)
    source = "return function(d) time.sleep(d) return 'slept' end"
    assert bench.run(source, "250ms", modules=("time",), limits=limits) == "slept"
    with pytest.raises(LimitReached, match=r"more than 0\.6 s, host calls included"):
        bench.run(source, "1h", modules=("time",), limits=limits)
    assert facts_of(LimitReached("x")).kind == "Timeout"


def test_a_call_ends_at_the_deadline_of_its_context(bench):
    context = root_context().narrowed(deadline=bench.loop.time() + 0.1)
    with pytest.raises(LimitReached):
        bench.run("return function() time.sleep('1h') end", modules=("time",), context=context)


GREEDY = [
    "local s = ('x'):rep(30 << 20) return pcall(string.sub, s, 2)",
    "return pcall(base64.encode, ('x'):rep(30 << 20))",
    """local s = text.splitter.recursive({ chunk_size = 2, chunk_overlap = 1, separators = { "" } })
      return pcall(s.split_text, s, ("ab"):rep(500000))""",
]


@pytest.mark.parametrize("body", GREEDY, ids=["garbage", "base64", "splitter"])
def test_memory_that_one_call_took_is_there_for_the_next(body):
    bench = LuaBench(workers=1, limits=Limits(wall_s=10.0))
    try:
        for _ in range(2):
            source = f"return function() local function run() {body} end run() end"
            bench.run(source, modules=("base64", "text"))
            assert bench.run("return function() return #('x'):rep(20 << 20) end") == 20 << 20
    finally:
        bench.close()
