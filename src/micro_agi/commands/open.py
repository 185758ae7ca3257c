"""Open the runtime as a command needs it: settings, trust, notices, the log file.

An app directory is trusted once, by its content, by a person. Until then nothing of it
runs and its `.env` is not read; afterwards the values in there count between the
environment and the defaults.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from micro_agi.app import Runtime
from micro_agi.commands.invocation import Invocation
from micro_agi.commands.log_file import Clean, logging_to
from micro_agi.errors import InputInvalid, MicroAgiError, PolicyDenied
from micro_agi.home import recall, remember
from micro_agi.settings import Settings, load, process_environment, read_dotenv
from micro_agi.terminal.console import Console

PLACES = ("MICRO_AGI_HOME", "MICRO_AGI_APP")
"""What an app's `.env` cannot set: it is found only once these are known."""


@asynccontextmanager
async def open_runtime(
    invocation: Invocation, *, console: Console | None = None
) -> AsyncIterator[Runtime]:
    """Open the runtime of an invocation and log to its home as long as it is open.

    With a console, something of the app will run: the person there is asked to trust a new
    or changed app, and whatever comes up later. Commands that only look at an app give none,
    and the runtime's notices are said here on their behalf.
    """
    rt = await _open(invocation, invocation.settings, console)
    try:
        if console is not None and not rt.trusted and await _agrees(invocation, console, rt):
            rt.trust()
        dotenv = _dotenv(rt)
        if dotenv:
            settings = load(flags=invocation.flags, environ=process_environment(), dotenv=dotenv)
            # Models, limits and the sandbox were built from the other settings.
            await rt.close()
            rt = await _open(invocation, settings, console)
        if console is not None:
            await _agree_on_workspace(invocation, console, rt)
        if console is None:
            for notice in rt.notices:
                invocation.note(f"note: {notice}")
        with logging_to(log_path(rt.home), rt.app.project.logger, clean=rt.redactor.text):
            yield rt
    except MicroAgiError as error:
        mask(error, rt.redactor.text)
        raise
    finally:
        await rt.close()


async def _open(invocation: Invocation, settings: Settings, console: Console | None) -> Runtime:
    async def ask(question: str) -> bool:
        return await agrees(invocation, console, question)

    _require_home(invocation)
    return await Runtime.open(
        settings,
        approver=console.approver if console else None,
        ask=ask if console else None,
    )


def _require_home(invocation: Invocation) -> None:
    """Make the home if it is new.

    Raises: InputInvalid when that is not possible.
    """
    try:
        assert invocation.home.is_dir(), "it was made"
    except OSError as error:
        raise InputInvalid(
            f"the home cannot be used: {error.strerror}",
            where=str(error.filename or invocation.settings.home),
            fix="name a directory that you may write with --home",
        ) from error


async def agrees(invocation: Invocation, console: Console | None, question: str) -> bool:
    """Put a question to the person; `--yes` agrees, and without anybody the answer is no."""
    if invocation.settings.yes:
        return True
    if invocation.settings.no_input or console is None:
        return False
    return await console.confirm(question)


async def _agrees(invocation: Invocation, console: Console, rt: Runtime) -> bool:
    directory = rt.app.directory
    return await agrees(
        invocation, console, f"Trust the app in {directory}: its settings, policies and code?"
    )


async def _agree_on_workspace(invocation: Invocation, console: Console, rt: Runtime) -> None:
    """Ask once for each directory outside the home whether agents may change files there.

    Raises: PolicyDenied when they may not.
    """
    root = rt.workspace.root
    key = f"workspace:{root}"
    if not rt.settings.workspace or recall(rt.database, key):
        return
    if not await agrees(invocation, console, f"Let agents change files in {root}?"):
        raise PolicyDenied(
            "nobody agreed that agents may change files there",
            where=str(root),
            fix="answer yes when asked, start with --yes, or leave --workspace out",
        )
    remember(rt.database, key, "yes")


def _dotenv(rt: Runtime) -> Mapping[str, str]:
    path = rt.app.directory / ".env"
    if not path.is_file() or not rt.trusted:
        return {}
    return {name: value for name, value in read_dotenv(path).items() if name not in PLACES}


def mask(error: MicroAgiError, clean: Clean) -> None:
    """Take secrets out of an error: a server may have answered with the headers it got."""
    error.what, error.where, error.fix = map(clean, (error.what, error.where, error.fix))


def log_path(home: Path) -> Path:
    """Return the log file of a home."""
    return home / "logs" / "micro-agi.log"
