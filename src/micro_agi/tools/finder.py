"""Find tools by what they are for: `system:tool_search` ranks with it."""

from collections.abc import Mapping, Sequence
from typing import Any

from micro_agi.messages import ToolSpec
from micro_agi.search.index import Index

DEFAULT_FOUND = 5


class ToolFinder:
    """Finds tools by what they are for; made for one set of tools, at the first search."""

    def __init__(self, tools: Sequence[ToolSpec]) -> None:
        self.tools = tools
        self._by_name = {t.name: t for t in tools}
        self._index: Index | None = None

    def find(self, query: str, limit: int = DEFAULT_FOUND) -> list[ToolSpec]:
        """Return the tools that fit best, best first."""
        if self._index is None:
            self._index = Index()
            for tool in self.tools:
                self._index.add(
                    tool.name,
                    title=tool.name.replace("_", " "),
                    keywords=f"{tool.name} {tool.id}",
                    body=" ".join([tool.description, *_words(tool.schema)]),
                )
        return [self._by_name[hit.key] for hit in self._index.search(query, limit)]

    def close(self) -> None:
        """Give the index free."""
        if self._index is not None:
            self._index.close()
            self._index = None


def _words(schema: Mapping[str, Any]) -> list[str]:
    """Return the names and descriptions of a tool's parameters."""
    properties = schema.get("properties")
    found: list[str] = []
    for name, facts in properties.items() if isinstance(properties, Mapping) else ():
        found.append(str(name))
        if isinstance(facts, Mapping) and isinstance(facts.get("description"), str):
            found.append(facts["description"])
    return found
