"""What a person at a terminal is asked before something is changed or trusted."""

import os
import pty
from pathlib import Path

import pytest

from micro_agi.commands.open import mask
from micro_agi.errors import ProviderRefused
from micro_agi.sessions.redact import Redactor
from micro_agi.values import Secret
from tests.commands.conftest import DOUBLE


@pytest.fixture
def at_terminal(warm):
    """Run the program with a terminal as standard input, on which something was typed."""

    def run(typed, *argv):
        ours, theirs = pty.openpty()
        try:
            os.write(ours, typed.encode())
            return warm.run("micro-agi", *argv, cwd=Path.cwd(), env=os.environ, stdin=theirs)
        finally:
            os.close(ours)
            os.close(theirs)

    return run


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 3), ("\n", 3)])
def test_a_rollback_is_done_when_the_person_says_yes(program, double, at_terminal, typed, code):
    program.ok("tool", "create", program.file("double.lua", DOUBLE.replace("* 2", "* 2.0")))
    done = at_terminal(typed, "tool", "rollback", "double")
    assert done.returncode == code
    assert "Restore `app.generated:double` as at v1? [y/N]" in done.stderr
    assert ("* 2.0" in program.ok("tool", "show", "double")) == (code == 3)


def test_with_no_input_nobody_is_asked(program, double, at_terminal):
    program.ok("tool", "create", program.file("double.lua", DOUBLE.replace("* 2", "* 2.0")))
    done = at_terminal("y\n", "tool", "rollback", "double", "--no-input")
    assert done.returncode == 3
    assert "[y/N]" not in done.stderr


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 3)])
def test_an_app_is_trusted_when_the_person_says_yes(program, at_terminal, typed, code):
    program.ok("init", "myapp")
    words = ("--app", "myapp", "call", "app.tools:registry_list", '{"namespace": "app"}')
    done = at_terminal(typed, *words)
    assert done.returncode == code, done.stderr
    assert "Trust the app in " in done.stderr
    assert program(*words).code == code


def test_a_key_in_an_error_is_masked():
    error = ProviderRefused("wrong: sk-canary", where="at sk-canary", fix="drop sk-canary")
    mask(error, Redactor([Secret("sk-canary")]).text)
    assert str(error) == "wrong: ***\n  where: at ***\n  fix: drop ***"
    assert "canary" not in str(error.as_dict())
