"""Turn the words of a command line into one `Parsed`, or into a refusal that helps.

Global flags may stand before or after the command; what follows `--` is left alone. Only
the parser of the command that was named is built. Imports `argparse` and nothing heavy.
"""

import argparse
import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from micro_agi.commands.rows.row import Command, find
from micro_agi.commands.table import COMMANDS, DEFAULT, GLOBAL
from micro_agi.errors import InputInvalid

PROGRAM = "micro-agi"


class Parsed(NamedTuple):
    """What was typed. Exactly one of `run` and `print_and_leave` is not empty."""

    arguments: argparse.Namespace
    flags: dict[str, Any]
    """Settings that were given, by name."""
    run: str = ""
    """`module:function` of `row.Command`."""
    as_json: bool = False
    print_and_leave: str = ""
    """A help page, or the version."""


class _Parser(argparse.ArgumentParser):
    """Raises what argparse would print, and never guesses an abbreviated flag."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, add_help=False, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises: InputInvalid.
        """
        raise InputInvalid(message, where=self.prog, fix=f"`{self.prog} --help` shows how")


def parse(argv: Sequence[str]) -> Parsed:
    """Read the arguments of the program.

    Raises: InputInvalid naming what is not understood and what is like it.
    """
    for word in argv:
        if not word.isprintable() and _is_no_text(word):
            raise InputInvalid(
                "an argument is no UTF-8 text", where=ascii(word), fix="write it in UTF-8"
            )
    flags, as_json, words = _global_flags(list(argv))
    if words and words[0] == "--version":
        return _page(f"{PROGRAM} {_version()}\n")
    if words and words[0] in ("-h", "--help"):
        return _page(help_page())
    command, path, words = _command(words)
    before_dashes = words[: words.index("--")] if "--" in words else words
    if "-h" in before_dashes or "--help" in before_dashes:
        return _page(help_page(command, path))
    if command.verbs:
        listed = ", ".join(v.name for v in command.verbs)
        raise InputInvalid(
            f"`{path}` wants to know what to do", where=path, fix=f"add one of: {listed}"
        )
    arguments = _parser(command, path).parse_args(words)
    return Parsed(run=command.run, arguments=arguments, flags=flags, as_json=as_json)


def _is_no_text(word: str) -> bool:
    """Whether bytes were given that Python could only smuggle through as surrogates."""
    return any("\ud800" <= character <= "\udfff" for character in word)


def help_page(command: Command | None = None, path: str = PROGRAM) -> str:
    """Return the help of the program, of a command, or of a verb."""
    if command is None:
        about = (
            "Talk to an agent that writes, checks and loads its own tools.\n\ncommands:\n"
            + _list(COMMANDS)
            + f"\n\n`{PROGRAM} COMMAND --help` says more about one."
        )
        return _global_parser(f"{PROGRAM} [FLAGS] [COMMAND …]", about).format_help()
    about = command.help[0].upper() + command.help[1:] + "."
    if command.verbs:
        about += "\n\nverbs:\n" + _list(command.verbs)
    if command.more:
        about += "\n\n" + command.more
    page = _parser(command, path, about).format_help()
    return f"{page}\nGlobal flags work here too: `{PROGRAM} --help` lists them.\n"


def _page(text: str) -> Parsed:
    return Parsed(arguments=argparse.Namespace(), flags={}, print_and_leave=text)


def _version() -> str:
    # Read from the installed package; importlib.metadata costs 20 ms nobody else needs.
    import importlib.metadata

    return importlib.metadata.version("micro-agi")


def _list(commands: Sequence[Command]) -> str:
    width = max(len(c.name) for c in commands)
    return "\n".join(f"  {c.name:<{width}}  {c.help}" for c in commands)


def _command(words: list[str]) -> tuple[Command, str, list[str]]:
    """Return the command or verb that is named, its full name, and the words behind it."""
    if not words:
        return _known(COMMANDS, DEFAULT, PROGRAM), f"{PROGRAM} {DEFAULT}", []
    command, path, rest = _known(COMMANDS, words[0], PROGRAM), f"{PROGRAM} {words[0]}", words[1:]
    if command.verbs and rest and rest[0] not in ("-h", "--help"):
        return _known(command.verbs, rest[0], path), f"{path} {rest[0]}", rest[1:]
    return command, path, rest


def _known(commands: tuple[Command, ...], name: str, path: str) -> Command:
    command = find(commands, name)
    if command is not None:
        return command
    what = "option" if name.startswith("-") else "command"
    known = [c.name for c in commands]
    if what == "option":
        known = [name for flag in GLOBAL for name in flag.names]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    fix = f"did you mean: {', '.join(near)}" if near else f"use one of: {', '.join(known)}"
    if path == PROGRAM and what == "command":
        fix += f"; a question goes behind `{PROGRAM} ask`"
    raise InputInvalid(f"there is no {what} `{name}`", where=path, fix=fix)


def _global_flags(argv: list[str]) -> tuple[dict[str, Any], bool, list[str]]:
    """Take the global flags out, wherever they stand before a `--`."""
    cut = argv.index("--") if "--" in argv else len(argv)
    found, words = _global_parser(PROGRAM, "").parse_known_args(argv[:cut])
    flags = {name: value for name, value in vars(found).items() if value is not None}
    as_json = flags.pop("as_json")
    return flags, as_json, words + argv[cut:]


def _global_parser(usage: str, about: str) -> _Parser:
    parser = _Parser(
        PROGRAM,
        usage=usage,
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser._optionals.title = "flags, before or after the command"
    for argument in GLOBAL:
        parser.add_argument(*argument.names, **argument.options)
    return parser


def _parser(command: Command, path: str, about: str = "") -> _Parser:
    parser = _Parser(
        path,
        usage=f"{path} VERB …" if command.verbs else None,
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for argument in command.arguments:
        parser.add_argument(*argument.names, **argument.options)
    return parser
