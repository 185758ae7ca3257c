"""Turn texts into vectors at any service that has OpenAI's `/embeddings`; ask whether it lives.

Order is kept and every text gets a vector of the same length, whatever order and batches
the service answers in: what does not hold is an error, not a wrong neighbour in a search.
Source: spec/agent.md 6.8 (embed, status).
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec
from msgspec import Struct, field

from micro_agi.errors import InputInvalid, LimitReached
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.failure import provider_error
from micro_agi.llm.providers.parts import service_error
from micro_agi.messages import Usage
from micro_agi.net.client import Client, Headers, Response
from micro_agi.values import as_object

BATCH = 256
"""Texts in one request; services take at most about 2,000."""
MAX_REPLY_BYTES = 64 << 20
TIMEOUT_S = 120.0
STATUS_TIMEOUT_S = 10.0

Health = Literal["healthy", "degraded", "unhealthy"]


class Embedded(Struct, frozen=True, kw_only=True):
    """Vectors in the order of the texts."""

    vectors: list[list[float]]
    usage: Usage = field(default_factory=Usage)


class Asked(Struct, frozen=True, kw_only=True):
    """What may differ from one embedding to the next."""

    dimensions: int | None = None
    """Length of the vectors; None is the model's own."""
    timeout_s: float = TIMEOUT_S
    """Of one request."""
    retries: int | None = None
    """After failures that waiting may help with; None as often as for other requests."""


class Status(Struct, frozen=True, kw_only=True):
    """Whether a model's service answers."""

    status: Health
    message: str = ""

    @property
    def success(self) -> bool:
        """Whether it can be used now."""
        return self.status == "healthy"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where a service is, for a request of JSON that is no step of a model."""

    base_url: str
    headers: Headers = dataclasses.field(repr=False)
    """With the key."""
    where: str
    """For errors."""


@runtime_checkable
class Embedder(Protocol):
    """A provider that can embed as well."""

    async def embed(
        self, client: Client, card: ModelCard, texts: Sequence[str], asked: "Asked"
    ) -> Embedded:
        """Return a vector for each text.

        Raises: ProviderRefused, ProviderUnavailable.
        """
        ...


@runtime_checkable
class Checkable(Protocol):
    """A provider that can say whether its service answers."""

    async def status(self, client: Client, card: ModelCard) -> Status:
        """Ask the service; never raises for what the service answers."""
        ...


async def embed_at(
    client: Client, reach: Reach, card: ModelCard, texts: Sequence[str], asked: Asked
) -> Embedded:
    """Embed at an OpenAI-compatible service.

    Raises: ProviderRefused, ProviderUnavailable.
    """
    vectors: list[list[float]] = []
    usage = Usage()
    for start in range(0, len(texts), BATCH):
        batch = list(texts[start : start + BATCH])
        body: dict[str, Any] = {
            "model": card.provider_model,
            "input": batch,
            "encoding_format": "float",
        }
        if asked.dimensions is not None:
            body["dimensions"] = asked.dimensions
        answer = await _post(client, reach, body, asked.timeout_s)
        vectors += _vectors(answer, len(batch), reach.where)
        used = as_object(answer.get("usage")).get("prompt_tokens")
        usage = usage.plus(Usage(prompt=used if isinstance(used, int) else 0))
    if len({len(v) for v in vectors}) > 1:
        raise provider_error("server_error", "the vectors differ in length", where=reach.where)
    return Embedded(vectors=vectors, usage=usage)


async def status_at(client: Client, reach: Reach, path: str) -> Status:
    """Ask a service for its models: the cheapest question that needs the key."""
    try:
        response = await client.request(
            "GET",
            reach.base_url + path,
            headers=reach.headers,
            timeout_s=STATUS_TIMEOUT_S,
            follow=0,
        )
    except (ConnectionError, TimeoutError, LimitReached) as problem:
        return Status(status="unhealthy", message=str(problem))
    if response.status == 200:
        return Status(status="healthy")
    said = f"the service answered {response.status}"
    busy = response.status == 429 or response.status >= 500
    return Status(status="degraded" if busy else "unhealthy", message=said)


async def _post(
    client: Client, reach: Reach, body: Mapping[str, Any], timeout_s: float
) -> Mapping[str, Any]:
    where = reach.where
    try:
        response = await client.request(
            "POST",
            reach.base_url + "/embeddings",
            headers=reach.headers,
            body=msgspec.json.encode(body),
            timeout_s=timeout_s,
            max_bytes=MAX_REPLY_BYTES,
            follow=0,
        )
    except TimeoutError as problem:
        raise provider_error("timeout_error", str(problem), where=where) from problem
    except ConnectionError as problem:
        raise provider_error("network_error", str(problem), where=where) from problem
    except LimitReached as problem:
        raise provider_error(
            "server_error", problem.what, where=where, retryable=False
        ) from problem
    return _answer(response, where)


def _answer(response: Response, where: str) -> Mapping[str, Any]:
    try:
        value = as_object(msgspec.json.decode(response.body))
    except msgspec.DecodeError:
        value = {"message": f"the server answered {response.status}"}
    if response.status != 200:
        facts = value.get("error") or value.get("detail") or value
        raise service_error(facts, status=response.status, where=where, retry_after_s=None)
    return value


def _vectors(answer: Mapping[str, Any], count: int, where: str) -> list[list[float]]:
    listed = answer.get("data")
    items = [as_object(item) for item in listed] if isinstance(listed, list) else []
    # The service may answer in another order; `index` says which text a vector is of.
    placed = {_index(item, place): item.get("embedding") for place, item in enumerate(items)}
    vectors = [placed.get(place) for place in range(count)]
    whole = [v for v in vectors if isinstance(v, list) and v and all(map(_is_number, v))]
    if len(whole) != count or len(items) != count:
        raise provider_error(
            "server_error",
            f"{count} texts were sent and {len(whole)} vectors came back",
            where=where,
            fix="check that the model embeds: not every model does",
        )
    return whole


def _index(item: Mapping[str, Any], place: int) -> int:
    index = item.get("index")
    return index if isinstance(index, int) else place


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def read_texts(value: Any) -> list[str]:
    """Return the texts of a call: one, or a list of them.

    Raises: InputInvalid for anything else, and for an empty text.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts or not all(_is_text(t) for t in texts):
        raise InputInvalid(
            "nothing to embed", where="texts", fix="give a text, or a list of texts, none empty"
        )
    return list(texts)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
