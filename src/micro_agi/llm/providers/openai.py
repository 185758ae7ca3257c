"""OpenAI and every server that speaks like it.

One provider serves both of its dialects; a model card says `options.api: responses` for
the newer one.
"""

from collections.abc import Sequence

from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.embed import Embedded, embed_at
from micro_agi.llm.providers.openai_chat import ChatDialect
from micro_agi.llm.providers.openai_responses import ResponsesDialect
from micro_agi.llm.providers.service import Dialect, Service
from micro_agi.llm.request import ModelRequest, ProviderAccess
from micro_agi.net.client import Client

OFFICIAL = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"


class OpenAi(Service):
    """A provider of the OpenAI family."""

    def __init__(self, access: ProviderAccess, *, compatible: bool) -> None:
        """With `compatible`, no key is needed and only what all servers know is sent."""
        super().__init__(
            access, self._speaks, title="OpenAI", key_name=KEY, needs_key=not compatible
        )
        self._chat = ChatDialect(compatible=compatible)
        self._responses = ResponsesDialect()

    async def embed(
        self, client: Client, card: ModelCard, texts: Sequence[str], dimensions: int | None
    ) -> Embedded:
        """Return a vector for each text; see `embed.Embedder`."""
        return await embed_at(client, self.reach(card), card, texts, dimensions)

    def _speaks(self, request: ModelRequest) -> Dialect:
        return self._responses if request.model.options.get("api") == "responses" else self._chat
