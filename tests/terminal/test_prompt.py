"""Keys on a real terminal, through prompt_toolkit's own pipe in place of a keyboard."""

import asyncio
import stat

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from micro_agi.terminal.input import End
from micro_agi.terminal.prompt import PromptReader

WORDS = [("/tool", "show one"), ("/tools", "list them"), ("/model", "switch")]


def choices(before):
    if not before.startswith("/"):
        return ()
    return [("clock", ""), ("http_get", "")] if " " in before else WORDS


def typed(keys, *, history=None, times=1):
    """What the reader returns for these keys."""

    async def scenario():
        with create_pipe_input() as pipe:
            reader = PromptReader(keys=pipe, output=DummyOutput())
            reader.learn(history=history, choices=choices)
            pipe.send_text(keys)
            async with asyncio.timeout(10):
                read = [await reader.read("> ") for _ in range(times)]
            return read if times > 1 else read[0]

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("hello\r", "hello"),
        ("one\\\rtwo\r", "one\ntwo"),
        ("one\x1b\rtwo\r", "one\ntwo"),
        ("\x1b[200~a\nb\nc\x1b[201~\r", "a\nb\nc"),
        ("/tool htt\t\r", "/tool http_get"),
        ("/mo\t\r", "/model"),
        ("wrong\x03right\r", "right"),
        ("\x03", End.INTERRUPT),
        ("\x04", End.EOF),
    ],
)
def test_keys_become_a_message(keys, text):
    assert typed(keys) == text


def test_what_is_typed_ahead_is_the_next_message():
    assert typed("one\rtwo\r", times=2) == ["one", "two"]


def test_the_history_is_kept_for_the_person_alone(tmp_path):
    history = tmp_path / "history"
    assert typed("a secret\r", history=history) == "a secret"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert typed("\x1b[A\r", history=history) == "a secret"


def test_words_are_offered_with_their_meaning():
    reader = PromptReader(output=DummyOutput())
    reader.learn(history=None, choices=choices)
    found = reader._editor().completer.get_completions(Document("/to"), CompleteEvent())
    assert [(c.text, c.display_meta_text) for c in found] == WORDS[:2]


def test_an_interrupt_from_outside_ends_the_prompt():
    async def scenario():
        with create_pipe_input() as pipe:
            reader = PromptReader(keys=pipe, output=DummyOutput())
            assert not reader.interrupt()
            reading = asyncio.create_task(reader.ask("y/n > "))
            async with asyncio.timeout(10):
                while not reader.interrupt():
                    await asyncio.sleep(0)
                return await reading

    assert asyncio.run(scenario()) is End.INTERRUPT
