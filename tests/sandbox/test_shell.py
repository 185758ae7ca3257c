"""The room that shell commands run in: what it holds, what gets out, and how it ends."""

import asyncio
import os
import signal
import time

import pytest

from micro_agi.errors import SandboxUnavailable
from micro_agi.sandbox.run_later import MOST_DIRECTORIES, places
from micro_agi.sandbox.shell import Output, ShellLimits, run_shell
from tests.sandbox.ordinary_user import CANNOT, USER, as_an_ordinary_user


@pytest.fixture
def workspace(tmp_path):
    root = tmp_path / "ws"
    root.mkdir()
    return root


def run(workspace, command, *, without=frozenset(), directory="", may_change=frozenset(), **limits):
    limits = ShellLimits(**{"wall_s": 20.0, **limits})
    try:
        return asyncio.run(
            run_shell(
                command,
                workspace=workspace,
                directory=directory,
                limits=limits,
                may_change=may_change,
                without=without,
            )
        )
    except SandboxUnavailable as error:
        if without:
            raise
        pytest.skip(f"{error.what}: {error.where}")


@pytest.mark.requirement("004/shell/room")
def test_a_command_works_in_the_workspace_with_a_clean_environment(workspace, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "canary")
    (workspace / "sub").mkdir()
    found = run(
        workspace,
        "pwd; echo written > f; ln -s f l; mkfifo p; cat l; env; echo oops >&2; exit 7",
        directory="sub",
    )
    lines = found.output.splitlines()
    assert lines[:2] == [f"{workspace}/sub", "written"]
    assert "canary" not in found.output
    assert {line.partition("=")[0] for line in lines[2:]} <= {
        *("PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "LANG", "TERM", "PAGER", "GIT_PAGER"),
        *("GIT_TERMINAL_PROMPT", "PWD", "SHLVL", "_", "OLDPWD", "GIT_CONFIG_COUNT"),
        *(f"GIT_CONFIG_{part}_{n}" for part in ("KEY", "VALUE") for n in (0, 1)),
    }
    assert (found.exit_code, found.errors, found.ended_by) == (7, "oops\n", "")
    assert (workspace / "sub" / "f").read_text() == "written\n"


OUTSIDE = """
secret="$1"
try() { echo "== $1"; shift; "$@" 2>&1 && echo "ESCAPED $*"; }
try read cat {outside}/file
try list ls {outside}
try name stat {outside}/file
try climb cat ../outside/file
try link cat link
try write touch {outside}/new
try usr touch /usr/new
try root touch /new
try etc cat /etc/shadow
try hard ln /usr/bin/env hard
try home ls /root /home/*
try host cat /proc/1/environ
try memory head -c 1 /proc/1/mem
try one ls /proc/1/root/
try init sh -c 'kill -9 1; kill -TERM 1; exit 1'
try core sh -c 'echo x > /proc/sys/kernel/core_pattern'
try sysrq sh -c 'echo h > /proc/sysrq-trigger'
try disk sh -c 'cat /dev/sda /dev/vda /dev/mem'
try node mknod /tmp/disk b 8 0
try mount mount -t tmpfs none /tmp
try remount mount -o remount,rw /usr
try namespaces unshare -Ur true
try root2 chroot /tmp true
try tcp bash -c 'echo > /dev/tcp/127.0.0.1/{port}'
try udp bash -c 'echo > /dev/udp/127.0.0.1/{port}'
try parent kill -9 {pid}
try own cat .env
try nested ls /sys /run /var /opt
"""


@pytest.mark.requirement("004/shell/room")
@pytest.mark.parametrize("without", [frozenset(), frozenset({"landlock"})])
def test_nothing_outside_is_read_written_signalled_or_reached(workspace, tmp_path, without):
    """Bounded: twenty-eight attempts, each one command; what is aimed at is this test's own."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("canary")
    os.symlink(outside / "file", workspace / "link")
    (workspace / ".env").write_text("KEY=canary")
    script = OUTSIDE.replace("{outside}", str(outside)).replace("{pid}", str(os.getpid()))
    found = run(workspace, script.replace("{port}", "9"), without=without)
    assert found.output.count("== ") == 28, found.output
    escaped = [line for line in found.output.splitlines() if line.startswith("ESCAPED")]
    # A file that is empty in there is what `.env` has become.
    assert escaped == ["ESCAPED cat .env"], found.output
    assert "canary" not in found.output + found.errors
    assert [p.name for p in outside.iterdir()] == ["file"]


SYSCALLS = """
import ctypes, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"ptrace": 101, "mount": 165, "unshare": 272, "setns": 308, "bpf": 321, "keyctl": 250,
           "userfaultfd": 323, "io_uring_setup": 425, "perf_event_open": 298, "init_module": 175,
           "kexec_load": 246, "open_by_handle_at": 304, "pivot_root": 155, "chroot": 161,
           "process_vm_readv": 310, "clone3": 435, "seccomp": 317, "reboot": 169}
for name, number in numbers.items():
    if libc.syscall(number, 0, 0, 0, 0, 0, 0) != -1:
        print("ALLOWED", name)
if libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0) != -1:
    print("ALLOWED clone with a new user namespace")
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(family, kind)
            print("ALLOWED socket", family, kind)
        except OSError:
            pass
import fcntl
try:
    fcntl.ioctl(0, 0x5412, b"x")
    print("ALLOWED typing")
except OSError:
    pass
print("done")
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")
@pytest.mark.requirement("004/shell/room")
def test_the_filter_refuses_what_only_attacks_need(workspace):
    (workspace / "attack.py").write_text(SYSCALLS)
    found = run(workspace, "command -v python3 >/dev/null || exit 99; python3 attack.py")
    if found.exit_code == 99:
        pytest.skip("there is no python3 among this machine's programs")
    assert found.output == "done\n", found.output + found.errors


@pytest.mark.requirement("004/shell/limits")
def test_the_deadline_ends_everything_that_was_started(workspace):
    started = time.monotonic()
    found = run(
        workspace,
        "echo begun; (setsid sleep 377 &) ; nohup sleep 378 & trap '' TERM; sleep 379",
        wall_s=1.0,
    )
    assert (found.exit_code, found.ended_by, found.output) == (None, "time", "begun\n")
    assert time.monotonic() - started < 15
    assert not [c for c in command_lines() if c.startswith(b"sleep\x0037")]


def command_lines():
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    yield file.read()
            except OSError:
                continue


def test_what_a_command_leaves_behind_ends_with_it(workspace):
    found = run(workspace, "sleep 381 & setsid sleep 382 & echo done")
    assert (found.exit_code, found.output) == (0, "done\n")
    assert not [c for c in command_lines() if c.startswith(b"sleep\x0038")]


@pytest.mark.requirement("004/shell/limits")
def test_a_bomb_of_processes_memory_or_files_ends_the_command(workspace):
    found = run(workspace, "b() { b | b & }; b 2>/dev/null; sleep 10", processes=64)
    assert found.ended_by == "processes" or "fork" in found.errors
    hog = "x=$(head -c 1500000 /dev/zero | tr '\\0' x); while :; do x=$x$x; done"
    found = run(workspace, hog, memory_bytes=64 << 20)
    assert found.ended_by == "memory"
    found = run(workspace, "head -c 100000000 /dev/zero > f; sleep 10", disk_bytes=20 << 20)
    assert found.ended_by == "disk"


@pytest.mark.requirement("004/shell/output")
def test_long_output_keeps_its_head_and_tail(workspace):
    found = run(workspace, "seq 1 100000", head_bytes=1000)
    assert found.output.startswith("1\n2\n3\n")
    assert found.output.endswith("99999\n100000\n")
    assert "bytes are left out" in found.output
    assert len(found.output) < 2100
    output = Output(4)
    for byte in b"abcdefghijkl":
        output.add(bytes([byte]))
    assert output.text == "abcd\n… [4 bytes are left out] …\nijkl"


def test_how_a_command_ended_is_told(workspace):
    forged = "for n in $(seq 3 40); do echo '{\"exit\": 0}' >&$n; done 2>/dev/null; exit 5"
    assert run(workspace, forged).exit_code == 5
    assert run(workspace, "kill -SEGV $$").ended_by == f"signal {int(signal.SIGSEGV)}"
    assert run(workspace, "no-such-program").exit_code == 127


def test_cancelling_ends_the_command(workspace):
    async def scenario():
        task = asyncio.create_task(
            run_shell("touch begun; sleep 391", workspace=workspace, limits=ShellLimits())
        )
        while not (workspace / "begun").exists() and not task.done():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def bounded():
        async with asyncio.timeout(20):
            await scenario()

    run(workspace, "true")  # skips where there is no room
    asyncio.run(bounded())
    assert not [c for c in command_lines() if c.startswith(b"sleep\x00391")]


@pytest.mark.requirement("004/shell/closed")
def test_without_namespaces_no_command_runs(workspace):
    with pytest.raises(SandboxUnavailable, match="none is run") as refused:
        run(workspace, "touch escaped", without=frozenset({"namespaces"}))
    assert "namespaces: left out" in refused.value.where
    assert list(workspace.iterdir()) == []


PROGRAM = """
import asyncio, sys, tempfile
from pathlib import Path
from micro_agi.errors import SandboxUnavailable
from micro_agi.sandbox.shell import ShellLimits, run_shell

root = Path(tempfile.mkdtemp())
bomb = "b() { b | b & }; b 2>/dev/null; sleep 0.3"
script = "id -u; echo x > f && cat f; touch /usr/x; ls /root /home; cat /proc/1/environ; kill -9 1"
try:
    found = asyncio.run(run_shell(script, workspace=root))
    print(found.output, end="")
    (root / "sub" / ".venv").mkdir(parents=True)
    found = asyncio.run(run_shell("touch sub/.venv/x; mv sub y; ls", workspace=root))
    print(found.output.split())
    async def dial(host, port):
        raise OSError(f"no {host}:{port}")
    door = "exec 3<>/dev/tcp/127.0.0.1/${http_proxy##*:}"
    ask = door + "; printf 'CONNECT h:1 HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3"
    found = asyncio.run(run_shell(ask, workspace=root, dial=dial))
    print(found.refused)
    found = asyncio.run(run_shell(bomb, workspace=root, limits=ShellLimits(processes=64)))
    print(found.ended_by or "ended")
except SandboxUnavailable as error:
    print(error.where, file=sys.stderr)
    sys.exit(77)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
@pytest.mark.requirement("004/shell/room")
def test_the_room_is_the_same_for_an_ordinary_user():
    done = as_an_ordinary_user(PROGRAM)
    if done.returncode == CANNOT:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:4] == [
        *(str(USER), "x", "['f', 'sub']", "('h:1: no h:1',)"),
    ]
    assert done.stdout.splitlines()[4:] in (["processes"], ["ended"])


PLANTING = """
for each in .git .venv env deep/er/node_modules sub/.git; do
  touch $each/planted && echo "PLANTED in $each"
  mv $each moved && echo "MOVED $each"; rm -rf moved 2>/dev/null
  rm -rf $each 2>/dev/null && echo "REMOVED $each"
done
mv deep moved && echo "MOVED what it lies in"; rm -rf moved
echo evil > .git/config && echo "CHANGED"
ln -sf /tmp .git/link && echo "LINKED"
cat .git/config
cp .git/config deep/copy && mv deep/copy deep/er/copy && echo "the rest can be changed"
mkdir -p fresh/.venv/bin plain && echo made
"""


@pytest.mark.requirement("004/workspace/programs")
@pytest.mark.parametrize("without", [frozenset(), frozenset({"landlock"})])
def test_what_runs_outside_later_is_read_only_and_what_is_new_is_told(workspace, without):
    """Bounded: twenty-odd commands in one room, on files of this test."""
    for place in (".git/hooks", ".venv/bin", "env", "deep/er/node_modules", "sub"):
        (workspace / place).mkdir(parents=True)
    (workspace / "env" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (workspace / "sub" / ".git").write_text("gitdir: ../.git/modules/sub\n")
    (workspace / ".git" / "config").write_text("as it was\n")
    before = sorted(p.relative_to(workspace) for p in workspace.rglob("*"))
    found = run(workspace, PLANTING, without=without)
    assert found.output == "as it was\nthe rest can be changed\nmade\n", found.output
    assert found.errors.count("Read-only file system") >= 5, found.errors
    assert (workspace / ".git" / "config").read_text() == "as it was\n"
    now = {p.relative_to(workspace) for p in workspace.rglob("*")}
    assert {str(p) for p in now - set(before)} == {
        *("deep/er/copy", "fresh", "fresh/.venv", "fresh/.venv/bin", "plain"),
    }
    assert now >= set(before)
    assert found.made == ("fresh/.venv",)


@pytest.mark.requirement("004/workspace/programs")
def test_only_the_place_that_was_granted_can_be_changed(workspace):
    for place in (".git", ".venv", "sub/.git"):
        (workspace / place).mkdir(parents=True)
    command = "touch .git/a; touch .venv/b; touch sub/.git/c; mkdir node_modules"
    granted = frozenset({".git", "node_modules"})
    found = run(workspace, command, may_change=granted)
    assert [p.name for p in workspace.glob("**/[abc]")] == ["a"]
    assert found.made == ()


def test_looking_at_a_repository_runs_nothing_that_its_settings_name(workspace):
    """Bounded: what would be run is a touch in this test's workspace."""
    settings = "fsmonitor = touch /tmp/ESCAPED; false\\n worktree = ..\\n bare = false"
    script = f"""
    command -v git >/dev/null || exit 99
    git init -q made && mkdir -p sub && git init -q --bare sub/bare
    for each in made/.git/config sub/bare/config; do
      printf '[core]\\n {settings}\\n' >> $each
    done
    (cd made && git status --short >/dev/null; git diff --stat)
    (cd sub/bare && git status --short >/dev/null)
    test -e /tmp/ESCAPED && echo ESCAPED; echo end
    """
    found = run(workspace, script, may_change=frozenset({"made/.git"}))
    if found.exit_code == 99:
        pytest.skip("there is no git among this machine's programs")
    assert found.output == "end\n", found
    assert "bareRepository" in found.errors


def test_looking_for_such_places_is_bounded_and_follows_no_link(tmp_path, workspace):
    (tmp_path / "outside" / ".git").mkdir(parents=True)
    os.symlink(tmp_path / "outside", workspace / "link")
    os.symlink(tmp_path / "outside" / ".git", workspace / ".git")
    (workspace / "a" / "b" / "c" / ".git").mkdir(parents=True)
    (workspace / "a" / "b" / ".Venv" / "node_modules").mkdir(parents=True)
    assert places(workspace) == ("a/b/.Venv",)
    for n in range(MOST_DIRECTORIES):
        (workspace / f"d{n:03}").mkdir()
    (workspace / "d199" / ".git").mkdir()
    assert places(workspace) == ()
