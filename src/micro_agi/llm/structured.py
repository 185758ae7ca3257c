"""Ask a model for JSON of a certain shape, check it, and let the model repair it once.

The schema goes into the system text, which every model understands, and into the request
where the service can enforce it (`ModelOptions.schema`); a service that refuses the
request then gets it once more without. What comes back is taken out of
the fences and remarks that models put around JSON, and checked against the schema: an
answer that does not fit goes back with every violation, once; then it is a typed error.

Source: issue 4.10. The reference trusts the service's enforcement (spec/agent.md 6.8).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from micro_agi.errors import InputInvalid, OutputInvalid, ProviderRefused
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.failure import error_type
from micro_agi.llm.request import ModelRequest, Reply
from micro_agi.messages import message

MAX_LISTED = 20
INSTRUCTION = (
    "Answer with one JSON value and nothing else: no explanation, no code fence. "
    "It must fit this JSON Schema:\n"
)
REPAIR = (
    "That does not fit the schema:\n{problems}\n"
    "Answer again with the corrected JSON value and nothing else."
)

Violations: TypeAlias = Callable[[Any], list[str]]
CompileSchema: TypeAlias = Callable[[Mapping[str, Any]], Violations]
"""From a JSON Schema to what says, for a value, where it does not fit."""
Ask: TypeAlias = Callable[[ModelRequest], Awaitable[Reply]]


class Structured(Struct, frozen=True, kw_only=True):
    """A value that fits its schema."""

    value: Any
    replies: tuple[Reply, ...]
    """One, or two when it had to be repaired."""


async def structured(
    request: ModelRequest, schema: Mapping[str, Any], violations: Violations, ask: Ask
) -> Structured:
    """Return the value that the model answers.

    Raises: OutputInvalid after the repair round; what `ask` raises.
    """
    text = INSTRUCTION + msgspec.json.encode(schema).decode()
    system = f"{request.system}\n\n{text}" if request.system else text
    asked = replace(
        request, system=system, options=replace(request.options, schema=schema), tools=()
    )
    try:
        first = await ask(asked)
    except ProviderRefused as error:
        # No service takes every schema. In words the model has it all the same.
        if error_type(error) != "invalid_request" or not enforces(request.model):
            raise
        asked = replace(asked, options=replace(asked.options, schema=None))
        first = await ask(asked)
    value, problems = check(first, violations)
    if not problems:
        return Structured(value=value, replies=(first,))
    listed = "\n".join(f"- {p}" for p in _first(problems))
    again = (message("assistant", first.text), message("user", REPAIR.format(problems=listed)))
    second = await ask(replace(asked, messages=[*asked.messages, *again]))
    value, problems = check(second, violations)
    if problems:
        raise OutputInvalid(
            "the model's answer does not fit the schema, not even after one correction: "
            + "; ".join(_first(problems)),
            where=request.model.name,
            fix="make the schema simpler, or use a more capable model",
        )
    return Structured(value=value, replies=(first, second))


def enforces(card: ModelCard) -> bool:
    """Whether a model's service can be told a schema."""
    return "structured_output" in card.capabilities


def check(reply: Reply, violations: Violations) -> tuple[Any, list[str]]:
    """Return the value in a reply, and why it does not do."""
    if reply.finish_reason == "length":
        return None, ["the answer was cut at the token limit"]
    try:
        value = json_in(reply.text)
    except ValueError as error:
        return None, [str(error)]
    return value, violations(value)


def json_in(text: str) -> Any:
    r"""Return the JSON value in a model's text, with fences and remarks around it taken off.

    Raises: ValueError when there is none.

    >>> json_in('Here it is:\n```json\n{"a": 1}\n```')
    {'a': 1}
    """
    stripped = text.strip()
    for candidate in (stripped, *_inside(stripped)):
        try:
            return msgspec.json.decode(candidate)
        except (msgspec.DecodeError, RecursionError):
            continue
    raise ValueError("the answer is no JSON value" if stripped else "the answer is empty")


def _inside(text: str) -> list[str]:
    """The parts of a text that may be the value: between fences, or from bracket to bracket."""
    found = []
    if "```" in text:
        inner = text.split("```")[1]
        found.append(inner.partition("\n")[2] if inner[:4].lower() == "json" else inner)
    for opening, closing in (("{", "}"), ("[", "]")):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            found.append(text[start : end + 1])
    return found


def _first(problems: Sequence[str]) -> list[str]:
    more = len(problems) - MAX_LISTED
    return [*problems[:MAX_LISTED], *([f"and {more} more"] if more > 0 else [])]


def read_schema(value: Any) -> Mapping[str, Any]:
    """Return the schema of a call.

    Raises: InputInvalid when there is none.
    """
    if not isinstance(value, Mapping) or not value:
        raise InputInvalid("Schema is required", where="schema", fix="give a JSON Schema object")
    return value


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether a service can enforce a schema to the letter: closed objects, all required."""
    if schema.get("type") == "object":
        properties = schema.get("properties")
        names = set(properties) if isinstance(properties, Mapping) else set()
        required = schema.get("required")
        listed = set(required) if isinstance(required, list) else set()
        if schema.get("additionalProperties") is not False or names != listed:
            return False
        return all(is_strict(p) for p in dict(properties or {}).values() if isinstance(p, Mapping))
    items = schema.get("items")
    return is_strict(items) if isinstance(items, Mapping) else True
