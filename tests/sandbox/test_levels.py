"""What a weaker kernel gets: each missing or refusing primitive, emulated by a filter of ours.

A child process filters its own system calls as an older or stricter kernel would answer
them, then starts a pool. Either the level says what is missing, or nothing runs: there is
no case in which code runs unlocked.
"""

import asyncio
import json
import os
import platform
import subprocess
import sys
import types

import pytest

from micro_agi.errors import SandboxUnavailable
from micro_agi.sandbox.fork_server import LEVELS
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit
from micro_agi.sandbox.worker.syscalls import this_machine
from micro_agi.security.context import root_context
from tests.sandbox.ordinary_user import SRC

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the emulation is written in numbers of x86-64"
)

PROGRAM = """
import asyncio, ctypes, json, os, struct, sys
from micro_agi.errors import MicroAgiError
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit
from micro_agi.security.context import root_context

LIBC = ctypes.CDLL(None, use_errno=True)
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06

def pretend(rules):
    # (number, first argument or None, errno): the last instruction allows all the rest.
    code = []
    for number, argument, error in rules:
        answer = (RETURN, 0, 0, 0x50000 | error)
        if argument is None:
            code += [(LOAD, 0, 0, 0), (EQUAL, 0, 1, number), answer]
        else:
            code += [(LOAD, 0, 0, 0), (EQUAL, 0, 3, number), (LOAD, 0, 0, 16)]
            code += [(EQUAL, 0, 1, argument), answer]
    code.append((RETURN, 0, 0, 0x7FFF0000))
    text = b"".join(struct.pack("<HBBI", *one) for one in code)
    buffer = ctypes.create_string_buffer(text, len(text))
    program = struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(buffer))
    assert LIBC.prctl(38, 1, 0, 0, 0) == 0
    assert LIBC.syscall(317, 1, 0, program) == 0

async def start(minimum):
    pool = Pool(host={}, minimum=minimum)
    unit = Unit(id="test:echo", source="return function(x) return x end", method="handler")
    try:
        value = await pool.call(unit, ["ran"], context=root_context())
        report = pool.report()
        return {"value": value, "level": report.level, "missing": report.missing}
    except MicroAgiError as error:
        return error.as_dict()
    finally:
        await pool.close()

for name, minimum, rules in json.loads(sys.argv[1]):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        pretend(rules)
        os.write(writer, json.dumps(asyncio.run(start(minimum))).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        print(json.dumps([name, json.loads(answer.read() or b"null")]))
    os.waitpid(child, 0)
"""

EPERM, ENOSYS, EINVAL = 1, 38, 22
CREATE_RULESET, RESTRICT_SELF, UNSHARE, MOUNT = 444, 446, 272, 165
PIVOT_ROOT, SECCOMP, PRCTL, CAPSET, PIDFD_OPEN = 155, 317, 157, 126, 434
NO_LANDLOCK = [CREATE_RULESET, None, ENOSYS]
NO_NAMESPACES = [UNSHARE, None, EPERM]

RUNS = {
    "the kernel as it is": ([], {"A", "B", "C", "D"}, ""),
    "no Landlock": ([NO_LANDLOCK], {"C", "D"}, "landlock: the kernel has none"),
    "no user namespaces": ([NO_NAMESPACES], {"B", "D"}, "namespaces: "),
    "namespaces, but no mounts in them": ([[MOUNT, None, EPERM]], {"B", "D"}, "empty root: "),
    "no new root": ([[PIVOT_ROOT, None, EPERM]], {"B", "D"}, "empty root: "),
    "neither Landlock nor namespaces": ([NO_LANDLOCK, NO_NAMESPACES], {"D"}, "landlock: "),
}
REFUSES = {
    "no seccomp at all": ("D", [[SECCOMP, None, ENOSYS], [PRCTL, 21, EINVAL]], "cannot confine"),
    "seccomp that takes no filter": ("D", [[SECCOMP, None, EINVAL]], "could not lock itself"),
    "Landlock that does not restrict": ("D", [[RESTRICT_SELF, None, EPERM]], "could not lock"),
    "capabilities that stay": ("D", [[CAPSET, None, EPERM]], "could not lock itself"),
    "privileges that may grow": ("D", [[PRCTL, 38, EINVAL]], "could not lock itself"),
    "no signal when the parent dies": ("D", [[PRCTL, 1, EINVAL]], "cannot confine"),
    "less than policy asks, no Landlock": ("B", [NO_LANDLOCK], "B is asked for"),
    "less than policy asks, no namespaces": ("A", [NO_NAMESPACES], "A is asked for"),
    "less than policy asks, only the filter": ("C", [NO_LANDLOCK, NO_NAMESPACES], "C is asked"),
}


@pytest.fixture(scope="module")
def found():
    cases = [(name, "D", rules) for name, (rules, _, _) in RUNS.items()]
    cases += [(name, minimum, rules) for name, (minimum, rules, _) in REFUSES.items()]
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, json.dumps(cases)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SRC)},
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", RUNS)
def test_a_kernel_that_lacks_a_layer_runs_code_at_a_lower_level_and_says_why(found, name):
    _, levels, missing = RUNS[name]
    assert found[name].get("value") == "ran", found[name]
    assert found[name]["level"] in levels
    assert any(line.startswith(missing) for line in [*found[name]["missing"], ""])


@pytest.mark.parametrize("name", REFUSES)
def test_a_kernel_that_confines_too_little_or_breaks_its_word_runs_nothing(found, name):
    assert found[name]["code"] == "sandbox.unavailable", found[name]
    assert REFUSES[name][2] in found[name]["what"]
    assert found[name]["fix"]


UNIT = Unit(id="test:unit", source="return function() return 1 end", method="handler")


def refusal(**options):
    async def body():
        pool = Pool(host={}, **options)
        try:
            with pytest.raises(SandboxUnavailable) as refused:
                await pool.call(UNIT, [], context=root_context())
            return refused.value
        finally:
            await pool.close()

    return asyncio.run(body())


@pytest.mark.parametrize(
    ("system", "level", "unverified"),
    [("Darwin", "E", "Seatbelt"), ("Windows", "F", "no layer"), ("", "F", "no layer")],
)
def test_a_system_that_nobody_attacked_runs_nothing(monkeypatch, system, level, unverified):
    monkeypatch.setattr(platform, "system", lambda: system)
    refused = refusal()
    assert f"isolation level {level} is not verified" in refused.what
    assert unverified in refused.where
    assert "Linux" in refused.fix


def test_a_machine_without_a_table_of_system_calls_has_no_filter(monkeypatch):
    monkeypatch.setattr(os, "uname", lambda: types.SimpleNamespace(machine="riscv64"))
    assert this_machine() is None


def test_a_level_that_failed_its_proof_runs_nothing():
    refused = refusal(refused=dict.fromkeys(LEVELS, "native/socket"))
    assert "is switched off" in refused.what
    assert "native/socket" in refused.where
    assert "doctor --prove" in refused.fix
