"""Find what a person's own tools run later: repositories, environments, settings of editors.

Whoever writes a hook into `.git`, or a program into `.venv`, runs as that person the next time
they look at their work, outside of every sandbox. So in a room these places are read-only,
unless a person said otherwise, and file tools ask before they write there.

Known by name, and a Python environment by the file that makes it one. The search is bounded
and does not grow with the workspace: its own directory, and the two levels below it. What
lies deeper, or is made while a room is open, is not protected; what was made is reported.

Source: issue 5 "Workspace tools"; decision 0050.
"""

import os
from collections.abc import Sequence
from pathlib import Path

# Not what stands in a review anyway (a Makefile, a workflow), nor what asks again when its content
# changed (`.envrc`).
NAMES = frozenset(
    {
        *(".git", ".hg", ".svn", ".husky", ".githooks"),
        *(".venv", "venv", ".tox", ".nox", ".direnv", "node_modules", ".yarn"),
        *(".vscode", ".idea", ".zed", ".devcontainer", ".cursor", ".claude"),
    }
)
ENVIRONMENT_MARK = "pyvenv.cfg"
LEVELS = 2
"""Below the workspace's own directory."""
MOST_DIRECTORIES = 200
MOST_ENTRIES = 5_000
"""That are looked at in all: some milliseconds."""


def place_of(parts: Sequence[str]) -> str:
    """Return the place that a path lies in, or is, by its names alone; "" for none.

    >>> place_of(("api", ".venv", "bin", "python")), place_of(("src", "venv.py"))
    ('api/.venv', '')
    """
    for depth, name in enumerate(parts, 1):
        if name.lower() in NAMES:
            return "/".join(parts[:depth])
    return ""


def places(workspace: Path) -> tuple[str, ...]:
    """Return the places that there are, as paths below the workspace, in order.

    Links are not followed, and what cannot be listed is passed over. It blocks for some
    milliseconds at most.
    """
    found: list[str] = []
    level: list[str] = [""]
    directories, entries = MOST_DIRECTORIES, MOST_ENTRIES
    for depth in range(LEVELS + 1):
        below: list[str] = []
        for path in level:
            if directories == 0 or entries <= 0:
                return tuple(sorted(found))
            directories -= 1
            own, within, seen = _look(workspace, path, entries)
            entries -= seen
            found += own
            # Nothing in such a place has to be found by itself.
            below += within if path not in own else []
        level = below if depth < LEVELS else []
    return tuple(sorted(found))


def _look(workspace: Path, path: str, most: int) -> tuple[list[str], list[str], int]:
    """Return the places in a directory, its other directories, and how many entries were seen."""
    try:
        handle = os.open(workspace / path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return [], [], 0
    places: list[str] = []
    directories: list[str] = []
    seen = 0
    try:
        with os.scandir(handle) as entries:
            for entry in entries:
                if seen == most:
                    break
                seen += 1
                if entry.is_symlink():
                    continue
                below = f"{path}/{entry.name}" if path else entry.name
                if entry.name.lower() in NAMES:
                    places.append(below)
                elif entry.name == ENVIRONMENT_MARK and path:
                    places.append(path)
                elif entry.is_dir(follow_symlinks=False):
                    directories.append(below)
    except OSError:
        pass  # it went away; what was seen of it counts
    finally:
        os.close(handle)
    return places, sorted(directories), seen
