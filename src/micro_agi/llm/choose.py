"""Decide which model to talk to, and say why in one line.

Order (DESIGN 9): a model named by flag or environment, else the agent's. With a base URL
the name goes to that server as it is. Without one, the model's own provider is used if
there is a key for it; else a server on this machine is looked for, and used once a person
agreed. With nothing found the three ways to get a model are explained.

A class is a wish, not a name: once a person agreed to a server of their own, an agent's
class means a model there, and no key sends it elsewhere unless they say so.

A key is sent only where the person pointed it: to the base URL they gave, or to the
provider whose key it is. A model entry with an address of its own gets only the key that
it names.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from micro_agi.errors import InputInvalid
from micro_agi.llm.catalogue import CLASS, Catalogue, ModelCard
from micro_agi.llm.discovery import ModelServer, ServedModel, find_servers, list_models
from micro_agi.llm.providers.scripted import PROVIDER as SCRIPTED
from micro_agi.llm.providers.table import OPENAI, OPENAI_COMPATIBLE, PROVIDERS, ProviderFacts
from micro_agi.llm.request import ProviderAccess
from micro_agi.net.client import Client
from micro_agi.settings import NO_KEY
from micro_agi.values import Secret, nearest

UNKNOWN_WINDOW = 32_768
LIST_TIMEOUT_S = 5.0
THREE_WAYS = (
    "do one of these: set {key}; start a local server (any that is "
    "OpenAI-compatible) and give --base-url http://127.0.0.1:PORT/v1 with --model NAME; "
    "or see it work without a model: micro-agi demo"
)
ANY_KEY = ", ".join(facts.keys[0] for facts in PROVIDERS.values() if facts.keys)


class Wanted(Struct, frozen=True, kw_only=True):
    """What settings and the agent say about the model."""

    model: str = ""
    """From `--model` or the environment."""
    agent_model: str = ""
    base_url: str = ""
    api_key: Secret = NO_KEY
    """For `base_url`, and for OpenAI."""
    organization: str = ""
    keys: Mapping[str, Secret] = field(default_factory=dict)
    """Keys by the name of their variable: those of providers, and those that model entries
    name in `options.api_key_env`."""
    urls: Mapping[str, str] = field(default_factory=dict)
    """Addresses to use instead of the providers' own, by the provider's id; "" is its own."""
    local_ports: Sequence[str] = ()
    discovery_timeout_s: float = 0.3
    agreed_url: str = ""
    """A discovered server that the person agreed to before."""


class Chosen(Struct, frozen=True, kw_only=True):
    """The model to talk to."""

    card: ModelCard
    access: ProviderAccess | None
    """For the provider `card.provider`; None when it needs none (`scripted`)."""
    why: str
    """One line for the person."""
    discovered: bool = False
    """A person agreed to this server; remember `access.base_url` as `agreed_url`."""
    left: bool = False
    """A person gave up the server they had agreed to: forget `agreed_url`."""


async def choose(
    wanted: Wanted,
    catalogue: Catalogue,
    client: Client,
    *,
    ask: Callable[[str], Awaitable[bool]] | None = None,
    resolved: ModelCard | None = None,
) -> Chosen:
    """Choose the model; `ask` is given one question and says whether the person agrees.

    `resolved` is what the app says that the name means, if it says something.
    Raises: InputInvalid when there is none, or the name fits nothing; its fix says what to do.
    """
    if wanted.base_url:
        return await _at_base_url(wanted, catalogue, client)
    name = wanted.model or wanted.agent_model
    card = resolved
    if card is None and name:
        card = catalogue.find(name) or _card_by_prefix(name)
    elsewhere = _with_own_provider(wanted, card) if card is not None else None
    stays = resolved is None and _stays_local(wanted, catalogue)
    if elsewhere is not None and not (stays and _is_cloud(elsewhere)):
        return elsewhere
    servers = await find_servers(client, wanted.local_ports, timeout_s=wanted.discovery_timeout_s)
    for server in _agreed_first(servers, wanted.agreed_url):
        found = _served(server, wanted, card)
        if found is None:
            continue
        if server.base_url != wanted.agreed_url and not await _agrees(ask, server, found):
            continue
        return _local(server, found, catalogue, wanted, stays=elsewhere is not None)
    if elsewhere is not None:
        away = f"{wanted.agreed_url}, to which you agreed, has no model to use"
        if ask is not None and await ask(f"{away}. Use {elsewhere.why} from now on?"):
            return replace(elsewhere, left=True)
        raise InputInvalid(
            away,
            where=name,
            fix="start it, or name with --model one of its models, or "
            f"{elsewhere.card.name} to use that",
        )
    raise _nothing(wanted, catalogue, card, servers)


async def choose_at(
    wanted: Wanted, card: ModelCard, catalogue: Catalogue, client: Client
) -> Chosen:
    """Reach a model at the provider that its card names, and nowhere else.

    A base URL that a person gave still goes before it.
    Raises: InputInvalid when there is no key for the provider.
    """
    if wanted.base_url:
        return await _at_base_url(wanted, catalogue, client)
    chosen = _with_own_provider(wanted, card)
    if chosen is None:
        facts = PROVIDERS.get(card.provider)
        keys = " or ".join(facts.keys) if facts else ""
        raise InputInvalid(
            f"there is no way to reach the provider `{card.provider}`",
            where="provider_id",
            fix=f"set {keys}" if keys else "give its entry `options: {base_url: …}`",
        )
    return chosen


def _stays_local(wanted: Wanted, catalogue: Catalogue) -> bool:
    """Whether what is wanted is only a class, of somebody who agreed to a server of their own."""
    name = wanted.agent_model
    named = not name.startswith(CLASS) and catalogue.by_name(name) is not None
    is_class = not named and catalogue.find(name) is not None
    return bool(wanted.agreed_url) and not wanted.model and is_class


def _is_cloud(chosen: Chosen) -> bool:
    """Whether it is at a service's own address, where nobody but a key sent it."""
    access = chosen.access
    return access is not None and any(access.base_url == f.url for f in PROVIDERS.values())


def card_at_server(name: str, catalogue: Catalogue, served: ServedModel | None) -> ModelCard:
    """Return a card for a model of a server: the catalogue's facts if it knows the name.

    What the server says (`served`) wins; a window unknown to both is 32,768 tokens.
    """
    window = served.window if served else 0
    known = catalogue.find(name) if name.startswith(CLASS) else catalogue.by_name(name)
    if known is not None:
        return replace(
            known,
            provider=OPENAI_COMPATIBLE,
            provider_model=served.name if served else known.provider_model,
            max_tokens=window or known.max_tokens or UNKNOWN_WINDOW,
        )
    return ModelCard(
        name=name,
        title=name,
        capabilities=("generate", "tool_use"),
        max_tokens=window or UNKNOWN_WINDOW,
        provider=OPENAI_COMPATIBLE,
        provider_model=served.name if served else name,
        # Small local models fall back to writing calls as text.
        options={"text_tool_calls": True},
    )


async def _at_base_url(wanted: Wanted, catalogue: Catalogue, client: Client) -> Chosen:
    url = wanted.base_url.rstrip("/")
    official = url == PROVIDERS[OPENAI].url
    access = ProviderAccess(base_url=url, api_key=wanted.api_key, organization=wanted.organization)
    server = None
    if not official:
        server = await list_models(client, url, api_key=wanted.api_key, timeout_s=LIST_TIMEOUT_S)
    name, why = _name_at(wanted, server)
    served = server.model(name) if server else None
    card = card_at_server(name, catalogue, served)
    provider = OPENAI if official else OPENAI_COMPATIBLE
    return Chosen(
        card=replace(card, provider=provider), access=access, why=f"{card.name} at {url} ({why})"
    )


def _name_at(wanted: Wanted, server: ModelServer | None) -> tuple[str, str]:
    """Return the model's name at the given server, and why this one."""
    if wanted.model:
        return wanted.model, "as asked"
    if server is None or not server.models:
        if wanted.agent_model:
            return wanted.agent_model, "the agent's model; the server lists none"
        raise InputInvalid(
            f"{wanted.base_url} lists no models", fix="give the model's name with --model NAME"
        )
    if wanted.agent_model and server.model(wanted.agent_model):
        return wanted.agent_model, "the agent's model"
    if len(server.models) == 1:
        return server.models[0].name, "the only model there"
    raise _which(server)


def _with_own_provider(wanted: Wanted, card: ModelCard) -> Chosen | None:
    """Use the model's own provider if there is all it needs."""
    why = "as asked" if wanted.model else "the agent's model"
    if card.provider == SCRIPTED:
        return Chosen(card=card, access=None, why=f"{card.name}, a script ({why})")
    named = card.options.get("api_key_env")
    own_url = card.options.get("base_url")
    key = wanted.keys.get(str(named), NO_KEY) if named else NO_KEY
    facts = PROVIDERS.get(card.provider)
    if isinstance(own_url, str) and own_url:
        url = facts.address(own_url) if facts else own_url.rstrip("/")
        access = ProviderAccess(base_url=url, api_key=key)
        return Chosen(card=card, access=access, why=f"{card.name} at {own_url} ({why})")
    if facts is None or not facts.url:
        return None
    url = facts.address(wanted.urls.get(card.provider) or facts.url)
    key = key if named else _key_of(wanted, card.provider, facts)
    if not key and url == facts.url:
        return None
    access = ProviderAccess(
        base_url=url,
        api_key=key,
        organization=wanted.organization if card.provider == OPENAI else "",
    )
    place = facts.title if url == facts.url else url
    return Chosen(card=card, access=access, why=f"{card.name} at {place} ({why})")


def _key_of(wanted: Wanted, provider: str, facts: ProviderFacts) -> Secret:
    if provider == OPENAI:
        return wanted.api_key
    return next((wanted.keys[name] for name in facts.keys if name in wanted.keys), NO_KEY)


def _card_by_prefix(name: str) -> ModelCard | None:
    """Return a card for a model of a provider that no entry describes, by how names begin."""
    for id_, facts in PROVIDERS.items():
        if facts.prefix and name.startswith(facts.prefix):
            return ModelCard(
                name=name,
                title=name,
                capabilities=("generate", "tool_use", "structured_output", "vision", "thinking"),
                max_tokens=facts.window,
                provider=id_,
                provider_model=name,
            )
    return None


def _agreed_first(servers: list[ModelServer], agreed: str) -> list[ModelServer]:
    return sorted(servers, key=lambda server: server.base_url != agreed)


def _served(server: ModelServer, wanted: Wanted, card: ModelCard | None) -> ServedModel | None:
    """Return the model to use there: the wanted one, or the only one if none was named."""
    names = [card.provider_model, card.name] if card else []
    names += [wanted.model or wanted.agent_model]
    exact = next((m for name in names if name and (m := server.model(name))), None)
    if exact is not None or wanted.model:
        return exact
    return server.models[0] if len(server.models) == 1 else None


async def _agrees(
    ask: Callable[[str], Awaitable[bool]] | None, server: ModelServer, model: ServedModel
) -> bool:
    question = f"Use the model {model.name} of the server at {server.base_url}?"
    return ask is not None and await ask(question)


def _local(
    server: ModelServer,
    model: ServedModel,
    catalogue: Catalogue,
    wanted: Wanted,
    *,
    stays: bool,
) -> Chosen:
    card = card_at_server(model.name, catalogue, model)
    why = f"there is no key for {wanted.agent_model}" if wanted.agent_model else "no model is named"
    reason = "as asked" if wanted.model else "you agreed to it" if stays else why
    return Chosen(
        card=card,
        # The person's key is for OpenAI, not for whatever listens on this port.
        access=ProviderAccess(base_url=server.base_url),
        why=f"{card.name} at {server.base_url}, a local server ({reason})",
        discovered=True,
    )


def _nothing(
    wanted: Wanted, catalogue: Catalogue, card: ModelCard | None, servers: list[ModelServer]
) -> InputInvalid:
    name = wanted.model or wanted.agent_model
    facts = PROVIDERS.get(card.provider) if card else None
    ways = THREE_WAYS.format(key=" or ".join(facts.keys) if facts and facts.keys else ANY_KEY)
    many = next((server for server in servers if len(server.models) > 1), None)
    if many is not None:
        return _which(many)
    if servers:
        only = servers[0]
        why = f"there is no key for `{name}`" if name else "no model is named"
        return InputInvalid(
            f"{why}, and the local server at {only.base_url} was not chosen",
            fix=f"give --base-url {only.base_url} to use it, or {ways}",
        )
    if name and card is None:
        close = nearest(name.removeprefix(CLASS), [c.name for c in catalogue.all()])
        hint = f"use one of: {', '.join(close)}; or " if close else ""
        return InputInvalid(
            f"no model or class is called `{name}`, and no local server has it",
            fix=hint + ways,
        )
    ports = ", ".join(wanted.local_ports)
    nobody = f", and no local server answers on the ports {ports}" if ports else ""
    return InputInvalid(
        f"there is no way to reach the model `{name}`: it has no key{nobody}"
        if name
        else "no model is named",
        fix=ways,
    )


def _which(server: ModelServer) -> InputInvalid:
    names = [model.name for model in server.models]
    shown = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
    return InputInvalid(
        f"{server.base_url} has {len(names)} models and none was named",
        fix=f"give --base-url {server.base_url} and --model with one of: {shown}",
    )
