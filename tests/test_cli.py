"""The edge of the program: help, refusals, exit codes, pipes and signals."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from micro_agi.cli import main
from micro_agi.commands import chat
from micro_agi.commands.table import COMMANDS, GLOBAL
from micro_agi.testing.model_server import Reply, ScriptedServer
from tests.commands.conftest import clean_environment

HEAVY = (
    *("asyncio", "msgspec", "aiohttp", "lupa", "sqlite3", "yaml", "re2", "rich", "prompt_toolkit"),
    *("micro_agi.app", "micro_agi.settings", "micro_agi.values", "typing_extensions"),
    "dataclasses",
)
LEAVES = [(c.name,) for c in COMMANDS if not c.verbs] + [
    (c.name, v.name) for c in COMMANDS for v in c.verbs
]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command line in this process; returns exit code, stdout and stderr."""
    clean_environment(monkeypatch, tmp_path / "home")
    monkeypatch.chdir(tmp_path)

    def go(*argv):
        code = main(argv)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return go


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """For real processes."""
    clean_environment(monkeypatch, tmp_path / "home")
    return dict(os.environ)


def program(*argv):
    return [sys.executable, "-m", "micro_agi", *argv]


def test_help_lists_every_command_and_every_flag(run):
    code, out, _ = run("--help")
    assert code == 0
    assert all(f"  {c.name} " in out for c in COMMANDS)
    assert all(name in out for flag in GLOBAL for name in flag.names)


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_has_a_help_page_with_all_its_arguments(run, words):
    code, out, err = run(*words, "--help")
    assert (code, err) == (0, "")
    assert f"micro-agi {' '.join(words)}" in out
    assert run(words[0], "-h")[0] == 0


def test_every_command_of_the_table_can_be_imported_and_run():
    script = (
        "import importlib, inspect\n"
        "from micro_agi.commands.table import COMMANDS\n"
        "for c in COMMANDS:\n"
        "    for leaf in c.verbs or (c,):\n"
        "        module, _, name = leaf.run.partition(':')\n"
        "        found = getattr(importlib.import_module('micro_agi.commands.' + module), name)\n"
        "        assert inspect.iscoroutinefunction(found), leaf.run\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["tool", "test", "--help"], ["tol"]])
def test_help_version_and_refusals_import_nothing_heavy(words):
    script = (
        "import sys\n"
        "from micro_agi.cli import main\n"
        f"main({words!r})\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        (["tol"], "there is no command `tol`", "did you mean: tool"),
        (["xyzzy"], "there is no command `xyzzy`", "use one of: chat, ask"),
        (["what", "is", "it?"], "there is no command `what`", "behind `micro-agi ask`"),
        (["ask", "a\udcff"], "an argument is no UTF-8 text", "write it in UTF-8"),
        (["tool", "lst"], "there is no command `lst`", "did you mean: list, test"),
        (["tool"], "`micro-agi tool` wants to know what to do", "add one of: list, show"),
        (["--modl", "x"], "there is no option `--modl`", "did you mean: --model"),
        (["tool", "show"], "the following arguments are required: NAME", "--help"),
        (["tool", "list", "--frob"], "unrecognized arguments: --frob", "--help"),
        (["registry", "rollback", "--to", "x"], "argument --to: invalid int value: 'x'", "--help"),
        (["--model"], "argument --model: expected one argument", "--help"),
        (["tool", "list", "--mod", "x"], "unrecognized arguments: --mod x", "--help"),
        (["chat", "--yes", "--no-input"], "--yes and --no-input contradict", "give one"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_to_do(run, words, what, fix):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    first, where, last = err.splitlines()
    assert what in first
    assert where.startswith("  where: ")
    assert last.startswith("  fix: ")
    assert fix in last


def test_a_refusal_is_json_for_machines(run):
    for words in (["--json", "tol"], ["tool", "show", "nope", "--json"]):
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert set(json.loads(err)["error"]) == {"code", "what", "where", "fix", "retryable"}


def test_global_flags_stand_before_after_and_between(run):
    texts = [
        run("--model", "m", "config", "show")[1],
        run("config", "--model", "m", "show")[1],
        run("config", "show", "--model=m")[1],
    ]
    assert texts[0] == texts[1] == texts[2]
    assert "--model" in texts[0]


def test_a_repeated_flag_collects_its_values_wherever_they_stand(run):
    _, out, _ = run("--allow-host", "a.example", "config", "show", "--allow-host", "b.example")
    assert "a.example,b.example" in out


def test_what_follows_two_dashes_is_no_flag_of_ours(run):
    code, _, err = run("tool", "show", "--", "--yes")
    assert code == 2
    assert "there is no tool `--yes`" in err


def test_a_bug_shows_its_traceback_and_where_the_journal_is(run, monkeypatch, tmp_path):
    async def broken(_):
        raise RuntimeError("on purpose")

    monkeypatch.setattr(chat, "run", broken)
    code, out, err = run("chat")
    assert (code, out) == (70, "")
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-3] == "error: this is a bug of micro-agi: RuntimeError: on purpose"
    assert str(tmp_path / "home" / "bundled" / "state.db") in err.splitlines()[-1]


def test_python_dash_m_is_the_program(environment):
    done = subprocess.run(
        program("--version"), env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0
    assert done.stdout.startswith("micro-agi ")


def test_a_real_process_has_the_exit_code_of_its_error(environment, tmp_path):
    for words, code in ((["tool", "show", "nope"], 2), (["docs", "toc"], 0)):
        done = subprocess.run(
            program(*words), env=environment, cwd=tmp_path, capture_output=True, timeout=30
        )
        assert done.returncode == code


def test_a_pipe_that_nobody_reads_is_no_error(environment, tmp_path):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run(
            program("docs", "toc"),
            env=environment,
            cwd=tmp_path,
            stdout=pipe,
            stderr=subprocess.PIPE,
            timeout=30,
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_bug(environment, tmp_path, redirection):
    command = " ".join(program("call", "app.tools:doc_search", "'{}'")) + " " + redirection
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode in (0, 1), done.stderr


def test_a_stream_that_lacks_a_character_gets_another_one(environment, tmp_path):
    done = subprocess.run(
        program("docs", "toc"),
        env={**environment, "PYTHONIOENCODING": "ascii", "COLUMNS": "60"},
        cwd=tmp_path,
        capture_output=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"?" in done.stdout


def test_input_that_is_no_text_is_refused(environment, tmp_path):
    done = subprocess.run(
        program("registry", "apply", "-"),
        env=environment,
        cwd=tmp_path,
        input=b"- op: \xff",
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert b"no UTF-8 text" in done.stderr


def test_ctrl_c_stops_a_turn_with_the_exit_code_of_shells(environment, tmp_path):
    with ScriptedServer([Reply(text="late", delay_s=30)]).in_thread() as server:
        process = subprocess.Popen(
            program("ask", "hi", "--base-url", server.base_url, "--model", "scripted-model"),
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 20
        while not server.received and time.monotonic() < deadline:
            time.sleep(0.02)  # the request arrives in another thread, which has no event for it
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err
