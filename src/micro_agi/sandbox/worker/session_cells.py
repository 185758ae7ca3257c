"""Run the cells of a Python session, one after the other, with the same variables.

What a cell writes goes to descriptors 1 and 2, whoever writes it: `print`, a library in C, a
thread. Only the outcome goes through the channel: the value of a trailing expression, the
figures that were saved, or how it failed. It carries the number that the parent gave the
cell, so an answer that a guest made up earlier is not taken for it.

Source: spec/local-agent.md 7.4, and 5 (W9, W19, W20, W22) for what went wrong elsewhere.
"""

import ast
import builtins
import ctypes
import io
import linecache
import os
import sys
import traceback
import types
from typing import Any

import msgspec

from micro_agi.sandbox.wire import ERROR, RESULT
from micro_agi.sandbox.worker import python_worker
from micro_agi.sandbox.worker.python_worker import Channel, Interrupts

VALUE_CHARACTERS = 1 << 20
"""Of a value's text; of a longer one, as much from its end as from its beginning."""
TRACE_CHARACTERS = 8_000
MESSAGE_CHARACTERS = 2_000
MAIN = "__main__"
FIGURES = "plots"
MOST_FIGURES = 20
OUTPUTS = (1, 2)
OURS = python_worker.__file__


class Cells:
    """One session: its variables, and where its output goes."""

    def __init__(self) -> None:
        self._channel = Channel()
        self._interrupts = Interrupts()
        self._main = types.ModuleType(MAIN)
        self._libc = ctypes.CDLL(None)
        # Descriptors of our own, because a cell may close or redirect the usual ones.
        self._kept = [os.dup(number) for number in OUTPUTS]
        self._count = 0

    def run(self) -> None:
        """Serve cells; never returns."""
        while True:
            number, code = self._channel.receive()
            try:
                kind, facts = self._outcome(code)
            except KeyboardInterrupt as error:  # it came while another failure was told
                kind, facts = ERROR, _facts(error, "the end of the cell")
            self._channel.send(msgspec.msgpack.encode((kind, number, facts)))
            if facts.get("exit") is not None:
                os._exit(0)

    def _outcome(self, code: str) -> tuple[int, dict[str, Any]]:
        self._count += 1
        name = f"<cell {self._count}>"
        self._restore()
        try:
            self._interrupts.arm()
            value = self._value(code, name)
            figures = _save_figures()
            self._flush()
            self._interrupts.computing = False
            return RESULT, {"value": value, "figures": figures}
        except SystemExit as error:
            self._interrupts.computing = False
            return ERROR, {"exit": _exit_code(error)}
        except BaseException as error:  # noqa: BLE001 - whatever a guest raises is its failure
            self._interrupts.computing = False
            return ERROR, _facts(error, name)
        finally:
            self._interrupts.computing = False
            self._flush()

    def _restore(self) -> None:
        """Give the cell working streams, whatever the one before did to them."""
        for kept, number in zip(self._kept, OUTPUTS, strict=True):
            os.dup2(kept, number)
        sys.modules[MAIN] = self._main
        sys.argv = [""]
        for name, number in zip(("stdout", "stderr"), OUTPUTS, strict=True):
            raw = open(number, "wb", closefd=False)  # noqa: SIM115 - for the length of the cell
            stream = io.TextIOWrapper(
                raw, encoding="utf-8", errors="backslashreplace", line_buffering=True
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:  # noqa: BLE001, S112 - it may be an object of the guest's
                continue
        self._libc.fflush(None)

    def _value(self, code: str, name: str) -> str | None:
        """Run a cell; return the text of its last expression, if it ends with one."""
        lines = code.splitlines(keepends=True)
        linecache.cache[name] = (len(code), None, lines, name)
        tree = ast.parse(code, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        space = self._main.__dict__
        exec(compile(tree, name, "exec", dont_inherit=True), space)  # noqa: S102 - what it is for
        if not isinstance(last, ast.Expr):
            return None
        expression = compile(ast.Expression(last.value), name, "eval", dont_inherit=True)
        value = eval(expression, space)  # noqa: S307 - what it is for
        if value is None:
            return None
        space["_"] = value
        return _shortened(repr(value))


def _shortened(text: str) -> str:
    cut = len(text) - 2 * VALUE_CHARACTERS
    if cut > 0:
        note = f"\n… [{cut:,} characters are left out] …\n"
        text = text[:VALUE_CHARACTERS] + note + text[-VALUE_CHARACTERS:]
    # A lone surrogate can be in a text, and is no UTF-8.
    return text.encode("utf-8", "backslashreplace").decode()


def _save_figures() -> list[str]:
    """Save what matplotlib would show, and return the names of the files."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    saved = []
    for number in pyplot.get_fignums()[:MOST_FIGURES]:
        os.makedirs(FIGURES, exist_ok=True)
        with _new_file() as file:
            pyplot.figure(number).savefig(file, format="png")
            saved.append(file.name)
    pyplot.close("all")
    return saved


def _new_file() -> io.BufferedWriter:
    number = len(os.listdir(FIGURES))
    while True:
        number += 1
        try:
            return open(f"{FIGURES}/figure_{number}.png", "xb")
        except FileExistsError:
            continue


def _exit_code(error: SystemExit) -> str:
    return "" if error.code is None else ascii(error.code)[:200]


def _facts(error: BaseException, name: str) -> dict[str, Any]:
    """Say what went wrong and where, without any frame of ours."""
    try:
        trace = error.__traceback__
        while trace is not None and not trace.tb_frame.f_code.co_filename.startswith("<cell "):
            trace = trace.tb_next
        own = trace if not isinstance(error, SyntaxError) or trace is not None else None
        told = traceback.TracebackException(type(error), error, own)
        # An interrupt arrives in a function of ours.
        told.stack = traceback.StackSummary.from_list(f for f in told.stack if f.filename != OURS)
        text = "".join(told.format())
        frames = [f for f in traceback.extract_tb(own) if f.filename.startswith("<cell ")]
        line = frames[-1].lineno if frames else getattr(error, "lineno", None)
        where = f"{frames[-1].filename if frames else name}, line {line}" if line else name
        message = str(error)[:MESSAGE_CHARACTERS]
        facts = {
            "type": type(error).__name__,
            "message": _shortened(message),
            "where": where.replace("<", "").replace(">", ""),
            "traceback": _shortened(text[-TRACE_CHARACTERS:]),
            "interrupted": isinstance(error, KeyboardInterrupt),
        }
    except BaseException:  # noqa: BLE001 - an exception's own methods are the guest's too
        return {"type": type(error).__name__, "message": "it has no text", "where": name}
    return facts


def serve() -> None:
    """Be a session: this process belongs to its cells from here on."""
    # `site`, which gives them to interactive sessions, was not imported.
    builtins.__dict__.update(exit=sys.exit, quit=sys.exit)
    for module in [n for n in sys.modules if n.partition(".")[0] == "micro_agi"]:
        del sys.modules[module]
    Cells().run()
