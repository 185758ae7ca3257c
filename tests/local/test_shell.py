"""The tool `shell`: who is asked about what, before anything runs."""

import asyncio
import platform
import shutil

import pytest

from micro_agi.errors import SandboxUnavailable
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ApprovalAsked, ToolCallFinished
from micro_agi.sandbox.shell import run_shell
from micro_agi.testing.transcript import run_transcript, scripted_runtime
from micro_agi.tools.approve import YesOnce
from tests.local.person import Person


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """Skip where the kernel cannot confine a shell."""
    if platform.system() != "Linux":
        pytest.skip("the room is made of Linux's layers")
    try:
        asyncio.run(run_shell("true", workspace=tmp_path_factory.mktemp("ws")))
    except SandboxUnavailable as error:
        pytest.skip(f"{error.what}: {error.where}")


def play(tmp_path, *commands, approver=None, agent="local:assistant", before=()):
    workspace = tmp_path / "ws"
    workspace.mkdir(exist_ok=True)

    async def scenario():
        calls = [*before, *(Call("shell", {"command": c}) for c in commands)]
        async with scripted_runtime(
            [*calls, "done"],
            workspace=str(workspace),
            home=str(tmp_path / "home"),
            approver=approver,
        ) as played:
            [turn] = await run_transcript(played.runtime, "go", agent=agent)
            finished = [e for e in turn.of(ToolCallFinished) if e.name == "shell"]
            asked = [e.question for e in turn.of(ApprovalAsked)]
            return finished, [(q.action, q.resource) for q in asked]

    return asyncio.run(scenario())


@pytest.mark.requirement("004/shell/runs")
def test_what_the_rules_allow_runs_without_a_question(room, tmp_path):
    results, asked = play(tmp_path, "echo hi && ls nothing; exit 3")
    assert asked == []
    content = results[0].content
    assert content.startswith("exit code 3 (")
    assert "\nhi\nerrors:\n" in content
    assert "cannot access" in content
    assert results[0].error is None


@pytest.mark.requirement("004/shell/asked")
def test_each_command_that_is_not_allowed_is_asked_about_by_itself(room, tmp_path):
    person = Person("once")
    results, _ = play(tmp_path, "touch a && ls && mkdir b", approver=person)
    assert [(q.action, q.resource) for q in person.asked] == [
        *(("shell.confirm", "touch a"), ("shell.confirm", "mkdir b")),
    ]
    assert "part of: touch a && ls && mkdir b" in person.asked[0].reason
    assert results[0].content.startswith("exit code 0")
    assert {p.name for p in (tmp_path / "ws").iterdir()} == {"a", "b"}


@pytest.mark.requirement("004/shell/asked")
@pytest.mark.parametrize("answer", ["nobody", "no", "--yes"])
def test_without_a_persons_yes_nothing_of_a_chain_runs(tmp_path, answer):
    approver = {"nobody": None, "no": Person("refuse"), "--yes": YesOnce()}[answer]
    results, asked = play(tmp_path, "touch a", "ls && touch a", "echo $(", approver=approver)
    assert [r.error["code"] for r in results] == ["policy.denied"] * 3
    assert len(asked) == 3
    if answer == "--yes":
        assert "--yes does not cover it" in results[0].error["what"]
    assert list((tmp_path / "ws").iterdir()) == []


@pytest.mark.requirement("004/shell/asked")
def test_always_counts_for_exactly_that_command(room, tmp_path):
    person = Person("always")
    play(tmp_path, "touch a*", "touch other", approver=person)
    nobody = play(tmp_path, "touch a* && touch other", "touch a*b", "touch a")
    assert [r.error is None for r in nobody[0]] == [True, False, False]
    assert nobody[1] == [("shell.confirm", "touch a*b"), ("shell.confirm", "touch a")]


def test_an_answer_for_the_session_counts_in_whatever_chain_it_comes(room, tmp_path):
    person = Person("session")
    results, _ = play(tmp_path, "touch a", "ls; touch a; true", approver=person)
    assert [r.error for r in results] == [None, None]
    assert len(person.asked) == 1


@pytest.mark.requirement("004/shell/policy")
def test_what_a_rule_denies_is_refused_whoever_would_say_yes(tmp_path):
    person = Person("once")
    results, asked = play(tmp_path, "ls && rm -rf /", approver=person)
    assert (asked, person.asked) == ([], [])
    assert results[0].error["where"] == "rule `local:deny_recursive_deletion`"
    assert "outside the workspace" in results[0].error["what"]


def test_another_agent_is_asked_about_even_what_only_looks(tmp_path):
    load = [Call("load_tool", {"id": "local:shell"})]
    results, asked = play(tmp_path, "ls", "x=1", agent="app:dev_assistant", before=load)
    assert asked == [("shell.run", "ls"), ("shell.run", "x=1")]
    assert [r.error["code"] for r in results] == ["policy.denied"] * 2


@pytest.mark.requirement("004/shell/runs")
def test_it_runs_where_it_is_told_to_and_nowhere_else(room, tools):
    tools.path("sub").mkdir()
    tools.path("link").symlink_to("/")
    there, nowhere, link, out, current, late = tools(
        ("shell", {"command": "pwd", "directory": "sub"}),
        ("shell", {"command": "pwd", "directory": "nowhere"}),
        ("shell", {"command": "pwd", "directory": "link"}),
        ("shell", {"command": "pwd", "directory": ".."}),
        ("shell", {"command": "pwd", "directory": "@current"}),
        ("shell", {"command": "sleep 30", "timeout_s": 0.2}),
    )
    assert there.splitlines()[1] == str(tools.path("sub"))
    assert [e.code for e in (nowhere, link, out, current)] == [
        *("tool.failed", "path.refused", "path.refused", "arguments.invalid"),
    ]
    assert late.startswith("ended after 0.2 s, with everything it had started")


@pytest.mark.requirement("004/shell/output")
def test_a_long_output_is_cut_for_the_model_and_can_be_paged(room, tmp_path):
    results, _ = play(tmp_path, "seq 1 20000")
    assert "result_handle" in results[0].content
    assert results[0].content.rstrip().endswith("20000")
    assert len(results[0].content) < 33_000


@pytest.mark.requirement("004/workspace/programs")
def test_a_command_changes_a_repository_only_when_a_person_agrees(room, tmp_path):
    if shutil.which("git") is None:
        pytest.skip("there is no git among this machine's programs")
    person = Person("once")
    results, _ = play(tmp_path, "git init -q . && ls -d .git", "touch .git/x", approver=person)
    programs = [q for q in person.asked if q.action == "workspace.programs"]
    assert [q.resource for q in programs] == [".git"]
    assert "outside of the sandbox" in programs[0].reason
    assert results[0].content.startswith("exit code 0 ("), results[0].content
    assert "read-only here, unless `changes` names them" in results[1].content
    assert not (tmp_path / "ws" / ".git" / "x").exists()


@pytest.mark.requirement("004/workspace/programs")
def test_a_place_that_a_call_names_is_asked_about_and_new_ones_are_told(room, tools, tmp_path):
    tools.path(".venv").mkdir()
    named, new, outside = tools(
        ("shell", {"command": "touch .venv/a", "changes": ["workspace", "./.venv/"]}),
        ("shell", {"command": "mkdir node_modules"}),
        ("shell", {"command": "true", "changes": ["../x"]}),
    )
    assert tools.path(".venv/a").exists(), named
    assert "(new: node_modules;" in new
    assert outside.code == "path.refused"


ASK = """
exec 3<>/dev/tcp/127.0.0.1/${http_proxy##*:}
printf "GET http://$1/ HTTP/1.1\\r\\n\\r\\n" >&3
cat <&3
"""


@pytest.mark.requirement("004/shell/network")
@pytest.mark.parametrize("answer", ["once", "--yes", "nobody", "policy", "closed to requests"])
def test_a_command_reaches_the_hosts_that_it_names_when_somebody_allows_it(room, tmp_path, answer):
    approver = {"nobody": None, "--yes": YesOnce()}.get(answer, Person("once"))
    heads = []
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "ask.sh").write_text(ASK)

    async def serve(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nreached!")
        await writer.drain()
        writer.close()

    async def write(runtime, action, resource, effect):
        changes = runtime.registry.snapshot().changes()
        policy = {"actions": [action], "resources": [resource], "effect": effect}
        data = {"policy": policy, "groups": ["local:assistant_policies"]}
        changes.create({"id": "app:net", "kind": "security.policy", "data": data})
        await changes.apply(runtime.root())

    async def scenario():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        place = f"127.0.0.1:{port}"
        calls = [
            Call("shell", {"command": f"bash ask.sh {place}", "hosts": [place]}),
            Call(
                "shell", {"command": f"bash ask.sh localhost:{port}", "hosts": ["data.example.org"]}
            ),
        ]
        async with scripted_runtime(
            [*calls, "done"],
            workspace=str(tmp_path / "ws"),
            home=str(tmp_path / "home"),
            approver=approver,
        ) as played:
            if answer == "policy":
                await write(played.runtime, "shell.network", place, "allow")
            elif answer == "closed to requests":
                await write(played.runtime, "http_client.request", f"http://{place}/*", "deny")
            [turn] = await run_transcript(played.runtime, "go", agent="local:assistant")
        server.close()
        asked = [q for e in turn.of(ApprovalAsked) if (q := e.question).action == "shell.network"]
        return turn.of(ToolCallFinished), [q.resource for q in asked], place

    results, asked, place = asyncio.run(scenario())
    if answer in ("once", "policy"):
        assert "reached!" in results[0].content
        assert len(heads) == 1
        assert asked == ([place] if answer == "once" else []) + ["data.example.org:443"]
        other = place.replace("127.0.0.1", "localhost")
        assert f"could not connect to {other}: not in `hosts`" in results[1].content
    else:
        assert results[0].error["code"] == "policy.denied"
        assert heads == []


def test_a_host_is_a_host_and_nothing_else(tools):
    hosts = ["a b", "https://x", "x/y", "u@x", "x:0x", "*", "", "x?y", "-"]
    refused = tools(*(("shell", {"command": "true", "hosts": [host]}) for host in hosts))
    assert [e.code for e in refused] == ["arguments.invalid"] * len(hosts)
