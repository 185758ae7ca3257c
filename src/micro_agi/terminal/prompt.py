"""Edit messages on a real terminal: history, several lines, completion.

Enter sends. Alt-Enter, or a backslash at the end of the line, goes on in a new line; a
pasted text keeps its lines. `/` offers the commands. Imports prompt_toolkit (0.1 s),
so only a real terminal imports this module.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import is_dumb_terminal

from micro_agi.terminal.input import Choices, End

STYLE = Style.from_dict(
    {
        "mark": "bold",
        "completion-menu": "bg:default",
        "completion-menu.completion": "bg:default fg:default",
        "completion-menu.completion.current": "bg:default fg:default reverse noinherit",
        "completion-menu.meta.completion": "bg:default fg:ansibrightblack",
        "completion-menu.meta.completion.current": "bg:default fg:default",
        "scrollbar.background": "bg:default",
        "scrollbar.button": "bg:ansibrightblack",
    }
)
"""Only the terminal's own colours, so that it fits a light and a dark one."""
MENU_ROWS = 8


def usable() -> bool:
    """Whether the terminal can move its cursor (`TERM=dumb` cannot)."""
    return not is_dumb_terminal()


class PromptReader:
    """Reads from a real terminal with editing."""

    interactive = True

    def __init__(self, *, keys: Input | None = None, output: Output | None = None) -> None:
        """Read the terminal; `keys` and `output` take its place in tests."""
        self._keys = keys
        self._output = output
        self._history: Path | None = None
        self._choices: Choices = _nothing
        self._messages: PromptSession[str | End] | None = None
        self._answers: PromptSession[str | End] = PromptSession(
            style=STYLE, input=keys, output=output, history=InMemoryHistory()
        )
        self._asking: PromptSession[str | End] | None = None

    def learn(self, *, history: Path | None, choices: Choices) -> None:
        """Keep the history in this file, and complete with these words."""
        self._history, self._choices = history, choices
        self._messages = None

    async def read(self, prompt: str) -> str | End:
        """Read a message."""
        if self._messages is None:
            self._messages = self._editor()
        return await self._run(self._messages, prompt)

    async def ask(self, prompt: str) -> str | End:
        """Read the answer to a question."""
        return await self._run(self._answers, prompt)

    def interrupt(self) -> bool:
        """End the prompt that is shown, if there is one."""
        if self._asking is None or not self._asking.app.is_running:
            return False
        self._asking.app.exit(result=End.INTERRUPT)
        return True

    def _editor(self) -> "PromptSession[str | End]":
        return PromptSession(
            history=_history(self._history),
            completer=_Words(self._choices),
            complete_while_typing=Condition(lambda: _text().startswith("/")),
            reserve_space_for_menu=MENU_ROWS,
            multiline=True,
            prompt_continuation="  ",
            key_bindings=_bindings(),
            style=STYLE,
            input=self._keys,
            output=self._output,
        )

    async def _run(self, session: "PromptSession[str | End]", prompt: str) -> str | End:
        self._asking = session
        try:
            # The loop keeps its own handler of SIGINT; here Ctrl-C is a key.
            return await session.prompt_async(
                FormattedText([("class:mark", prompt)]), handle_sigint=False
            )
        except EOFError:
            return End.EOF
        except KeyboardInterrupt:
            return End.INTERRUPT
        finally:
            self._asking = None


class _Words(Completer):
    """Completes the last word with what the loop knows."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
        before = document.text_before_cursor
        word = before.rsplit(" ", 1)[-1]
        for choice, meaning in self._choices(before):
            if choice.startswith(word):
                yield Completion(choice, start_position=-len(word), display_meta=meaning)


def _nothing(_: str) -> Iterable[tuple[str, str]]:
    return ()


def _text() -> str:
    return get_app().current_buffer.text


def _history(path: Path | None) -> History:
    if path is None:
        return InMemoryHistory()
    # What a person says to an agent is theirs alone; the file exists before anything is in it.
    os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    os.chmod(path, 0o600)
    return FileHistory(str(path))


def _bindings() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("tab")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        asked = CompleteEvent(completion_requested=True)
        # Here and now: the menu is filled later, and a quick Tab would find it empty.
        found = list(buffer.completer.get_completions(buffer.document, asked))
        if len(found) == 1:
            buffer.cancel_completion()
            buffer.apply_completion(found[0])
        elif buffer.complete_state:
            buffer.complete_next()
        else:
            buffer.start_completion(insert_common_part=True)

    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        # With something typed, the first Ctrl-C takes only that away.
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(result=End.INTERRUPT)

    return keys
