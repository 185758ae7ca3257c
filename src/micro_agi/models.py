"""Give each agent its model: choose it once, remember where it is, reach it.

`llm.choose` decides; this part feeds it with settings and what a person agreed to, and
keeps one provider for each address that was chosen. Every address has a provider of its
own, so a cheap model at one service and a local one at another never share a key.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from micro_agi.errors import EntryInvalid, InputInvalid
from micro_agi.home import recall, remember
from micro_agi.llm.catalogue import Catalogue, ModelCard, ModelEntry
from micro_agi.llm.choose import Chosen, Wanted, choose, choose_at
from micro_agi.llm.gateway import Gateway
from micro_agi.llm.providers.table import (
    ANTHROPIC,
    GOOGLE,
    OPENAI_COMPATIBLE,
    PROVIDERS,
    build_providers,
    writer,
)
from micro_agi.llm.request import ModelRequest, PreparedRequest, Provider, ProviderAccess
from micro_agi.net.client import Client
from micro_agi.registry.snapshot import Snapshot
from micro_agi.settings import Settings
from micro_agi.store.database import Database

AGREED = "model.agreed_url"

Ask = Callable[[str], Awaitable[bool]]
Resolve = Callable[[str, Mapping[str, Any]], Awaitable[ModelCard | None]]
"""From a name, and the context of whoever wants it, to what the app says it means."""
NO_VALUES: Mapping[str, Any] = {}


class ModelParts(Struct, frozen=True, kw_only=True):
    """What choosing a model needs."""

    settings: Settings
    catalogue: Callable[[], Catalogue]
    """The models there are now."""
    client: Client
    database: Database
    ask: Ask | None
    """Asks the person one question; None when nobody is there."""
    say: Callable[[str], None]
    """Tells the person, in one line, of a model that is not the one that was named."""
    resolve: Resolve | None = None
    """The app's own resolver of names; None asks the entries alone."""
    fixed: ModelCard | None = None
    """The model of everybody, whatever is wanted: a script, a test."""


class Models:
    """The models of one runtime, and the gateway to them."""

    def __init__(self, parts: ModelParts, providers: Mapping[str, Provider]) -> None:
        self._parts = parts
        self._providers = dict(providers)
        self._given = tuple(providers)
        self._accesses: dict[str, ProviderAccess] = {}
        """How each provider made here is reached, by its name."""
        self._chosen: dict[str, Chosen] = {}
        self._said: set[str] = set()
        self._writers: dict[str, Provider] = {}
        """Write requests of past sessions, whose providers may not be reachable now."""
        self.gateway = Gateway(parts.client, self._providers, retries=parts.settings.model_retries)

    @property
    def catalogue(self) -> Catalogue:
        """The models there are now."""
        return self._parts.catalogue()

    async def choose(self, wanted: str, values: Mapping[str, Any] = NO_VALUES) -> ModelCard:
        """Return the model for an agent that wants `wanted`.

        `values` is what the app's resolver sees of who asks.
        Raises: InputInvalid explaining how to get a model; what the app's resolver raises.
        """
        return (await self.explain(wanted, values)).card

    async def exact(self, name: str, values: Mapping[str, Any] = NO_VALUES) -> ModelCard:
        """Return the model of this name or class, whatever model was named for the agents.

        Raises: InputInvalid explaining how to get a model; what the app's resolver raises.
        """
        parts = self._parts
        embedding = self.embedding
        if embedding is not None and name == embedding.name:
            return embedding
        if parts.fixed is not None:
            return parts.fixed
        wanted = replace(self._wanted(name), model=name)
        resolved = await self._resolved(wanted, values)
        chosen = await choose(wanted, self.catalogue, parts.client, resolved=resolved)
        return self._reachable(chosen).card

    async def at_provider(self, provider: str, model: str) -> ModelCard:
        """Return a model by the name that a provider knows it by, whatever entries say of it.

        A server that a person gave as the base URL is not left for it.
        Raises: EntryNotFound for an unknown provider; EntryInvalid for an entry that is none;
        InputInvalid when there is no key for it.
        """
        if self._parts.fixed is not None:
            return self._parts.fixed
        wanted = replace(self._wanted(model), model=model)
        card = self.catalogue.at_provider(provider, model, known=[*PROVIDERS, *self._given])
        return self._reachable(
            await choose_at(wanted, card, self.catalogue, self._parts.client)
        ).card

    async def beside(self, wanted: Sequence[str], values: Mapping[str, Any]) -> ModelCard:
        """Return the model that decides between agents which want these models.

        One of them may get the same question, so no other service should see it: if one is
        at a server that a person chose, that one; else a cheap one.
        Raises: InputInvalid when no agent can have a model.
        """
        cards: list[ModelCard] = []
        failed: InputInvalid | None = None
        for name in dict.fromkeys(wanted):
            try:
                cards.append(await self.choose(name, values))
            except InputInvalid as error:
                failed = error
        if not cards:
            raise failed or InputInvalid("no agent is given", fix="name a class of agents")
        first = next((c for c in cards if _is_own(c)), cards[0])
        return await self.cheap(first, within=[c.provider for c in cards])

    @property
    def embedding(self) -> ModelCard | None:
        """The embedding model of the settings; None without one, or without its server.

        No server gets a key that was given for another one.
        """
        settings = self._parts.settings
        url = (settings.embed_url or settings.base_url).rstrip("/")
        if not settings.embed_model or not url:
            return None
        own = url == settings.base_url.rstrip("/")
        key = settings.api_key if own and not settings.embed_key else settings.embed_key
        name = f"{OPENAI_COMPATIBLE} for embeddings at {url}"
        if name not in self._providers:
            access = ProviderAccess(base_url=url, api_key=key)
            self._providers[name] = build_providers({OPENAI_COMPATIBLE: access})[OPENAI_COMPATIBLE]
        return ModelCard(
            name=settings.embed_model,
            capabilities=("embed",),
            provider=name,
            provider_model=settings.embed_model,
        )

    async def explain(self, wanted: str, values: Mapping[str, Any] = NO_VALUES) -> Chosen:
        """Return the choice with its reason; the same question has the same answer.

        What the app's resolver says may differ from call to call.
        """
        parts = self._parts
        if parts.fixed is not None:
            return Chosen(card=parts.fixed, access=None, why=f"{parts.fixed.name} (given)")
        facts = self._wanted(wanted)
        resolved = await self._resolved(facts, values)
        if resolved is None and wanted in self._chosen:
            return self._chosen[wanted]
        chosen = await choose(facts, self.catalogue, parts.client, ask=parts.ask, resolved=resolved)
        if chosen.left or (chosen.discovered and chosen.access is not None):
            agreed = "" if chosen.left or chosen.access is None else chosen.access.base_url
            remember(parts.database, AGREED, agreed)
        if chosen.card.name not in (parts.settings.model, wanted) and chosen.why not in self._said:
            self._said.add(chosen.why)
            parts.say(f"model: {chosen.why}")
        chosen = self._reachable(chosen)
        if resolved is None:
            self._chosen[wanted] = chosen
        return chosen

    async def cheap(self, card: ModelCard, *, within: Collection[str] = ()) -> ModelCard:
        """Return the model that summarises for a session on `card`.

        The one of the settings, else the first of class `fast` that can be reached, else the
        session's own. A server that a person chose is not left for another one, and with
        `within` no other services than these are asked.
        """
        parts = self._parts
        if parts.fixed is not None or parts.settings.base_url or _is_own(card):
            return card
        named = self.catalogue.find(parts.settings.compress_model)
        for found in (*([named] if named else []), *self.catalogue.by_class("fast")):
            wanted = replace(self._wanted(found.name), model=found.name, local_ports=())
            try:
                chosen = await choose(wanted, self.catalogue, parts.client)
            except InputInvalid:
                continue
            reached = self._reachable(chosen).card
            if not within or reached.provider in within:
                return reached
        return card

    def prepare_again(self, request: ModelRequest) -> PreparedRequest:
        """Write a request as it was written when it was sent; nothing is asked.

        Raises: EntryInvalid for a provider that this program does not know.
        """
        name = request.model.provider
        provider = self._providers.get(name) or self._writers.get(name) or writer(name)
        if provider is None:
            raise EntryInvalid(
                f"the provider `{name}` is unknown here",
                where=request.model.name,
                fix="replay with the program, and the parts, that ran the session",
            )
        self._writers[name] = provider
        return provider.prepare(request)

    async def _resolved(self, wanted: Wanted, values: Mapping[str, Any]) -> ModelCard | None:
        """Return what the app says a name means; a base URL takes names as they are."""
        name = wanted.model or wanted.agent_model
        if self._parts.resolve is None or not name or wanted.base_url:
            return None
        return await self._parts.resolve(name, values)

    def _wanted(self, agent_model: str) -> Wanted:
        settings = self._parts.settings
        return Wanted(
            model=settings.model,
            agent_model=agent_model,
            base_url=settings.base_url,
            api_key=settings.api_key,
            organization=settings.organization,
            keys=settings.keys,
            urls={ANTHROPIC: settings.anthropic_url, GOOGLE: settings.google_url},
            local_ports=settings.local_ports,
            discovery_timeout_s=settings.discovery_timeout_s,
            agreed_url=recall(self._parts.database, AGREED),
        )

    def _reachable(self, chosen: Chosen) -> Chosen:
        """Make a provider for the chosen address, and a card that names it."""
        if chosen.access is None:
            return chosen
        provider, access = chosen.card.provider, chosen.access
        name = place = f"{provider} at {access.base_url}"
        number = 1
        # One address may be reached with several keys, and none with another's.
        while not _same(self._accesses.get(name, access), access):
            number += 1
            name = f"{place} ({number})"
        if name not in self._accesses:
            built = build_providers({provider: access})
            self._providers.update((name, each) for each in built.values())
            self._accesses[name] = access
        return replace(chosen, card=replace(chosen.card, provider=name))


def _same(one: ProviderAccess, other: ProviderAccess) -> bool:
    """Whether both get in as the same; secrets have no equality of their own."""
    keys = (one.api_key.reveal(), other.api_key.reveal())
    return keys[0] == keys[1] and replace(one, api_key=other.api_key) == other


def _is_own(card: ModelCard) -> bool:
    """Whether a model is at a server that a person chose: local, or their own gateway."""
    return card.provider.startswith(OPENAI_COMPATIBLE)


def model_classes(snapshot: Snapshot) -> list[ModelEntry]:
    """Return the entries of a snapshot that describe classes of models."""
    found = snapshot.find({"meta.type": "llm.model.class"})
    return [ModelEntry(e.id, e.meta, e.data) for e in found]


def catalogue_of(snapshot: Snapshot) -> Catalogue:
    """Return the models of a snapshot, with the providers that entries describe."""
    models, providers = (
        [ModelEntry(e.id, e.meta, e.data) for e in snapshot.find({"meta.type": kind})]
        for kind in ("llm.model", "llm.provider")
    )
    return Catalogue(models, providers)
