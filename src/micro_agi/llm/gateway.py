"""Ask models: prepare a request, send it, try again where that may help, count the cost.

`prepare` and `send` are apart so that a journal can commit the intent with the exact hash
in between; `generate` does both. A request is tried again when the error says waiting may
help, after the wait the service asked for or a growing random one, and each try is an
event. A reply that broke off after text was shown is not started over, which would show
it twice: the model gets what it wrote and a note to go on from there.

Source: DESIGN 9. The runtime of the documents never retries by itself (spec/agent.md 6.6).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from micro_agi.errors import EntryInvalid, InputInvalid, ProviderUnavailable
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.embed import Asked, Embedded, Embedder
from micro_agi.llm.failure import fault_of
from micro_agi.llm.request import (
    ModelEvent,
    ModelRequest,
    OnEvent,
    PreparedRequest,
    Provider,
    Reply,
)
from micro_agi.llm.text_calls import TextCalls, called_in_text, in_words
from micro_agi.messages import TextDelta, Usage, Warned, message
from micro_agi.net.client import Client
from micro_agi.values import nearest

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
# A service that asks for more is not waited for: the person decides.
LONGEST_ASKED_WAIT_S = 60.0
BYTES_PER_TOKEN = 4
CONTINUE_NOTE = (
    "[The connection broke off after the text above. Go on exactly where it stops; "
    "do not repeat any of it and do not mention this note.]"
)


class _Shown(Struct):
    """Passes events on and remembers the text, which has been seen and cannot be taken back."""

    on_event: OnEvent
    pieces: list[str] = field(default_factory=list)

    def __call__(self, event: ModelEvent) -> None:
        if type(event) is TextDelta:
            self.pieces.append(event.text)
        self.on_event(event)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Gateway:
    """All models, through their providers."""

    def __init__(
        self,
        client: Client,
        providers: Mapping[str, Provider],
        *,
        retries: int = 3,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        """Take providers by the id that model cards name; the mapping may grow later.

        The caller keeps owning `client`.
        """
        self._client = client
        self._providers = providers
        self._retries = retries
        self._sleep = sleep
        self._random = random

    def prepare(self, request: ModelRequest) -> PreparedRequest:
        """Build the exact bytes and their hash; no input or output.

        Raises: EntryInvalid when the model's provider is none of ours; ProviderRefused when
        it has no key; InputInvalid for options that contradict the request.
        """
        return self.provider(request.model).prepare(in_words(request))

    async def send(self, prepared: PreparedRequest, on_event: OnEvent) -> Reply:
        """Send a prepared request until it is answered, refused, or tried often enough.

        Raises: ProviderRefused, ProviderUnavailable (`failure.error_type` says why);
        PolicyDenied when the client is offline.
        """
        text_calls = TextCalls(called_in_text(prepared.request), on_event)
        shown = _Shown(text_calls.show)
        current = prepared
        for attempt in range(self._retries + 1):
            provider = self.provider(prepared.request.model)
            try:
                reply = await provider.send(self._client, current, shown)
            except ProviderUnavailable as problem:
                wait_s = self._wait(problem, attempt, self._retries)
                if wait_s is None:
                    raise
                on_event(_trying_again(problem, wait_s, attempt, self._retries, shown.text))
                await self._sleep(wait_s)
                if shown.text:
                    current = provider.prepare(_continued(prepared.request, shown.text))
            else:
                return text_calls.read(_completed(reply, prepared, shown.text, attempt))
        raise AssertionError("the last attempt returns or raises")

    async def generate(self, request: ModelRequest, on_event: OnEvent) -> Reply:
        """Prepare and send; see both."""
        return await self.send(self.prepare(request), on_event)

    async def embed(
        self, card: ModelCard, texts: Sequence[str], asked: Asked | None = None
    ) -> Embedded:
        """Return a vector for each text, in their order, all of one length.

        Raises: InputInvalid when the model's service cannot embed; ProviderRefused;
        ProviderUnavailable.
        """
        provider, asked = self.provider(card), asked or Asked()
        if not isinstance(provider, Embedder):
            raise InputInvalid(
                f"the provider of `{card.name}` has no embeddings",
                where=f"model {card.name}",
                fix="name a model whose capabilities list `embed`",
            )
        retries = self._retries if asked.retries is None else asked.retries
        for attempt in range(retries + 1):
            try:
                return await provider.embed(self._client, card, texts, asked)
            except ProviderUnavailable as problem:
                wait_s = self._wait(problem, attempt, retries)
                if wait_s is None:
                    raise
                await self._sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def provider(self, card: ModelCard) -> Provider:
        """Return the provider of a model.

        Raises: EntryInvalid when there is none by the name that the card has.
        """
        provider = self._providers.get(card.provider)
        if provider is None:
            known = nearest(card.provider, self._providers) or sorted(self._providers)
            raise EntryInvalid(
                f"model `{card.name}` names the provider `{card.provider}`, which there is not",
                where="providers[0].id",
                fix=f"use one of: {', '.join(known)}",
            )
        return provider

    def _wait(self, problem: ProviderUnavailable, attempt: int, retries: int) -> float | None:
        """Return how long to wait before the next try, or None for no next try."""
        fault = fault_of(problem)
        if attempt >= retries or (fault is not None and not fault.retryable):
            return None
        asked = fault.retry_after_s if fault else None
        if asked is not None:
            return asked if asked <= LONGEST_ASKED_WAIT_S else None
        # Half fixed, half random: many clients that failed together do not come back together.
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * float(1 << attempt))
        return longest * (0.5 + self._random() / 2)


def _continued(request: ModelRequest, text: str) -> ModelRequest:
    more = (message("assistant", text), message("user", CONTINUE_NOTE))
    return replace(request, messages=[*request.messages, *more])


def _trying_again(
    problem: ProviderUnavailable, wait_s: float, attempt: int, retries: int, shown: str
) -> Warned:
    what = "going on from there" if shown else "trying again"
    return Warned(
        text=f"{problem.what}; {what} in {wait_s:.1f} s ({attempt + 1} of {retries})",
        where=problem.where,
        fix=problem.fix,
    )


def _completed(reply: Reply, prepared: PreparedRequest, shown: str, attempt: int) -> Reply:
    """Add what the provider does not know: cost, names, what was shown before a break."""
    card = prepared.request.model
    usage = reply.usage
    if reply.metadata.get("estimated_usage"):
        # Without numbers a long conversation would never be compacted.
        usage = Usage(
            prompt=len(prepared.body) // BYTES_PER_TOKEN,
            completion=(len(reply.text) + len(reply.thinking)) // BYTES_PER_TOKEN + 1,
        )
    return replace(
        reply,
        text=shown or reply.text,
        usage=usage,
        cost_usd=card.cost(usage),
        model=card.name,
        request_hash=prepared.hash,
        metadata=dict(reply.metadata) | ({"attempts": attempt + 1} if attempt else {}),
    )
