"""Turn texts into vectors with an OpenAI-compatible `/v1/embeddings`.

Nobody waits long for it: whoever searches by meaning also searches by words.
"""

import math
from collections.abc import Sequence

import msgspec

from micro_agi.errors import MicroAgiError
from micro_agi.llm.failure import ErrorType, classify, provider_error
from micro_agi.net.client import Client
from micro_agi.settings import Settings
from micro_agi.values import Secret

TIMEOUT_S = 5.0
MAX_REPLY_BYTES = 32 << 20
MAX_CHARS = 8_000
"""Of one text: models take some thousand tokens, and its beginning says what it is about."""
FIX = "check MICRO_AGI_EMBED_URL and MICRO_AGI_EMBED_MODEL, and that the server runs"


class _Vector(msgspec.Struct, frozen=True):
    embedding: list[float]
    index: int = -1


class _Reply(msgspec.Struct, frozen=True):
    data: list[_Vector]


def embeddings_of(settings: Settings, client: Client) -> "Embeddings | None":
    """Return the embedding model that settings name; None without one, or without its server.

    No server gets a key that was given for another one.
    """
    url = settings.embed_url or settings.base_url
    if not settings.embed_model or not url:
        return None
    own = url == settings.base_url
    key = settings.api_key if own and not settings.embed_key else settings.embed_key
    return Embeddings(client, base_url=url, name=settings.embed_model, api_key=key)


class Embeddings:
    """One embedding model of one server."""

    def __init__(self, client: Client, *, base_url: str, name: str, api_key: Secret) -> None:
        self._client = client
        self._url = base_url.rstrip("/") + "/embeddings"
        self._name = name
        self.model = f"{name} at {base_url}"
        """What its vectors are told apart by: names mean nothing without their server."""
        self._key = api_key

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector for each text, in their order, all of one length.

        Raises: ProviderRefused, ProviderUnavailable.
        """
        body = {"model": self._name, "input": [text[:MAX_CHARS] for text in texts]}
        headers = [("Content-Type", "application/json")]
        if self._key:
            headers.append(("Authorization", f"Bearer {self._key.reveal()}"))
        try:
            response = await self._client.request(
                "POST",
                self._url,
                headers=headers,
                body=msgspec.json.encode(body),
                timeout_s=TIMEOUT_S,
                max_bytes=MAX_REPLY_BYTES,
                follow=0,
            )
        except TimeoutError as error:
            raise self._failure("timeout_error", f"no answer within {TIMEOUT_S:g} s") from error
        except ConnectionError as error:
            raise self._failure("network_error", str(error)) from error
        if response.status != 200:
            said = response.body[:500].decode("utf-8", "replace")
            kind = classify(response.status, message=said)
            raise self._failure(kind, f"HTTP {response.status}: {said}", status=response.status)
        try:
            return _in_order(msgspec.json.decode(response.body, type=_Reply).data, len(texts))
        except (msgspec.DecodeError, ValueError) as error:
            raise self._failure("invalid_request", f"no list of embeddings: {error}") from error

    def _failure(self, kind: ErrorType, what: str, *, status: int = 0) -> MicroAgiError:
        where = f"{self._name} at {self._url}"
        return provider_error(
            kind, f"the embedding model failed: {what}", where=where, fix=FIX, status=status
        )


def _in_order(vectors: Sequence[_Vector], count: int) -> list[list[float]]:
    """Return the vectors by their index.

    Raises: ValueError when some are missing, differ in length, or hold what is no number.
    """
    placed = [v.index if v.index >= 0 else n for n, v in enumerate(vectors)]
    if sorted(placed) != list(range(count)):
        raise ValueError(f"{len(vectors)} vectors for {count} texts")
    found = [v.embedding for _, v in sorted(zip(placed, vectors, strict=True), key=lambda p: p[0])]
    if len({len(vector) for vector in found}) > 1:
        raise ValueError("vectors of different lengths")
    if not all(math.isfinite(x) for vector in found for x in vector):
        raise ValueError("a vector with a number that is none")
    return found
