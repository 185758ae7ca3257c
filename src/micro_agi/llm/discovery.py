"""Find model servers on this machine, and ask a server which models it has.

Looks only at loopback, only at the given ports, all at once and within one short limit:
nobody waits for a server that is not there.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from micro_agi.errors import MicroAgiError
from micro_agi.llm.providers.table import OPENAI_COMPATIBLE, PROVIDERS
from micro_agi.net.client import Client
from micro_agi.settings import NO_KEY
from micro_agi.values import Secret, as_object

MAX_LIST_BYTES = 4 << 20
# Where servers say how many tokens fit, best first: the window in use before the one
# the model was trained for.
_WINDOW_KEYS = ("max_model_len", "context_length", "max_context_length", "context_window", "n_ctx")


class ServedModel(Struct, frozen=True, kw_only=True):
    """A model that a server offers."""

    name: str
    window: int = 0
    """Tokens, or 0 when the server does not say."""


class ModelServer(Struct, frozen=True, kw_only=True):
    """A server that answered."""

    base_url: str
    models: tuple[ServedModel, ...]

    def model(self, name: str) -> ServedModel | None:
        """Return the served model with this name; `:latest` may be left out."""
        wanted = (name, f"{name}:latest")
        return next((m for m in self.models if m.name in wanted), None)


async def find_servers(
    client: Client, ports: Iterable[str], *, timeout_s: float
) -> list[ModelServer]:
    """Return the servers on these loopback ports that list models, in the order of the ports."""
    urls = [f"http://127.0.0.1:{port}/v1" for port in ports]
    asked = [asyncio.create_task(list_models(client, url, timeout_s=timeout_s)) for url in urls]
    try:
        found = await asyncio.gather(*asked)
    finally:
        for task in asked:
            task.cancel()
    return [server for server in found if server is not None and server.models]


async def list_models(
    client: Client,
    base_url: str,
    *,
    api_key: Secret = NO_KEY,
    timeout_s: float,
    provider: str = OPENAI_COMPATIBLE,
) -> ModelServer | None:
    """Ask a server for its models; None when it does not answer with such a list."""
    facts = PROVIDERS[provider]
    name, before = facts.key_header
    headers = list(facts.headers)
    headers += [(name, before + api_key.reveal())] if api_key else []
    url = base_url.rstrip("/") + facts.models_path
    try:
        response = await client.request(
            "GET",
            url,
            headers=headers,
            timeout_s=timeout_s,
            max_bytes=MAX_LIST_BYTES,
            follow=0,
        )
        value = msgspec.json.decode(response.body) if response.status == 200 else None
    except (ConnectionError, TimeoutError, MicroAgiError, msgspec.DecodeError):
        return None
    # Google's list is called `models`, and its items have a `name`.
    listed = as_object(value).get("data", as_object(value).get("models"))
    if not isinstance(listed, list):
        return None
    items = (dict(as_object(item)) for item in listed)
    named = ({"id": str(i.get("name", "")).removeprefix("models/"), **i} for i in items)
    models = [_read(item) for item in named if isinstance(item["id"], str) and item["id"]]
    # Models that only embed cannot answer.
    usable = tuple(m for m in models if "embed" not in m.name.lower())
    return ModelServer(base_url=base_url.rstrip("/"), models=usable)


def _read(item: Mapping[str, Any]) -> ServedModel:
    places = (item, as_object(item.get("meta")))
    windows = [place.get(key) for key in _WINDOW_KEYS for place in places]
    window = next((w for w in windows if isinstance(w, int) and w > 0), 0)
    return ServedModel(name=item["id"], window=window)
