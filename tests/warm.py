"""Start our programs without waiting for their imports: each one is a fork of a warm process.

Nearly all of the half second of a processor that `micro-agi` takes to start goes into
imports, and the documents and examples start it a hundred times. `Warm` keeps a process that
has imported everything and does nothing else: no thread, no event loop. Each program is a
fork of it with arguments, directory, environment and streams of its own. That a program
starts from nothing, and what it imports then, `tests/test_cli.py` shows.
"""

import array
import atexit
import contextlib
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CLIENT = """\
#!{python} -ISB
import array, json, os, socket, sys
job = {{"argv": [{name!r}, *sys.argv[1:]], "cwd": os.getcwd(), "env": dict(os.environ)}}
with socket.socket(socket.AF_UNIX) as to:
    to.connect({address!r})
    streams = array.array("i", [0, 1, 2])
    to.sendmsg([json.dumps(job).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    to.shutdown(socket.SHUT_WR)
    code = to.recv(16)
sys.exit(int(code or 70))
"""
"""The `micro-agi` and `python` that are found in `bin`: they hand their streams on."""


class Warm:
    """Runs programs; use it with `with`. One for a test process."""

    def __enter__(self) -> "Warm":
        self._folder = tempfile.TemporaryDirectory(prefix="warm-")
        self._address = f"{self._folder.name}/socket"
        self.bin = Path(self._folder.name) / "bin"
        """A directory for PATH with `micro-agi` and a `python` in it."""
        self.bin.mkdir()
        for name in ("micro-agi", "python"):
            client = self.bin / name
            text = CLIENT.format(python=sys.executable, address=self._address, name=name)
            client.write_text(text, "utf-8")
            client.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            assert self._process.stdin
            self._process.stdin.close()
            self._process.wait(10)
            assert self._process.stdout
            self._process.stdout.close()
        self._folder.cleanup()

    def start(self) -> None:
        """Start the process unless it runs; programs can be started once this returns."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm", self._address],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert self._process.stdout
            assert self._process.stdout.readline() == b"ready\n"

    def know(self, module: str) -> None:
        """Have the process import a module that only some programs need."""
        self.run("python", "-c", "", cwd=ROOT, env={}, know=module)

    def run(
        self,
        *argv: str,
        cwd: Path,
        env: Mapping[str, str],
        stdin: int | None = None,
        together: bool = False,
        know: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run `micro-agi …` or `python …` to its end.

        `stdin` is a descriptor, else there is nothing to read. With `together`, standard error
        goes where standard output does.
        """
        self.start()
        job = {"argv": argv, "cwd": str(cwd), "env": dict(env), "know": know}
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            errors = out if together else err
            with open(os.devnull) as nothing, socket.socket(socket.AF_UNIX) as to:
                to.settimeout(50)
                to.connect(self._address)
                reads = nothing.fileno() if stdin is None else stdin
                streams = array.array("i", [reads, out.fileno(), errors.fileno()])
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)
                to.sendmsg([json.dumps(job).encode()], [rights])
                to.shutdown(socket.SHUT_WR)
                ended = to.recv(16)
            said = [_text(file) for file in (out, err)]
        return subprocess.CompletedProcess(argv, int(ended or -signal.SIGKILL), *said)


def _text(file: io.BufferedRandom) -> str:
    file.seek(0)
    return file.read().decode("utf-8")


def serve(address: str) -> None:
    """Fork for each program that is asked for, until standard input ends."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(16)
        _import_everything()
        print("ready", flush=True)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            _reap()
            asked, _ = listener.accept()
            with asked:
                job, streams = _receive(asked)
                if module := job.get("know"):
                    importlib.import_module(module)
                if os.fork() == 0:
                    listener.close()
                    _program(asked, job, streams)
                    os._exit(0)
                for stream in streams:
                    os.close(stream)


def _reap() -> None:
    """Take away the programs that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _import_everything() -> None:
    from micro_agi.commands.table import COMMANDS

    leaves = [leaf for command in COMMANDS for leaf in command.verbs or (command,)]
    commands = {leaf.run.partition(":")[0] for leaf in leaves}
    modules = [f"micro_agi.commands.{name}" for name in sorted(commands)]
    more = ("api", "cli", "commands.dispatch", "net.exchange", "testing.transcript")
    for module in (*modules, *(f"micro_agi.{name}" for name in more)):
        importlib.import_module(module)


def _receive(asked: socket.socket) -> tuple[dict[str, Any], Sequence[int]]:
    message, rights, _, _ = asked.recvmsg(65536, socket.CMSG_SPACE(12))
    while more := asked.recv(65536):
        message += more
    return json.loads(message), array.array("i", rights[0][2])


def _program(asked: socket.socket, job: dict[str, Any], streams: Sequence[int]) -> None:
    """Run the program that is asked for in a fork, and say its exit code when it has ended."""
    program = os.fork()
    if program == 0:
        asked.close()
        os._exit(_become(job, streams))
    for stream in (0, 1, *streams):  # the program's alone: their readers wait for the end
        os.close(stream)
    code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    with contextlib.suppress(OSError):
        asked.sendall(b"%d" % code)


def _become(job: dict[str, Any], streams: Sequence[int]) -> int:
    """Be a program from its first line to its exit code."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - they stay open
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(open(n, "wb", 0, closefd=False), "utf-8", write_through=True)  # noqa: SIM115
        for n in (1, 2)
    )
    try:
        code = _run(*job["argv"])
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:  # noqa: BLE001 - where the program ends, Python would print it too
        traceback.print_exc()
        code = 1
    # What Python does at its end, without taking all modules apart.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    return code


def _run(program: str, *words: str) -> int:
    if program == "micro-agi":
        from micro_agi.cli import main

        sys.argv = [program, *words]
        return main(words)
    what, *rest = words
    if what == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
        main_module = types.ModuleType("__main__")
        sys.modules["__main__"] = main_module
        exec(compile(rest[0], "<string>", "exec"), main_module.__dict__)
    elif what == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = [*words], str(Path(what).parent)
        runpy.run_path(what, run_name="__main__")
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
