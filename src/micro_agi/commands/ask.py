"""`ask TEXT`: one turn. The answer goes to standard output, everything else to standard error.

With `--json`, standard output gets every event of the turn, one JSON object a line.
"""

import sys

import msgspec

from micro_agi.commands.invocation import Invocation, read_input
from micro_agi.commands.open import open_console, open_runtime
from micro_agi.errors import InputInvalid
from micro_agi.messages import AnyEvent, Outcome
from micro_agi.terminal.output import Output
from micro_agi.terminal.render import PlainScreen

EXIT_CODES: dict[Outcome, int] = {
    "answered": 0,
    "failed": 1,
    "limit_reached": 4,
    "cancelled": 130,
}


async def run(invocation: Invocation) -> int:
    """Run one turn and return what its outcome means to a shell.

    Raises: BrokenPipeError when nobody reads the answer any more; the turn was stopped.
    """
    words = " ".join(invocation.args.text)
    text = read_input("-") if words == "-" else words
    if not text.strip():
        raise InputInvalid("there is no question", where="micro-agi ask", fix="give a text")
    console = open_console(invocation)
    answers, remarks = Output(sys.stdout), Output(sys.stderr)
    screen = PlainScreen(answers, remarks=remarks, tools=remarks, stream=answers.terminal)
    async with open_runtime(invocation, console=console) as rt:
        for notice in rt.notices:
            screen.remark(f"note: {notice}")
        if rt.settings.session:
            await rt.journal.find(rt.settings.session)
        session = await rt.session(rt.settings.session or None, agent=rt.settings.agent)

        def show(event: AnyEvent) -> None:
            if invocation.as_json:
                answers.write(msgspec.json.encode(event).decode() + "\n")
            else:
                screen.show(event)
            if answers.gone:
                session.cancel()

        screen.begin()
        try:
            finished = await session.run(text, show)
        finally:
            screen.end()
            remarks.flush()
    if answers.gone:
        raise BrokenPipeError
    return EXIT_CODES[finished.outcome]
