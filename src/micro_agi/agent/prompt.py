"""The conversation builder that embedders use: `Prompt().add_user("hello")`.

It holds a list of frozen messages and follows the merging rule of spec/agent.md 6.1: a
message right after one of the same role and name joins it. Unlike the reference, metadata
that differs keeps messages apart, so nothing is lost by joining.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from micro_agi.messages import (
    CACHE_MARKER,
    Document,
    Image,
    Message,
    Part,
    Role,
    Text,
    ToolCall,
)

MERGING = ("system", "developer", "user", "assistant")


class Prompt:
    """A growing list of messages. Methods return the prompt itself, so calls chain."""

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self.messages: list[Message] = list(messages)

    @classmethod
    def with_system(cls, text: str) -> "Prompt":
        """Return a new prompt that begins with a system message."""
        return cls().add_system(text)

    @staticmethod
    def text(text: str) -> Text:
        """Return a part of text."""
        return Text(text)

    @staticmethod
    def image(url: str, mime: str = "") -> Image:
        """Return an image by its address; `mime` is its media type."""
        return Image(url=url, mime=mime)

    @staticmethod
    def image_base64(mime: str, data: str) -> Image:
        """Return an image by its content."""
        return Image(data=data, mime=mime)

    @staticmethod
    def document_base64(mime: str, data: str) -> Document:
        """Return a document by its content."""
        return Document(data=data, mime=mime)

    def add_system(self, text: str, metadata: dict[str, Any] | None = None) -> "Prompt":
        """Add a system message; an empty text adds nothing."""
        return self._add_text("system", text, metadata) if text else self

    def add_developer(self, text: str, metadata: dict[str, Any] | None = None) -> "Prompt":
        """Add a developer message; an empty text adds nothing."""
        return self._add_text("developer", text, metadata) if text else self

    def add_user(self, text: str, metadata: dict[str, Any] | None = None) -> "Prompt":
        """Add a user message."""
        return self._add_text("user", text, metadata)

    def add_assistant(self, text: str, metadata: dict[str, Any] | None = None) -> "Prompt":
        """Add an assistant message."""
        return self._add_text("assistant", text, metadata)

    def add_message(
        self,
        role: Role,
        parts: Iterable[Part],
        name: str = "",
        metadata: dict[str, Any] | None = None,
    ) -> "Prompt":
        """Add a message of any parts, joining it to the last one where the rule says so."""
        new = Message(role=role, parts=tuple(parts), name=name, metadata=metadata or {})
        last = self.messages[-1] if self.messages else None
        if last is None or not _joins(last, new):
            self.messages.append(new)
            return self
        left, right = last.parts, new.parts
        if left and right and isinstance(left[-1], Text) and isinstance(right[0], Text):
            joined = Text(f"{left[-1].text}\n\n{right[0].text}")
            left, right = (*left[:-1], joined), right[1:]
        self.messages[-1] = msgspec.structs.replace(last, parts=(*left, *right))
        return self

    def add_function_call(self, name: str, arguments: Any, call_id: str) -> "Prompt":
        """Add a tool call of the assistant; `arguments` is JSON text or a JSON value."""
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
        call = ToolCall(id=call_id, name=name, arguments=text)
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "assistant":
            calls = (*last.tool_calls, call)
            self.messages[-1] = msgspec.structs.replace(last, tool_calls=calls)
        else:
            self.messages.append(Message(role="assistant", tool_calls=(call,)))
        return self

    def add_function_result(self, name: str, content: Any, call_id: str) -> "Prompt":
        """Add the result of a tool call; a value that is no text is encoded as JSON."""
        text = content if isinstance(content, str) else msgspec.json.encode(content).decode()
        part = Text(text)
        self.messages.append(Message(role="tool", parts=(part,), tool_call_id=call_id, name=name))
        return self

    def add_cache_marker(self, marker_id: str = "default") -> "Prompt":
        """Say that a service's cache should reach up to here; nothing joins the last message then.

        Without a message yet there is nothing to keep.
        """
        if self.messages:
            marked = {**self.messages[-1].metadata, CACHE_MARKER: marker_id}
            self.messages[-1] = msgspec.structs.replace(self.messages[-1], metadata=marked)
        return self

    def clone(self) -> "Prompt":
        """Return an independent copy; messages are frozen, so only the list is copied."""
        return Prompt(self.messages)

    def clear(self) -> None:
        """Forget all messages."""
        self.messages.clear()

    def _add_text(self, role: Role, text: str, metadata: dict[str, Any] | None) -> "Prompt":
        return self.add_message(role, (Text(text),), metadata=metadata)


def _joins(last: Message, new: Message) -> bool:
    ended = bool(last.tool_calls) or CACHE_MARKER in last.metadata
    same = last.role == new.role and new.role in MERGING and not ended
    return same and new.name in ("", last.name) and new.metadata in ({}, last.metadata)
