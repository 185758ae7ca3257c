"""Who asks: an id and what is known about it. Authority is in `context.CallContext`."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field


class Actor(Struct, frozen=True):
    """Who acts: `root`, `agent:app:dev_assistant`, `user:7`."""

    id: str
    meta: Mapping[str, Any] = field(default_factory=dict)


ROOT = Actor("root")
