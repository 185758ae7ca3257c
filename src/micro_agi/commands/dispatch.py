"""From a parsed command line to the function that runs it.

The command's module is imported here, by the name that its row in the table has for it, so that no
command pays for the imports of another.
"""

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

from micro_agi.commands.invocation import Invocation, invocation
from micro_agi.commands.parse import Parsed

Run = Callable[[Invocation], Coroutine[Any, Any, int]]
"""Every command: `async def run(invocation) -> exit code`."""


def dispatch(parsed: Parsed) -> int:
    """Run the command and return its exit code."""
    module, _, name = parsed.run.partition(":")
    found = importlib.import_module(f"micro_agi.commands.{module}")
    run = cast("Run", getattr(found, name))
    return asyncio.run(run(invocation(parsed)))


def journal_path(parsed: Parsed) -> Path:
    """Return where the journal of this command line's home is."""
    return invocation(parsed).home / "state.db"
