"""Describe what a worker runs: a chunk of Lua or Python, its method, its grants and its imports.

A unit is content-addressed. Workers keep compiled chunks by hash, so two entries with the
same content share one, and a changed entry can never run old code.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from micro_agi.sandbox.modules import is_privileged
from micro_agi.values import content_hash

LIBRARY_MODULES = frozenset({"crypto", "expr", "text", "yaml"})
# `json.validate`, `json.validate_string`, and the format `yaml` of a payload.
_NAMED = re.compile(r"validate|yaml", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One entry with code: `function.lua`, `function.python`, `library.lua`, `process.lua`."""

    id: str
    """Registry id; it names the chunk in error messages."""
    source: str
    method: str = ""
    """Which field of the returned table to call; a library needs none."""
    modules: tuple[str, ...] = ()
    """Granted modules: the only ones that exist for the chunk."""
    imports: tuple[tuple[str, "Unit"], ...] = ()
    """Alias and unit of each import."""
    language: Literal["lua", "python"] = "lua"
    hash: str = ""
    """Of all the above; computed when not given."""
    granted: frozenset[str] = field(init=False, repr=False, compare=False)
    """Every module that this unit or one of its imports was granted.

    A worker cannot be trusted to say which library asked, so a host call is checked against
    all of them; that an importer's grants cover its imports' is decided where the unit is
    built.
    """
    privileged: bool = field(init=False, repr=False, compare=False)
    """Whether one of these grants is the operator's alone to give."""
    libraries: bool = field(init=False, repr=False, compare=False)
    """Whether this Lua code, or an import of it, plainly needs a worker with all libraries. Some
    other code does and does not show it; its call starts again in one."""

    def __post_init__(self) -> None:
        if not self.hash:
            object.__setattr__(self, "hash", content_hash(self._content()))
        # Here and not at each call, where they were a tenth of what a warm call costs.
        granted = frozenset(self.modules).union(*(unit.granted for _, unit in self.imports))
        object.__setattr__(self, "granted", granted)
        object.__setattr__(self, "privileged", is_privileged(granted))
        object.__setattr__(self, "libraries", self._needs_libraries())

    def _needs_libraries(self) -> bool:
        if self.language != "lua":
            return False
        imported = any(unit.libraries for _, unit in self.imports)
        return imported or bool(LIBRARY_MODULES & self.granted) or bool(_NAMED.search(self.source))

    def _content(self) -> dict[str, Any]:
        imports = [[alias, unit.hash] for alias, unit in self.imports]
        facts = {"id": self.id, "source": self.source, "method": self.method}
        facts["language"] = self.language
        return {**facts, "modules": list(self.modules), "imports": imports}

    def all_units(self) -> dict[str, "Unit"]:
        """Return this unit and everything it imports, by hash."""
        units = {self.hash: self}
        for _, imported in self.imports:
            units |= imported.all_units()
        return units
