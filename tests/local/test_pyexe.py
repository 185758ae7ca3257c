"""The tool `pyexe`: who is asked, what the model reads, and what it is told of a loss."""

import asyncio
import os

import pytest

from micro_agi.errors import SandboxUnavailable
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ApprovalAsked, ToolCallFinished
from micro_agi.sandbox.python_session import PythonSession
from micro_agi.testing.transcript import run_transcript, scripted_runtime
from tests.local.person import Person


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """Skip where the kernel cannot confine a session."""

    async def start():
        await (await PythonSession.start(tmp_path_factory.mktemp("ws"))).close()

    try:
        asyncio.run(start())
    except SandboxUnavailable as error:
        pytest.skip(f"{error.what}: {error.where}")


def children():
    """The session workers that this process started and that are still there."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                line = file.read()
        except OSError:
            continue
        if b"session_worker" in line and f'"parent": {os.getpid()},'.encode() in line:
            found.append(name)
    return found


def play(tmp_path, *calls, approver=None, agent="local:assistant", before=()):
    workspace = tmp_path / "ws"
    workspace.mkdir(exist_ok=True)

    async def scenario():
        script = [
            *before,
            *(Call("pyexe", c if isinstance(c, dict) else {"code": c}) for c in calls),
        ]
        async with scripted_runtime(
            [*script, "done"],
            workspace=str(workspace),
            home=str(tmp_path / "home"),
            approver=approver,
        ) as played:
            [turn] = await run_transcript(played.runtime, "go", agent=agent)
            finished = [e for e in turn.of(ToolCallFinished) if e.name == "pyexe"]
            return finished, [e.question for e in turn.of(ApprovalAsked)]

    return asyncio.run(scenario())


@pytest.mark.requirement("004/pyexe/state")
@pytest.mark.requirement("004/pyexe/loss")
@pytest.mark.requirement("004/pyexe/deadline")
def test_a_conversation_has_one_session_and_is_told_what_it_loses(room, tmp_path):
    calls = (
        "print('hé'); x = 20",
        "x * 2 + 2",
        "y = 1\nprint('before')\nx / 0",
        {"code": "while True: pass", "timeout_s": 0.1},
        "x, y",
        "print('bye'); exit()",
        "x",
        {"code": "1", "reset": True},
        {"reset": True},
        "import os; os._exit(1)",
        "2",
        "pass",
    )
    results, asked = play(tmp_path, *calls)
    assert asked == []
    text = [r.content for r in results]
    errors = [r.error or {} for r in results]
    assert text[0] == "(a new session)\nhé"
    assert text[1] == "42"
    assert errors[2]["what"] == "ZeroDivisionError: division by zero"
    assert errors[2]["where"] == "cell 3, line 3"
    assert errors[2]["printed"] == "before\n"
    assert "x / 0" in errors[2]["traceback"]
    assert errors[3]["code"] == "limit.reached"
    assert "the variables are still there" in errors[3]["what"]
    assert text[4] == "(20, 1)"
    assert text[5].startswith("bye\n(`exit()` was called: the next call starts a new session")
    assert "(a new session: variables are gone, because `exit()` was called)" in errors[6]["what"]
    assert text[7] == "(a new session: it was reset)\n1"
    assert text[8] == "the session is new, and empty"
    assert errors[9]["what"].endswith("the session is lost, with its variables")
    assert text[10].startswith("(a new session: variables are gone, because the process ended")
    assert text[11] == "(no output)"
    assert children() == []


@pytest.mark.requirement("004/pyexe/text")
def test_a_long_output_is_cut_for_the_model_and_can_be_paged(room, tmp_path):
    results, _ = play(tmp_path, "for n in range(20_000): print(n)", "print('x' * 99_999)\n1/0")
    assert "result_handle" in results[0].content
    assert results[0].content.rstrip().endswith("19999")
    assert len(results[0].content) < 33_000
    assert "result_handle" in results[1].error["printed"]


@pytest.mark.requirement("004/pyexe/governed")
def test_another_agent_is_asked_about_and_nobody_refuses(tmp_path):
    load = [Call("load_tool", {"id": "local:pyexe"})]
    code = "open('made', 'w')"
    results, asked = play(tmp_path, code, agent="app:dev_assistant", before=load)
    assert [(q.action, q.resource, q.reason) for q in asked] == [
        ("python.run", "the workspace", code)
    ]
    assert [r.error["code"] for r in results] == ["policy.denied"]
    assert list((tmp_path / "ws").iterdir()) == []


@pytest.mark.requirement("004/pyexe/governed")
def test_a_persons_yes_counts_for_the_session(room, tmp_path):
    load = [Call("load_tool", {"id": "local:pyexe"})]
    person = Person("session")
    results, _ = play(
        tmp_path, "a = 1", "a + 1", agent="app:dev_assistant", before=load, approver=person
    )
    assert [r.content for r in results] == ["(a new session)\n(no output)", "2"]
    assert len(person.asked) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "`code` is empty"),
        ({"code": "1", "timeout_s": 0}, "`timeout_s` is 0"),
        ({"code": "#" * 1_000_001}, "1,000,001 characters"),
        ({"code": "1", "more": 1}, "unknown field"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(tools, arguments, says):
    [refused] = tools(("pyexe", arguments))
    assert refused.code == "arguments.invalid"
    assert says in refused.what


@pytest.mark.requirement("004/pyexe/ends")
def test_two_conversations_share_nothing_and_closing_ends_both(room, tmp_path):
    (tmp_path / "ws").mkdir()

    async def scenario():
        async with scripted_runtime(
            [
                *(Call("pyexe", {"code": "x = 1"}), "done"),
                *(Call("pyexe", {"code": "globals().get('x')"}), "done"),
            ],
            workspace=str(tmp_path / "ws"),
            home=str(tmp_path / "home"),
        ) as played:
            texts = []
            for name in ("one", "two"):
                session = await played.runtime.session(name, agent="local:assistant")
                events = []
                await session.run("go", events.append)
                texts += [e.content for e in events if isinstance(e, ToolCallFinished)]
            return texts, len(children())

    texts, running = asyncio.run(scenario())
    assert texts == ["(a new session)\n(no output)"] * 2
    # The one that waits, and the one in the room.
    assert running == 4
    assert children() == []


@pytest.mark.requirement("004/workspace/programs")
def test_what_runs_outside_later_cannot_be_changed_and_what_is_new_is_told(room, tmp_path):
    (tmp_path / "ws" / "api" / ".venv").mkdir(parents=True)
    results, _ = play(
        tmp_path,
        "import os; open('api/.venv/x.pth', 'w')",
        "os.rename('api', 'moved')",
        "os.makedirs('.git/hooks')",
        "os.makedirs('.vscode'); 1 / 0",
        "2",
    )
    assert "Read-only file system" in results[0].error["what"]
    assert "busy" in results[1].error["what"]
    assert "(new: .git;" in results[2].content
    assert "(new: .vscode;" in results[3].content
    assert results[4].content == "2"
