"""Let the local agent analyse data in Python, and keep what it worked out as a skill.

The agent looks at the data in a session that keeps its variables, writes the calculation as a
function, and promotes it: from then on it is a tool with tests and versions, in every later
session. The model is scripted; the Python, the gate and the sandbox are real.

Prints:
    pyexe: (a new session)
    pyexe: 45.0
    write_file: ok
    asked: may skills.py#share_of_total become a tool? yes
    promote_skill: its tests passed
    share_of_total: [50.0, 30.0, 20.0]
    in another session, share_of_total: [75.0, 25.0]
    the skill: app.generated:share_of_total runs `share_of_total`, version 1
"""

import asyncio
import tempfile
from pathlib import Path

from micro_agi.api import Parts, Runtime, open_runtime
from micro_agi.messages import AnyEvent, Approval, Question, ToolCallFinished
from micro_agi.testing.scripted import PROVIDER, Call, ScriptedModel, scripted_card

SALES = "city,sold\nOslo,50\nBergen,30\nMoss,20\nOslo,40\n"
LOOK = """
import csv
rows = list(csv.DictReader(open("sales.csv")))
oslo = [float(row["sold"]) for row in rows if row["city"] == "Oslo"]
"""
SKILL = '''
def share_of_total(amounts: list[float], digits: int = 1) -> list[float]:
    """Say what part of their sum each of some amounts is, in percent.

    Args:
        digits: How many behind the point.
    """
    total = sum(amounts)
    if total == 0:
        raise ValueError("the amounts sum up to nothing")
    return [round(100 * amount / total, digits) for amount in amounts]
'''
TESTS = [
    {"args": {"amounts": [1, 3]}, "expect": [25, 75]},
    {"args": {"amounts": [1, 2], "digits": 0}, "expect": [33, 67]},
    {"args": {"amounts": []}, "error": "sum up to nothing"},
]
PROMOTE = {"file_path": "skills.py", "function_name": "share_of_total", "tests": TESTS}
SCRIPT = (
    Call("pyexe", {"code": LOOK}),
    Call("pyexe", {"code": "sum(oslo) / len(oslo)"}),
    Call("write_file", {"path": "skills.py", "content": SKILL}),
    Call("promote_skill", PROMOTE),
    Call("share_of_total", {"amounts": [50, 30, 20]}),
    "Oslo has half of it.",
    Call("share_of_total", {"amounts": [3, 1]}),
    "Three quarters.",
)


class Person:
    """Somebody who reads the question, and says yes."""

    name = "person"

    async def ask(self, question: Question) -> Approval:
        """Answer one question."""
        what = question.resource.partition(" ")[0]
        print(f"asked: may {what} become a tool? yes")
        return "once"


async def turn(rt: Runtime, session_id: str, text: str, before: str = "") -> None:
    """Run one turn, and print what each call came to."""

    def tell(event: AnyEvent) -> None:
        if isinstance(event, ToolCallFinished):
            print(f"{before}{event.name}: {said(event)}")

    session = await rt.session(session_id, agent="local:assistant", approver=Person())
    await session.run(text, tell)


def said(call: ToolCallFinished) -> str:
    """Return the part of a result that matters here."""
    if call.error is not None:
        return str(call.error)
    if isinstance(call.result, dict):
        return str(call.result.get("note", "ok"))
    return call.content.partition("\n")[0].replace(",", ", ")


async def main() -> None:
    parts = Parts(providers={PROVIDER: ScriptedModel(SCRIPT)}, card=scripted_card(), offline=True)
    with tempfile.TemporaryDirectory() as directory:
        workspace = Path(directory, "work")
        workspace.mkdir()  # noqa: ASYNC240 - before anything runs
        (workspace / "sales.csv").write_text(SALES)
        home = str(Path(directory, "home"))
        async with open_runtime(home=home, workspace=str(workspace), parts=parts) as rt:
            await turn(rt, "monday", "How are the sales divided?")
            await turn(rt, "tuesday", "And 3 to 1?", before="in another session, ")
            entry = rt.registry.get("app.generated:share_of_total")
            runs = entry.data["method"]
            print(f"the skill: {entry.id} runs `{runs}`, version {entry.revision}")


asyncio.run(main())
