"""What a conversation is made of, and every event of a session, as frozen values.

Every surface (terminal, server, log) and the journal speak this one union of events, so
nothing happens that only one of them can see. The conversation is derived from the
journal's events (`sessions.conversation`), never stored beside them.

An event has no session, turn or time in it: the journal's row around it has.
Source: DESIGN 4.4; roles and parts follow spec/agent.md 6.1, with one difference: an
assistant message carries its tool calls, because every wire format wants them there.
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

Role = Literal["system", "developer", "user", "assistant", "tool"]
CACHE_MARKER = "cache_marker"
"""Key of `Message.metadata`, with the marker's id: up to here a service's cache should reach."""
Outcome = Literal["answered", "limit_reached", "cancelled", "failed"]
FinishReason = Literal["stop", "tool_call", "length", "filtered", "error", "cut", "stopped"]
"""`cut`: the stream broke off for good, and `message` holds what came until then. `stopped`: the
user or a limit of time ended the turn meanwhile, and it holds what was shown."""


class Text(Struct, frozen=True, tag="text"):
    """A text part."""

    text: str


class Image(Struct, frozen=True, kw_only=True, tag="image"):
    """An image by `url` or by base64 `data`; `mime` is its media type."""

    url: str = ""
    data: str = ""
    mime: str = ""


class Document(Struct, frozen=True, kw_only=True, tag="document"):
    """A document as base64 `data`."""

    data: str
    mime: str


Part: TypeAlias = Text | Image | Document


class ToolCall(Struct, frozen=True, kw_only=True):
    """One call that a model asked for."""

    id: str
    """The model's own id of the call; its result carries the same."""
    name: str
    """The name the model sees."""
    arguments: str
    """JSON text exactly as the model wrote it: it goes back byte for byte, and may be malformed."""
    provider: dict[str, Any] = {}
    """Opaque data (signatures) that the provider wants back."""
    problem: str = ""
    """Why a call that the model wrote as text cannot be run, or ""; the model is told."""


class Message(Struct, frozen=True, kw_only=True):
    """One message of a conversation.

    `tool_calls` is for role `assistant` only; `tool_call_id` and `name` for role `tool` only.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""
    metadata: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """All text parts, joined with a blank line between them."""
        return "\n\n".join(p.text for p in self.parts if isinstance(p, Text))


def message(role: Role, text: str, **fields: Any) -> Message:
    """Build a message with one text part, or none for an empty text."""
    return Message(role=role, parts=(Text(text),) if text else (), **fields)


class ToolSpec(Struct, frozen=True, kw_only=True):
    """A tool as the model sees it."""

    id: str
    """Registry id of the entry that runs."""
    name: str
    """`[A-Za-z0-9_-]{1,64}`, unique among the tools of one request."""
    description: str
    schema: dict[str, Any]
    """JSON Schema of the arguments, an object."""
    context: dict[str, Any] = {}
    exclusive: bool = False
    delegate: str = ""
    """Id of the agent that answers instead of a function, or ""."""


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of one or more model calls; `prompt` excludes the cached ones."""

    prompt: int = 0
    completion: int = 0
    """Includes `thinking`."""
    thinking: int = 0
    cached: int = 0
    """Prompt tokens read from the provider's cache, not counted in `prompt`."""
    cache_write: int = 0
    """Prompt tokens written to the provider's cache, counted in `prompt`."""

    @property
    def window(self) -> int:
        """Tokens the request took of the model's window: cached and uncached."""
        return self.prompt + self.cached

    def plus(self, other: "Usage") -> "Usage":
        """Return the sum of both."""
        return Usage(
            prompt=self.prompt + other.prompt,
            completion=self.completion + other.completion,
            thinking=self.thinking + other.thinking,
            cached=self.cached + other.cached,
            cache_write=self.cache_write + other.cache_write,
        )


class Question(Struct, frozen=True, kw_only=True):
    """May `agent` do `action` on `resource` by calling `tool`?"""

    agent: str
    tool: str
    tool_hash: str
    """Content hash of the tool's entry: a changed tool asks again."""
    action: str
    resource: str
    reason: str = ""


Approval = Literal["once", "session", "always", "refuse"]


class Event(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of the union `AnyEvent`; the tag is the field `type`."""


class TurnStarted(Event, tag="turn_started", frozen=True, kw_only=True):
    """A user message arrived."""

    turn: int
    message: Message
    agent: str


class TurnResumed(Event, tag="turn_resumed", frozen=True, kw_only=True):
    """A turn that was cut off goes on."""

    turn: int
    again: tuple[str, ...] = ()
    """Ids of calls that run (again), because that repeats no effect."""
    unknown: tuple[str, ...] = ()
    """Ids of calls that may have had an effect; the model is told, nothing is repeated."""


class TextDelta(Event, tag="text_delta", frozen=True, kw_only=True):
    """A piece of the answer; not journalled, `StepFinished` holds the whole."""

    text: str


class ThinkingDelta(Event, tag="thinking_delta", frozen=True, kw_only=True):
    """A piece of the model's thinking; not journalled."""

    text: str


class StepStarted(Event, tag="step_started", frozen=True, kw_only=True):
    """Intent: a model request is being sent; nothing of its reply comes before it."""

    step: int
    model: str
    request_hash: str
    """SHA-256 of the exact request body, so that a replay can compare."""
    registry_version: int
    inputs: str = ""
    """Hash of what the request was built from besides the conversation; the text it stands
    for is stored once. Empty in journals from before it was recorded."""


class StepFinished(Event, tag="step_finished", frozen=True, kw_only=True):
    """Outcome of a model request."""

    step: int
    model: str
    message: Message
    """The assistant's text and tool calls."""
    finish_reason: FinishReason
    usage: Usage
    cost_usd: float | None = None
    """None when the model has no price."""
    truncated: bool = False
    """The reply was cut inside its tool calls, which were dropped."""
    problem: dict[str, Any] | None = None
    """Why the stream broke off for good (`finish_reason` is `cut`), as `MicroAgiError.as_dict`."""


class ToolCallStarted(Event, tag="tool_call_started", frozen=True, kw_only=True):
    """Intent: a tool is about to be called."""

    call_id: str
    name: str
    tool: str
    """Registry id, or "" when no tool of this name is loaded."""
    arguments: Any
    """The parsed arguments, or the text when it is not JSON."""
    tool_hash: str = ""
    """Content hash of the entry that runs."""
    replayable: bool = False
    """No effect outside: after a crash it may run again."""
    idempotent: bool = False
    """Its operator says that running it again with the same key changes nothing."""


class ToolCallFinished(Event, tag="tool_call_finished", frozen=True, kw_only=True):
    """Outcome of a tool call: a result, or an error as `MicroAgiError.as_dict` gives it."""

    call_id: str
    name: str
    tool: str
    content: str
    """What the model reads."""
    result: Any = None
    error: dict[str, Any] | None = None
    duration_s: float = 0.0


class ToolCreated(Event, tag="tool_created", frozen=True, kw_only=True):
    """A tool's entry was written to the registry."""

    call_id: str
    tool: str
    version: int
    updated: bool
    """False for the first version of the entry."""
    report: dict[str, Any] = {}
    """What the gate checked, and its trial's results."""


class ToolLoaded(Event, tag="tool_loaded", frozen=True, kw_only=True):
    """A tool was added to the running session."""

    call_id: str
    tool: str
    name: str


class ApprovalAsked(Event, tag="approval_asked", frozen=True, kw_only=True):
    """A person is asked."""

    call_id: str
    question: Question


class ApprovalAnswered(Event, tag="approval_answered", frozen=True, kw_only=True):
    """The person answered, or nobody was there (`refuse`, by `nobody`)."""

    call_id: str
    question: Question
    approval: Approval
    by: str


class Compacted(Event, tag="compacted", frozen=True, kw_only=True):
    """The conversation was shortened; the journal keeps the originals."""

    summary: str
    """Goes into one system message."""
    dropped: int
    """Messages that the summary stands for, counted from the first after the system prompt."""
    restated: tuple[Message, ...] = ()
    """Put behind the summary word for word: the user message of a turn still running."""
    kept: int
    tokens_before: int
    by: str
    """Model that wrote the summary, or `extractive`."""
    pinned: tuple[str, ...] = ()
    """Ids, paths and numbers that the summary had lost and that were listed again."""
    said: tuple[str, ...] = ()
    """Messages of the user that are quoted under the summary."""
    tasks: tuple[str, ...] = ()
    """Open tasks that are listed under the summary."""
    unlisted: int = 0
    """Messages, tasks and facts that found no room there."""
    handle: str = ""
    """By which `system:recall` reads what was dropped."""
    model: str = ""
    """That was asked for the summary, whether it counts or not; "" when none was."""
    seconds: float = 0.0
    """That it took to answer."""
    usage: Usage = Usage()
    """What the summariser took."""
    cost_usd: float | None = None


class Circling(Event, tag="circling", frozen=True, kw_only=True):
    """The newest steps repeat calls and results; the model is told, once for a circle."""

    steps: int
    """Of one round."""
    rounds: int
    """How often they were made."""
    stops_at: int
    """Rounds after which the turn ends."""


class ShortenedResult(Struct, frozen=True, kw_only=True):
    """What the model reads from now on of one tool result."""

    at: int
    """Place of its message in the conversation, from 0."""
    text: str


class Shortened(Event, tag="shortened", frozen=True, kw_only=True):
    """Tool results were cut to fit the model's window; the journal keeps the originals."""

    results: tuple[ShortenedResult, ...]
    chars_before: int
    """Of all of them together."""
    chars_after: int


class Unbacked(Event, tag="unbacked", frozen=True, kw_only=True):
    """An answer states what nothing that the model saw says. Nobody was stopped."""

    facts: tuple[str, ...]
    """URLs, paths, hashes and numbers, as the answer has them."""


class LimitHit(Event, tag="limit_reached", frozen=True, kw_only=True):
    """A limit of the turn or the session was reached: which one, its value, its unit."""

    limit: str
    value: float
    unit: str


class Warned(Event, tag="warning", frozen=True, kw_only=True):
    """Something is not as it should be, and the turn goes on."""

    text: str
    where: str = ""
    fix: str = ""


class Errored(Event, tag="error", frozen=True, kw_only=True):
    """Something failed, as `MicroAgiError.as_dict` gives it."""

    error: dict[str, Any]


class TurnFinished(Event, tag="turn_finished", frozen=True, kw_only=True):
    """The turn is over."""

    turn: int
    outcome: Outcome
    text: str
    """The answer, or what there was of it."""
    usage: Usage
    cost_usd: float | None = None
    steps: int = 0
    seconds: float = 0.0
    """It ran for so long, without the time that a person thought about questions."""


class Recalled(Event, tag="recalled", frozen=True, kw_only=True):
    """The agent's memory contract remembered something; the message stays."""

    message: Message


class Delegated(Event, tag="delegated", frozen=True, kw_only=True):
    """Something happened in the turn of a delegate."""

    call_id: str
    """Of the call that the delegate answers."""
    agent: str
    event: "AnyEvent"


AnyEvent: TypeAlias = (
    TurnStarted
    | TurnResumed
    | TextDelta
    | ThinkingDelta
    | StepStarted
    | StepFinished
    | ToolCallStarted
    | ToolCallFinished
    | ToolCreated
    | ToolLoaded
    | ApprovalAsked
    | ApprovalAnswered
    | Compacted
    | Shortened
    | Unbacked
    | Circling
    | LimitHit
    | Warned
    | Errored
    | TurnFinished
    | Recalled
    | Delegated
)
