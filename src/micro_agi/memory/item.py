"""What memory holds: items with where they came from, and what one may be.

Pure values. Nothing here is ever executed or obeyed: an item is data, and says who wrote it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from micro_agi.errors import InputInvalid
from micro_agi.search.ranked import spaced, storable
from micro_agi.values import canonical_json

MAX_CONTENT_CHARS = 16_000
"""A longer text belongs into a file, and what to know about it into memory."""
MAX_TAGS = 16
MAX_TAG_CHARS = 64
MAX_METADATA_BYTES = 4_096
PREFIX = "mem_"
"""Of ids as people and models see them: `mem_17`."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an item came from; what is not known is empty."""

    actor: str = ""
    agent: str = ""
    session: str = ""
    turn: int = 0
    call_id: str = ""
    model: str = ""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was remembered."""

    id: str
    content: str
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    revision: int
    """1 when it is new; each update adds one."""
    created_at: float
    updated_at: float
    origin: Origin
    """Who stored it first."""
    revised_by: Origin
    """Who changed it last; equal to `origin` when nobody did."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """Checked values of an item to be stored."""

    content: str
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = {}

    @property
    def hash(self) -> str:
        """What makes two contents the same: their words, whatever the spaces between them."""
        return hashlib.sha256(" ".join(self.content.split()).encode()).hexdigest()

    @property
    def spaced(self) -> str:
        """What the index gets of scripts that are written without spaces."""
        return spaced(f"{' '.join(self.tags)} {self.content}")


def draft(
    content: str, tags: Sequence[str] = (), metadata: Mapping[str, Any] | None = None
) -> Draft:
    """Check what somebody wants remembered.

    Raises: InputInvalid for an empty or oversized part, saying how much is taken.
    """
    content = storable(content).strip()
    if not content:
        raise InputInvalid("there is nothing to remember", where="content", fix="give a text")
    if len(content) > MAX_CONTENT_CHARS:
        raise InputInvalid(
            f"the content has {len(content)} characters, an item at most {MAX_CONTENT_CHARS}",
            where="content",
            fix="write it to a file and remember what it is about and where it is",
        )
    return Draft(content=content, tags=_tags(tags), metadata=_metadata(metadata or {}))


def number_of(item_id: str) -> int:
    """Return the number in an id: `mem_17` or `17`.

    Raises: InputInvalid for anything else.
    """
    digits = item_id.strip().removeprefix(PREFIX)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise InputInvalid(
            f"`{item_id[:80]}` is no id of a memory", where="id", fix="give an id such as mem_17"
        )
    return int(digits)


def _tags(tags: Sequence[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(" ".join(storable(tag).split()) for tag in tags))
    wrong = [t for t in found if not t or len(t) > MAX_TAG_CHARS]
    if wrong or len(found) > MAX_TAGS:
        raise InputInvalid(
            f"`{wrong[0][:80]}` is no tag" if wrong else f"{len(found)} tags are too many",
            where="tags",
            fix=f"give at most {MAX_TAGS} tags of 1 to {MAX_TAG_CHARS} characters",
        )
    return found


def _metadata(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        size = len(canonical_json(metadata))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputInvalid(
            f"metadata is no JSON: {error}", where="metadata", fix="give texts, numbers and lists"
        ) from error
    if size > MAX_METADATA_BYTES:
        raise InputInvalid(
            f"metadata has {size} bytes, an item at most {MAX_METADATA_BYTES}",
            where="metadata",
            fix="leave out what is in the content",
        )
    return metadata
