"""The directory whose files the agent works on, and the one door to them.

Every file tool names files through `place` and opens them through `Workspace`. Files may be
read and written below the workspace; below the directory the program was started in they may
be read, by paths that begin with `@current/`. What leads out of either, through a link, to a
device, to a file with several names, or to what looks like a credential is refused, with one
error.

Nothing here costs more when there are more files: no index, no quota scan.
Source: spec/local-agent.md 7.5; decision 0038.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from micro_agi.errors import EntryNotFound, InputInvalid, PathRefused, ToolFailed
from micro_agi.local.beneath import Beneath, parts_of, refused
from micro_agi.local.credentials import credential_like, in_version_control
from micro_agi.local.replace import require_ordinary
from micro_agi.local.tool import PROGRAMS, RUNS_OUTSIDE, WRITE
from micro_agi.sandbox.run_later import ENVIRONMENT_MARK, place_of
from micro_agi.security.need import Need
from micro_agi.values import nearest

CURRENT = "@current"
"""What begins a path below the directory the program was started in."""
PREFIX = "workspace"
"""Models like to begin paths with it; it means the workspace itself."""
NEAR = 2000
"""Names looked at to find the nearest one to a misspelt name."""


class Place(Struct, frozen=True, kw_only=True):
    """A path that was checked as text: where it begins, and its names below."""

    tree: Beneath
    parts: tuple[str, ...]
    shown: str
    """As tools and policies name it: `notes/today.md`, `@current/README.md`, `.`."""
    writable: bool

    @property
    def resource(self) -> str:
        """What policies are asked about: the path, or all of the current directory at once.

        A person says once whether a directory may be read, not once for each file in it.
        """
        return self.shown if self.writable else f"{CURRENT} {self.tree.root}"

    @property
    def name(self) -> str:
        """The last name, or "." for the directory itself."""
        return self.parts[-1] if self.parts else "."


class Workspace:
    """Opens files for tools. Made once; `root` is made when it is first needed."""

    def __init__(
        self, root: Path, *, current: Path | None = None, private: Sequence[Path] = ()
    ) -> None:
        """Use `root` for work, `current` for reading.

        `private` are directories whose content no tool sees, wherever the others lie: where
        the runtime keeps its own state.
        Raises: InputInvalid for a workspace that holds such a directory.
        """
        self.root = Path(os.path.realpath(root))
        self._private = tuple(Path(os.path.realpath(p)) for p in private)
        for own in self._private:
            if own.is_relative_to(self.root):
                raise holds_state(self.root, own)
        self._tree = Beneath(self.root)
        self._current = Beneath(Path(os.path.realpath(current))) if current is not None else None

    def make(self) -> None:
        """Make the workspace if it is new.

        Raises: InputInvalid when that is not possible.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InputInvalid(
                f"the workspace cannot be used: {error.strerror}",
                where=str(self.root),
                fix="name a directory that you may write with --workspace",
            ) from error

    def place(self, path: str, *, write: bool = False) -> Place:
        """Check a path that a tool was given.

        Raises: PathRefused.
        """
        parts = parts_of(path)
        current = bool(parts) and parts[0] == CURRENT
        tree = self._current if current else self._tree
        if tree is None:
            raise refused(path, "this program has no current directory to read")
        if current:
            if write:
                raise refused(path, f"`{CURRENT}` is for reading", fix="write below the workspace")
            parts = parts[1:]
        else:
            self.make()
            if len(parts) > 1 and parts[0] == PREFIX and not (self.root / PREFIX).exists():
                parts = parts[1:]
            elif parts == (PREFIX,) and not (self.root / PREFIX).exists():
                parts = ()
        self._forbid(path, tree.root, parts, write=write)
        shown = "/".join(((CURRENT,) if current else ()) + parts) or "."
        return Place(tree=tree, parts=parts, shown=shown, writable=not current)

    def file_place(self, path: str) -> Place:
        """Check the path of a file that a tool will write.

        Raises: PathRefused, also for the workspace itself.
        """
        place = self.place(path, write=True)
        if not place.parts:
            raise refused(path, "it is the workspace itself", fix="name a file in it")
        return place

    def to_write(self, place: Place, reason: str = "") -> list[Need]:
        """Return what has to be allowed before a tool writes there.

        What a person's own tools run later needs a second answer, whose resource is the
        directory that holds it: `.venv`, `api/node_modules`.
        """
        needs = [Need(action=WRITE, resource=place.shown, reason=reason)]
        programs = place_of(place.parts) or self._environment(place)
        if programs:
            needs.append(Need(action=PROGRAMS, resource=programs, reason=RUNS_OUTSIDE))
        return needs

    def _environment(self, place: Place) -> str:
        """Return the Python environment that a path lies in, or makes; "" for none."""
        for depth in range(1, len(place.parts)):
            try:
                os.close(place.tree.open((*place.parts[:depth], ENVIRONMENT_MARK), os.O_PATH))
            except (OSError, PathRefused):
                continue
            return "/".join(place.parts[:depth])
        return place.shown if place.name.lower() == ENVIRONMENT_MARK else ""

    def _forbid(self, path: str, root: Path, parts: tuple[str, ...], *, write: bool) -> None:
        secret = credential_like(parts)
        if secret:
            raise refused(path, f"`{secret}` looks like a credential", fix="work without it")
        repository = in_version_control(parts)
        if repository:
            raise refused(
                path, f"`{repository}` is version control's own", fix="use git, with the shell"
            )
        for own in self._private:
            inside = root.joinpath(*parts)
            if inside.is_relative_to(own) and not inside.is_relative_to(self.root):
                raise refused(path, "the runtime keeps its own state there")

    def open(self, place: Place) -> int:
        """Open an ordinary file for reading and return its descriptor.

        Raises: PathRefused for a device or a file with several names; EntryNotFound with the
        nearest names; ToolFailed for a directory and for what the system refuses.
        """
        try:
            # First a handle that opens nothing: opening a device or a pipe may do something.
            seen = self._checked(place, os.O_PATH)
            os.close(seen)
            opened = self._checked(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            raise self.failure(place, error) from error
        return opened

    def _checked(self, place: Place, flags: int) -> int:
        opened = place.tree.open(place.parts, flags)
        try:
            require_ordinary(place.shown, os.fstat(opened))
        except BaseException:
            os.close(opened)
            raise
        return opened

    def failure(self, place: Place, error: OSError) -> EntryNotFound | ToolFailed:
        """Return what an `OSError` means to who named the place."""
        if isinstance(error, NotADirectoryError) and self._is_there(place):
            return ToolFailed(
                f"`{place.shown}` is a file, not a directory",
                where=place.shown,
                fix="read_file reads it",
            )
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return self.not_found(place)
        return ToolFailed(f"`{place.shown}` cannot be opened: {error.strerror}", where=place.shown)

    def _is_there(self, place: Place) -> bool:
        try:
            os.close(place.tree.open(place.parts, os.O_PATH))
        except (OSError, PathRefused):
            return False
        return True

    def not_found(self, place: Place) -> EntryNotFound:
        """Return the error for a file that is not there, with the nearest names."""
        near: list[str] = []
        try:
            handle = place.tree.directory(place.parts[:-1])
            try:
                with os.scandir(handle) as entries:
                    names = [entry.name for entry, _ in zip(entries, range(NEAR), strict=False)]
            finally:
                os.close(handle)
            near = nearest(place.name, names)
        except (OSError, PathRefused):
            near = []
        return EntryNotFound(
            f"there is no file `{place.shown}`",
            where=place.shown,
            fix=f"there is: {', '.join(near)}" if near else "list_files shows what there is",
        )


def holds_state(root: Path, where: Path) -> InputInvalid:
    """Return the error for a workspace that would open the runtime's own files to tools."""
    return InputInvalid(
        f"`{root}` cannot be the workspace: the runtime keeps its state in there",
        where=str(where),
        fix="name another directory, such as the project you work on",
    )
