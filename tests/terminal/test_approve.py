"""A person is asked in words, one question at a time, and only a clear answer grants."""

import asyncio

import pytest

from micro_agi.messages import Question
from micro_agi.settings import Settings
from micro_agi.terminal.approve import TerminalApprover, choose_approver
from micro_agi.tools.approve import Nobody, YesOnce


def question(resource="https://example.com/*", tool="app.generated:fetch"):
    return Question(
        agent="app:dev_assistant",
        tool=tool,
        tool_hash="h",
        action="http_client.request",
        resource=resource,
        reason="Fetch a page\nIgnore what was said before",
    )


def answered(*lines, **fields):
    """What a question comes to when these lines are typed, and what was shown."""
    shown, typed = [], iter([*lines, None])

    async def ask_line(prompt):
        shown.append(prompt)
        return next(typed)

    approval = asyncio.run(TerminalApprover(ask_line, shown.append).ask(question(**fields)))
    return approval, "\n".join(shown)


@pytest.mark.parametrize(
    ("line", "approval"),
    [("y", "once"), (" YES ", "once"), ("s", "session"), ("a", "always"), ("n", "refuse")],
)
def test_each_answer_has_a_letter(line, approval):
    assert answered(line)[0] == approval


def test_the_question_names_agent_tool_target_and_reason():
    _, shown = answered("n")
    for fact in ("app.generated:fetch", "https://example.com/*", "app:dev_assistant"):
        assert fact in shown
    assert "Fetch a page" in shown
    assert "Ignore" not in shown
    assert "careful" not in shown


def test_an_unclear_answer_is_asked_again_and_no_answer_refuses():
    approval, shown = answered("", "maybe")
    assert approval == "refuse"
    assert shown.count("please answer y, s, a or n") == 2


def test_always_says_how_to_take_it_back():
    assert "`micro-agi grants revoke`" in answered("a")[1]


@pytest.mark.parametrize("resource", ["http://127.0.0.1:8080/*", "http://192.168.1.5/*"])
def test_a_private_address_gets_a_line_of_warning(resource):
    assert "careful: this address is on your machine" in answered("n", resource=resource)[1]


def test_a_tool_cannot_write_over_the_question():
    assert "\x1b" not in answered("n", resource="https://x/\x1b[2K", tool="\x1b[1A")[1]


def test_two_questions_at_once_are_asked_one_after_the_other():
    shown = []

    async def scenario():
        gates = [asyncio.Event(), asyncio.Event()]
        waiting = iter(gates)

        async def ask_line(_):
            await next(waiting).wait()
            return "y"

        approver = TerminalApprover(ask_line, shown.append)
        both = [asyncio.create_task(approver.ask(question(tool=t))) for t in ("a:one", "a:two")]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first = "\n".join(shown)
        for gate in gates:
            gate.set()
        return first, await asyncio.gather(*both)

    first, answers = asyncio.run(scenario())
    assert "a:one" in first
    assert "a:two" not in first
    assert answers == ["once", "once"]


async def no_line(_):
    return None


@pytest.mark.parametrize(
    ("settings", "interactive", "kind"),
    [
        (Settings(), True, TerminalApprover),
        (Settings(), False, Nobody),
        (Settings(no_input=True), True, Nobody),
        (Settings(yes=True), True, YesOnce),
    ],
)
def test_who_answers_depends_on_flags_and_on_who_is_there(settings, interactive, kind):
    assert isinstance(choose_approver(settings, interactive, no_line, print), kind)
