"""How the runtime starts a reader: what it runs, and how little it gives it.

A reader decodes what a stranger made, with a library that was not written for that, or
may take for ever. So it is a process of its own, without environment, in its own session, which
first gives up what it does not need (`confine.py`), and is ended when time is over.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

from micro_agi.errors import InputInvalid

HERE = Path(__file__).parent
OURS = str(HERE.parents[2])
"""Where this package is: readers take the confinement from it."""


def command(program: str, package: str, extra: str, *arguments: str) -> list[str]:
    """Return the command line of a reader that needs a package.

    Raises: InputInvalid with the line that installs it, when the package is missing.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise InputInvalid(
            f"this needs {package}, which is not installed",
            where=program,
            fix=f'pip install "micro-agi[{extra}]"' if extra else f"pip install {package}",
        )
    places = "\n".join([OURS, str(Path(found.origin).parents[1])])
    return [sys.executable, "-I", str(HERE / f"{program}.py"), places, *arguments]


def options() -> dict[str, Any]:
    """Return how to start it: nothing of this process comes along."""
    return {
        "env": {},
        "cwd": "/",
        "stdout": subprocess.PIPE,
        "stderr": subprocess.DEVNULL,
        # A Ctrl-C at the terminal is for the agent.
        "start_new_session": True,
    }
