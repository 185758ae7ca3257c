"""Models for apps and embedding programs: `generate`, `structured_output`, `embed`, `status`,
`compress`, and which models there are.

Every entrance is here once; `rt.llm` and the Lua library `wippy.llm:llm` are two doors to
it. Each call chooses its model (a name, a class, `class:x`), goes through the gateway with
its retries and cost, and leaves a usage record.

Source: spec/agent.md 6.2, 6.3. Difference: errors keep their type.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct, field

from micro_agi.errors import InputInvalid
from micro_agi.llm.catalogue import Catalogue, ModelCard, ModelEntry
from micro_agi.llm.compress import Manner, Measure, check_target, measure, to_size
from micro_agi.llm.embed import Asked, Checkable, Embedded, Status, read_texts
from micro_agi.llm.gateway import Gateway
from micro_agi.llm.options import Wanted, read_options
from micro_agi.llm.request import ModelRequest, OnEvent, Reply
from micro_agi.llm.structured import CompileSchema, Structured, read_schema, structured
from micro_agi.llm.usage import NOBODY, Tracker, UsageRecord
from micro_agi.messages import Message, Text, ToolSpec
from micro_agi.net.client import Client
from micro_agi.values import nearest

CAPABILITIES = (
    *("generate", "tool_use", "structured_output", "embed", "thinking", "vision", "caching"),
)


@runtime_checkable
class HasMessages(Protocol):
    """A conversation builder."""

    @property
    def messages(self) -> list[Message]:
        """The conversation."""
        ...


Conversation: TypeAlias = "str | HasMessages | Sequence[Message]"
Allow: TypeAlias = Callable[[str, str], None]
"""Takes an action (`llm.generate`) and a model's name; raises PolicyDenied to refuse it."""


Choose: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[ModelCard]]
"""From the name of a model, and the context of whoever wants it, to its card."""


def ignore(_: object) -> None:
    """Drop an event."""


def allow_all(_action: str, _model: str) -> None:
    """Refuse nothing: for the program itself."""


class LlmParts(Struct, frozen=True, kw_only=True):
    """What a facade needs."""

    gateway: Gateway
    client: Client
    choose: Choose
    """The model for a call that wants this one; a person may have named another for all."""
    exact: Choose
    """This very model: another one's vectors mean something else."""
    at_provider: Callable[[str, str], Awaitable[ModelCard]]
    """From a provider's id and the name it knows a model by."""
    beside: Callable[[Sequence[str], Mapping[str, Any]], Awaitable[ModelCard]]
    """The model that decides between agents which want these."""
    catalogue: Callable[[], Catalogue]
    classes: Callable[[], Sequence[ModelEntry]]
    """Entries with `meta.type: llm.model.class`."""
    compile_schema: CompileSchema
    usage: Tracker


class Answered(Struct, frozen=True, kw_only=True):
    """A reply with the id of its usage record."""

    reply: Reply
    usage_id: str


class Llm(Struct, frozen=True):
    """Models, on behalf of one actor. `rt.llm` is the program's own."""

    parts: LlmParts
    actor: str = NOBODY
    """Who is named in usage records."""
    allow: Allow = allow_all
    values: Mapping[str, Any] = field(default_factory=dict)
    """What the app's resolver of models sees of who asks."""

    async def generate(
        self,
        prompt: Conversation,
        *,
        tools: Sequence[ToolSpec] = (),
        on_event: OnEvent = ignore,
        **options: Any,
    ) -> Reply:
        """Return a model's reply to a text, a `Prompt` or a list of messages.

        Options: `model` (required), `provider_id`, `temperature`, `max_tokens`, `thinking_effort`,
        `tool_choice`, `top_p`, `stop_sequences`, `seed`, `timeout` in seconds, ….
        Raises: InputInvalid, ProviderRefused, ProviderUnavailable.
        """
        wanted = read_options(options, tools=tools)
        return (await self.answer(messages_of(prompt), wanted, on_event)).reply

    async def answer(
        self, messages: Sequence[Message], wanted: Wanted, on_event: OnEvent = ignore
    ) -> Answered:
        """Do what `generate` does, with options that were read already."""
        card = await self._card(wanted, "llm.generate")
        request = _request(card, messages, wanted)
        reply = await self.parts.gateway.generate(request, on_event, retries=wanted.retries)
        return Answered(reply=reply, usage_id=await self._track(reply, wanted))

    async def structured_output(
        self, schema: Mapping[str, Any], prompt: Conversation, **options: Any
    ) -> Structured:
        """Return a JSON value that fits a JSON Schema; the model may correct itself once.

        Raises: OutputInvalid when it still does not fit; InputInvalid for a schema that is
        none; ProviderRefused; ProviderUnavailable.
        """
        return await self.structure(schema, messages_of(prompt), read_options(options))

    async def structure(
        self, schema: Any, messages: Sequence[Message], wanted: Wanted
    ) -> Structured:
        """Do what `structured_output` does, with options that were read already."""
        violations = self.parts.compile_schema(read_schema(schema))
        card = await self._card(wanted, "llm.structured_output")

        async def ask(request: ModelRequest) -> Reply:
            reply = await self.parts.gateway.generate(request, ignore, retries=wanted.retries)
            await self._track(reply, wanted)
            return reply

        return await structured(_request(card, messages, wanted), schema, violations, ask)

    async def embed(
        self,
        texts: str | Sequence[str],
        *,
        model: str,
        provider_id: str = "",
        dimensions: int | None = None,
        asked: Asked | None = None,
    ) -> Embedded:
        """Return a vector for each text: a list of one for one text.

        `asked` says more than `dimensions`: how long to wait, how often to try again.

        Raises: InputInvalid when the model's service cannot embed; ProviderRefused;
        ProviderUnavailable.
        """
        listed = read_texts(texts)
        wanted = read_options({"model": model, "provider_id": provider_id})
        card = await self._card(wanted, "llm.embed", exact=True)
        asked = asked or Asked(dimensions=dimensions)
        found = await self.parts.gateway.embed(card, listed, asked)
        await self.parts.usage.track(
            UsageRecord(
                model=card.name,
                usage=found.usage,
                cost_usd=card.cost(found.usage),
                actor=self.actor,
            )
        )
        return found

    async def status(self, *, model: str, provider_id: str = "") -> Status:
        """Say whether a model's service answers.

        Raises: InputInvalid when there is no such model.
        """
        wanted = read_options({"model": model, "provider_id": provider_id})
        card = await self._card(wanted, "llm.status", exact=True)
        provider = self.parts.gateway.provider(card)
        if isinstance(provider, Checkable):
            return await provider.status(self.parts.client, card)
        return Status(status="healthy", message="a script: there is no service to ask")

    def available_models(self, capability: str = "") -> list[ModelCard]:
        """Return the models of the app by name; with a capability, those that list it.

        Raises: InputInvalid for a capability that does not exist.
        """
        if capability and capability not in CAPABILITIES:
            near = nearest(capability, CAPABILITIES) or CAPABILITIES
            raise InputInvalid(
                f"`{capability}` is no capability",
                where="available_models",
                fix=f"use one of: {', '.join(near)}",
            )
        cards = self.parts.catalogue().all()
        return [c for c in cards if not capability or capability in c.capabilities]

    def get_classes(self) -> list[dict[str, str]]:
        """Return the classes that models belong to, by name, with what their entries say."""
        found = {
            name: {"id": "", "name": name, "title": name, "description": ""}
            for card in self.parts.catalogue().all()
            for name in card.classes
        }
        for entry in self.parts.classes():
            name = str(entry.meta.get("name") or entry.id.partition(":")[2])
            found[name] = {
                "id": entry.id,
                "name": name,
                "title": str(entry.meta.get("title") or name),
                "description": str(entry.meta.get("comment") or ""),
            }
        return [found[name] for name in sorted(found)]

    async def track_usage(self, record: UsageRecord) -> str:
        """Record what a call used that was made elsewhere; return the record's id."""
        return await self.parts.usage.track(record)

    async def to_size(
        self, model: str, content: str, target_chars: int, manner: Manner | None = None
    ) -> str:
        """Shorten a text to about so many characters; one that is short enough is returned.

        Raises: InputInvalid for a size that makes no sense; OutputInvalid; ProviderRefused;
        ProviderUnavailable.
        """
        card, found = await self._measured(model, content, target_chars)
        check_target(found)

        async def ask(request: ModelRequest) -> Reply:
            reply = await self.parts.gateway.generate(request, ignore)
            await self._track(reply)
            return reply

        return await to_size(ask, card, content, target_chars, manner)

    async def measure(self, model: str, content: str, target_chars: int) -> Measure:
        """Say what `to_size` would do, without doing it."""
        return (await self._measured(model, content, target_chars))[1]

    async def _measured(
        self, model: str, content: str, target_chars: int
    ) -> tuple[ModelCard, Measure]:
        if not isinstance(content, str) or not content:
            raise InputInvalid("Content is required", where="content", fix="give a text")
        whole = isinstance(target_chars, int) and not isinstance(target_chars, bool)
        if not whole or target_chars <= 0:
            raise InputInvalid(
                "Target size must be a positive number", where="target", fix="give characters"
            )
        card = await self._card(read_options({"model": model}), "llm.generate")
        return card, measure(card, content, target_chars)

    async def _card(self, wanted: Wanted, action: str, *, exact: bool = False) -> ModelCard:
        """Choose the model and ask the policy about it, before anything is sent."""
        named = None if wanted.provider_id else self.parts.catalogue().find(wanted.model)
        self.allow(action, named.name if named else wanted.model)
        if wanted.provider_id:
            self.allow("llm.provider", wanted.provider_id)
            card = await self.parts.at_provider(wanted.provider_id, wanted.model)
        else:
            choose = self.parts.exact if exact else self.parts.choose
            card = await choose(wanted.model, self.values)
        self.allow(action, card.name)
        return wanted.on(card)

    async def _track(self, reply: Reply, wanted: Wanted | None = None) -> str:
        return await self.parts.usage.track(
            UsageRecord(
                model=reply.model,
                usage=reply.usage,
                cost_usd=reply.cost_usd,
                actor=self.actor,
                at=wanted.at if wanted else 0.0,
                metadata=wanted.metadata if wanted else {},
            )
        )


def messages_of(prompt: Conversation) -> Sequence[Message]:
    """Return the messages of a text, a builder or a list.

    Raises: InputInvalid when there is none.
    """
    found = _listed(prompt)
    if not found:
        raise InputInvalid(
            "Invalid prompt input format",
            where="prompt",
            fix="give a text, a Prompt, or a list of at least one message",
        )
    return found


def _listed(prompt: Conversation) -> Sequence[Message]:
    if isinstance(prompt, str):
        return [Message(role="user", parts=(Text(prompt),))] if prompt else []
    return prompt.messages if isinstance(prompt, HasMessages) else prompt


def _request(card: ModelCard, messages: Sequence[Message], wanted: Wanted) -> ModelRequest:
    return ModelRequest(
        model=card, system="", messages=messages, tools=wanted.tools, options=wanted.options
    )


def card_as_dict(card: ModelCard) -> dict[str, Any]:
    """Return a model's card as Lua code gets it; where it is and its key are not part of it."""
    pricing = card.pricing
    return {
        "name": card.name,
        "title": card.title,
        "description": card.description,
        "capabilities": list(card.capabilities),
        "class": list(card.classes),
        "priority": card.priority,
        "max_tokens": card.max_tokens,
        "output_tokens": card.output_tokens,
        "pricing": {}
        if pricing is None
        else {
            "input": pricing.input,
            "output": pricing.output,
            "cached_input": pricing.cached_input,
        },
    }
