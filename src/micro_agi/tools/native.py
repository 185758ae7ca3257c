"""Make a trusted async function of the embedding program a tool entry.

The name is the function's, the description the first line of its docstring, the schema
comes from the type hints; arguments are converted to those types before the call. A
parameter of type `CallContext` is not the model's to give: it gets the call's own.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, get_type_hints

import msgspec

from micro_agi.errors import ArgumentsInvalid, EntryInvalid
from micro_agi.registry.entry import Entry
from micro_agi.security.context import CallContext
from micro_agi.tools.functions import NativeFunction

NAMESPACE = "app.native"
"""Where an embedder's functions live unless told otherwise."""


def native_tool(
    function: Callable[..., Awaitable[Any]],
    *,
    namespace: str = NAMESPACE,
    replayable: bool = False,
) -> tuple[Entry, NativeFunction]:
    """Return the entry of a function, and what runs when it is called.

    `replayable` promises that a call changes nothing outside the process: after a crash it
    may run again, and no call waits for the disk.
    Raises: EntryInvalid when it is not async, or a parameter cannot be described.
    """
    arguments = _arguments_type(function)
    entry = _entry(function, arguments, namespace, replayable=replayable)
    return entry, _caller(function, arguments, _contexts(function))


def _contexts(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the parameters that get the call's context."""
    hints = get_type_hints(function)
    return tuple(name for name, hint in hints.items() if hint is CallContext and name != "return")


def _arguments_type(function: Callable[..., Any]) -> type[msgspec.Struct]:
    name = function.__name__
    if not inspect.iscoroutinefunction(function):
        raise EntryInvalid(f"`{name}` is not async", where=name, fix="write `async def`")
    hints = get_type_hints(function)
    fields: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        hint = hints.get(parameter.name)
        if hint is CallContext:
            continue
        if hint is None or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise EntryInvalid(
                f"parameter `{parameter.name}` of `{name}` has no type",
                where=name,
                fix="annotate every parameter; `*args` and `**kwargs` cannot be described",
            )
        default = parameter.default
        known = () if default is parameter.empty else (default,)
        fields.append((parameter.name, hint, *known))
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


def _entry(
    function: Callable[..., Any],
    arguments: type[msgspec.Struct],
    namespace: str,
    *,
    replayable: bool,
) -> Entry:
    name = function.__name__
    description = (inspect.getdoc(function) or name).partition("\n")[0]
    _, components = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
    others = {key: value for key, value in components.items() if key != name}
    entry_id = f"{namespace}:{name}"
    return Entry(
        id=entry_id,
        kind="function.native",
        meta={
            "type": "tool",
            "title": name,
            "llm_alias": name,
            "llm_description": description,
            "input_schema": {**components[name], **({"$defs": others} if others else {})},
        },
        data={"target": entry_id, "replayable": replayable},
    )


def _caller(
    function: Callable[..., Awaitable[Any]],
    arguments: type[msgspec.Struct],
    contexts: tuple[str, ...],
) -> NativeFunction:
    names = arguments.__struct_fields__

    async def call(value: Any, context: CallContext) -> Any:
        if isinstance(value, list):  # several arguments, in the order of the parameters
            value = dict(zip(names, value, strict=False))
        try:
            given = msgspec.convert(value, arguments, strict=False)
        except msgspec.ValidationError as error:
            raise ArgumentsInvalid(
                f"the arguments do not fit: {error}",
                where=function.__name__,
                fix="send what its input schema describes",
            ) from error
        inside = dict.fromkeys(contexts, context)
        result = await function(**msgspec.structs.asdict(given), **inside)
        return msgspec.to_builtins(result, str_keys=True)

    return call
