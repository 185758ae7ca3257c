"""What a command gets: its arguments, the settings, and where to write."""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from msgspec import Struct

from micro_agi.commands.parse import Parsed
from micro_agi.errors import InputInvalid, PolicyDenied, SettingInvalid
from micro_agi.home import app_directory, home_directory
from micro_agi.settings import Settings, load, process_environment
from micro_agi.terminal.text import printable


class Invocation(Struct, frozen=True, kw_only=True):
    """One run of one command."""

    args: argparse.Namespace
    flags: dict[str, Any]
    """Settings given on the command line, for combining them anew with an app's `.env`."""
    settings: Settings
    as_json: bool
    width: int | None
    """Columns to fit into; None when nobody counts them: a file or a pipe."""

    @property
    def home(self) -> Path:
        """Where this command's state lives."""
        return home_directory(self.settings, app_directory(self.settings))

    @property
    def interactive(self) -> bool:
        """Whether a person at a terminal can be asked."""
        return sys.stdin.isatty() and not self.settings.no_input

    def say(self, text: str = "") -> None:
        """Write a line to standard output; what agents wrote cannot move the cursor."""
        print(printable(text))

    def note(self, text: str) -> None:
        """Write a line to standard error: for a person, not part of the result."""
        print(printable(text), file=sys.stderr, flush=True)

    def say_json(self, value: Any) -> None:
        """Write a value as indented JSON to standard output."""
        print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))

    def confirm(self, question: str) -> None:
        """Return if a person agrees, or agreed with `--yes`.

        Raises: PolicyDenied when the person says no, or nobody is there to ask.
        """
        if self.settings.yes:
            return
        if not self.interactive:
            raise PolicyDenied(
                "nobody is here to confirm this", where=question, fix="add --yes to agree"
            )
        print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise PolicyDenied("you did not confirm it: nothing was changed", where=question)


def invocation(parsed: Parsed) -> Invocation:
    """Complete what was parsed with settings and the terminal's width.

    Raises: SettingInvalid.
    """
    # Without a terminal and without COLUMNS there is no width to fit into: a listing that
    # goes through `grep` must keep its words.
    columns = shutil.get_terminal_size((0, 0)).columns
    settings = load(flags=parsed.flags, environ=process_environment())
    if settings.yes and settings.no_input:
        raise SettingInvalid(
            "--yes and --no-input contradict each other",
            where=f"{settings.source('yes')}, {settings.source('no_input')}",
            fix="give one of them",
        )
    return Invocation(
        args=parsed.arguments,
        flags=parsed.flags,
        settings=settings,
        as_json=parsed.as_json,
        width=columns or None,
    )


def read_input(file: str) -> str:
    """Return the text of a file, or of standard input for `-`.

    Raises: InputInvalid for one that cannot be read or is no UTF-8.
    """
    try:
        # Not by way of `sys.stdin`, which takes the locale's encoding.
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise InputInvalid(
            f"`{file}` cannot be read: {error.strerror}", where=file, fix="name a readable file"
        ) from error
    except UnicodeDecodeError as error:
        raise InputInvalid(
            f"`{file}` is no UTF-8 text",
            where=f"{file}, byte {error.start}",
            fix="save it as UTF-8",
        ) from error


def write_output(file: str, text: str) -> None:
    """Write text to a file, or to standard output for `-`.

    Raises: InputInvalid for a file that cannot be written.
    """
    if file == "-":
        sys.stdout.write(text)
        return
    try:
        Path(file).write_text(text, "utf-8")
    except OSError as error:
        raise InputInvalid(
            f"`{file}` cannot be written: {error.strerror}",
            where=file,
            fix="name a file that you may write",
        ) from error
