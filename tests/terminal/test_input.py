"""Lines from pipes, files and terminals; and what a program pays before its first prompt."""

import asyncio
import io
import os
import pty
import subprocess
import sys
import termios

import pytest

from micro_agi.settings import Settings
from micro_agi.terminal.console import Console, Streams
from micro_agi.terminal.input import End, LineReader, quiet
from micro_agi.terminal.output import Output


def read_all(descriptor):
    out = Output(io.StringIO())

    async def scenario():
        reader = LineReader(descriptor, prompts=out, questions=out)
        lines = []
        async with asyncio.timeout(10):
            while (line := await reader.read("")) is not End.EOF:
                lines.append(line)
            assert await reader.read("") is End.EOF
        return lines

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nno newline at the end", ["a", "no newline at the end"]),
        (b"\n\n", ["", ""]),
        ("汉字\n".encode() * 40_000, ["汉字"] * 40_000),
        (b"broken \xff\n", ["broken \ufffd"]),
        (b"", []),
    ],
)
def test_every_line_of_a_file_is_read(tmp_path, given, lines):
    (tmp_path / "input").write_bytes(given)
    with open(tmp_path / "input") as file:
        assert read_all(file.fileno()) == lines


def test_no_input_at_all_is_the_end():
    with open(os.devnull) as nothing:
        assert read_all(nothing.fileno()) == []


def test_the_end_of_input_at_a_terminal_ends_one_read():
    master, slave = pty.openpty()
    try:
        os.write(master, b"\x04")
        assert read_all_once(slave) is End.EOF
        os.write(master, b"still here\n")
        assert read_all_once(slave) == "still here"
    finally:
        os.close(master)
        os.close(slave)


def read_all_once(descriptor):
    out = Output(io.StringIO())

    async def scenario():
        async with asyncio.timeout(10):
            return await LineReader(descriptor, prompts=out, questions=out).ask("? ")

    return asyncio.run(scenario())


def test_typed_keys_are_not_shown_during_a_turn_and_not_lost():
    master, slave = pty.openpty()
    try:
        before = termios.tcgetattr(slave)
        with quiet(slave):
            during = termios.tcgetattr(slave)[3]
            os.write(master, b"ahead\n")
        assert not during & (termios.ECHO | termios.ICANON)
        assert during & termios.ISIG
        assert termios.tcgetattr(slave) == before
        assert os.read(slave, 100) == b"ahead\n"
    finally:
        os.close(master)
        os.close(slave)


def test_plain_streams_have_nobody_to_ask():
    with open(os.devnull) as nothing:
        streams = Streams(input=nothing, output=io.StringIO(), errors=io.StringIO())
        console = Console.open(Settings(), streams=streams)
    assert not console.live
    assert console.approver.name == "nobody"
    assert asyncio.run(console.confirm("May I?")) is False


def test_a_pipe_imports_neither_rich_nor_prompt_toolkit():
    program = (
        "import sys\n"
        "from micro_agi.settings import Settings\n"
        "from micro_agi.terminal.chat import chat\n"
        "from micro_agi.terminal.ask import ask\n"
        "from micro_agi.terminal.console import Console\n"
        "console = Console.open(Settings())\n"
        "console.screen.say('hello')\n"
        "console.output.flush()\n"
        "print([m for m in ('rich', 'prompt_toolkit', 'markdown_it') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input="",
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "hello\n[]\n"
