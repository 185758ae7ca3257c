"""`chat`: the terminal agent, until the person leaves."""

from micro_agi.commands.invocation import Invocation
from micro_agi.commands.open import open_runtime
from micro_agi.terminal.chat import chat
from micro_agi.terminal.console import Console


async def run(invocation: Invocation) -> int:
    """Talk to the agent; `--session ID` goes on with a session that exists.

    Raises: EntryNotFound for an unknown session or agent.
    """
    console = Console.open(invocation.settings)
    async with open_runtime(invocation, console=console) as rt:
        if rt.settings.session:
            await rt.journal.find(rt.settings.session)
        return await chat(rt, console, rt.settings, notices=rt.notices, home=rt.home)
