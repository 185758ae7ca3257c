"""What the dialects look like on the wire, for the scripted server; OpenAI's two are here."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from micro_agi.llm.providers.scripted import Call

CREATED = 1_700_000_000


class Scripted(Protocol):
    """The parts of `model_server.Reply` that are written here."""

    @property
    def pieces(self) -> tuple[str, ...]: ...
    @property
    def thinking(self) -> str: ...
    @property
    def calls(self) -> tuple[Call, ...]: ...
    @property
    def finish(self) -> str: ...
    @property
    def usage(self) -> Mapping[str, int] | None: ...
    @property
    def done(self) -> bool: ...


class Failing(Protocol):
    """The parts of `model_server.Fault` that are written here."""

    @property
    def status(self) -> int: ...
    @property
    def message(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def retry_after(self) -> str: ...


class Wire(Protocol):
    """One reply in one dialect."""

    def frames(self) -> list[bytes]:
        """Return the frames of the stream."""
        ...

    def whole(self) -> dict[str, Any]:
        """Return the reply as one object."""
        ...

    def half_call(self) -> list[bytes]:
        """Return what there is of the stream in the middle of its first tool call."""
        ...

    def failure(self, fault: Failing) -> dict[str, Any]:
        """Return the body of an error response."""
        ...

    def in_band(self, fault: Failing) -> bytes:
        """Return an error as a frame of a stream that began well."""
        ...


def frame(value: Any, event: str = "") -> bytes:
    """Encode one server-sent event."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + msgspec.json.encode(value) + b"\n\n"


def arguments(call: Call) -> str:
    """Return the call's arguments as text."""
    given = call.arguments
    return given if isinstance(given, str) else msgspec.json.encode(given).decode()


def call_id(number: int, index: int) -> str:
    """Return the id of a call that was given none, unique among all requests."""
    return f"call_{number:05}_{index}"


class _OpenAiWire:
    """How both of OpenAI's dialects fail."""

    def failure(self, fault: Failing) -> dict[str, Any]:
        return {"error": self._error(fault)}

    def in_band(self, fault: Failing) -> bytes:
        return frame({"type": "error", "error": self._error(fault)})

    def half_call(self) -> list[bytes]:
        frames = self.frames()
        start = next(i for i, each in enumerate(frames) if b"function" in each)
        return frames[: start + 2]

    def frames(self) -> list[bytes]:
        raise NotImplementedError

    def _error(self, fault: Failing) -> dict[str, Any]:
        return {"message": fault.message, "type": fault.type, "code": fault.code or None}


class ChatWire(_OpenAiWire):
    """Chat Completions."""

    def __init__(self, number: int, body: Mapping[str, Any], reply: Scripted) -> None:
        self._number = number
        self._body = body
        self._reply = reply

    def frames(self) -> list[bytes]:
        reply = self._reply
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        if reply.thinking:
            deltas.append({"reasoning_content": reply.thinking})
        deltas += [{"content": piece} for piece in reply.pieces]
        for index, call in enumerate(reply.calls):
            text = arguments(call)
            half = len(text) // 2
            start = {"name": call.name, "arguments": ""}
            deltas.append(
                _delta(index, start, id=call.id or call_id(self._number, index), type="function")
            )
            deltas += [_delta(index, {"arguments": t}) for t in (text[:half], text[half:])]
        chunks = [self._chunk([_choice(delta=delta, finish_reason=None)]) for delta in deltas]
        chunks.append(self._chunk([_choice(delta={}, finish_reason=self._finish())]))
        wants_usage = (self._body.get("stream_options") or {}).get("include_usage")
        if reply.usage is not None and wants_usage:
            chunks.append(self._chunk([]) | {"usage": self._usage()})
        return [frame(chunk) for chunk in chunks] + ([b"data: [DONE]\n\n"] if reply.done else [])

    def whole(self) -> dict[str, Any]:
        reply = self._reply
        message: dict[str, Any] = {"role": "assistant", "content": "".join(reply.pieces)}
        if reply.thinking:
            message["reasoning_content"] = reply.thinking
        if reply.calls:
            message["tool_calls"] = [
                {
                    "id": call.id or call_id(self._number, index),
                    "type": "function",
                    "function": {"name": call.name, "arguments": arguments(call)},
                }
                for index, call in enumerate(reply.calls)
            ]
        choice = _choice(message=message, finish_reason=self._finish())
        whole = self._chunk([choice]) | {"object": "chat.completion"}
        return whole if reply.usage is None else whole | {"usage": self._usage()}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": "chatcmpl-scripted",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self._body.get("model", ""),
            "choices": choices,
        }

    def _finish(self) -> str:
        return self._reply.finish or ("tool_calls" if self._reply.calls else "stop")

    def _usage(self) -> dict[str, Any]:
        usage = self._reply.usage or {}
        prompt, completion = usage.get("prompt", 0), usage.get("completion", 0)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": usage.get("cached", 0)},
            "completion_tokens_details": {"reasoning_tokens": usage.get("thinking", 0)},
        }


def _choice(**fields: Any) -> dict[str, Any]:
    return {"index": 0, "logprobs": None, **fields}


def _delta(index: int, function: dict[str, str], **fields: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": function, **fields}]}


class ResponsesWire(_OpenAiWire):
    """Responses."""

    def __init__(self, number: int, body: Mapping[str, Any], reply: Scripted) -> None:
        self._number = number
        self._body = body
        self._reply = reply

    def frames(self) -> list[bytes]:
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": self._response("in_progress", [])}
        ]
        for index, item in enumerate(self._items()):
            events += [{**event, "output_index": index} for event in self._events(item)]
        kind = "response.incomplete" if self._status() == "incomplete" else "response.completed"
        events.append({"type": kind, "response": self.whole()})
        return [
            frame({**event, "sequence_number": number}, event["type"])
            for number, event in enumerate(events)
        ]

    def whole(self) -> dict[str, Any]:
        return self._response(self._status(), self._items())

    def _status(self) -> str:
        return "incomplete" if self._reply.finish in ("length", "content_filter") else "completed"

    def _items(self) -> list[dict[str, Any]]:
        reply = self._reply
        items: list[dict[str, Any]] = []
        if reply.thinking:
            summary = [{"type": "summary_text", "text": reply.thinking}]
            sealed = {"encrypted_content": "sealed:" + reply.thinking}
            items.append({"type": "reasoning", "id": "rs_1", "summary": summary} | sealed)
        if reply.pieces:
            text = {"type": "output_text", "text": "".join(reply.pieces), "annotations": []}
            items.append(_item("message", "msg_1") | {"role": "assistant", "content": [text]})
        for index, call in enumerate(reply.calls):
            facts = {"call_id": call.id or call_id(self._number, index), "name": call.name}
            items.append(
                _item("function_call", f"fc_{index}") | facts | {"arguments": arguments(call)}
            )
        return items

    def _events(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        kind = item["type"]
        empty = item | {"status": "in_progress"}
        middle: list[dict[str, Any]] = []
        if kind == "reasoning":
            empty |= {"summary": []}
            middle = _summary_events(item)
        elif kind == "message":
            empty |= {"content": []}
            middle = _text_events(item, self._reply.pieces)
        else:
            empty |= {"arguments": ""}
            middle = _argument_events(item)
        added = {"type": "response.output_item.added", "item": empty}
        return [added, *middle, {"type": "response.output_item.done", "item": item}]

    def _response(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        usage = self._reply.usage
        why = {"length": "max_output_tokens"}.get(self._reply.finish, self._reply.finish)
        return {
            "id": "resp_scripted",
            "object": "response",
            "created_at": CREATED,
            "model": self._body.get("model", ""),
            "status": status,
            "error": None,
            "incomplete_details": {"reason": why} if status == "incomplete" else None,
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None if usage is None or status == "in_progress" else _usage(usage),
        }


def _item(kind: str, id_: str) -> dict[str, Any]:
    return {"type": kind, "id": id_, "status": "completed"}


def _summary_events(item: dict[str, Any]) -> list[dict[str, Any]]:
    part = item["summary"][0]
    place = {"item_id": item["id"], "summary_index": 0}
    name = "response.reasoning_summary"
    return [
        {"type": f"{name}_part.added", "part": part | {"text": ""}, **place},
        {"type": f"{name}_text.delta", "delta": part["text"], **place},
        {"type": f"{name}_text.done", "text": part["text"], **place},
        {"type": f"{name}_part.done", "part": part, **place},
    ]


def _text_events(item: dict[str, Any], pieces: tuple[str, ...]) -> list[dict[str, Any]]:
    part = item["content"][0]
    place = {"item_id": item["id"], "content_index": 0}
    name = "response.output_text"
    return [
        {"type": "response.content_part.added", "part": part | {"text": ""}, **place},
        *({"type": f"{name}.delta", "delta": p, "logprobs": [], **place} for p in pieces),
        {"type": f"{name}.done", "text": part["text"], "logprobs": [], **place},
        {"type": "response.content_part.done", "part": part, **place},
    ]


def _argument_events(item: dict[str, Any]) -> list[dict[str, Any]]:
    text, place = item["arguments"], {"item_id": item["id"]}
    half = len(text) // 2
    name = "response.function_call_arguments"
    deltas = [{"type": f"{name}.delta", "delta": t, **place} for t in (text[:half], text[half:])]
    return [*deltas, {"type": f"{name}.done", "arguments": text, "name": item["name"], **place}]


def _usage(usage: Mapping[str, int]) -> dict[str, Any]:
    prompt, completion = usage.get("prompt", 0), usage.get("completion", 0)
    return {
        "input_tokens": prompt,
        "output_tokens": completion,
        "total_tokens": prompt + completion,
        "input_tokens_details": {"cached_tokens": usage.get("cached", 0), "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": usage.get("thinking", 0)},
    }
