"""Python tools where the kernel cannot confine CPython: Monty, in two locked processes.

The machine is one at level D: both layers that hide files are left out. What Monty is attacked with
is the family `monty` of `bundled/attacks/`, run by `test_escapes.py`.
"""

import asyncio
import contextlib
import importlib.metadata
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

import micro_agi
from micro_agi.errors import EntryInvalid, LimitReached, SandboxUnavailable, ToolFailed
from micro_agi.sandbox.host.calls import HostFunction
from micro_agi.sandbox.languages import monty
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit
from micro_agi.sandbox.worker.monty_lock import NO_MORE, PROGRAM_BYTES
from micro_agi.security.context import root_context
from micro_agi.testing.sandbox import SHORT_PYTHON, LuaBench
from micro_agi.tools.python_source import not_loaded

ONLY_A_FILTER = frozenset({"namespaces", "landlock"})
ANSWER = {"status_code": 200, "body": '{"n": 7}', "headers": {"A": "b"}, "url": "http://x/"}
needs_monty = pytest.mark.skipif(monty() is None, reason="the extra `monty` is not installed")


@pytest.fixture(name="bench", scope="module")
def bench_fixture():
    async def get(call):
        if call.args[0] == "http://refused/":
            raise ToolFailed("no route", where="http_client", fix="ask for another host")
        return ANSWER

    async def batch(call):
        failed = {"message": "no route", "kind": "Unavailable", "retryable": True, "details": None}
        return [{"response": ANSWER}, {"error": failed}]

    web = {
        f"http_client.{name}": HostFunction(run=run, module="http_client", outside=True)
        for name, run in (("get", get), ("request_batch", batch))
    }
    bench = LuaBench(without=ONLY_A_FILTER, host=web)
    yield bench
    bench.close()


def check(bench, source, **options):
    unit = Unit(id="test:unit", source=source, method="handler", language="python", **options)
    bench.wait(bench.pool.check(unit))


@needs_monty
@pytest.mark.requirement("design/14/monty")
def test_a_typed_function_is_called_by_name_and_its_output_kept_apart(bench):
    printed = []
    source = "def add(a: int, b: int = 2) -> dict:\n    print('é', a)\n    return {'sum': (a + b,)}"
    assert bench.python(source, {"a": 1}, method="add", printed=printed.append) == {"sum": [3]}
    assert printed == ["é 1\n"]
    assert bench.wait(bench.pool.python_backend())[0] == "Monty"


@needs_monty
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return [args, None, 1.5, 'ü', {1}]", [{"n": 1}, None, 1.5, "ü", [1]]),
        ("import datetime\n    return datetime.date(2026, 1, 2)", "2026-01-02"),
        ("return Point(3, y=4)", {"x": 3, "y": 4}),
        ("import re, math, json\n    return [math.floor(1.5), json.loads('[1]')]", [1, [1]]),
        ("return float('nan')", None),
    ],
)
def test_what_it_returns_is_what_cpython_tools_would_return(bench, body, expected):
    head = "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\n    y: int\n"
    assert bench.python(f"{head}def handler(args):\n    {body}", {"n": 1}) == expected


@needs_monty
def test_an_async_function_is_awaited(bench):
    source = (
        "import asyncio\nasync def handler(args):\n    await asyncio.sleep(0)\n    return 'done'"
    )
    assert bench.python(source, {}) == "done"


@needs_monty
def test_an_exception_has_its_type_its_line_and_the_guests_own_frames(bench):
    source = "def deep(n):\n    raise ValueError(f'not {n}')\n\ndef handler(args):\n    deep(3)"
    with pytest.raises(ToolFailed) as failed:
        bench.python(source, {})
    assert (failed.value.what, failed.value.where) == ("ValueError: not 3", "test:unit:2")
    details = failed.value.__dict__["lua_facts"].details
    assert details["type"] == "ValueError"
    assert 'File "test:unit", line 5, in handler' in details["traceback"]
    assert "_given" not in details["traceback"]


@needs_monty
@pytest.mark.requirement("design/14/monty")
@pytest.mark.parametrize(
    ("source", "lacks", "line"),
    [
        ("def handler(args):\n    yield 1", "no yield expressions", 2),
        ("class A(dict): pass\ndef handler(args): return 1", "no class inheritance", 1),
        ("def handler(args):\n    import statistics", "no module `statistics`", 2),
        ("from collections.abc import Mapping\ndef handler(a): 0", "module `collections.abc`", 1),
        ("x = 1\ndel x\ndef handler(args): return 1", "no 'del' statement", 2),
        (
            "import http_client\ndef handler(a):\n    try: 1\n    except http_client.HostError: 2",
            "no `HostError` (catch `Exception` instead",
            4,
        ),
    ],
)
def test_what_it_cannot_do_is_refused_before_anything_runs_and_names_the_construct(
    bench, source, lacks, line
):
    with pytest.raises(EntryInvalid) as refused:
        check(bench, source, modules=("http_client",))
    assert lacks in refused.value.what
    assert "this machine cannot confine CPython" in refused.value.what
    assert refused.value.where == f"test:unit:{line}"
    assert "lua" in refused.value.fix
    assert "user namespaces" in refused.value.fix


@needs_monty
def test_the_gate_keeps_the_line_and_what_to_do(bench):
    with pytest.raises(EntryInvalid) as refused:
        check(bench, "import math\nimport statistics\ndef handler(args): return 1")
    told = not_loaded(refused.value)
    assert told.what.startswith("line 2: this machine cannot confine CPython")
    assert "write the tool in lua" in told.fix


@needs_monty
def test_numpy_and_imports_of_other_entries_are_refused_as_well(bench):
    with pytest.raises(EntryInvalid, match="no module `numpy`"):
        check(bench, "import numpy\ndef handler(args): return 1", modules=("numpy",))
    other = Unit(id="test:other", source="x = 1", language="python")
    with pytest.raises(EntryInvalid, match=r"no imports of other entries \(`other`\)"):
        check(bench, "import other\ndef handler(args): return 1", imports=(("other", other),))


@needs_monty
def test_an_import_that_may_fail_is_the_sources_own_business(bench):
    source = "try:\n    import statistics\nexcept ImportError:\n    statistics = None\n"
    assert bench.python(f"{source}def handler(args): return statistics", {}) is None


@needs_monty
def test_a_granted_module_asks_the_parent_and_its_answer_is_an_object(bench):
    source = (
        "import http_client\ndef handler(args):\n"
        "    answer = http_client.get('http://x/', timeout='5s')\n"
        "    return [answer.status_code, answer.json()['n'], answer.headers['A']]"
    )
    assert bench.python(source, {}, modules=("http_client",)) == [200, 7, "b"]


@needs_monty
def test_requests_that_are_made_together_give_an_answer_or_an_error_each(bench):
    source = (
        "import http_client\ndef handler(args):\n"
        "    one, two = http_client.request_batch([('get', 'http://x/'), ('get', 'http://y/')])\n"
        "    return [one.status_code, two.kind, two.message]"
    )
    expected = [200, "Unavailable", "no route"]
    assert bench.python(source, {}, modules=("http_client",)) == expected


@needs_monty
def test_a_host_call_that_fails_can_be_caught_and_else_keeps_its_kind(bench):
    source = (
        "import http_client\ndef handler(args):\n    {}\n"
        "    except Exception as error:\n        return str(error)"
    )
    call = "http_client.get('http://refused/')"
    caught = source.format(f"try:\n        {call}")
    assert bench.python(caught, {}, modules=("http_client",)) == "no route"
    source = f"import http_client\ndef handler(args): return {call}"
    with pytest.raises(ToolFailed) as failed:
        bench.python(source, {}, modules=("http_client",))
    assert failed.value.what == "no route"
    assert failed.value.fix == "ask for another host"


@needs_monty
def test_nothing_lasts_from_one_call_to_the_next(bench):
    source = "seen = []\ndef handler(args):\n    seen.append(1)\n    return len(seen)"
    assert [bench.python(source, {}) for _ in range(3)] == [1, 1, 1]


def monty_processes():
    """Process ids of Monty interpreters, with those of their speakers."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if (directory / "cmdline").read_bytes() == b"monty\0subprocess\0":
                found[int(directory.name)] = status(int(directory.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def status(process, thread=""):
    place = f"/proc/{process}/task/{thread}/status" if thread else f"/proc/{process}/status"
    lines = Path(place).read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


LOOP = "def handler(args):\n    while not args:\n        pass\n    return 1"


@needs_monty
def test_both_processes_are_locked_with_all_their_threads_and_end_together():
    before = monty_processes()
    # So long that Monty does not end a loop by itself while this test waits.
    bench = LuaBench(without=ONLY_A_FILTER, python=replace(SHORT_PYTHON, wall_s=50.0))
    try:
        assert bench.python(LOOP, {"done": 1}) == 1
        mine = {k: v for k, v in monty_processes().items() if k not in before}
        assert mine
        speakers = {int(facts["PPid"]) for facts in mine.values()}
        for process in [*mine, *speakers]:
            for thread in os.listdir(f"/proc/{process}/task"):
                facts = status(process, thread)
                assert (facts["Seccomp"], facts["NoNewPrivs"]) == ("2", "1")
                assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == 0
            limits = Path(f"/proc/{process}/limits").read_text()
            for name in ("Max open files", "Max processes", "Max core file size"):
                assert limits.split(name)[1].split()[:2] == ["0", "0"]
            addresses = int(limits.split("Max address space")[1].split()[1])
            own = PROGRAM_BYTES + SHORT_PYTHON.memory_bytes
            assert addresses == own if process in mine else addresses < 2 * own
        ends = [os.pidfd_open(process) for process in mine]
        # In the middle of a loop it does not see that nobody speaks for it any more.
        limits = replace(SHORT_PYTHON, wall_s=0.1)
        with pytest.raises(LimitReached):
            bench.python(LOOP, {}, limits=limits)
        for speaker in speakers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(speaker, signal.SIGKILL)
        for end in ends:
            # Readable when the process is gone.
            asyncio.run(asyncio.wait_for(readable(end), 5.0))
            os.close(end)
    finally:
        bench.close()


async def readable(handle):
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, gone.set)
    await gone.wait()
    loop.remove_reader(handle)


BROKEN = """
import ctypes, errno, json, os, sys
from micro_agi.sandbox.worker import monty_lock
from micro_agi.sandbox.worker.syscalls import this_machine
sys.path[:] = []
monty_lock.lock_interpreter(this_machine(), os.getppid(), 512 << 20)
print("locked", flush=True)
sys.stdin.readline()
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def attempt(*arguments):
    if libc.syscall(*arguments) < 0:
        return errno.errorcode[ctypes.get_errno()]
    return "done"
buffer = ctypes.create_string_buffer(4096)
tries = {
    "read a file": (257, -100, b"/etc/passwd", 0, 0),
    "write a file": (257, -100, b"/tmp/micro-agi-escaped", 0o101, 0o600),
    "remove a file": (87, b"/tmp/micro-agi-none"),
    "rename": (82, b"/tmp/micro-agi-none", b"/tmp/micro-agi-none-2"),
    "change a mode": (90, b"/tmp/micro-agi-none", 0),
    "link": (86, b"/etc/passwd", b"/tmp/micro-agi-escaped"),
    "read a link": (89, b"/proc/self/exe", buffer, 4096),
    "tcp socket": (41, 2, 1, 0),
    "unix socket": (41, 1, 1, 0),
    "socket pair": (53, 1, 1, 0, buffer),
    "pipe": (22, buffer),
    "memory file": (319, b"x", 0),
    "copy a descriptor": (32, 0),
    "fork": (57,),
    "clone as fork": (56, 17, 0, 0, 0, 0),
    "clone3": (435, buffer, 88),
    "signal": (62, os.getppid(), 0),
    "limits of the parent": (302, os.getppid(), 7, 0, buffer),
    "raise a limit": (302, 0, 7, buffer, 0),
    "directory": (80, b"/tmp"),
}
result = {name: attempt(*arguments) for name, arguments in tries.items()}
print(json.dumps(result))
sys.stdout.flush()
os.execv(b"/bin/true", [b"true"])
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of another machine")
def test_an_interpreter_that_was_broken_can_still_only_compute():
    """Our own code, locked as Monty is, asks the kernel for everything that Monty never does."""
    source = str(Path(micro_agi.__file__).parent.parent)
    child = subprocess.Popen(
        [sys.executable, "-B", "-c", BROKEN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": source},
    )
    assert child.stdout.readline() == "locked\n"
    for kind in NO_MORE:
        resource.prlimit(child.pid, kind, (0, 0))
    said, _ = child.communicate("go\n", timeout=20)
    result = json.loads(said)
    assert {name: said for name, said in result.items() if said == "done"} == {}
    assert result["read a file"] == "EMFILE"
    assert result["write a file"] == result["tcp socket"] == result["fork"] == "EPERM"
    # Another program may be started in the same cage; it finds no library to run with.
    assert child.returncode == 127


@needs_monty
def test_a_limit_of_memory_or_time_is_a_limit_and_the_next_call_is_served(bench):
    with pytest.raises(LimitReached, match="MiB of memory"):
        bench.python("def handler(args): return len('x' * 10**11)", {})
    limits = replace(SHORT_PYTHON, wall_s=0.2)
    with pytest.raises(LimitReached, match="computed for more than"):
        bench.python("def handler(args):\n    while True: pass", {}, limits=limits)
    assert bench.python("def handler(args): return 1", {}) == 1


def test_without_the_extra_the_refusal_names_it(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    bench = LuaBench(without=ONLY_A_FILTER)
    try:
        with pytest.raises(SandboxUnavailable) as refused:
            bench.python("def handler(args): return 1", {})
    finally:
        bench.close()
    assert "cannot confine CPython: it reaches level D" in refused.value.what
    assert "micro-agi[monty]" in refused.value.fix
    assert "lua" in refused.value.fix


@needs_monty
def test_less_than_policy_asks_for_runs_no_monty_either():
    async def body():
        pool = Pool(host={}, minimum="C", without=ONLY_A_FILTER)
        unit = Unit(id="t:u", source="def handler(a): 0", method="handler", language="python")
        try:
            with pytest.raises(SandboxUnavailable, match="C is asked for"):
                await pool.call(unit, [{}], context=root_context())
        finally:
            await pool.close()

    asyncio.run(body())
