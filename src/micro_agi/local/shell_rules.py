"""Rules of the shell: entries that say which commands run, which are asked about, which never do.

A rule is an entry whose `meta.type` is `shell.rule`, in a namespace of the operator: others do
not count, whatever they say, and agents cannot write there. Each command of a chain is
answered by itself: deny beats ask beats allow, and what no rule answers is asked about.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, cast

from msgspec import Struct, field

from micro_agi.errors import EntryInvalid
from micro_agi.local.shell_checks import CHECKS, Room
from micro_agi.local.shell_command import Simple, Word
from micro_agi.local.shell_parse import parse_command
from micro_agi.local.shell_unwrap import SHELLS, WITH_VALUES, inside
from micro_agi.registry.entry import Entry

RULE_TYPE = "shell.rule"
Effect = Literal["allow", "ask", "deny"]
EFFECTS: tuple[Effect, ...] = ("allow", "ask", "deny")
SYSTEM_PLACES = ("/bin/", "/usr/bin/", "/usr/local/bin/", "/sbin/", "/usr/sbin/")
HARMLESS_VARIABLES = frozenset({"LC_ALL", "LANG", "LC_CTYPE", "TZ", "COLUMNS", "NO_COLOR", "TERM"})


class Rule(Struct, frozen=True, kw_only=True):
    """One rule: every part that it has must match."""

    id: str
    effect: Effect
    reason: str = ""
    """What a person or a model is told."""
    programs: frozenset[str] = frozenset()
    first: frozenset[str] = frozenset()
    """What the first word that is no option may be: `status` of `git status`."""
    unless: tuple[str, ...] = ()
    """Options with which the rule does not hold."""
    check: str = ""

    def matches(self, simple: Simple, room: Room) -> str:
        """Return why the rule matches a command, or ""."""
        if self.programs and not self._program(simple):
            return ""
        if self.first and _first_word(simple) not in self.first:
            return ""
        if any(_is_option(w, option) for w in simple.arguments for option in self.unless):
            return ""
        if self.check:
            return CHECKS[self.check](simple, room)
        return self.reason or f"rule for {simple.program}"

    def _program(self, simple: Simple) -> bool:
        if simple.program not in self.programs:
            return False
        path = simple.words[0].text
        # Anything may be called `ls`; what is allowed is the system's.
        ours = "/" not in path or path.startswith(SYSTEM_PLACES)
        return self.effect != "allow" or ours


class Answer(Struct, frozen=True, kw_only=True):
    """What the rules say about one command."""

    text: str
    """The command as it is written."""
    effect: Effect
    program: str = ""
    """Its name; "" when only running it will tell."""
    rule: str = ""
    """Id of the rule, or "" when none answered."""
    reason: str = ""


class Judgment(Struct, frozen=True, kw_only=True):
    """What the rules say about a whole command text."""

    answers: tuple[Answer, ...]
    unclear: str = ""
    """Why the text cannot be judged whole; then it is asked about whole."""


def rules_of(entries: Iterable[Entry], is_operators: Callable[[str], bool]) -> tuple[Rule, ...]:
    """Read the rules that count.

    Raises: EntryInvalid: a deny that is skipped would fail open.
    """
    return tuple(
        _rule(entry)
        for entry in sorted(entries, key=lambda e: e.id)
        if entry.meta.get("type") == RULE_TYPE and is_operators(entry.namespace)
    )


def _rule(entry: Entry) -> Rule:
    data = entry.data
    effect, check = data.get("effect"), str(data.get("check") or "")
    if effect not in EFFECTS:
        raise _invalid(entry, "effect", f"{effect!r} is no effect", "write allow, ask or deny")
    if check and check not in CHECKS:
        raise _invalid(entry, "check", f"there is no check `{check}`", f"use {', '.join(CHECKS)}")
    rule = Rule(
        id=entry.id,
        effect=cast(Effect, effect),
        reason=str(entry.meta.get("title") or ""),
        programs=frozenset(_texts(entry, "programs")),
        first=frozenset(_texts(entry, "first")),
        unless=tuple(_texts(entry, "unless")),
        check=check,
    )
    if not rule.programs and not check:
        raise _invalid(entry, "programs", "it names no program", "name programs, or a check")
    return rule


def _texts(entry: Entry, key: str) -> list[str]:
    value: Any = entry.data.get(key) or []
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise _invalid(entry, key, "it is no list of texts", "write [name, name]")
    return value


def _invalid(entry: Entry, key: str, what: str, fix: str) -> EntryInvalid:
    return EntryInvalid(f"a rule of the shell: {what}", where=f"{entry.id} at data.{key}", fix=fix)


class Judge(Struct):
    """Answers for command texts, by one set of rules, in one workspace."""

    rules: tuple[Rule, ...]
    workspace: str
    _functions: dict[str, list[Simple]] = field(default_factory=dict)
    _answers: list[Answer] = field(default_factory=list)
    _unclear: str = ""

    def judge(self, text: str, directory: str) -> Judgment:
        """Return an answer for each command that a text would run."""
        parsed = parse_command(text, directory)
        self._functions = dict(parsed.functions)
        self._answers, self._unclear = [], parsed.unclear
        for simple in parsed.commands:
            self._one(simple, 0)
        return Judgment(answers=_distinct(self._answers), unclear=self._unclear)

    def _one(self, simple: Simple, depth: int) -> None:
        within = inside(simple, depth)
        if within.functions:
            self._functions |= within.functions
        self._unclear = self._unclear or within.unclear
        self._answers.append(self._answer(simple, wraps=bool(within.commands)))
        for each in within.commands:
            self._one(each, depth + 1)

    def _answer(self, simple: Simple, *, wraps: bool) -> Answer:
        room = Room(workspace=self.workspace, functions=self._functions)
        found: dict[Effect, tuple[str, str]] = {}
        for rule in self.rules:
            reason = rule.matches(simple, room)
            if reason:
                found.setdefault(rule.effect, (rule.id, reason))
        if "deny" in found:
            return _said(simple, "deny", found["deny"])
        if "ask" in found:
            return _said(simple, "ask", found["ask"])
        doubt = _doubt(simple)
        if doubt:
            return _said(simple, "ask", ("", doubt))
        if "allow" in found:
            return _said(simple, "allow", found["allow"])
        if not simple.words or simple.program in self._functions:
            # Only redirections, which the checks have seen; or a body that is judged where it is.
            return _said(simple, "allow", ("", ""))
        if wraps and _only_wraps(simple):
            return _said(simple, "allow", ("", ""))
        return _said(simple, "ask", ("", f"no rule allows `{simple.program}`"))


def _doubt(simple: Simple) -> str:
    """Return why a command may not be what it looks like, or ""."""
    if simple.words and not simple.program:
        return "which program it runs is only known when it runs"
    if simple.words and simple.words[0].glob:
        return "its name is a pattern"
    odd = [name for name in simple.assigned if name not in HARMLESS_VARIABLES]
    if odd and simple.words:
        return f"it sets {odd[0]} for the program"
    return ""


def _only_wraps(simple: Simple) -> bool:
    """Whether it does nothing but what its inner commands do, which are judged by themselves."""
    if simple.program in SHELLS:
        options = [w.text for w in simple.arguments if w.text.startswith("-")]
        return all(set(option) <= set("-ceux") and option != "--" for option in options)
    return simple.program in WITH_VALUES and simple.program not in ("sudo", "doas")


def _said(simple: Simple, effect: Effect, why: tuple[str, str]) -> Answer:
    return Answer(
        text=simple.text, effect=effect, program=simple.program, rule=why[0], reason=why[1]
    )


def _distinct(answers: Iterable[Answer]) -> tuple[Answer, ...]:
    return tuple(dict.fromkeys(answers))


def _first_word(simple: Simple) -> str:
    return next((w.text for w in simple.arguments if not w.text.startswith("-")), "")


def _is_option(word: Word, option: str) -> bool:
    """Whether a word may be an option, also shortened or joined with others."""
    text = word.text
    if not word.known and not text.startswith("-"):
        return True  # it may become anything
    if not text.startswith("-"):
        return False
    if option.startswith("--"):
        name = text.partition("=")[0]
        return len(name) > 2 and option.startswith(name)
    if len(option) == 2 and not text.startswith("--"):
        return option[1] in text[1:]
    return text.partition("=")[0] == option
