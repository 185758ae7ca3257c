"""Open the runtime as a command needs it: settings, trust, notices, the log file.

An app directory is trusted once, by its content, by a person. Until then its `.env` is
not read; afterwards its values count between the environment and the defaults.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from micro_agi.app import Runtime
from micro_agi.commands.invocation import Invocation
from micro_agi.commands.log_file import logging_to
from micro_agi.errors import InputInvalid, PolicyDenied
from micro_agi.settings import Settings, load, process_environment, read_dotenv
from micro_agi.tools.approve import Approver, Nobody, YesOnce

PLACES = ("MICRO_AGI_HOME", "MICRO_AGI_APP")
"""What an app's `.env` cannot set: it is found only once these are known."""


@asynccontextmanager
async def open_runtime(
    invocation: Invocation, *, approver: Approver | None = None, ask_trust: bool = False
) -> AsyncIterator[Runtime]:
    """Open the runtime of an invocation, log to its home, and say what a person should know.

    With `ask_trust`, a person is asked to trust an app that is new or changed; commands
    that run something of the app do that, those that only look at it do not.
    """
    async with await _open(invocation, invocation.settings, approver) as rt:
        _settle_trust(invocation, rt, ask=ask_trust)
        dotenv = _dotenv(rt)
        if not dotenv:
            with _surroundings(invocation, rt):
                yield rt
            return
    settings = load(flags=invocation.flags, environ=process_environment(), dotenv=dotenv)
    async with await _open(invocation, settings, approver) as rt:
        with _surroundings(invocation, rt):
            yield rt


async def _open(
    invocation: Invocation, settings: Settings, approver: Approver | None
) -> Runtime:
    try:
        return await Runtime.open(settings, approver=approver or standing_approver(settings))
    except PermissionError as error:
        raise InputInvalid(
            f"the home cannot be used: {error.strerror}",
            where=str(error.filename or settings.home),
            fix="name a directory that you may write with --home",
        ) from error


def standing_approver(settings: Settings) -> Approver:
    """Return who answers questions when no terminal does."""
    return YesOnce() if settings.yes and not settings.no_input else Nobody()


def _settle_trust(invocation: Invocation, rt: Runtime, *, ask: bool) -> None:
    if rt.trusted:
        return
    directory = rt.app.directory
    if ask or invocation.settings.yes:
        try:
            invocation.confirm(f"Trust the app in {directory}: its settings, policies and code?")
        except PolicyDenied:
            if not invocation.settings.no_input and invocation.interactive:
                raise
        else:
            rt.trust()
            return
    invocation.note(f"note: {directory} is not trusted, so its .env is not read; --yes trusts it")


def _dotenv(rt: Runtime) -> Mapping[str, str]:
    path = rt.app.directory / ".env"
    if not rt.trusted or not path.is_file():
        return {}
    return {name: value for name, value in read_dotenv(path).items() if name not in PLACES}


@contextmanager
def _surroundings(invocation: Invocation, rt: Runtime) -> Iterator[None]:
    for notice in rt.notices:
        invocation.note(f"note: {notice}")
    with logging_to(log_path(rt.home), rt.app.project.logger):
        yield


def log_path(home: Path) -> Path:
    """Return the log file of a home."""
    return home / "logs" / "micro-agi.log"
