"""Which provider ids there are, where each is, which key it takes, and what it speaks.

Dialects that a runtime may never need are imported when one is first built.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct

from micro_agi.llm.providers.openai import KEY, OFFICIAL, OpenAi
from micro_agi.llm.providers.service import Dialect, Service
from micro_agi.llm.request import Provider, ProviderAccess
from micro_agi.values import Secret

OPENAI = "wippy.llm.openai:provider"
OPENAI_COMPATIBLE = "wippy.llm.openai_compat:provider"
ANTHROPIC = "wippy.llm.claude:provider"
GOOGLE = "wippy.llm.google:provider"

NOBODYS = Secret("nobody's")
"""A key for requests that are written and never sent."""
ANTHROPIC_VERSION = "2023-06-01"


class ProviderFacts(Struct, frozen=True, kw_only=True):
    """What is known about a provider before anything is asked."""

    build: Callable[[ProviderAccess], Provider]
    title: str = ""
    """How people call it."""
    url: str = ""
    """Its own address; "" when it has none."""
    not_in_url: str = ""
    """What people add to the address, and our paths bring themselves."""
    keys: tuple[str, ...] = ()
    """Variables that hold its key; the first that is set counts."""
    key_header: tuple[str, str] = ("Authorization", "Bearer ")
    """Header of the key, and what stands before it, when the models are listed."""
    headers: tuple[tuple[str, str], ...] = ()
    """Others that listing the models needs."""
    models_path: str = "/models"
    prefix: str = ""
    """How the names of its models begin, for models that no entry describes."""
    window: int = 0
    """Of every such model, in tokens."""

    def address(self, url: str) -> str:
        """Return a base URL as our paths want it."""
        return url.rstrip("/").removesuffix(self.not_in_url or "/")


def _openai(access: ProviderAccess) -> Provider:
    # A key is mandatory only at OpenAI's own address: another server says when it wants one.
    return OpenAi(access, compatible=access.base_url.rstrip("/") != OFFICIAL)


def _anthropic(access: ProviderAccess) -> Provider:
    from micro_agi.llm.providers.anthropic import AnthropicDialect

    return _service(access, AnthropicDialect(), PROVIDERS[ANTHROPIC])


def _google(access: ProviderAccess) -> Provider:
    from micro_agi.llm.providers.google import GoogleDialect

    return _service(access, GoogleDialect(), PROVIDERS[GOOGLE])


def _service(access: ProviderAccess, dialect: Dialect, facts: ProviderFacts) -> Provider:
    return Service(
        access,
        lambda _: dialect,
        title=facts.title,
        key_name=facts.keys[0],
        needs_key=access.base_url.rstrip("/") == facts.url,
        models_path=facts.models_path,
    )


PROVIDERS: Mapping[str, ProviderFacts] = {
    OPENAI: ProviderFacts(build=_openai, title="OpenAI", url=OFFICIAL, keys=(KEY,)),
    OPENAI_COMPATIBLE: ProviderFacts(build=_openai),
    ANTHROPIC: ProviderFacts(
        build=_anthropic,
        title="Anthropic",
        url="https://api.anthropic.com",
        not_in_url="/v1",
        keys=("ANTHROPIC_API_KEY",),
        key_header=("x-api-key", ""),
        headers=(("anthropic-version", ANTHROPIC_VERSION),),
        models_path="/v1/models",
        prefix="claude-",
        window=200_000,
    ),
    GOOGLE: ProviderFacts(
        build=_google,
        title="Google",
        url="https://generativelanguage.googleapis.com/v1beta",
        not_in_url="/models",
        keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        key_header=("x-goog-api-key", ""),
        prefix="gemini-",
        window=1_048_576,
    ),
}


def build_providers(accesses: Mapping[str, ProviderAccess]) -> dict[str, Provider]:
    """Build the providers that were given an access, by id."""
    return {id_: PROVIDERS[id_].build(a) for id_, a in accesses.items() if id_ in PROVIDERS}


def writer(provider: str) -> Provider | None:
    """Return what writes the requests of a provider again, without a key and without asking.

    `provider` is that of a model card: an id, with ` at ` and the address it was reached at.
    """
    id_, _, place = provider.partition(" at ")
    url = place.partition(" ")[0]
    if id_ == "scripted":
        from micro_agi.llm.providers.scripted import ScriptedModel

        return ScriptedModel(())
    facts = PROVIDERS.get(id_)
    access = ProviderAccess(base_url=url or (facts.url if facts else ""), api_key=NOBODYS)
    return facts.build(access) if facts else None
