"""See through programs that run another: `env`, `timeout`, `xargs`, `sh -c`, `eval`, `find -exec`.

Each gives the commands inside. What cannot be seen through says so, and is then asked about.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from micro_agi.local.shell_command import GAP, Parsed, Simple, Word
from micro_agi.local.shell_parse import MOST_NESTED, parse_command

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "rbash"})
WITH_VALUES = {
    "env": ("-u", "-C", "--unset", "--chdir"),
    "nice": ("-n", "--adjustment"),
    "timeout": ("-s", "-k", "--signal", "--kill-after"),
    "xargs": (
        *("-I", "-n", "-P", "-L", "-d", "-E", "-s", "-a", "--max-args", "--max-procs"),
        *("--delimiter", "--arg-file", "--replace", "--max-lines"),
    ),
    "nohup": (),
    "setsid": (),
    "time": ("-f", "-o"),
    "command": (),
    "builtin": (),
    "exec": ("-a",),
    "stdbuf": ("-i", "-o", "-e"),
    "ionice": ("-c", "-n"),
    "busybox": (),
    "sudo": ("-u", "-g", "-h", "-p", "-C"),
    "doas": ("-u", "-C"),
}
"""Programs that run the rest of their words, and their options that take a word."""
BEFORE = {"timeout": 1}
"""Words that stand before the command."""
FIND_RUNS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})


class Inside(Struct, frozen=True):
    """What a command runs besides itself."""

    commands: tuple[Simple, ...] = ()
    functions: dict[str, list[Simple]] | None = None
    unclear: str = ""


def inside(simple: Simple, depth: int) -> Inside:
    """Return the commands that a command runs for its words; nothing for an ordinary one."""
    program = simple.program
    if program in WITH_VALUES:
        return _rest(simple)
    if program in SHELLS:
        return _script(simple, depth)
    if program == "eval":
        return _text(" ".join(w.text for w in simple.arguments), simple, depth)
    if program == "find":
        return _found(simple)
    return Inside()


def _rest(simple: Simple) -> Inside:
    program = simple.program
    words = list(simple.arguments)
    while words:
        word = words[0].text
        if word == "--":
            words.pop(0)
            break
        if program == "env" and "=" in word and not word.startswith("-"):
            words.pop(0)
        elif word.startswith("-") and len(word) > 1:
            if program == "env" and (word.startswith("-S") or word.startswith("--split")):
                return Inside(unclear="`env -S` takes a command out of a text")
            words.pop(0)
            if word in WITH_VALUES[program] and words:
                words.pop(0)
        else:
            break
    words = words[BEFORE.get(program, 0) :]
    if not words:
        return Inside()
    if program == "xargs":
        words.append(Word(GAP, glob=True))
    return Inside((_instead(simple, words),))


def _script(simple: Simple, depth: int) -> Inside:
    """Return what `sh -c TEXT` runs; a script in a file, or from a pipe, cannot be seen."""
    words = list(simple.arguments)
    for number, word in enumerate(words):
        option = word.text
        if not option.startswith("-") or option == "-":
            break
        if not option.startswith("--") and "c" in option:
            text = words[number + 1] if number + 1 < len(words) else None
            return _text(text.text, simple, depth) if text is not None else Inside()
    return Inside(unclear=f"what `{simple.program}` runs is not in the command")


def _text(text: str, simple: Simple, depth: int) -> Inside:
    if GAP in text:
        return Inside(unclear="it runs a text that is only known when it runs")
    if depth >= MOST_NESTED:
        return Inside(unclear=f"commands are nested {MOST_NESTED} deep")
    parsed: Parsed = parse_command(text, simple.directory or "/")
    commands = parsed.commands
    if simple.directory is None:
        commands = [replace(c, directory=None) for c in commands]
    # The first ones read what is piped into the shell.
    commands = [replace(c, before=(*simple.before, *c.before)) for c in commands]
    return Inside(tuple(commands), parsed.functions, parsed.unclear)


def _found(simple: Simple) -> Inside:
    """Return what `find` runs for each file, which is below where it begins."""
    commands = []
    words = list(simple.arguments)
    for number, word in enumerate(words):
        if word.text in FIND_RUNS:
            rest = words[number + 1 :]
            ends = [n for n, w in enumerate(rest) if w.text in (";", "+")]
            commands.append(_instead(simple, rest[: ends[0]] if ends else rest))
    return Inside(tuple(commands))


def _instead(simple: Simple, words: Sequence[Word]) -> Simple:
    text = " ".join(w.text.replace(GAP, "…") for w in words)
    gaps = tuple(Word(GAP, glob=True) if w.text == "{}" else w for w in words)
    return replace(simple, text=text, words=gaps, inner=())
