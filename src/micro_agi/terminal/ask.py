"""One turn for `micro-agi ask TEXT`.

For a pipe: the answer alone on stdout, once it is known to be the answer; tool lines and
remarks on stderr. For a person at a terminal: as in the chat. `--json`: every event as
one line, nothing else on stdout.
"""

import asyncio
import signal

import msgspec

from micro_agi.agent.session import Session
from micro_agi.errors import LimitReached, PolicyDenied
from micro_agi.messages import AnyEvent, Errored, Outcome
from micro_agi.settings import Settings
from micro_agi.terminal.agency import Agency
from micro_agi.terminal.console import Console, Streams
from micro_agi.terminal.input import LineReader
from micro_agi.terminal.output import Output
from micro_agi.terminal.render import PlainScreen

CODES: dict[Outcome, int] = {"answered": 0, "failed": 1, "limit_reached": 4, "cancelled": 130}
PIPE_CLOSED = 141
REFUSALS = {error.code: error.exit_code for error in (PolicyDenied, LimitReached)}
"""A failed turn has the exit code of its error where that says more than `failed`."""


async def ask(
    agency: Agency,
    console: Console,
    settings: Settings,
    text: str | None,
    *,
    as_json: bool = False,
) -> int:
    """Run one turn and return the exit code: 0 answered, 1 failed, 3 refused, 4 limit, 130 Ctrl-C.

    Without a text, the session's last turn goes on where it was cut off.
    Raises: what opening a session raises, and InputInvalid when there is no model.
    """
    session = await agency.session(
        settings.session or None, agent=settings.agent, approver=console.approver
    )
    if text is not None and session.unfinished is not None:
        console.remark(
            f"note: the last turn of this session was cut off; "
            f"`micro-agi session resume {session.id}` would have gone on with it"
        )
    return await OneTurn(session, console, as_json=as_json).run(text)


def ask_console(settings: Settings, *, as_json: bool, streams: Streams | None = None) -> Console:
    """Return the console of `ask`: the chat's for a person, else one that keeps stdout clean."""
    streams = streams or Streams()
    if streams.output.isatty() and not as_json:
        return Console.open(settings, streams=streams)
    output, errors = Output(streams.output), Output(streams.errors)
    return Console(
        settings,
        reader=LineReader(streams.input.fileno(), prompts=errors, questions=errors),
        output=output,
        screen=PlainScreen(output, remarks=errors, tools=errors, stream=False),
    )


class OneTurn:
    """A turn whose outcome becomes an exit code."""

    def __init__(self, session: Session, console: Console, *, as_json: bool) -> None:
        self._session = session
        self._console = console
        self._json = as_json
        self._failed = 1
        self._stopped = False
        self._turn: asyncio.Task[object] | None = None

    async def run(self, text: str | None) -> int:
        """Run it, or without a text go on with it.

        Ctrl-C cancels the turn, a second one the program.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        self._console.interrupted = self._interrupt
        try:
            with self._console.turn() as screen:

                def show(event: AnyEvent) -> None:
                    if isinstance(event, Errored):
                        self._failed = REFUSALS.get(str(event.error.get("code")), 1)
                    if self._json:
                        self._console.output.write(msgspec.json.encode(event).decode() + "\n")
                    else:
                        screen.show(event)
                    if self._console.output.gone:
                        self._session.cancel()

                session = self._session
                work = session.resume(show) if text is None else session.run(text, show)
                turn = asyncio.ensure_future(work)
                self._turn = turn
                try:
                    finished = await turn
                except asyncio.CancelledError:
                    if not self._stopped:
                        raise
                    return CODES["cancelled"]
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            self._console.output.flush()
        if self._console.output.gone:
            return PIPE_CLOSED
        return self._failed if finished.outcome == "failed" else CODES[finished.outcome]

    def _interrupt(self) -> None:
        """Stop the turn once; after that, Ctrl-C is Python's own again."""
        self._stopped = True
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        if not self._session.cancel() and self._turn is not None:
            self._turn.cancel()
