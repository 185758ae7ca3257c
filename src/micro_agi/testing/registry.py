"""A registry that lives as long as its test: the real one, on a private database."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from micro_agi.registry import kinds
from micro_agi.registry.entry import Entry, from_dict
from micro_agi.registry.registry import Admit, Registry
from micro_agi.store.database import Database


async def memory_registry(
    entries: Sequence[Entry | Mapping[str, Any]] = (),
    *,
    database: Database | None = None,
    clock: Callable[[], float] = time.time,
    admit: Admit | None = None,
) -> Registry:
    """Open a registry whose baseline is `entries`, given as values or as dictionaries.

    Everything is as in the product but the place: without `database`, a temporary one that
    goes away with the registry. Raises: EntryInvalid for an entry no app could have.
    """
    baseline = [e if isinstance(e, Entry) else from_dict(e) for e in entries]
    for entry in baseline:
        kinds.validate(entry, source="program")
    return await Registry.open(database or Database.open(None), baseline, clock=clock, admit=admit)
