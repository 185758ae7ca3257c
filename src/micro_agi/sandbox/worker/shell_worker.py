"""Run one shell command in a locked room: the program `python -I -S shell_worker.py …`.

It enters namespaces of its own, changes the root, and becomes process 1 of the room. The
command is its child, locked by Landlock and a system call filter before it is executed. This
process watches how many there are, how much memory they hold and how much disk is left, and
reaps them; when it ends, for whatever reason, the kernel ends everything else in the room.

It stays outside the filter, but has given up every capability, and nothing in the room can
look into it or signal it: it is process 1 there, not dumpable, and its report goes through a
descriptor that the command does not have.

Arguments: descriptor for the report, the order as JSON, import paths.
Source: spec/sandbox.md 2.2, 6 "Degradation"; spec/local-agent.md 7.3.
"""

import contextlib
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

# `-I -S` gave us the standard library alone; ours come from where the parent says.
sys.path.extend(sys.argv[3:])

from micro_agi.sandbox.worker import landlock, namespaces, seccomp, shell_filter, shell_root
from micro_agi.sandbox.worker.forking import continue_inside
from micro_agi.sandbox.worker.lockdown import seal
from micro_agi.sandbox.worker.syscalls import LIBC, this_machine

LOOK_EVERY_S = 0.02
WEIGH_EVERY = 5
"""Looks between two sums of memory, which cost a read for each process."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PR_CAPBSET_DROP = 24
CAPABILITIES = 64
DESCRIPTORS = 1024
FILE_BYTES = 1 << 30
ADDRESS_BYTES = 64 << 30
"""Programs reserve much and use little; what they use is weighed."""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": shell_root.HOME,
    "TMPDIR": shell_root.TEMPORARY,
    "USER": "agent",
    "LOGNAME": "agent",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    # Looking at a repository is allowed unasked. Its settings may name a program that is run for
    # that, and any directory may be made to look like a repository: not for git in here.
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "safe.bareRepository",
    "GIT_CONFIG_VALUE_1": "explicit",
}


class Watch:
    """Counts and weighs what runs in the room."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._most = int(order["processes"])
        self._memory = int(order["memory_bytes"])
        self._least = _free(order["workspace"]) - int(order["disk_bytes"])
        self._workspace = str(order["workspace"])
        self._looks = 0

    def exceeded(self) -> str:
        """Return which limit is passed, or ""."""
        if _free(self._workspace) < self._least:
            return "disk"
        self._looks += 1
        running = [name for name in os.listdir("/proc") if name.isdigit()]
        if len(running) > self._most:
            return "processes"
        if self._looks % WEIGH_EVERY == 0 and _weight(running) > self._memory:
            return "memory"
        return ""


def main() -> None:
    report, order = int(sys.argv[1]), json.loads(sys.argv[2])
    try:
        said = _confined(order)
    except OSError as error:
        said = {"unavailable": f"{error.strerror or error}"}
    os.write(report, json.dumps(said).encode())
    os._exit(0)


def _confined(order: dict[str, Any]) -> dict[str, Any]:
    """Run the command; in the outer process this never returns."""
    machine = this_machine()
    if machine is None or not seccomp.available():
        return {"unavailable": "this machine has no system call filter for it"}
    channel = order["network"]
    code = shell_filter.program(machine, network=channel is not None)
    abi = 0 if "landlock" in order["without"] else landlock.version()
    left_out = "namespaces" in order["without"]
    inside, problem = (False, "left out") if left_out else namespaces.unshare(as_root=False)
    if not inside or problem:
        return {"unavailable": f"namespaces: {problem}"}
    continue_inside()
    port, proxies = 0, {}
    if channel is not None:
        # Most commands have no network, and do not pay for its modules.
        from micro_agi.sandbox.worker import room_network

        port = room_network.open_door(channel)
        proxies = room_network.environment(port)
    shell_root.enter(machine, order["workspace"], protected=order["protected"])
    os.chdir(os.path.join(order["workspace"], order["directory"]))
    for capability in range(CAPABILITIES):
        LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    # In here our parent is outside, and so has no number.
    seal(machine, 0)
    shell = next(path for path in ("/bin/bash", "/bin/sh") if os.path.exists(path))

    command = os.fork()
    if command == 0:
        try:
            # Its own group, so that a shell may signal its jobs and nothing else.
            os.setsid()
            _limit(order)
            if abi:
                workable = shell_root.workable(order["workspace"])
                ports = [port] if port else []
                landlock.restrict(abi, readable=("/",), executable=workable, ports=ports)
            os.closerange(3, 256)
            seccomp.install(machine, code)
            environment = {**ENVIRONMENT, **proxies, "PWD": os.getcwd()}
            arguments = ["--norc", "--noprofile"] if shell.endswith("bash") else []
            os.execve(shell, [shell, *arguments, "-c", order["command"]], environment)  # noqa: S606
        finally:
            os._exit(126)
    return _wait(command, Watch(order))


def _limit(order: dict[str, Any]) -> None:
    most = int(order["processes"])
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, most),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_AS, ADDRESS_BYTES),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_CPU, int(order["cpu_s"])),
    ):
        with contextlib.suppress(ValueError):  # the limit outside is lower already
            resource.setrlimit(kind, (value, value))


def _wait(command: int, watch: Watch) -> dict[str, Any]:
    """Wait for the command, whatever it left behind; return how it ended."""
    next_look = 0.0
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        with contextlib.suppress(ChildProcessError):
            while True:
                ended, status = os.waitpid(-1, os.WNOHANG)
                if ended == 0:
                    break
                if ended == command:
                    code = os.waitstatus_to_exitcode(status)
                    return {"exit": code} if code >= 0 else {"signal": -code}
        if time.monotonic() >= next_look:
            passed = watch.exceeded()
            if passed:
                # Everything but this process.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(-1, signal.SIGKILL)
                return {"limit": passed}
            next_look = time.monotonic() + LOOK_EVERY_S
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_EVERY_S)


def _free(place: str) -> int:
    """Return the bytes that are free where the workspace is, whoever takes them."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def _weight(running: list[str]) -> int:
    """Return the bytes that all processes hold for themselves."""
    total = 0
    for name in running:
        with contextlib.suppress(OSError, ValueError, IndexError):
            # As bytes: there is no library here any more that a codec could be loaded from.
            sizes = Path(f"/proc/{name}/statm").read_bytes().split()
            total += (int(sizes[1]) - int(sizes[2])) * PAGE_BYTES
    return total


if __name__ == "__main__":
    main()
