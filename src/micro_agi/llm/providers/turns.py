"""Write messages as turns, for dialects where neighbours of one role share one item.

Anthropic and Google want the results of all calls of a step in one turn, so messages are
joined as they are encoded. The state after a message is the turn that is open: its last
block is still without its closing brace, because a cache marker behind it becomes a field
of that block. So a turn grows at its end and no byte before it changes.

A model's thinking must go back at its own place between text and calls, unchanged, or the
service refuses it. Our messages hold one text and a list of calls, so a reply that had
something signed keeps a *layout*: the order of its blocks, with what is opaque as it came
and only lengths and ids of the rest.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from micro_agi.llm.history import State
from micro_agi.llm.providers.parts import SYSTEM_ROLES
from micro_agi.llm.request import ModelRequest
from micro_agi.messages import CACHE_MARKER, Message, ToolCall
from micro_agi.values import as_object

Placed: TypeAlias = tuple[str | ToolCall | Mapping[str, Any], Mapping[str, Any]]
"""A text, a call or an opaque block, and its item of the layout."""


def grow(state: State, turn: str, start: bytes, blocks: Iterable[bytes]) -> tuple[bytes, State]:
    """Return the bytes that add complete JSON objects to the conversation, and the state.

    `turn` names the kind of turn they belong to, `start` opens one (with its comma). The
    state is `(turn, markers in the conversation)`.
    """
    joined = b",".join(blocks)
    if not joined:
        return b"", state
    markers = state[1] if state else 0
    if state and state[0] == turn:
        return b"}," + joined[:-1], (turn, markers)
    return close(state) + start + joined[:-1], (turn, markers)


def close(state: State) -> bytes:
    """Return what ends the turn that is open."""
    return b"}]}" if state else b""


def leading(request: ModelRequest) -> tuple[str, int, bool]:
    """Return the text of the system and of the messages it starts with, their number, and
    whether one of them has a cache marker.
    """
    texts = [request.system] if request.system else []
    count, marked = 0, False
    for message in request.messages:
        if message.role not in SYSTEM_ROLES:
            break
        count += 1
        marked = marked or CACHE_MARKER in message.metadata
        if message.text:
            texts.append(message.text)
    return "\n\n".join(texts), count, marked


def instruction(text: str) -> str:
    """Return a note of the application for a dialect that has no role for it."""
    return f"<developer-instruction>\n{text}\n</developer-instruction>"


def placed(message: Message, layout: Sequence[Mapping[str, Any]]) -> list[Placed]:
    """Return an assistant's texts, calls and opaque blocks in the order of the reply.

    Calls that the message lost (a truncated step) are left out. A text that is not the
    reply's own any more comes as one, behind what was opaque before the first text.
    """
    text, calls = message.text, {call.id: call for call in message.tool_calls}
    lengths = [item["text"] for item in layout if "text" in item]
    if sum(lengths) != len(text) or not all(isinstance(n, int) for n in lengths):
        opaque = [item for item in layout if "as_is" in item]
        layout = [*opaque[: _before_text(layout)], {"text": len(text)}]
    known = {item["call"] for item in layout if "call" in item}
    layout = [*layout, *({"call": id_} for id_ in calls if id_ not in known)]
    found: list[Placed] = []
    start = 0
    for item in layout:
        if "text" in item:
            end = start + item["text"]
            found.append((text[start:end], item))
            start = end
        elif "call" in item:
            if item["call"] in calls:
                found.append((calls[item["call"]], item))
        else:
            found.append((as_object(item.get("as_is")), item))
    return found


def _before_text(layout: Sequence[Mapping[str, Any]]) -> int:
    return next((i for i, item in enumerate(layout) if "as_is" not in item), len(layout))


def layout_of(message: Message, key: str, model: str) -> Sequence[Mapping[str, Any]]:
    """Return the layout that `model` left on its message under `key`, or an empty one.

    What one model signed, another does not get.
    """
    kept = as_object(message.metadata.get(key))
    layout = kept.get("layout") if kept.get("model") == model else None
    return [as_object(item) for item in layout] if isinstance(layout, list) else ()
