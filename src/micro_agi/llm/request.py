"""What goes to a model and what comes back: values, and the protocol of a provider.

A request is prepared first (`PreparedRequest`, with the exact bytes and their hash) and
sent afterwards, so that the journal can commit the intent in between.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from msgspec import Struct, field

from micro_agi.llm.catalogue import ModelCard
from micro_agi.messages import (
    FinishReason,
    Message,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolSpec,
    Usage,
    Warned,
)
from micro_agi.net.client import Client
from micro_agi.settings import NO_KEY
from micro_agi.values import Secret

ModelEvent: TypeAlias = TextDelta | ThinkingDelta | Warned
OnEvent: TypeAlias = Callable[[ModelEvent], None]


class ModelOptions(Struct, frozen=True, kw_only=True):
    """What may differ from request to request. None means the model's own default."""

    max_tokens: int | None = None
    """Of the reply; a reasoning model's thinking counts too."""
    temperature: float | None = None
    thinking_effort: int | None = None
    """0 to 100; None takes the model card's."""
    tool_choice: str = "auto"
    """`auto`, `any` (or `required`), `none`, or the name of a tool."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the answer, for services that can enforce one."""
    text_tool_calls: bool = False
    """Calls in the text count when the reply has none of its own."""
    user: str = ""
    """Whom the provider should see as the end user."""
    timeout_s: float = 600.0


class ModelRequest(Struct, frozen=True, kw_only=True):
    """One step's question to a model.

    `messages` and `tools` may be the caller's own growing list and tuple: nothing keeps
    them. Reusing the same `Message` and tuple objects from step to step is what makes a
    step cheap.
    """

    model: ModelCard
    system: str
    messages: Sequence[Message]
    tools: tuple[ToolSpec, ...] = ()
    text_tools: tuple[ToolSpec, ...] = ()
    """Tools that the model was taught to call in its text: `text_calls.in_words` fills this."""
    options: ModelOptions = ModelOptions()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRequest:
    """The exact bytes of a request, not sent yet."""

    request: ModelRequest
    url: str
    body: bytes = dataclasses.field(repr=False)
    hash: str
    """SHA-256 of `body`, hexadecimal."""


class Reply(Struct, frozen=True, kw_only=True):
    """A model's whole answer."""

    text: str
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    """None when the model has no price."""
    finish_reason: FinishReason = "stop"
    model: str = ""
    """Name of the model's card."""
    request_hash: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """About this exchange: `request_id`, `response_id`, `estimated_usage`, `attempts`."""
    problem: Mapping[str, Any] | None = None
    """Why it is cut, when `finish_reason` is `cut`: an error as `MicroAgiError.as_dict`."""
    opaque: Mapping[str, Any] = field(default_factory=dict)
    """What the provider wants back (encrypted reasoning), for `Message.metadata`."""

    @property
    def message(self) -> Message:
        """The assistant message to append to the conversation."""
        return Message(
            role="assistant",
            parts=(Text(self.text),) if self.text else (),
            tool_calls=self.tool_calls,
            metadata=dict(self.opaque),
        )


class ProviderAccess(Struct, frozen=True, kw_only=True):
    """Where a provider is and how to get in."""

    base_url: str
    """With the version, as in `https://host/v1`; a trailing slash does not matter."""
    api_key: Secret = NO_KEY
    organization: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class Provider(Protocol):
    """A model service, or something that answers like one."""

    def prepare(self, request: ModelRequest) -> PreparedRequest:
        """Build the exact request; no input or output."""
        ...

    async def send(self, client: Client, prepared: PreparedRequest, on_event: OnEvent) -> Reply:
        """Send it once and report text and thinking as they come.

        The gateway adds the cost, the card's name and the hash, and does the retries.
        Raises: an error built by `failure.provider_error`.
        """
        ...
