"""Ask models: prepare a request, send it, try again where that may help, count the cost.

`prepare` and `send` are apart so that a journal can commit the intent with the exact hash
in between; `generate` does both. A request is tried again when the error says waiting may
help, after the wait the service asked for or a growing random one, and each try is an
event. A reply that broke off after text was shown is not started over, which would show
it twice: the model gets what it wrote and a note to go on from there. A try that brought
more text uses up none of the retries; when none brings more, a caller that can use half a
reply (`keep_cut`) gets what there is, marked as cut, and never half a tool call.

Source: DESIGN 9. The runtime of the documents never retries by itself (spec/agent.md 6.6).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from micro_agi.errors import EntryInvalid, InputInvalid, ProviderRefused, ProviderUnavailable
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.embed import Asked, Embedded, Embedder
from micro_agi.llm.failure import ProviderError, fault_of
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
# Each piece of a reply costs the whole prompt again: a service that never gets further
# than a few words at a time is given up.
MOST_PIECES = 32
CONTINUE_NOTE = (
    "[The connection broke off after the text above. Go on exactly where it stops; "
    "do not repeat any of it and do not mention this note.]"
)


class _Tries(Struct):
    """All tries of one request: what they showed, which cannot be taken back, and their cost."""

    prepared: PreparedRequest
    on_event: OnEvent
    current: PreparedRequest
    """What is sent now: the same request, or the one that goes on from the text."""
    pieces: list[str] = field(default_factory=list)
    known: int = 0
    """Characters of the text when the newest try began."""
    number: int = 0
    """Tries that failed."""
    in_vain: int = 0
    """The newest of them, in a row, that brought no more text."""
    lost: Usage = field(default_factory=Usage)
    """About what those took that did."""

    def __call__(self, event: ModelEvent) -> None:
        if type(event) is TextDelta:
            self.pieces.append(event.text)
        self.on_event(event)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def has_text(self) -> bool:
        return bool(self.text.strip())

    def failed(self) -> None:
        """Take into account that the newest try failed."""
        more = len(self.text.strip()) - self.known
        self.number += 1
        if more:
            self.in_vain = 0
            self.lost = self.lost.plus(_estimated(self.current, more))

    def again(self, provider: Provider) -> None:
        """Begin the next try, behind the text that there is."""
        self.in_vain += 1
        self.known = len(self.text.strip())
        if self.known:
            self.current = provider.prepare(_continued(self.prepared.request, self.text))


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

    async def send(
        self,
        prepared: PreparedRequest,
        on_event: OnEvent,
        *,
        keep_cut: bool = False,
        retries: int | None = None,
    ) -> Reply:
        """Send a prepared request until it is answered, refused, or tried often enough.

        With `keep_cut`, a reply that breaks off for good after text was shown is returned:
        its `finish_reason` is `cut`, `problem` says why, and it has no tool calls. `retries`
        goes before the gateway's own number.
        Raises: ProviderRefused, ProviderUnavailable (`failure.error_type` says why);
        PolicyDenied when the client is offline.
        """
        provider = self.provider(prepared.request.model)
        retries = self._retries if retries is None else retries
        text_calls = TextCalls(called_in_text(prepared.request), on_event)
        tries = _Tries(prepared, text_calls.show, current=prepared)
        while True:
            try:
                reply = await provider.send(self._client, tries.current, tries)
            except (ProviderUnavailable, ProviderRefused) as problem:
                tries.failed()
                wait_s = None
                if tries.number < MOST_PIECES + retries:
                    wait_s = self._wait(problem, tries.in_vain, retries)
                if wait_s is None:
                    cut = keep_cut and tries.has_text and text_calls.read(_cut(tries, problem))
                    # All of the text may have been half a call.
                    if not cut or not cut.text.strip():
                        raise
                    return replace(cut, tool_calls=())
                on_event(_trying_again(problem, wait_s, retries, tries))
                await self._sleep(wait_s)
                tries.again(provider)
            else:
                return text_calls.read(_completed(reply, tries))

    async def generate(
        self, request: ModelRequest, on_event: OnEvent, *, retries: int | None = None
    ) -> Reply:
        """Prepare and send; see both."""
        return await self.send(self.prepare(request), on_event, retries=retries)

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

    def _wait(self, problem: ProviderError, attempt: int, retries: int) -> float | None:
        """Return how long to wait before the next try, or None for no next try."""
        fault = fault_of(problem)
        final = isinstance(problem, ProviderRefused) or (fault is not None and not fault.retryable)
        if attempt >= retries or final:
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


def _trying_again(problem: ProviderError, wait_s: float, retries: int, tries: _Tries) -> Warned:
    what = "going on from there" if tries.has_text else "trying again"
    return Warned(
        text=f"{problem.what}; {what} in {wait_s:.1f} s ({tries.in_vain + 1} of {retries})",
        where=problem.where,
        fix=problem.fix,
    )


def _estimated(sent: PreparedRequest, chars: int) -> Usage:
    """Return about what a request took whose answer brought no numbers."""
    prompt = len(sent.body) // BYTES_PER_TOKEN
    return Usage(prompt=prompt, completion=chars // BYTES_PER_TOKEN + 1)


def _cut(tries: _Tries, problem: ProviderError) -> Reply:
    """Return what there is of a reply that broke off for good."""
    part = Reply(
        text=tries.text,
        usage=Usage(prompt=len(tries.prepared.body) // BYTES_PER_TOKEN),
        finish_reason="cut",
        problem=problem.as_dict(),
    )
    cut = _completed(part, tries)
    return replace(
        cut,
        cost_usd=tries.prepared.request.model.cost(tries.lost),
        metadata={**cut.metadata, "estimated_usage": True},
    )


def _completed(reply: Reply, tries: _Tries) -> Reply:
    """Add what the provider does not know: cost, names, what was shown before a break.

    Of the tokens of tries that broke off, only what was written is told, since the prompt
    takes its place in the window once; it was paid each time.
    """
    card = tries.prepared.request.model
    usage = reply.usage
    if reply.metadata.get("estimated_usage"):
        # Without numbers a long conversation would never be compacted.
        usage = _estimated(tries.prepared, len(reply.text) + len(reply.thinking))
    return replace(
        reply,
        text=tries.text or reply.text,
        usage=usage.plus(Usage(completion=tries.lost.completion)),
        cost_usd=card.cost(usage.plus(tries.lost)),
        model=card.name,
        request_hash=tries.prepared.hash,
        metadata=dict(reply.metadata) | ({"attempts": tries.number + 1} if tries.number else {}),
    )
