"""What a row of the table of commands is: a command, its verbs, their arguments.

Named tuples, unlike the other values of this package: a help page needs no more than these,
and `dataclasses` takes 10 ms to import and to make the three classes here and in `parse`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Argument(NamedTuple):
    """One argument, as `argparse.add_argument` takes it."""

    names: tuple[str, ...]
    options: Mapping[str, Any]


class Command(NamedTuple):
    """A command, or one verb of a command."""

    name: str
    help: str
    """One line, without a full stop."""
    run: str = ""
    """`module:function` below `micro_agi.commands`; empty for a command that has verbs."""
    arguments: tuple[Argument, ...] = ()
    verbs: tuple["Command", ...] = ()
    more: str = ""
    """What the help page says below its arguments."""


def argument(*names: str, **options: Any) -> Argument:
    """Return an argument, written as for `argparse.add_argument`."""
    return Argument(names, options)


def find(commands: tuple[Command, ...], name: str) -> Command | None:
    """Return the command of that name, or None."""
    return next((c for c in commands if c.name == name), None)
