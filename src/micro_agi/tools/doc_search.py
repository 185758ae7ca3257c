"""The native function behind `system:doc_search`: a page by path, or ranked hits by query.

Shape: `{path, offset?}` gives `{path, content}`; `{query}` gives `{results}`; `path` wins,
as in seed 000.
"""

from typing import Any

from micro_agi.errors import InputInvalid
from micro_agi.security.context import CallContext
from micro_agi.tools.docs import Docs
from micro_agi.tools.functions import NativeFunction


def doc_search(docs: Docs) -> NativeFunction:
    """Return the function for one documentation service."""

    async def search(arguments: Any, context: CallContext) -> dict[str, Any]:
        offset = int(arguments.get("offset") or 0)
        if path := arguments.get("path"):
            content = await docs.page(str(path), offset=offset, context=context)
            return {"path": path, "content": content}
        if query := arguments.get("query"):
            return {"results": await docs.search(str(query), offset=offset, context=context)}
        raise InputInvalid(
            "provide either 'path' or 'query'",
            where="doc_search",
            fix='send {"query": "…"} or {"path": "lua/core/time"}',
        )

    return search
