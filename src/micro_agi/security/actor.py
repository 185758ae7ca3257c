"""Who asks: an id and what is known about it. Authority is in `context.CallContext`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: `root`, `agent:app:dev_assistant`, `user:7`."""

    id: str
    meta: Mapping[str, Any] = field(default_factory=dict)


ROOT = Actor("root")
