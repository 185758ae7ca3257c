"""Talking to an agent: `chat`, `ask`, `demo`."""

from micro_agi.commands.rows.row import Command, argument

CHAT = Command(name="chat", help="talk to the agent (the default)", run="chat:run")

ASK = Command(
    name="ask",
    help="one question, the answer on standard output",
    run="ask:run",
    arguments=(
        argument("text", metavar="TEXT", nargs="+", help="the question, or - for standard input"),
    ),
    more="Tool lines go to standard error. With --json: one event a line on standard output.",
)

DEMO = Command(name="demo", help="watch an agent make a tool, offline", run="demo:run")
