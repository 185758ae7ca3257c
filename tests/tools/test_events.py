"""The module `events` and the bus: spec/runtime.md 6.15."""

import pytest

from micro_agi.security.context import Trial, root_context
from micro_agi.tools.events import Bus, Event
from tests.tools.app_bench import app_bench, denying


@pytest.fixture(name="bench", scope="module")
def bench_fixture():
    with app_bench([]) as bench:
        yield bench


def failed(call):
    return f"local v, e = {call} return {{v == nil, e:kind(), e:message()}}"


ROWS = [
    (
        "local s, e = events.subscribe('orders') local sent = events.send('orders', 'made', "
        "'/1', {n = 5}) "
        "local got, ok = s:channel():receive() return {e == nil, type(s), sent, got, ok}",
        [
            *(True, "userdata", True),
            {"system": "orders", "kind": "made", "path": "/1", "data": {"n": 5}},
            True,
        ],
    ),
    # wildcards in the system; the kind as a second filter
    (
        "local s, out = events.subscribe('orders.*', 'made'), {} "
        "events.send('orders.eu', 'made', '/1') events.send('orders', 'made', '/2') "
        "events.send('orders.eu.fr', 'made', '/3') events.send('orders.us', 'gone', '/4') "
        "events.send('orders.us', 'made', '/5') "
        "for i = 1, 2 do out[i] = s:channel():receive().path end return out",
        ["/1", "/5"],
    ),
    # two subscriptions, each with its own channel
    (
        "local a, b = events.subscribe('a'), events.subscribe('**') events.send('a', 'k', '/x') "
        "events.send('b', 'k', '/y') "
        "return {a:channel():receive().path, b:channel():receive().path, "
        "b:channel():receive().path}",
        ["/x", "/x", "/y"],
    ),
    # 64 are kept, what comes on top is lost
    (
        "local s, n = events.subscribe('x'), 0 for i = 1, 70 do events.send('x', 'k', '/' .. i) "
        "end "
        "time.sleep('5ms') s:close() while s:channel():receive() do n = n + 1 end return n >= 64 "
        "and n <= 70",
        True,
    ),
    (
        "local s = events.subscribe('x') return {s:close(), s:close(), (s:channel():receive()) "
        "== nil}",
        [True] * 3,
    ),
    (
        "local s = events.subscribe('x') s:close() events.send('x', 'k', '/1') "
        "return {(s:channel():receive()) == nil}",
        [True],
    ),
    # a coroutine sends while the main function waits
    (
        "local s = events.subscribe('x') coroutine.spawn(function() time.sleep('2ms') "
        "events.send('x', 'k', '/late') end) return s:channel():receive().path",
        "/late",
    ),
    (failed("events.subscribe('')"), [True, "Invalid", "system pattern is required"]),
    (failed("events.send('', 'k', '/')"), [True, "Invalid", "system is required"]),
    (failed("events.send('s', '', '/')"), [True, "Invalid", "kind is required"]),
    (failed("events.send('s', 'k', '')"), [True, "Invalid", "path is required"]),
    (
        failed("events.send('s', 'k', '/', ('x'):rep(70000))"),
        [True, "Invalid", "an event has at most 65536 bytes of data"],
    ),
    (
        failed("events.subscribe(('*a'):rep(20))"),
        [True, "Invalid", "the pattern is too long, or has too many wildcards"],
    ),
    ("return {(pcall(events.subscribe, {})), (pcall(events.send, 'a'))}", [False, False]),
    (
        "for i = 1, 64 do events.subscribe('x') end "
        "return tostring(select(2, events.subscribe('x')))",
        "more than 64 subscriptions in one call",
    ),
]


@pytest.mark.parametrize(("body", "expected"), ROWS)
def test_events_do_what_the_documents_say(bench, body, expected):
    assert bench.run(body, modules=("events", "time")) == expected


def test_policies_decide_about_systems(bench):
    context = denying(("events.subscribe", "secret"), ("events.send", "secret"))
    for call, verb in [
        ("events.subscribe('secret')", "subscribe to events from"),
        ("events.send('secret', 'k', '/')", "send events to"),
    ]:
        found = bench.run(failed(call), modules=("events",), context=context)
        assert found == [True, "Invalid", f"not allowed to {verb} system: secret"]


def test_a_trial_sends_nothing(bench):
    context = root_context().narrowed(trial=Trial())
    found = bench.run(failed("events.send('x', 'k', '/')"), modules=("events",), context=context)
    assert found[1] == "Unavailable"


def test_subscriptions_end_with_their_call(bench):
    bench.run("events.subscribe('x') events.subscribe('y') return 1", modules=("events",))
    assert len(bench.bus) == 0


def test_the_program_itself_can_use_the_bus():
    bus, got = Bus(), []
    end = bus.subscribe("registry", "entry.*", got.append)
    bus.send(Event(system="registry", kind="entry.create", path="app:x"))
    bus.send(Event(system="registry", kind="version", path="3"))
    end()
    bus.send(Event(system="registry", kind="entry.create", path="app:y"))
    assert [event.path for event in got] == ["app:x"]
