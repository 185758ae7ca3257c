"""Ask the person at the terminal what no policy answers.

One question at a time, also when several calls of a step ask at once: the second waits
with its text until the first is answered. Nothing is granted without a clear answer; the
end of input and Ctrl-C refuse.

Source: DESIGN 6.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from micro_agi.messages import Approval, Question
from micro_agi.settings import Settings
from micro_agi.terminal.wording import question_text
from micro_agi.tools.approve import Approver, Nobody, YesOnce, is_private

AskLine = Callable[[str], Awaitable[str | None]]
"""Show a prompt and return the line; None when there will be no answer."""

CHOICES = "  y = once, s = this session, a = always, n = no"
PROMPT = "  allow it? y/s/a/n > "
ANSWERS: Mapping[str, Approval] = {
    **dict.fromkeys(("y", "yes", "once"), "once"),
    **dict.fromkeys(("s", "session"), "session"),
    **dict.fromkeys(("a", "always"), "always"),
    **dict.fromkeys(("n", "no", "refuse"), "refuse"),
}
REVOKE = (
    "  remembered for this agent and this version of the tool;\n"
    "  `micro-agi grants revoke` takes it back"
)


class TerminalApprover:
    """Asks the person who sits at the terminal."""

    name = "person"

    def __init__(self, ask_line: AskLine, show: Callable[[str], None]) -> None:
        self._ask_line = ask_line
        self._show = show
        self._one = asyncio.Lock()

    async def ask(self, question: Question) -> Approval:
        """Show one question and return the answer."""
        async with self._one:
            self._show(question_text(question, private=is_private(question)))
            self._show(CHOICES)
            approval = await self._answer()
            if approval == "always":
                self._show(REVOKE)
            return approval

    async def _answer(self) -> Approval:
        while (line := await self._ask_line(PROMPT)) is not None:
            answer = ANSWERS.get(line.strip().lower())
            if answer is not None:
                return answer
            self._show("  please answer y, s, a or n")
        return "refuse"


def choose_approver(
    settings: Settings,
    interactive: bool,
    ask_line: AskLine | None = None,
    show: Callable[[str], None] | None = None,
) -> Approver:
    """Return who answers questions: `--yes`, nobody, or the person if there is one to ask."""
    if settings.yes:
        return YesOnce()
    if settings.no_input or not interactive or ask_line is None or show is None:
        return Nobody()
    return TerminalApprover(ask_line, show)
