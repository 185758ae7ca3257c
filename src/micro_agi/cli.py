"""Arguments in, exit code out: the edge of the program.

Reads the command line, runs one command, and turns whatever it raises into an exit code
and three lines on standard error. This is the last of the three edges that catch
everything (STYLE 5.7): what is none of our errors is our bug, and shows its traceback.

Exit codes: 0 done, 1 the task failed, 2 your input is wrong, 3 refused by policy, 4 a limit
was reached, 70 our bug; 130 after Ctrl-C, 141 when the reader of a pipe went away.
"""

import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from micro_agi.commands.parse import Parsed, parse
from micro_agi.errors import MicroAgiError

BUG = 70
INTERRUPTED = 130
"""128 + SIGINT, as shells say it."""
PIPE_CLOSED = 141
"""128 + SIGPIPE."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; `argv` is without the program's name."""
    words = list(sys.argv[1:] if argv is None else argv)
    parsed: Parsed | None = None
    _prepare_streams()
    try:
        parsed = parse(words)
        code = _run(parsed)
        # Here, not at the interpreter's end: a reader that went away is found out now.
        sys.stdout.flush()
        return code
    except MicroAgiError as error:
        return _report(error, as_json=parsed.as_json if parsed else "--json" in words)
    except BrokenPipeError:
        _silence(sys.stdout)
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the edge of the program: say it and leave
        _report_bug(error, words, parsed)
        return BUG


def _prepare_streams() -> None:
    """Have all three standard streams, and none that fails on a character it lacks.

    For one that the caller closed (`<&-`) Python has None, and the next file that is opened
    would get its number: such a one leads nowhere instead.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _run(parsed: Parsed) -> int:
    if parsed.print_and_leave:
        sys.stdout.write(parsed.print_and_leave)
        return 0
    # Not at the top: settings and asyncio take longer to import than a help page may.
    from micro_agi.commands.dispatch import dispatch

    return dispatch(parsed)


def _report(error: MicroAgiError, *, as_json: bool) -> int:
    """Say what is wrong on standard error and return the exit code that fits."""
    if as_json:
        import json  # most runs do not fail in JSON, and it takes 3 ms

        text = json.dumps({"error": error.as_dict()}, ensure_ascii=False)
    else:
        text = f"error: {error}"
    _say(text)
    return error.exit_code


def _report_bug(error: Exception, words: Sequence[str], parsed: Parsed | None) -> None:
    import traceback  # only when something is badly wrong

    _say("".join(traceback.format_exception(error)).rstrip())
    _say(f"error: this is a bug of micro-agi: {type(error).__name__}: {error}")
    _say(f"  where: micro-agi {' '.join(words)}"[:200])
    _say(f"  fix: report the lines above{_journal(parsed)}")


def _journal(parsed: Parsed | None) -> str:
    """Say where the journal is, if that much of the program still works."""
    if parsed is None:
        return ""
    try:
        from micro_agi.commands.dispatch import journal_path  # as in `_run`

        return f"; the journal is {journal_path(parsed)}"
    except (ImportError, OSError, MicroAgiError):
        return ""


def _say(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """Point a stream whose reader has gone at nothing, so that the exit does not complain."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return  # a test's stream, which complains to nobody
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)
