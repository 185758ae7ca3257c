"""Models for the program itself: `generate`, `structured_output`, `embed`, outside of sessions.

Lua code, memory and embedders come through here. What such a call used is recorded, and told
to the tracker that an app binds. Only `app` builds this.
"""

from collections.abc import Callable, Sequence

from micro_agi.framework.host import compile_schema
from micro_agi.framework.usage import BoundTracker
from micro_agi.llm.embed import Asked
from micro_agi.llm.facade import Llm, LlmParts
from micro_agi.llm.usage import UsageRecords
from micro_agi.memory.meaning import Embedder
from micro_agi.models import Models, model_classes
from micro_agi.net.client import Client
from micro_agi.registry.registry import Registry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.settings import Settings
from micro_agi.store.database import Database
from micro_agi.tools.functions import Functions

EMBED_TIMEOUT_S = 5.0
"""Of a request for vectors that memory waits for."""


def usage_records(
    database: Database,
    *,
    clock: Callable[[], float],
    registry: Registry,
    functions: Callable[[], Functions],
) -> UsageRecords:
    """Return what keeps the usage of model calls, and tells the tracker that is bound."""
    return UsageRecords(database, clock=clock, bound=BoundTracker(registry, functions))


def program_llm(
    models: Models, client: Client, usage: UsageRecords, *, snapshot: Callable[[], Snapshot]
) -> Llm:
    """Return the models of a runtime as functions; `snapshot` is the registry as it is now."""
    return Llm(
        LlmParts(
            gateway=models.gateway,
            client=client,
            choose=models.choose,
            exact=models.exact,
            at_provider=models.at_provider,
            beside=models.beside,
            catalogue=lambda: models.catalogue,
            classes=lambda: model_classes(snapshot()),
            compile_schema=compile_schema,
            usage=usage,
        )
    )


def memory_embedder(settings: Settings, models: Models, llm: Llm) -> Embedder | None:
    """Return what makes vectors for memory, if the settings name an embedding model.

    It waits a short time and tries once: whoever searches by meaning also searches by
    words.
    """
    card = models.embedding
    if card is None:
        return None

    async def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        asked = Asked(timeout_s=EMBED_TIMEOUT_S, retries=0)
        return (await llm.embed(texts, model=card.name, asked=asked)).vectors

    url = settings.embed_url or settings.base_url
    return Embedder(f"{card.name} at {url}", embed)
