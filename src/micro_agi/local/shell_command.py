"""What a command text is made of, once it is taken apart: words, redirections, commands.

What is only known when it runs (a variable, the output of a command) stays in a word as a gap.
"""

import posixpath

from msgspec import Struct, field

HOME = "/tmp/home"  # noqa: S108 - what the room has
GAP = "\ufffc"
"""Stands in a word for what is only known when it runs."""


class Word(Struct, frozen=True):
    """One word of a command, quotes removed."""

    text: str
    """With `GAP` where only running it will tell."""
    glob: bool = False
    """It has unquoted `*`, `?` or `[`, so it may become several."""

    @property
    def known(self) -> bool:
        """Whether nothing in it has to wait for the run."""
        return GAP not in self.text


class Redirect(Struct, frozen=True, kw_only=True):
    """A redirection to or from a file."""

    writes: bool
    target: Word


class Simple(Struct, frozen=True, kw_only=True):
    """One command: what a shell executes as one."""

    text: str
    """As it is written."""
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...] = ()
    assigned: tuple[str, ...] = ()
    """Names of variables set for it alone."""
    before: tuple["Simple", ...] = ()
    """What feeds its input: the commands before it in its pipeline."""
    inner: tuple["Simple", ...] = ()
    """Commands whose output becomes part of its words."""
    directory: str | None = None
    """Where it runs, absolute; None when that is only known when it runs."""

    @property
    def program(self) -> str:
        """The name of what runs, without its directory; "" when it is not known."""
        return posixpath.basename(self.words[0].text) if self.words and self.words[0].known else ""

    @property
    def arguments(self) -> tuple[Word, ...]:
        """The words behind the program."""
        return self.words[1:]

    def path(self, word: Word) -> str | None:
        """Return where a word points as a path, absolute; None when that is not known."""
        if word.text.startswith("/"):
            return posixpath.normpath("/" + word.text.lstrip("/"))
        if self.directory is None:
            return None
        return posixpath.normpath(posixpath.join(self.directory, word.text))


class Parsed(Struct):
    """Everything a command text would run."""

    commands: list[Simple] = field(default_factory=list)
    functions: dict[str, list[Simple]] = field(default_factory=dict)
    unclear: str = ""
    """Why it cannot be judged whole, or ""."""
