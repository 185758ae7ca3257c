"""Functions of the operator that change the schema of every tool before a model sees it.

An entry of kind `function.*` with `meta.type: input_schema_processor` is called as
`fn(tool_id, schema)` and returns a schema; several are called in the order of their ids, each
with what the one before returned. An error ends the chain for that tool, which keeps what
it has. Results are kept by content, so a thousand tools are processed once.

Source: spec/agent.md 1.3; the cache is ours, since there is no `app:cache` to rely on.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from micro_agi.agent.traits import Call
from micro_agi.errors import MicroAgiError
from micro_agi.messages import ToolSpec, Warned
from micro_agi.registry.entry import Entry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.values import content_hash

TYPE = "input_schema_processor"


class SchemaProcessors:
    """The processors of one runtime and what they have answered."""

    def __init__(self, is_operators: Callable[[str], bool]) -> None:
        self._is_operators = is_operators
        self._answers: dict[str, Mapping[str, Any]] = {}

    async def apply(
        self, snapshot: Snapshot, tools: Sequence[ToolSpec], *, call: Call
    ) -> tuple[list[ToolSpec], list[Warned]]:
        """Return the tools with their schemas processed, and what failed, once a processor."""
        processors = [
            e
            for e in snapshot.find({"meta.type": TYPE})
            if e.kind.startswith("function.") and self._is_operators(e.namespace)
        ]
        if not processors:
            return list(tools), []
        warnings: dict[str, Warned] = {}
        processed = [await self._one(spec, processors, call, warnings) for spec in tools]
        return processed, list(warnings.values())

    async def _one(
        self, spec: ToolSpec, processors: list[Entry], call: Call, warnings: dict[str, Warned]
    ) -> ToolSpec:
        key = content_hash([spec.id, spec.schema, *(p.hash for p in processors)])
        schema = self._answers.get(key)
        if schema is None:
            schema, failed = await _chain(spec, processors, call)
            if failed is None:
                self._answers[key] = schema
            else:
                warnings.setdefault(failed.where, failed)
        return msgspec.structs.replace(spec, schema=dict(schema))


async def _chain(
    spec: ToolSpec, processors: list[Entry], call: Call
) -> tuple[Mapping[str, Any], Warned | None]:
    schema: Mapping[str, Any] = spec.schema
    for processor in processors:
        try:
            answer = await call(processor.id, [spec.id, dict(schema)], {})
        except MicroAgiError as error:
            said = f"schema processor `{processor.id}` failed: {error.what}"
            return schema, Warned(text=said, where=processor.id, fix=error.fix)
        if not isinstance(answer, Mapping):
            said = f"schema processor `{processor.id}` returned a {type(answer).__name__}"
            return schema, Warned(text=said, where=processor.id, fix="return a JSON Schema")
        schema = answer
    return schema, None
