"""Schemas of tools' arguments: compile each once, check arguments, complete empty ones.

A schema that is none must not reach a model service, which would refuse the whole request.
Compiled ones are kept by content, so an agent with a thousand tools pays for them once.
"""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import msgspec

from micro_agi.errors import ArgumentsInvalid
from micro_agi.messages import ToolSpec
from micro_agi.values import canonical_json

MAX_VIOLATIONS = 20

PLACEHOLDER = "placeholder"
PLACEHOLDER_PROPERTIES: Mapping[str, Any] = {
    PLACEHOLDER: {
        "type": "object",
        "description": "An empty placeholder: this tool takes no arguments.",
        "default": {},
    }
}
"""What a tool without arguments shows: some services refuse an object without properties.
Source: spec/agent.md 1.3."""


class Schemas:
    """Compiled schemas, shared by everything in one runtime."""

    def __init__(self) -> None:
        self._validators: dict[bytes, Any] = {}

    def validator(self, schema: Mapping[str, Any], *, where: str) -> Any:
        """Return the compiled schema.

        Raises: ArgumentsInvalid saying what is wrong with it.
        """
        key = canonical_json(schema)
        found = self._validators.get(key)
        if found is None:
            found = self._validators[key] = validator_for(schema, where=where)
        return found

    def validate(self, spec: ToolSpec, arguments: Any) -> None:
        """Check arguments against a tool's schema.

        Raises: ArgumentsInvalid listing every violation with its JSON path.
        """
        validator = self.validator(spec.schema, where=spec.id)
        violations = [
            f"{_json_path(e.instance_path)}: {e.message}" for e in validator.iter_errors(arguments)
        ]
        if violations:
            more = len(violations) - MAX_VIOLATIONS
            listed = violations[:MAX_VIOLATIONS] + ([f"and {more} more"] if more > 0 else [])
            raise ArgumentsInvalid(
                f"the arguments do not fit the schema of `{spec.name}`: " + "; ".join(listed),
                where=spec.id,
                fix="call it again with arguments that fit",
            )


def validator_for(schema: Mapping[str, Any], *, where: str) -> Any:
    """Compile a JSON Schema; references to other documents are refused, nothing is fetched.

    Raises: ArgumentsInvalid saying what is wrong with the schema.
    """
    try:
        return jsonschema_rs.validator_for(dict(schema), retriever=_refuse_remote)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise ArgumentsInvalid(
            f"the input schema is no valid JSON Schema: {said}",
            where=where,
            fix="correct `input_schema`",
        ) from error


def with_placeholder(spec: ToolSpec) -> ToolSpec:
    """Return a tool without arguments with the optional `placeholder`; others as they are."""
    if spec.schema.get("properties"):
        return spec
    schema = {**spec.schema, "properties": dict(PLACEHOLDER_PROPERTIES)}
    return msgspec.structs.replace(spec, schema=schema)


def without_placeholder(spec: ToolSpec, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments without what only `with_placeholder` asked for."""
    if PLACEHOLDER in arguments and spec.schema.get("properties") == PLACEHOLDER_PROPERTIES:
        return {k: v for k, v in arguments.items() if k != PLACEHOLDER}
    return arguments


def _refuse_remote(uri: str) -> Any:
    raise ValueError(f"a schema may not refer to another document: {uri}")


def _json_path(path: list[str | int]) -> str:
    return "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
