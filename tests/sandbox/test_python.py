"""Python tools in real locked workers: how they are called, what they return, how they fail."""

import asyncio
import dataclasses
import json

import pytest
from msgspec.structs import replace

from micro_agi.errors import EntryInvalid, LimitReached, SandboxUnavailable, ToolFailed
from micro_agi.net.client import Client
from micro_agi.sandbox.failure import facts_of
from micro_agi.sandbox.host.calls import HostFunction
from micro_agi.sandbox.host.http_client import http_client_functions
from micro_agi.sandbox.limits import PYTHON
from micro_agi.sandbox.modules import PYTHON_MODULES
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext, Trial, root_context
from micro_agi.security.policy import Scope
from micro_agi.testing.sandbox import SHORT_PYTHON, LuaBench

QUICK = replace(PYTHON, wall_s=0.3, total_s=3.0, grace_s=0.2)


@pytest.fixture(name="bench", scope="module")
def bench_fixture():
    client = Client(offline=True)
    bench = LuaBench(host=http_client_functions(client))
    yield bench
    bench.wait(client.close())
    bench.close()


def failed(bench, source, *args, **options):
    with pytest.raises(ToolFailed) as caught:
        bench.python(source, *(args or ({},)), **options)
    return caught.value


def test_a_handler_gets_all_arguments_as_one_dict(bench):
    assert bench.python("def handler(args):\n    return args", {"a": 1}) == {"a": 1}


def test_a_function_gets_its_arguments_by_name(bench):
    source = "def add(a: int, b: int = 2, *, c: int = 3) -> int:\n    return a + b + c"
    assert bench.python(source, {"a": 1}, method="add") == 6
    assert bench.python(source, {"a": 1, "c": 10}, method="add") == 13


CHANGING = """
import dataclasses, sys
calls = sys.__dict__["calls"] = sys.__dict__.get("calls", 0) + 1
@dataclasses.dataclass
class Point:
    x: int
def kind(of: dict if calls < 3 else Point): return type(of).__name__
"""


def test_hints_hold_as_they_are_in_this_call(bench):
    found = [bench.python(CHANGING, {"of": {"x": 1}}, method="kind") for _ in range(3)]
    assert found == ["dict", "dict", "Point"]


HINTED = """
import dataclasses, typing
@dataclasses.dataclass
class Point:
    x: int
    y: int = 5
class Row(typing.TypedDict):
    name: str
def f(p: Point, ps: list[Point] = (), t: tuple[int, str] = (1, "a"), s: set[int] = frozenset(),
      r: "Row | None" = None, k: typing.Literal["a", "b"] = "a", o: typing.Optional[int] = None):
    return [type(p).__name__, p.y, [q.x for q in ps], type(t).__name__, type(s).__name__, r, k, o]
"""


def test_arguments_become_the_types_that_the_hints_name(bench):
    args = {"p": {"x": 1}, "ps": [{"x": 7}], "t": [2, "b"], "s": [3, 3], "r": {"name": "n"}}
    found = bench.python(HINTED, args, method="f")
    assert found == ["Point", 5, [7], "tuple", "set", {"name": "n"}, "a", None]


@pytest.mark.parametrize(
    ("args", "part"),
    [
        ({"p": {"x": "no"}}, "argument `p`: Expected `int`, got `str`"),
        ({"p": {"x": 1}, "k": "z"}, "argument `k`: Invalid enum value 'z'"),
        ({}, "missing a required argument: 'p'"),
        ({"p": {"x": 1}, "zz": 1}, "unexpected keyword argument 'zz'"),
    ],
)
def test_an_argument_that_does_not_fit_says_which(bench, args, part):
    error = failed(bench, HINTED, args, method="f")
    assert part in error.what
    assert facts_of(error).kind == "Invalid"


def test_async_functions_run_to_their_end_without_any_socket(bench):
    source = """
import asyncio
async def one(n):
    await asyncio.sleep(0.001 * n)
    return n
async def handler(args):
    async with asyncio.timeout(1):
        return await asyncio.gather(*(one(n) for n in range(3)))
"""
    assert bench.python(source, {}) == [0, 1, 2]


RETURNED = [
    ("{'a': (1, 2.5), 3: None}", {"a": [1, 2.5], "3": None}),
    ("{1}", [1]),
    ("b'caf\\xc3\\xa9'", "café"),
    ("datetime.date(2026, 1, 2)", "2026-01-02"),
    ("datetime.timedelta(minutes=1)", 60.0),
    ("decimal.Decimal('1.50')", "1.50"),
    ("fractions.Fraction(1, 2)", "cannot hold"),
    ("Color.RED", "red"),
    ("Point(1)", {"x": 1}),
    ("collections.Counter('aab')", {"a": 2, "b": 1}),
    ("[float('nan'), float('inf')]", [None, None]),
    ("object()", "is a object, which JSON cannot hold"),
    ("{'deep': [object()]}", "the result['deep'][0] is a object"),
    ("1 << 64", "integer of more than 64 bits"),
    ("{(1, 2): 3}", "keys must be strings"),
    ("'\\ud800'", "UnicodeEncodeError"),
]


@pytest.mark.parametrize(("expression", "expected"), RETURNED)
def test_a_value_becomes_json_or_says_why_not(bench, expression, expected):
    source = f"""
import collections, dataclasses, datetime, decimal, enum, fractions
class Color(enum.Enum):
    RED = "red"
@dataclasses.dataclass
class Point:
    x: int
def handler(args):
    return {expression}
"""
    if (isinstance(expected, str) and " " in expected) or expected == "UnicodeEncodeError":
        assert expected in failed(bench, source).what
    else:
        assert bench.python(source, {}) == expected


def test_a_value_that_contains_itself_is_refused(bench):
    error = failed(bench, "def handler(args):\n    a = []\n    a.append(a)\n    return a")
    assert "nested too deeply" in error.what


def test_every_call_starts_with_new_globals_and_an_empty_workspace(bench):
    source = """
import pathlib
seen = []
def handler(args):
    seen.append(1)
    pathlib.Path("left").mkdir(exist_ok=True)
    pathlib.Path("left/behind.txt").write_text("x")
    return [len(seen), sorted(p.name for p in pathlib.Path(".").iterdir())]
"""
    first = bench.python(source, {})
    assert first == [1, ["left"]]
    second = source.replace('pathlib.Path("left").mkdir', "0 and pathlib.Path")
    assert bench.python(source, {}) == first
    assert bench.pool.level == "A" or "workspace" in second


def test_prints_are_captured_apart_from_the_value(bench):
    printed = []
    source = (
        "import sys\ndef handler(a):\n  print('one')\n  print('two', file=sys.stderr)\n  return 3"
    )
    assert bench.python(source, {}, printed=printed.append) == 3
    assert printed == ["one\ntwo\n"]


def test_a_flood_of_prints_keeps_its_beginning_and_end(bench):
    printed = []
    source = "def handler(a):\n    for n in range(20000):\n        print(n)"
    bench.python(source, {}, printed=printed.append)
    (text,) = printed
    assert text.startswith("0\n1\n")
    assert text.endswith("19999\n")
    assert "characters cut" in text
    assert len(text) < 33_000


def test_what_libraries_write_below_python_does_not_reach_the_channel(bench):
    source = "import os\ndef handler(a): return [os.write(n, b'noise') for n in (0, 1, 2)]"
    assert bench.python(source, {}) == [5, 5, 5]


def test_prints_of_a_call_that_fails_are_kept(bench):
    printed = []
    with pytest.raises(ToolFailed):
        bench.python("def handler(a):\n    print('so far')\n    1 / 0", {}, printed=printed.append)
    assert printed == ["so far\n"]


def test_an_exception_has_its_type_message_line_and_no_frame_of_ours(bench):
    source = "def inner():\n    return {}['x']\n\ndef handler(args):\n    return inner()"
    error = failed(bench, source)
    details = facts_of(error).details
    assert error.what == "KeyError: 'x'"
    assert error.where == "test:unit:2"
    assert details["type"] == "KeyError"
    assert "return inner()" in details["traceback"]
    assert "return {}['x']" in details["traceback"]
    assert "python_worker" not in details["traceback"]


@pytest.mark.parametrize(
    ("source", "part", "where"),
    [
        ("def handler(a)\n    return 1", "SyntaxError: expected ':'", "test:unit:1"),
        ("x = 1", "defines no function `handler`", "test:unit"),
        ("1 / 0", "ZeroDivisionError", "test:unit:1"),
        ("raise SystemExit(3)", "SystemExit: 3", "test:unit:1"),
        ("def handler(a):\n    return input()", "RuntimeError: input()", "test:unit:2"),
        ("class E(Exception):\n  def __str__(s): return 1/0\nraise E()", "it has no text", ""),
    ],
)
def test_source_that_cannot_run_says_what_and_where(bench, source, part, where):
    error = failed(bench, source)
    assert part in error.what
    assert not where or error.where == where


def test_a_check_runs_the_module_but_not_the_function(bench):
    unit = Unit(id="t:x", source="def handler(a): 1/0", method="handler", language="python")
    bench.wait(bench.pool.check(unit))
    broken = dataclasses.replace(unit, source="x = 1 +", hash="")
    with pytest.raises(EntryInvalid, match="SyntaxError"):
        bench.wait(bench.pool.check(broken))


ENDLESS = [
    "while True: pass",
    "import time; time.sleep(60)",
    "import re; re.match('(a+)+b', 'a' * 40)",
    "return 10 ** 10 ** 8",
]


@pytest.mark.parametrize("body", ENDLESS)
def test_an_interrupt_stops_the_code_and_spares_the_worker(bench, body):
    source = f"""
import builtins
kept = builtins.__dict__.setdefault("kept", [])
def handler(args):
    kept.append(1)
    if args:
        {body}
    return len(kept)
"""
    with pytest.raises(LimitReached, match=r"computed for more than 0\.3 s"):
        bench.python(source, {"x": 1}, limits=QUICK)
    # The worker still is the one that was interrupted: what it kept outside is there.
    assert bench.python(source, {}) == 2


STUBBORN = [
    "while True:\n        try:\n            while True: pass\n        except BaseException: pass",
    "import signal; signal.signal(2, signal.SIG_IGN)\n    while True: pass",
    "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [2])\n    while True: pass",
]


@pytest.mark.parametrize("body", STUBBORN)
def test_code_that_ignores_the_interrupt_is_killed_after_the_grace(bench, body):
    with pytest.raises(LimitReached, match=r"computed for more than 0\.3 s"):
        bench.python(f"def handler(a):\n    {body}", {}, limits=QUICK)
    assert bench.python("def handler(a): return 'alive'", {}) == "alive"


def test_an_interrupt_says_where_the_code_stood(bench):
    with pytest.raises(LimitReached) as stopped:
        bench.python("def handler(a):\n    x = 1\n    while True: pass", {}, limits=QUICK)
    assert stopped.value.where == "test:unit:3"


BOMBS = ["'x' * (2 << 30)", "[0] * (1 << 28)", "bytearray(1 << 31)", "list(range(1 << 40))"]


@pytest.mark.parametrize("bomb", BOMBS)
def test_too_much_memory_is_a_limit_and_costs_nobody_else(bench, bomb):
    with pytest.raises(LimitReached, match="1024 MiB of memory"):
        bench.python(f"def handler(a):\n    return len({bomb})", {})
    assert bench.python("def handler(a): return 'alive'", {}) == "alive"


def test_a_result_over_its_limit_says_how_much_is_allowed(bench):
    with pytest.raises(LimitReached, match="more than 1048576 bytes"):
        bench.python("def handler(a): return 'x' * (1 << 20)", {})


def test_recursion_is_an_error(bench):
    assert "RecursionError" in failed(bench, "def handler(a): return handler(a)").what


CANNED = Trial(host={"http_client.get": {"status_code": 200, "body": '{"n": 7}', "url": "u"}})
GET = "import http_client\ndef handler(a):\n    r = http_client.get('https://x.example')\n    "


def test_a_granted_module_is_importable_and_asks_the_parent(bench):
    context = root_context().narrowed(trial=CANNED)
    source = GET + "return [r.status_code, r['body'], r.json(), r.headers]"
    found = bench.python(source, {}, modules=("http_client",), context=context)
    assert found == [200, '{"n": 7}', {"n": 7}, {}]


def test_policies_hold_for_python_as_for_lua(bench):
    nobody = CallContext(actor=Actor("agent:x"), scope=Scope())
    error = failed(bench, GET + "return r", modules=("http_client",), context=nobody)
    assert "not allowed: https://x.example" in error.what
    assert facts_of(error).kind == "PermissionDenied"


def test_a_failed_request_can_be_caught_and_has_its_kind(bench):
    nobody = CallContext(actor=Actor("agent:x"), scope=Scope())
    source = """
import http_client
def handler(a):
    try:
        http_client.post("https://x.example", body="b", timeout="1m30s")
    except http_client.HostError as error:
        return [error.kind, error.retryable]
"""
    found = bench.python(source, {}, modules=("http_client",), context=nobody)
    assert found == ["PermissionDenied", False]


def test_a_batch_gives_a_response_or_an_error_for_each(bench):
    batch = [{"response": {"status_code": 200, "url": "a"}}, {"error": {"message": "no"}}]
    context = root_context().narrowed(trial=Trial(host={"http_client.request_batch": batch}))
    source = """
import http_client
def handler(a):
    return [str(r) if isinstance(r, Exception) else r.status_code
            for r in http_client.request_batch([("get", "a"), ("get", "b", {"timeout": 1})])]
"""
    assert bench.python(source, {}, modules=("http_client",), context=context) == [200, "no"]


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("import http_client", "add 'http_client' to `modules`"),
        ("import hash", "use hashlib"),
        ("import registry", "Python tools have nothing like it"),
        ("import requests", "ask for module `http_client`"),
        ("import numpy", "list it in `modules`"),
        ("import nonsense", "No module named 'nonsense'"),
    ],
)
def test_a_module_that_is_not_there_says_what_to_do(bench, code, part):
    assert part in failed(bench, f"{code}\ndef handler(a): pass").what


@pytest.mark.parametrize(
    ("call", "part"),
    [
        ("get('u', tmeout=1)", "unknown option `tmeout`; options are headers"),
        ("get('u', 5)", "options must be a dict"),
        ("get('u', timeout='soon')", "is no duration"),
        ("fetch('u')", "has no attribute 'fetch'"),
    ],
)
def test_a_misused_proxy_names_what_is_right(bench, call, part):
    source = f"import http_client\ndef handler(a): return http_client.{call}"
    assert part in failed(bench, source, modules=("http_client",)).what


def test_what_the_parent_knows_of_a_proxy_is_what_a_worker_has(bench):
    source = "import http_client\ndef handler(a): return sorted(vars(http_client))"
    found = bench.python(source, {}, modules=("http_client",))
    assert sorted(n for n in found if not n.startswith("_")) == sorted(
        PYTHON_MODULES["http_client"].functions
    )


def test_an_import_of_another_entry_is_a_module(bench):
    library = Unit(id="t:lib", source="def twice(n): return n * 2", language="python")
    source = "import helper\ndef handler(a): return helper.twice(a['n'])"
    assert bench.python(source, {"n": 4}, imports=(("helper", library),)) == 8


def test_two_tools_of_one_session_never_share_a_worker(bench):
    poison = "import json\njson.dumps = lambda *a, **k: 'poisoned'\ndef handler(a): return 1"
    context = root_context(session="shared")
    assert bench.python(poison, {}, context=context) == 1
    honest = "import json\ndef handler(a): return json.dumps([1])"
    assert bench.python(honest, {}, context=context) == "[1]"


def test_too_many_host_calls_end_the_call():
    async def nothing(call):
        return {}

    function = HostFunction(run=nothing, module="http_client", outside=False)
    bench = LuaBench(host={"http_client.delete": function})
    limits = replace(SHORT_PYTHON, host_calls=5)
    source = "import http_client\ndef handler(a):\n    while True: http_client.delete('u')"
    try:
        with pytest.raises(LimitReached, match="more than 5 host calls"):
            bench.python(source, {}, modules=("http_client",), limits=limits)
    finally:
        bench.close()


def test_python_limits_belong_to_python(bench):
    assert len(json.dumps(bench.python("def handler(a): return 'x' * 300000", {}))) == 300_002


@pytest.mark.parametrize(
    ("without", "level"), [((), "A"), (("namespaces",), "B"), (("landlock",), "C")]
)
def test_python_runs_where_something_hides_the_files(without, level):
    bench = LuaBench(without=frozenset(without))
    source = """
import os
def handler(a):
    seen = []
    for path in ("/etc/passwd", "/proc/self/environ", "/etc/hostname", "/home", "/var"):
        try:
            seen.append(open(path).read(1) if os.path.isfile(path) else os.listdir(path))
        except OSError as error:
            pass
    return seen
"""
    try:
        assert bench.python(source, {}) == []
        assert bench.pool.level == level
    finally:
        bench.close()


def test_without_a_filter_no_python_runs_of_any_kind():
    unit = Unit(id="t:x", source="def handler(a): 1", method="handler", language="python")

    async def call():
        pool = Pool(host={}, without=frozenset({"seccomp"}))
        try:
            await pool.call(unit, [{}], context=root_context())
        finally:
            await pool.close()

    with pytest.raises(SandboxUnavailable, match="cannot confine"):
        asyncio.run(call())


def test_a_closed_pool_starts_no_workers_of_another_language():
    unit = Unit(id="t:x", source="def handler(a): 1", method="handler", language="python")

    async def call():
        pool = Pool(host={})
        await pool.close()
        await pool.call(unit, [{}], context=root_context())

    with pytest.raises(SandboxUnavailable, match="closed"):
        asyncio.run(call())


def test_a_level_that_failed_its_proof_runs_no_python_either():
    async def refused():
        pool = Pool(host={}, refused=dict.fromkeys("ABCD", "native/socket"))
        unit = Unit(id="test:unit", source="def handler(a): return 1", language="python")
        try:
            with pytest.raises(SandboxUnavailable, match="is switched off"):
                await pool.check(unit)
        finally:
            await pool.close()

    asyncio.run(refused())


def test_the_result_and_what_is_printed_share_one_limit(bench):
    source = "def handler(a):\n    print('x' * 5000)\n    return 'y' * a['size']"
    limits = replace(SHORT_PYTHON, result_bytes=10_000)
    said = []
    found = bench.python(source, {"size": 4900}, limits=limits, printed=said.append)
    assert (len(found), len(said[0])) == (4900, 5001)
    with pytest.raises(LimitReached, match="the result takes more than"):
        bench.python(source, {"size": 5100}, limits=limits)
