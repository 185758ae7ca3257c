"""The models that entries describe, and which of them a name or a class means.

Built from plain values (`ModelEntry`), because this part does not know the registry.
Source: spec/agent.md 6.3. Differences: a model-level `thinking_effort` counts (the seed
sets one), equal priorities are ordered by name, and cost is computed from the pricing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from micro_agi.errors import EntryInvalid, EntryNotFound, InputInvalid
from micro_agi.messages import Usage
from micro_agi.values import as_object, nearest

CLASS = "class:"
MILLION = 1_000_000


class ModelEntry(Struct, frozen=True):
    """A registry entry with `meta.type` `llm.model` or `llm.provider`, as plain values."""

    id: str
    meta: Mapping[str, Any]
    data: Mapping[str, Any]


class Pricing(Struct, frozen=True, kw_only=True):
    """USD per million tokens."""

    input: float = 0.0
    output: float = 0.0
    cached_input: float | None = None
    """None bills cached tokens like others."""
    cache_write: float | None = None
    """For tokens that the provider writes to its cache; None bills them like others."""

    def cost(self, usage: Usage) -> float:
        """Return what `usage` costs, in USD."""
        cached = self.input if self.cached_input is None else self.cached_input
        written = self.input if self.cache_write is None else self.cache_write
        plain = usage.prompt - usage.cache_write
        read = plain * self.input + usage.cached * cached + usage.cache_write * written
        return (read + usage.completion * self.output) / MILLION


class ModelCard(Struct, frozen=True, kw_only=True):
    """What is known about one model."""

    name: str
    title: str = ""
    description: str = ""
    capabilities: tuple[str, ...] = ()
    """Of `generate, tool_use, structured_output, embed, thinking, vision, caching`."""
    classes: tuple[str, ...] = ()
    priority: int = 0
    max_tokens: int = 0
    """The window: prompt and reply together. 0 is unknown."""
    output_tokens: int = 0
    pricing: Pricing | None = None
    provider: str = ""
    """Id of the provider: a key of `providers.table`."""
    provider_model: str = ""
    """The name the provider knows it by."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the provider reference: `reasoning_model_request`, `api`, `base_url`, `api_key_env`, …"""
    thinking_effort: int | None = None

    def cost(self, usage: Usage) -> float | None:
        """Return what `usage` costs in USD, or None when the model has no price."""
        return None if self.pricing is None else self.pricing.cost(usage)


class Catalogue:
    """All models of an app. Immutable."""

    def __init__(
        self, models: Iterable[ModelEntry | ModelCard], providers: Iterable[ModelEntry] = ()
    ) -> None:
        """Read models; a provider that one of `providers` describes is that one's driver."""
        self._providers = {provider.id: provider for provider in providers}
        cards = [m if isinstance(m, ModelCard) else self.read(m) for m in models]
        self._by_name: dict[str, ModelCard] = {}
        for card in sorted(cards, key=lambda c: c.name):
            self._by_name.setdefault(card.name, card)

    def read(self, entry: ModelEntry) -> ModelCard:
        """Read a model that is none of these, with their providers; see `read_card`."""
        return read_card(entry, self._providers)

    def at_provider(self, provider: str, model: str, *, known: Iterable[str]) -> ModelCard:
        """Return a card for a model that a provider knows by this name, and nobody else.

        `known` are the ids of providers that need no entry.
        Raises: EntryNotFound for a provider that there is not; EntryInvalid for its entry.
        """
        known = list(known)
        if provider not in self._providers and provider not in known:
            names = [*known, *self._providers]
            raise EntryNotFound(
                f"Provider not found: {provider}",
                where="provider_id",
                fix=f"use one of: {', '.join(nearest(provider, names) or names)}",
            )
        named = {"providers": [{"id": provider, "provider_model": model}]}
        return self.read(ModelEntry(f"provider {provider}", {"name": model}, named))

    def all(self) -> list[ModelCard]:
        """Return every card, by name."""
        return list(self._by_name.values())

    def by_name(self, name: str) -> ModelCard | None:
        """Return the card with exactly this name."""
        return self._by_name.get(name)

    def by_class(self, name: str) -> list[ModelCard]:
        """Return the cards of a class, highest priority first."""
        cards = [c for c in self._by_name.values() if name in c.classes]
        return sorted(cards, key=lambda c: (-c.priority, c.name))

    def find(self, wanted: str) -> ModelCard | None:
        """Return the card for `class:x`, an exact name or a bare class name, in this order."""
        if wanted.startswith(CLASS):
            return next(iter(self.by_class(wanted.removeprefix(CLASS).strip())), None)
        return self.by_name(wanted) or next(iter(self.by_class(wanted)), None)

    def resolve(self, wanted: str) -> ModelCard:
        """Return the card that `find` finds.

        Raises: InputInvalid naming the nearest models and classes.
        """
        card = self.find(wanted)
        if card is not None:
            return card
        classes = {f"{CLASS}{c}" for card in self._by_name.values() for c in card.classes}
        known = [*self._by_name, *sorted(classes)]
        close = nearest(wanted, known) or known
        raise InputInvalid(
            f"no model or class is called `{wanted}`",
            fix=f"use one of: {', '.join(close)}" if close else "define an `llm.model` entry",
        )


def read_card(entry: ModelEntry, known: Mapping[str, ModelEntry] | None = None) -> ModelCard:
    """Read a model's entry; only its first provider counts.

    When that is an entry of its own (`known`), its driver answers, with the driver's
    options beneath the model's.

    Raises: EntryInvalid with the path of the first value that does not fit.
    """
    meta, data = entry.meta, entry.data
    providers = data.get("providers") or []
    if not isinstance(providers, list) or (providers and not isinstance(providers[0], Mapping)):
        raise _invalid(entry, "data.providers", "a list of `{id, provider_model}`")
    first = as_object(providers[0]) if providers else {}
    name = meta.get("name") or entry.id.partition(":")[2]
    provider = _text(entry, "data.providers[0].id", first.get("id", ""))
    driver = _driver((known or {}).get(provider))
    return ModelCard(
        name=_text(entry, "meta.name", name),
        title=_text(entry, "meta.title", meta.get("title", "")),
        description=_text(entry, "meta.comment", meta.get("comment", "")),
        capabilities=_texts(entry, "meta.capabilities", meta.get("capabilities")),
        classes=_texts(entry, "meta.class", meta.get("class")),
        priority=_whole(entry, "meta.priority", meta.get("priority")) or 0,
        max_tokens=_whole(entry, "data.max_tokens", data.get("max_tokens")) or 0,
        output_tokens=_whole(entry, "data.output_tokens", data.get("output_tokens")) or 0,
        pricing=_pricing(entry, data.get("pricing")),
        provider=str(driver.get("id") or provider),
        provider_model=_text(
            entry, "data.providers[0].provider_model", first.get("provider_model") or name
        ),
        options={
            **as_object(driver.get("options")),
            **as_object(first.get("context")),
            **as_object(first.get("options")),
        },
        thinking_effort=_whole(entry, "data.thinking_effort", data.get("thinking_effort")),
    )


def _driver(provider: ModelEntry | None) -> Mapping[str, Any]:
    """Return the driver of a provider's entry: its `id` and its `options`."""
    if provider is None:
        return {}
    driver = provider.data.get("driver")
    if not isinstance(driver, Mapping) or not isinstance(driver.get("id"), str):
        raise EntryInvalid(
            f"the provider `{provider.id}` has no driver",
            where=f"{provider.id} at data.driver",
            fix="give `driver: {id: …, options: {…}}`, where `id` is a provider we speak to",
        )
    return driver


def _pricing(entry: ModelEntry, value: Any) -> Pricing | None:
    if not value:
        return None
    prices = as_object(value)
    for key in ("input", "output", "cached_input", "cache_write"):
        price = prices.get(key, 0)
        if isinstance(price, bool) or not isinstance(price, int | float) or price < 0:
            raise _invalid(entry, f"data.pricing.{key}", "USD per million tokens")
    cached, written = prices.get("cached_input"), prices.get("cache_write")
    return Pricing(
        input=float(prices.get("input", 0)),
        output=float(prices.get("output", 0)),
        cached_input=None if cached is None else float(cached),
        cache_write=None if written is None else float(written),
    )


def _text(entry: ModelEntry, path: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _invalid(entry, path, "a text")
    return value


def _texts(entry: ModelEntry, path: str, value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value or []
    if not isinstance(values, list | tuple) or not all(isinstance(v, str) for v in values):
        raise _invalid(entry, path, "a list of texts")
    return tuple(values)


def _whole(entry: ModelEntry, path: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise _invalid(entry, path, "a whole number")
    return int(value)


def _invalid(entry: ModelEntry, path: str, wanted: str) -> EntryInvalid:
    return EntryInvalid(
        f"the model's `{path}` does not fit", where=f"{entry.id} at {path}", fix=f"give {wanted}"
    )
