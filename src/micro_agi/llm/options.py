"""Read the options of `generate` and its like, by the names of the documents.

What a request itself has a place for goes there; sampling options go over those of the
model's card, for this one request. Nothing else of a card can be changed by a caller: not
where it is and not which key it gets. Unknown names are refused with the nearest ones.

Source: spec/agent.md 6.2.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from micro_agi.errors import InputInvalid
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.request import ModelOptions
from micro_agi.messages import ToolSpec
from micro_agi.values import as_object, nearest

SAMPLING: Mapping[str, str] = {
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop_sequences": "stop",
    "seed": "seed",
    "parallel_tool_calls": "parallel_tool_calls",
}
"""Option → its name in a card's options."""
MOST_RETRIES = 10
_WAITS = (
    *("backoff_ms", "initial_delay", "max_delay", "backoff_factor", "jitter"),
    *("retry_kinds", "skip_kinds"),
)
KNOWN = (
    *("model", "provider_id", "max_tokens", "temperature", "thinking_effort", "user", "timeout"),
    *("tool_choice", "retry", "timestamp", "metadata"),
    *SAMPLING,
)


class Wanted(Struct, frozen=True, kw_only=True):
    """What one call wants."""

    model: str
    options: ModelOptions
    provider_id: str = ""
    """A provider that knows the model by exactly this name; "" for what entries say."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[ToolSpec, ...] = ()
    retries: int | None = None
    """Tries after the first; None is the setting's number."""
    at: float = 0.0
    """When the call counts as made, for its usage record; 0 is now."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """For its usage record."""

    def on(self, card: ModelCard) -> ModelCard:
        """Return the card with this call's sampling options."""
        return replace(card, options={**card.options, **self.sampling}) if self.sampling else card


def read_options(given: Mapping[str, Any], *, tools: Sequence[ToolSpec] = ()) -> Wanted:
    """Read options.

    Raises: InputInvalid for an unknown one, one of the wrong type, or no model.
    """
    for name in given:
        if name not in KNOWN:
            near = nearest(name, KNOWN) or sorted(KNOWN)
            raise InputInvalid(
                f"`{name}` is no option", where="options", fix=f"use one of: {', '.join(near)}"
            )
    model = given.get("model")
    if not isinstance(model, str) or not model:
        raise InputInvalid(
            "Model is required in options", where="options", fix="name a model or `class:fast`"
        )
    effort = _number(given, "thinking_effort")
    choice = given.get("tool_choice")
    timeout = _number(given, "timeout")
    cap = _number(given, "max_tokens")
    usual = ModelOptions()
    return Wanted(
        model=model,
        options=ModelOptions(
            max_tokens=None if cap is None else int(cap),
            temperature=_number(given, "temperature"),
            thinking_effort=None if effort is None else int(effort),
            tool_choice=_choice(choice, tools),
            user=str(given.get("user") or ""),
            timeout_s=usual.timeout_s if timeout is None else timeout,
        ),
        provider_id=_text(given, "provider_id"),
        sampling={SAMPLING[k]: v for k, v in given.items() if k in SAMPLING and v is not None},
        tools=tuple(tools),
        retries=_retries(given.get("retry")),
        at=_number(given, "timestamp") or 0.0,
        metadata=as_object(given.get("metadata")),
    )


def _choice(value: Any, tools: Sequence[ToolSpec]) -> str:
    names = [tool.name for tool in tools]
    if value in (None, "auto", "any", "required", "none", *names):
        return str(value or "auto")
    near = ", ".join(["auto", "any", "none", *(nearest(str(value), names) or names[:5])])
    raise InputInvalid(
        f"Tool '{value}' not found in available tools",
        where="tool_choice",
        fix=f"use one of: {near}",
    )


def _retries(retry: Any) -> int | None:
    """Return how often to try again: `attempts` are those, `max_attempts` has the first as well.

    The documents' other keys say how long to wait, which the gateway decides.
    """
    if retry is None:
        return None
    known = ("attempts", "max_attempts", *_WAITS)
    wrong = [key for key in as_object(retry) if key not in known]
    if not isinstance(retry, Mapping) or wrong:
        raise InputInvalid(
            f"`retry.{wrong[0]}` is no option" if wrong else "`retry` is no map",
            where="options.retry",
            fix="give { attempts = 2 }",
        )
    again, tries = _number(retry, "attempts"), _number(retry, "max_attempts")
    if again is None and tries is not None:
        again = max(0.0, tries - 1)
    return None if again is None else min(MOST_RETRIES, int(again))


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputInvalid(f"`{name}` is no text", where=f"options.{name}", fix="give an id")
    return value


def _number(given: Mapping[str, Any], name: str) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise InputInvalid(f"`{name}` is no number", where=f"options.{name}", fix="give a number")
    return value


def read_tools(value: Any) -> tuple[ToolSpec, ...]:
    """Read tools as Lua code writes them: `{name, description, schema, registry_id?}`.

    Raises: InputInvalid for one without a name or a schema.
    """
    tools = []
    for number, item in enumerate(value if isinstance(value, list) else ()):
        facts = as_object(item)
        name, schema = facts.get("name"), facts.get("schema")
        if not isinstance(name, str) or not isinstance(schema, Mapping):
            raise InputInvalid(
                "a tool needs a name and a schema",
                where=f"options.tools[{number}]",
                fix="give { name = …, description = …, schema = { type = 'object', … } }",
            )
        tools.append(
            ToolSpec(
                id=str(facts.get("registry_id") or facts.get("id") or name),
                name=name,
                description=str(facts.get("description") or ""),
                schema={**schema, "properties": schema.get("properties") or {}},
                context=dict(as_object(facts.get("context"))),
            )
        )
    return tuple(tools)
