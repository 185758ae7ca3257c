"""Go through a tree of the workspace in order, without following links.

What version control ignores is left out unless it is asked for, and so are the directories
that hold what tools made. The cost is that of the part that was asked for: a walk that has
enough, or was stopped, looks no further.

Source: gitignore(5); spec/local-agent.md 7.5.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from msgspec import Struct

from micro_agi.errors import ArgumentsInvalid, PathRefused
from micro_agi.local.beneath import Beneath
from micro_agi.local.credentials import GIT, credential_like
from micro_agi.local.workspace import Place

MADE = frozenset(
    {
        *("node_modules", "__pycache__", ".venv", "venv", ".mypy_cache", ".pytest_cache"),
        *(".ruff_cache", ".tox", ".hypothesis", ".cache", ".idea"),
    }
)
"""Directories of what programs made; looked into only when all is asked for."""
IGNORE_FILE = ".gitignore"
IGNORE_BYTES = 256 << 10
MOST_ENTRIES = 200_000
MOST_SECONDS = 20.0
MOST_IN_ONE = 50_000
"""Entries of one directory: they are sorted, so they are all in memory."""

Kind = Literal["file", "directory", "link", "other"]


class Item(Struct, frozen=True, kw_only=True):
    """One entry below the place that is walked."""

    parts: tuple[str, ...]
    """Below the tree's root."""
    kind: Kind
    size: int
    closed: bool
    """It looks like a credential: no tool opens it."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What a walk looks for."""

    depth: int = 0
    """Levels below the place; 0 is all."""
    everything: bool = False
    """Also what is ignored, and what programs made."""
    matches: Callable[[str], bool] | None = None
    """Of the path below the place that is walked."""
    after: tuple[str, ...] = ()
    """Leave out everything up to and including this one."""


class Walk(Struct):
    """Goes through a tree; `stopped` says why it ended early, if it did."""

    place: Place
    wanted: Wanted
    cancelled: threading.Event
    stopped: str = ""
    _seen: int = 0
    _until: float = 0.0

    def items(self) -> Iterator[Item]:
        """Yield what is wanted, ordered by path."""
        self._until = time.monotonic() + MOST_SECONDS
        above = [
            _rules(self.place.tree, self.place.parts[:n]) for n in range(len(self.place.parts))
        ]
        yield from self._below(self.place.parts, [r for r in above if r is not None])

    def _below(self, parts: tuple[str, ...], above: Sequence["_Rules"]) -> Iterator[Item]:
        try:
            handle = self.place.tree.directory(parts)
        except (OSError, PathRefused):
            if parts == self.place.parts:
                raise
            return  # it went away, or became a link, since it was listed
        try:
            with os.scandir(handle) as entries:
                found = sorted(_first(entries), key=lambda entry: entry.name)
            if len(found) == MOST_IN_ONE:
                self.stopped = f"a directory has {MOST_IN_ONE:,} entries or more"
            own = (
                _rules(self.place.tree, parts)
                if any(e.name == IGNORE_FILE for e in found)
                else None
            )
            rules = [*above, own] if own is not None else list(above)
            for entry in found:
                yield from self._entry(entry, (*parts, entry.name), rules)
                if self._enough():
                    return
        finally:
            os.close(handle)

    def _entry(
        self, entry: os.DirEntry[str], parts: tuple[str, ...], rules: Sequence["_Rules"]
    ) -> Iterator[Item]:
        self._seen += 1
        is_directory = entry.is_dir(follow_symlinks=False)
        if entry.name in GIT or (
            not self.wanted.everything and self._ignored(parts, is_directory, rules)
        ):
            return
        after = self.wanted.after
        if parts > after and self._matches(parts, is_directory):
            yield _item(entry, parts, is_directory)
        level = len(parts) - len(self.place.parts)
        deeper = not self.wanted.depth or level < self.wanted.depth
        # Everything below a directory that was passed already comes before `after`, too.
        passed = parts <= after and after[: len(parts)] != parts
        if is_directory and deeper and not passed:
            yield from self._below(parts, rules)

    def _ignored(
        self, parts: tuple[str, ...], is_directory: bool, rules: Sequence["_Rules"]
    ) -> bool:
        if is_directory and parts[-1] in MADE:
            return True
        for rule in reversed(rules):
            answer = rule.ignores(parts, is_directory)
            if answer is not None:
                return answer
        return False

    def _matches(self, parts: tuple[str, ...], is_directory: bool) -> bool:
        if self.wanted.matches is None:
            return True
        return not is_directory and self.wanted.matches("/".join(parts[len(self.place.parts) :]))

    def _enough(self) -> bool:
        if self._seen > MOST_ENTRIES:
            self.stopped = f"{MOST_ENTRIES:,} entries were looked at"
        elif time.monotonic() > self._until:
            self.stopped = f"{MOST_SECONDS:g} seconds were used"
        elif self.cancelled.is_set():
            self.stopped = "it was cancelled"
        return bool(self.stopped)


def glob_matcher(glob: str, tool: str) -> Callable[[str], bool] | None:
    """Return what a glob matches, None for an empty one.

    A pattern without a slash matches names at any depth, one with a slash whole paths; `**` is
    any number of directories: as in a `.gitignore`.
    Raises: ArgumentsInvalid.
    """
    if not glob:
        return None
    import pathspec  # not at start: few sessions search

    if glob.startswith(("!", "#")):
        glob = "\\" + glob
    try:
        spec = pathspec.GitIgnoreSpec.from_lines([glob])
    except ValueError as error:
        raise ArgumentsInvalid(
            f"`{glob}` is no glob: {error}", where=tool, fix="write it as *.py or src/**/*.md"
        ) from error
    return spec.match_file


class _Rules(Struct, frozen=True):
    """One `.gitignore`."""

    depth: int
    spec: Any

    def ignores(self, parts: tuple[str, ...], is_directory: bool) -> bool | None:
        """Whether it ignores a path; None when it says nothing."""
        path = "/".join(parts[self.depth :]) + ("/" if is_directory else "")
        answer: bool | None = self.spec.check_file(path).include
        return answer


def _rules(tree: Beneath, parts: tuple[str, ...]) -> _Rules | None:
    import pathspec

    try:
        opened = tree.open((*parts, IGNORE_FILE), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, PathRefused):
        return None
    with os.fdopen(opened, "rb") as file:
        lines = file.read(IGNORE_BYTES).decode("utf-8", "replace").splitlines()
    good = []
    for line in lines:
        try:
            pathspec.GitIgnoreSpec.from_lines([line])
        except ValueError:
            continue  # git passes over such a line, too
        good.append(line)
    return _Rules(len(parts), pathspec.GitIgnoreSpec.from_lines(good))


def _first(entries: Iterator[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    return [entry for entry, _ in zip(entries, range(MOST_IN_ONE), strict=False)]


def _item(entry: os.DirEntry[str], parts: tuple[str, ...], is_directory: bool) -> Item:
    kind: Kind = "other"
    size = 0
    if is_directory:
        kind = "directory"
    elif entry.is_symlink():
        kind = "link"
    elif entry.is_file(follow_symlinks=False):
        kind = "file"
        try:
            size = entry.stat(follow_symlinks=False).st_size
        except OSError:
            size = 0  # it went away since
    return Item(parts=parts, kind=kind, size=size, closed=bool(credential_like(parts)))
