"""Give each agent its model: choose it once, remember where it is, reach it.

`llm.choose` decides; this part feeds it with settings and what a person agreed to, and
keeps one provider for each address that was chosen. Every address has a provider of its
own, so a cheap model at one service and a local one at another never share a key.
"""

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from micro_agi.errors import EntryInvalid, InputInvalid
from micro_agi.home import recall, remember
from micro_agi.llm.catalogue import Catalogue, ModelCard, ModelEntry
from micro_agi.llm.choose import Chosen, Wanted, choose
from micro_agi.llm.gateway import Gateway
from micro_agi.llm.providers.table import (
    ANTHROPIC,
    GOOGLE,
    OPENAI_COMPATIBLE,
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
    fixed: ModelCard | None = None
    """The model of everybody, whatever is wanted: a script, a test."""


class Models:
    """The models of one runtime, and the gateway to them."""

    def __init__(self, parts: ModelParts, providers: Mapping[str, Provider]) -> None:
        self._parts = parts
        self._providers = dict(providers)
        self._chosen: dict[str, Chosen] = {}
        self._writers: dict[str, Provider] = {}
        """Write requests of past sessions, whose providers may not be reachable now."""
        self.gateway = Gateway(parts.client, self._providers, retries=parts.settings.model_retries)

    @property
    def catalogue(self) -> Catalogue:
        """The models there are now."""
        return self._parts.catalogue()

    async def choose(self, wanted: str) -> ModelCard:
        """Return the model for an agent that wants `wanted`.

        Raises: InputInvalid explaining how to get a model.
        """
        return (await self.explain(wanted)).card

    async def exact(self, name: str) -> ModelCard:
        """Return the model of this name or class, whatever model was named for the agents.

        Raises: InputInvalid explaining how to get a model.
        """
        parts = self._parts
        embedding = self.embedding
        if embedding is not None and name == embedding.name:
            return embedding
        if parts.fixed is not None:
            return parts.fixed
        wanted = replace(self._wanted(name), model=name)
        return self._reachable(await choose(wanted, self.catalogue, parts.client)).card

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

    async def explain(self, wanted: str) -> Chosen:
        """Return the choice with its reason; the same question has the same answer."""
        parts = self._parts
        if parts.fixed is not None:
            return Chosen(card=parts.fixed, access=None, why=f"{parts.fixed.name} (given)")
        if wanted not in self._chosen:
            chosen = await choose(self._wanted(wanted), self.catalogue, parts.client, ask=parts.ask)
            if chosen.discovered and chosen.access is not None:
                remember(parts.database, AGREED, chosen.access.base_url)
            if chosen.card.name != parts.settings.model and chosen.card.name != wanted:
                parts.say(f"model: {chosen.why}")
            self._chosen[wanted] = self._reachable(chosen)
        return self._chosen[wanted]

    async def cheap(self, card: ModelCard) -> ModelCard:
        """Return the model that summarises for a session on `card`.

        The one of the settings, else the first of class `fast` that can be reached, else the
        session's own. A server that a person chose is not left for another one.
        """
        parts = self._parts
        local = card.provider.startswith(OPENAI_COMPATIBLE)
        if parts.fixed is not None or parts.settings.base_url or local:
            return card
        named = self.catalogue.find(parts.settings.compress_model)
        for found in (*([named] if named else []), *self.catalogue.by_class("fast")):
            wanted = replace(self._wanted(found.name), model=found.name, local_ports=())
            try:
                chosen = await choose(wanted, self.catalogue, parts.client)
            except InputInvalid:
                continue
            return self._reachable(chosen).card
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
        provider = chosen.card.provider
        name = f"{provider} at {chosen.access.base_url}"
        if name not in self._providers:
            self._providers |= {
                f"{id_} at {chosen.access.base_url}": built
                for id_, built in build_providers({provider: chosen.access}).items()
            }
        return replace(chosen, card=replace(chosen.card, provider=name))


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
