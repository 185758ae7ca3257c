"""`ask TEXT`: one turn, the answer on standard output; `terminal.ask` does it."""

from micro_agi.commands.invocation import Invocation, read_input
from micro_agi.commands.open import open_runtime
from micro_agi.errors import InputInvalid
from micro_agi.terminal.ask import ask, ask_console


async def run(invocation: Invocation) -> int:
    """Ask, and return what the outcome means to a shell.

    Raises: InputInvalid for an empty question; EntryNotFound for an unknown session or agent.
    """
    words = " ".join(invocation.args.text)
    text = read_input("-") if words == "-" else words
    if not text.strip():
        raise InputInvalid("there is no question", where="micro-agi ask", fix="give a text")
    console = ask_console(invocation.settings, as_json=invocation.as_json)
    async with open_runtime(invocation, console=console) as rt:
        for notice in rt.notices:
            console.remark(f"note: {notice}")
        if rt.settings.session:
            await rt.journal.find(rt.settings.session)
        return await ask(rt, console, rt.settings, text, as_json=invocation.as_json)
