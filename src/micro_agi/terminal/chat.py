"""The loop of the terminal agent: prompt, turn, prompt.

An error ends a turn, never the session. Ctrl-C stops the turn, not the program; a second
one while it is stopping, or two at the prompt, leave. Lines that begin with `/` are
commands (`commands.py`), everything else goes to the agent.
"""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from micro_agi.agent.session import Session
from micro_agi.errors import MicroAgiError
from micro_agi.messages import AnyEvent
from micro_agi.settings import Settings
from micro_agi.terminal.agency import Agency
from micro_agi.terminal.commands import Commands
from micro_agi.terminal.console import Console, leave
from micro_agi.terminal.input import End
from micro_agi.terminal.render import Screen, error_text
from micro_agi.terminal.text import counted

PROMPT = "> "
LEAVE = frozenset({"quit", "exit", "/quit", "/exit"})
HISTORY = "history"
INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended, as shells have it."""
PIPE_CLOSED = 141
"""Exit code when nobody reads any more."""

Phase = Literal["prompt", "working", "stopping"]


async def chat(
    agency: Agency,
    console: Console,
    settings: Settings,
    *,
    notices: Sequence[str] = (),
    home: Path | None = None,
) -> int:
    """Talk until the person leaves; return the exit code.

    `notices` are shown under the banner, and later ones before the next prompt: the list
    may grow. `home` is where the history of a real terminal is kept.
    Raises: EntryNotFound for an unknown agent, InputInvalid when there is no model, and what
    opening a session raises.
    """
    session = await agency.session(
        settings.session or None, agent=settings.agent, approver=console.approver
    )
    if not settings.base_url:
        # Without any model there is nothing to talk to: better now than after a message. A
        # server that was named is asked with the first message, so the prompt need not wait.
        await session.load()
    loop = Chat(agency, console, session, notices=notices)
    history = home / HISTORY if home else None
    console.reader.learn(history=history, choices=loop.commands.choices)
    return await loop.run()


class Chat:
    """One conversation at one terminal."""

    def __init__(
        self, agency: Agency, console: Console, session: Session, *, notices: Sequence[str] = ()
    ) -> None:
        self.commands = Commands(agency, session, console)
        self._agency = agency
        self._console = console
        self._session = session
        self._notices = notices
        self._told = 0
        self._phase: Phase = "prompt"
        self._leaving = False
        self._work: asyncio.Task[None] | None = None
        console.interrupted = self.interrupt

    async def run(self) -> int:
        """Show the banner, then take one line after another."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.interrupt)
        warming = asyncio.create_task(self._console.warm())
        try:
            self._console.print(banner(self._agency, self._session))
            if self._session.unfinished is not None:
                await self._take(None)
            return INTERRUPTED if self._leaving else await self._lines()
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            self._console.interrupted = leave
            self._console.output.flush()
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)

    def interrupt(self) -> None:
        """Ctrl-C: end the prompt, else stop the turn, else leave."""
        match self._phase:
            case "prompt":
                self._console.reader.interrupt()
            case "working":
                self._phase = "stopping"
                self._stop()
            case "stopping":
                self._leaving = True
                # A third one ends the program whatever it is doing.
                asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
                self._stop()

    async def _lines(self) -> int:
        warned = False
        while not self._console.output.gone:
            self._tell()
            self._console.print("")
            self._phase = "prompt"
            self._console.output.flush()
            line = await self._console.reader.read(PROMPT)
            if line is End.INTERRUPT:
                if warned:
                    return INTERRUPTED
                warned = True
                self._console.print("(Ctrl-C again, or quit, to exit)")
                continue
            warned = False
            if isinstance(line, End) or line.strip() in LEAVE:
                return 0
            await self._take(line.strip())
            if self._leaving:
                return INTERRUPTED
        return PIPE_CLOSED

    async def _take(self, text: str | None) -> None:
        """Do what one line says; an error is shown, and the session goes on.

        None goes on with a turn that was cut off.
        """
        if text == "":
            return
        self._phase = "working"
        with self._console.turn() as screen:
            try:
                await self._until_done(text, screen)
            except MicroAgiError as error:
                screen.remark(error_text(error))

    async def _until_done(self, text: str | None, screen: Screen) -> None:
        """Run a turn or a command as a task, so that Ctrl-C can stop it alone."""

        def show(event: AnyEvent) -> None:
            screen.show(event)
            if self._console.output.gone:
                self._session.cancel()

        async def work() -> None:
            if text is None:
                await self._session.resume(show)
            elif text.startswith("/"):
                await self.commands.run(text)
            else:
                await self._session.run(text, show)

        self._work = asyncio.create_task(work())
        try:
            await self._work
        except asyncio.CancelledError:
            if self._phase == "working" and not self._console.output.gone:
                raise
            # Stopped before a turn began, which could have said so itself.
            screen.remark("  stopped")
        finally:
            self._work = None

    def _stop(self) -> None:
        """Cancel the turn in a way that lets it journal its end, if it has begun."""
        if not self._session.cancel() and self._work is not None:
            self._work.cancel()

    def _tell(self) -> None:
        """Show the notices that are new."""
        for notice in self._notices[self._told :]:
            self._console.print(notice)
        self._told = len(self._notices)


def banner(agency: Agency, session: Session) -> str:
    """Return the first line: the agent's title in lower case, and how to leave."""
    spec = session.definition
    title = (spec.title or spec.name or spec.id).lower()
    lines = [f"{title} (quit to exit)"]
    if session.conversation.turn:
        lines.append(
            f"session {session.id} goes on after {counted(session.conversation.turn, 'turn')}"
        )
    return "\n".join(lines)
