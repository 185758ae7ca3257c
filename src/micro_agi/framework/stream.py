"""Send what a model says, as it comes, to a mailbox: the chunks of spec/agent.md 6.7.

Text that the receiver has not taken yet is added to the chunk that waits, so a slow
receiver gets fewer and longer chunks and no mailbox fills up. Every stream ends with `done`
or `error`, and the call that made it returns after the receiver has taken all of it:
the answer never overtakes its chunks. (In the reference both promises are missing.)
"""

from typing import Any

from micro_agi.errors import InputInvalid, MicroAgiError
from micro_agi.framework.conversation import parsed_arguments
from micro_agi.llm.failure import error_type
from micro_agi.llm.request import ModelEvent
from micro_agi.messages import TextDelta, ThinkingDelta, ToolCall
from micro_agi.sandbox.host.calls import HostCall
from micro_agi.sandbox.host.process import Mail, Mailbox, Mailboxes
from micro_agi.values import as_object

DEFAULT_TOPIC = "llm_response"
MOST_CHUNK = 64 << 10
"""Characters of one chunk: its message has to fit into a frame with others."""


class Streamer:
    """Turns events of one model call into messages to one topic of one mailbox."""

    def __init__(self, box: Mailbox, topic: str, sender: str) -> None:
        self._box = box
        self._topic = topic
        self._sender = sender
        self._last: Mail | None = None

    def __call__(self, event: ModelEvent) -> None:
        """Take an event; warnings are not part of the stream."""
        match event:
            case TextDelta(text=text):
                self._text("chunk", text)
            case ThinkingDelta(text=text):
                self._text("thinking", text)

    def _text(self, kind: str, text: str) -> None:
        last = self._last
        waits = last is not None and not last.taken and last.value["type"] == kind
        if last is not None and waits and len(last.value["content"]) + len(text) <= MOST_CHUNK:
            last.value["content"] += text
            return
        self._last = self._post({"type": kind, "content": text})

    async def done(self, calls: tuple[ToolCall, ...], meta: dict[str, Any]) -> None:
        """Send the tool calls and the end, and wait until the receiver has them."""
        for call in calls:
            arguments = parsed_arguments(call.arguments)
            self._post(
                {"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments}
            )
        self._post({"type": "done", "meta": meta})
        await self._box.drained(self._topic)

    async def failed(self, error: MicroAgiError) -> None:
        """Send why there is no answer, and wait until the receiver has it."""
        facts = {"type": error_type(error) or error.kind, "message": error.what, "code": error.code}
        self._post({"type": "error", "error": facts})
        await self._box.drained(self._topic)

    def _post(self, value: dict[str, Any]) -> Mail:
        mail = Mail(topic=self._topic, sender=self._sender, value=value)
        if not self._box.closed:
            self._box.post(mail)
        return mail


def streamer(call: HostCall, target: Any, mailboxes: Mailboxes) -> Streamer | None:
    """Make the streamer for a `stream_target` or `stream` option; None when there is none.

    Raises: InputInvalid without `reply_to`; EntryNotFound when no such call runs.
    """
    if target is None:
        return None
    facts = as_object(target)
    pid = facts.get("reply_to")
    if not isinstance(pid, str) or not pid:
        raise InputInvalid(
            "PID is required for streamer",
            where="stream_target",
            fix="give { reply_to = process.pid(), topic = … }",
        )
    topic = facts.get("topic")
    return Streamer(
        mailboxes.find(pid, call.context),
        topic if isinstance(topic, str) and topic else DEFAULT_TOPIC,
        mailboxes.of(call.frame).pid,
    )
