"""Channels, spawned coroutines and timers: spec/runtime.md 7.1, 7.2 and 6.1, in real workers."""

import asyncio
import logging

import pytest

from micro_agi.errors import EntryNotFound, LimitReached, ToolFailed
from micro_agi.sandbox.host.calls import HostFunction
from micro_agi.sandbox.host.logger import logger_functions
from micro_agi.sandbox.limits import Limits
from micro_agi.security.context import Trial, root_context
from micro_agi.testing.sandbox import LuaBench

TRIAL = root_context().narrowed(trial=Trial())


def run(lua, body, **options):
    return lua.run(f"return function() {body} end", modules=("time",), **options)


CHANNELS = [
    # new: the capacity is 0 unless given; a negative one is 0.
    (
        "local c = channel.new(2) return {c:send(1), c:send(2), c:receive(), c:receive()}",
        [True, True, 1, 2, True],
    ),
    ("local c = channel.new(1.0) c:send('x') return {c:receive()}", ["x", True]),
    (
        "return {pcall(channel.new, 'x')}",
        [False, "test:unit:1: bad argument #1 to 'new' (integer expected, got string)"],
    ),
    # closing
    (
        "local c = channel.new(1) c:close() return {pcall(c.send, c, 1)}",
        [False, "send on closed channel"],
    ),
    ("local c = channel.new(1) return {select('#', c:close()), select('#', c:close())}", [0, 0]),
    (
        "local c = channel.new(2) c:send(1) c:close() local a, b = c:receive() "
        "local d, e = c:receive() local f, g = c:receive() return {a, b, d == nil, e, f == nil, g}",
        [1, True, True, False, True, False],
    ),
    # nil is a value
    (
        "local c = channel.new(1) c:send(nil) local v, ok = c:receive() return {v == nil, ok}",
        [True, True],
    ),
    # values pass by reference
    (
        "local c, t, f = channel.new(2), {}, function() return 5 end c:send(t) c:send(f) "
        "return {rawequal(c:receive(), t), c:receive()()}",
        [True, 5],
    ),
    # waiting receivers and senders are served in order
    (
        "local c, out = channel.new(), {} "
        "for i = 1, 3 do coroutine.spawn(function() local v = c:receive() out[#out + 1] = i .. v "
        "end) end "
        "coroutine.yield() for _, v in ipairs{'a', 'b', 'c'} do c:send(v) end coroutine.yield() "
        "return out",
        ["1a", "2b", "3c"],
    ),
    (
        "local c, out = channel.new(), {} for i = 1, 3 do coroutine.spawn(function() c:send(i) "
        "end) end "
        "for i = 1, 3 do out[i] = c:receive() end return out",
        [1, 2, 3],
    ),
    # a receive that frees a slot lets the first blocked sender's value in, behind the buffered ones
    (
        "local c, out = channel.new(1), {} c:send('old') "
        "coroutine.spawn(function() c:send('new') out[1] = 'woke' end) coroutine.yield() "
        "local a = c:receive() coroutine.yield() return {a, out[1], c:receive()}",
        ["old", "woke", "new", True],
    ),
    # T-28: a sender that is blocked when the channel closes gets nil and an error
    (
        "local c, out = channel.new(), {} "
        "coroutine.spawn(function() local r, e = c:send(1) out = {r == nil, tostring(e), "
        "e:kind()} end) "
        "coroutine.yield() c:close() coroutine.yield() return out",
        [True, "channel closed", "Canceled"],
    ),
    (
        "local c, out = channel.new(), nil "
        "coroutine.spawn(function() local v, ok = c:receive() out = {v == nil, ok} end) "
        "coroutine.yield() c:close() coroutine.yield() return out",
        [True, False],
    ),
]


@pytest.mark.parametrize(("body", "expected"), CHANNELS)
def test_a_channel_does_what_the_documents_say(lua, body, expected):
    assert run(lua, body) == expected


def test_channels_are_objects_that_nobody_changes(lua):
    found = run(
        lua,
        "local c = channel.new() return {type(c), tostring(c), tostring(c:case_send(1)), "
        "tostring(c:case_receive()), pcall(function() c.x = 1 end)}",
    )
    assert found[:4] == [
        "userdata",
        "channel.Channel{}",
        "channel.Case{send}",
        "channel.Case{receive}",
    ]
    assert found[4] is False
    assert run(lua, "return {pcall(channel.new().receive, 5)}")[1] == (
        "bad argument #1 to 'receive' (channel.Channel expected, got number)"
    )


SELECTS = [
    # T-27: the first ready case in array order wins, not a random one
    (
        "local a, b = channel.new(1), channel.new(1) b:send('b') a:send('a') "
        "local r = channel.select{a:case_receive(), b:case_receive()} return {r.value, r.channel "
        "== a, r.ok}",
        ["a", True, True],
    ),
    (
        "local a, b = channel.new(9), channel.new(1) b:send('b') local out = {} "
        "for i = 1, 3 do a:send(i) out[i] = channel.select{a:case_receive(), "
        "b:case_receive()}.value end return out",
        [1, 2, 3],
    ),
    # default: as second argument or inside the table; no channel in the result
    (
        "local r = channel.select({channel.new():case_receive()}, true) return {r.default, r.ok, "
        "r.channel == nil}",
        [True, True, True],
    ),
    (
        "local r = channel.select{channel.new():case_receive(), default = true} return "
        "{r.default, r.ok}",
        [True, True],
    ),
    ("return {channel.select({}, true).default}", [True]),
    # a closed channel is ready to receive and beats default; buffered values come first
    (
        "local c = channel.new(1) c:send(1) c:close() local a = "
        "channel.select({c:case_receive()}, true) "
        "local b = channel.select({c:case_receive()}, true) return {a.value, a.ok, b.value == "
        "nil, b.ok, b.default == nil}",
        [1, True, True, False, True],
    ),
    # a send case: the value that was sent; on a closed channel it is never ready
    (
        "local c = channel.new(1) local r = channel.select{c:case_send('x')} return {r.value, "
        "r.ok, c:receive()}",
        ["x", True, "x", True],
    ),
    (
        "local c = channel.new(1) c:close() return {channel.select({c:case_send(1)}, "
        "true).default}",
        [True],
    ),
    # items that are no cases are ignored
    (
        "local c = channel.new(1) c:send(4) return {channel.select{5, 'x', {}, "
        "c:case_receive()}.value}",
        [4],
    ),
    # waiting: one case completes, the others are forgotten
    (
        "local a, b = channel.new(), channel.new() coroutine.spawn(function() b:send('late') end) "
        "local r = channel.select{a:case_receive(), b:case_receive()} "
        "return {r.value, r.channel == b, channel.select({a:case_send(1)}, true).default}",
        ["late", True, True],
    ),
    (
        "local a, out = channel.new(), nil coroutine.spawn(function() out = a:receive() end) "
        "local r = channel.select{a:case_send('v')} coroutine.yield() return {r.value, r.ok, out}",
        ["v", True, "v"],
    ),
    (
        "local a, b = channel.new(), channel.new() coroutine.spawn(function() a:close() end) "
        "local r = channel.select{b:case_receive(), a:case_receive()} return {r.value == nil, "
        "r.ok, r.channel == a}",
        [True, False, True],
    ),
    # a select that waits to send goes on with its other cases when that channel closes
    (
        "local a, b = channel.new(), channel.new() coroutine.spawn(function() a:close() "
        "b:send(2) end) "
        "local r = channel.select{a:case_send(1), b:case_receive()} return {r.value, r.channel "
        "== b}",
        [2, True],
    ),
    (
        "return {pcall(channel.select)}",
        [False, "test:unit:1: bad argument #1 to 'select' (table expected, got no value)"],
    ),
]


@pytest.mark.parametrize(("body", "expected"), SELECTS)
def test_select_does_what_the_documents_say(lua, body, expected):
    assert run(lua, body) == expected


SPAWNED = [
    # it starts when the others wait, and runs in turns with them
    (
        "local out = {} coroutine.spawn(function() out[#out + 1] = 'b' coroutine.yield() "
        "out[#out + 1] = 'd' end) "
        "out[1] = 'a' coroutine.yield() out[#out + 1] = 'c' coroutine.yield() return out",
        ["a", "b", "c", "d"],
    ),
    ("return {type(coroutine.spawn(function() end))}", ["thread"]),
    # it can spawn on
    (
        "local c = channel.new() coroutine.spawn(function() coroutine.spawn(function() "
        "c:send('deep') end) end) "
        "return {c:receive()}",
        ["deep", True],
    ),
    # what is left when main returns is discarded
    (
        "local c = channel.new() coroutine.spawn(function() c:receive() end) coroutine.yield() "
        "return {1}",
        [1],
    ),
    # generators work, in and across tasks
    (
        "local out = {} local g = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) "
        "end end) "
        "local done = channel.new() coroutine.spawn(function() out[#out + 1] = g() done:close() "
        "end) "
        "out[1] = g() done:receive() out[#out + 1] = g() return out",
        [1, 2, 3],
    ),
    # a module call that waits inside a generator reaches the scheduler
    (
        "local out, done = {}, channel.new() "
        "coroutine.spawn(function() for v in coroutine.wrap(function() for i = 1, 2 do "
        "time.sleep('10ms') "
        "coroutine.yield(i) end end) do out[#out + 1] = v end done:close() end) "
        "coroutine.spawn(function() out[#out + 1] = 'other' end) done:receive() return out",
        ["other", 1, 2],
    ),
    (
        "local c, seen = channel.new(), {} local g = coroutine.create(function() seen[1] = "
        "c:receive() return 'end' end) "
        "coroutine.spawn(function() local ok, v = coroutine.resume(g) seen[2] = v c:close() end) "
        "coroutine.yield() seen[3] = select(2, coroutine.resume(g)) c:send('x') c:receive() "
        "return seen",
        ["x", "end", "cannot resume non-suspended coroutine"],
    ),
    # also inside a sort, where nothing can be yielded
    (
        "local c = channel.new() coroutine.spawn(function() local t = {3, 1, 2} "
        "table.sort(t, function(a, b) time.sleep('1ms') return a < b end) c:send(t) end) return "
        "c:receive()",
        [1, 2, 3],
    ),
    # nobody but the loop resumes or closes a spawned thread
    (
        "local t = coroutine.spawn(function() coroutine.yield() end) coroutine.yield() "
        "return {coroutine.status(t), select(2, coroutine.resume(t)), select(2, "
        "pcall(coroutine.close, t))}",
        ["suspended", "cannot resume non-suspended coroutine", "cannot close a normal coroutine"],
    ),
    # wrap and resume as everywhere
    (
        "local w = coroutine.wrap(function() error('x') end) local ok, e = pcall(w) return {ok, "
        "(e:gsub('^.*: ', ''))}",
        [False, "x"],
    ),
    (
        "local w = coroutine.wrap(function() error({1}) end) local ok, e = pcall(w) return {ok, "
        "e[1]}",
        [False, 1],
    ),
    (
        "local co = coroutine.create(function(...) local x = coroutine.yield(select('#', ...)) "
        "return x, nil end) "
        "return {select('#', coroutine.resume(co, nil, nil)), select('#', coroutine.resume(co, "
        "5)), "
        "coroutine.status(co), select(2, coroutine.resume(co))}",
        [2, 3, "dead", "cannot resume dead coroutine"],
    ),
    # one that only yields keeps nobody from waking up
    (
        "coroutine.spawn(function() while true do coroutine.yield() end end) time.sleep('5ms') "
        "return {1}",
        [1],
    ),
    # the clock of one does not stand still for another
    (
        "local c, out = channel.new(), {} for i = 3, 1, -1 do coroutine.spawn(function() "
        "time.sleep(i * 10 * time.MILLISECOND) c:send(i) end) end for i = 1, 3 do out[i] = "
        "c:receive() end return out",
        [1, 2, 3],
    ),
]


@pytest.mark.parametrize(("body", "expected"), SPAWNED)
def test_spawned_coroutines_do_what_the_documents_say(lua, body, expected):
    assert run(lua, body) == expected


FAILING = [
    ("channel.new():receive()", "no pending operations \\(threads=1\\)"),
    ("channel.new():send(1)", "deadlock: all coroutines blocked"),
    ("channel.select{}", "deadlock: all coroutines blocked"),
    (
        "local c = channel.new() coroutine.spawn(function() c:receive() end) c:receive()",
        "threads=2",
    ),
    ("coroutine.spawn(function() error('boom') end) coroutine.yield()", "boom"),
    ("coroutine.spawn(function() error('boom') end) pcall(coroutine.yield) return 1", "boom"),
    ("pcall(function() channel.new():receive() end) return 'caught'", "deadlock"),
    (
        "coroutine.spawn(function() error('boom') end) pcall(time.sleep, '1ms') "
        "time.load_location('Europe/Paris')",
        "boom",
    ),
    ("coroutine.spawn(5)", "bad argument #1 to 'spawn' \\(function expected, got number\\)"),
]


@pytest.mark.parametrize(("body", "message"), FAILING)
def test_a_deadlock_and_an_error_in_a_coroutine_fail_the_call(lua, body, message):
    with pytest.raises(ToolFailed, match=message):
        run(lua, body)
    assert run(lua, "local c = channel.new(1) c:send(1) return c:receive()") == 1


def test_an_error_object_in_a_coroutine_keeps_its_facts(lua):
    body = """coroutine.spawn(function()
      error(errors.new{ message = "gone", kind = errors.NOT_FOUND, retryable = true }) end)
      time.sleep("1s")"""
    with pytest.raises(ToolFailed, match="gone") as failed:
        run(lua, body)
    assert failed.value.__dict__["lua_kind"] == "NotFound"


TIMERS = [
    (
        "local c = time.after('5ms') local t, ok = c:receive() local n, more = c:receive() "
        "return {type(t.unix), ok, n == nil, more}",
        ["function", True, True, False],
    ),
    *(
        (
            f"local c, e = time.{name}({bad}) return {{c == nil, e:kind(), e:message()}}",
            [True, "Invalid", f"time.{name}: {why}"],
        )
        for name in ("after", "timer", "ticker")
        for bad, why in [
            ("0", "duration must be > 0"),
            ("'-1s'", "duration must be > 0"),
            ("'soon'", "invalid duration"),
        ]
    ),
    (
        "local t = time.timer('1h') return {t:stop(), t:stop(), t:channel():receive() == nil}",
        [True, False, True],
    ),
    (
        "local t = time.timer('2ms') local a, ok = t:response():receive() return {ok, t:stop()}",
        [True, False],
    ),
    (
        "local t = time.timer('1h') return {t:reset('2ms'), t:response():receive() ~= nil, "
        "t:reset('1h')}",
        [True, True, False],
    ),
    (
        "local t = time.timer('1h') t:stop() return {t:reset('2ms'), t:response():receive() ~= "
        "nil}",
        [False, True],
    ),
    ("local t = time.timer('1h') return {t:channel() == t:response()}", [True]),
    (
        "local t, n = time.ticker('2ms'), 0 for i = 1, 4 do n = n + (t:channel():receive() and 1 "
        "or 0) end "
        "return {n, t:stop(), t:stop(), t:channel() == t:response()}",
        [4, True, True, True],
    ),
    # 16 ticks are kept, what comes on top is dropped
    (
        "local t, n = time.ticker('1ms'), 0 time.sleep('40ms') t:stop() "
        "while channel.select({t:channel():case_receive()}, true).channel do n = n + 1 end "
        "return n",
        16,
    ),
    (
        "local r = channel.select{channel.new():case_receive(), "
        "time.after('2ms'):case_receive()} return {r.ok}",
        [True],
    ),
    (
        "local v, e = time.sleep('x') return {v == nil, e:kind(), e:message()}",
        [True, "Invalid", "time.sleep: invalid duration"],
    ),
    (
        "return {select('#', time.sleep(0)), select('#', time.sleep(-5)), select('#', "
        "time.sleep('1ms'))}",
        [0, 0, 0],
    ),
]


@pytest.mark.parametrize(("body", "expected"), TIMERS)
def test_timers_do_what_the_documents_say(lua, body, expected):
    assert run(lua, body) == expected


def test_a_bad_duration_raises_in_reset(lua):
    with pytest.raises(ToolFailed, match="duration must be > 0"):
        run(lua, "time.timer('1h'):reset(0)")
    with pytest.raises(ToolFailed, match="invalid duration"):
        run(lua, "time.timer('1h'):reset('x')")


def test_time_passes_at_once_in_a_trial(lua):
    body = """local out, c = {}, channel.new()
      coroutine.spawn(function() time.sleep("3h") c:send("late") end)
      local tick = time.ticker("1h")
      for i = 1, 4 do
        local r = channel.select{ c:case_receive(), tick:channel():case_receive() }
        out[i] = r.channel == c and r.value or "tick"
      end
      return out"""
    assert sorted(run(lua, body, context=TRIAL)) == ["late", "tick", "tick", "tick"]


def test_waiting_is_bounded_by_the_total_limit(lua):
    with pytest.raises(LimitReached, match="host calls included"):
        run(lua, "time.after('1h'):receive()", limits=Limits(wall_s=0.2, total_s=0.3))


def test_computing_in_a_coroutine_is_bounded_like_any_other(lua):
    with pytest.raises(LimitReached, match="computed for more than"):
        run(
            lua,
            "coroutine.spawn(function() while true do end end) time.sleep('1ms')",
            limits=Limits(wall_s=0.2),
        )


def test_waiting_turns_count_as_host_calls(lua):
    with pytest.raises(LimitReached, match="more than 5 host calls"):
        run(lua, "while true do time.sleep('1ms') end", limits=Limits(wall_s=0.5, host_calls=5))


@pytest.fixture(name="gate", scope="module")
def gate_fixture():
    """A bench whose host function for zones answers only when several calls are there at once."""
    waiting = []

    async def together(call):
        if call.args[0] == "alone":
            raise EntryNotFound("alone")
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        if len(waiting) == int(call.args[0]):
            for one in waiting:
                one.set_result(None)
            waiting.clear()
        await turn
        raise EntryNotFound("together")

    bench = LuaBench(host={"time.zone": HostFunction(run=together, module="", outside=False)})
    yield bench
    bench.close()


def test_host_calls_of_several_coroutines_are_in_flight_at_once(gate):
    body = """local done, n = channel.new(), 0
      for i = 1, 8 do
        coroutine.spawn(function() time.load_location("8") done:send(i) end)
      end
      for i = 1, 8 do n = n + done:receive() end
      return n"""
    assert run(gate, body) == 36
    assert run(gate, "time.load_location('alone') return 1") == 1


def test_large_arguments_of_many_host_calls_go_in_several_turns(lua):
    body = """local done = channel.new()
      local name = string.rep("x", 300000)
      for i = 1, 8 do
        coroutine.spawn(function()
          local _, problem = time.load_location(name)
          done:send(problem:kind())
        end)
      end
      for i = 1, 8 do if done:receive() ~= "NotFound" then return "no" end end
      return "all" """
    assert run(lua, body) == "all"


def test_a_call_leaves_nothing_behind_for_the_next(lua):
    left = """coroutine.spawn(function() time.sleep('1h') end)
      time.ticker('1ms')
      coroutine.yield()
      return 1"""
    assert run(lua, left) == 1
    with pytest.raises(ToolFailed, match="threads=1"):
        run(lua, "channel.new():receive()")


def test_what_a_coroutine_prints_is_said_even_if_the_call_ends_at_once(caplog):
    bench = LuaBench(host=logger_functions())
    try:
        with caplog.at_level(logging.INFO, "micro_agi.tools"):
            run(bench, "coroutine.spawn(function() print('x') end) coroutine.yield()")
    finally:
        bench.close()
    assert [record.getMessage() for record in caplog.records] == ["test:unit: x"]
