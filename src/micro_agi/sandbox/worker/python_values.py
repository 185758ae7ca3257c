"""Turn what a tool returns into JSON, and its arguments into the types it asks for.

Nothing is pickled in either direction. What JSON cannot hold is refused with the place in
the value, except for a few types whose text everybody writes the same way.
"""

import dataclasses
import datetime
import decimal
import enum
import inspect
import sys
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

DEPTH = 63
"""Levels of lists and objects; the parent refuses one more."""
LARGEST = (1 << 63) - 1
VARIADIC = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
PLAIN_HINTS = (str, int, float, bool, list, dict, Any, type(None))


class NotJson(ValueError):
    """A tool returned something that has no JSON form."""


def to_json(value: Any, at: str = "the result", depth: int = DEPTH) -> Any:
    """Return `value` as strings, numbers, lists and objects.

    Raises:
        NotJson: it holds something else, or is nested too deeply.
    """
    kind = type(value)
    if kind is str or kind is bool or kind is float or value is None:
        return value
    if kind is int:
        if -LARGEST - 1 <= value <= LARGEST:
            return value
        raise NotJson(f"{at} is an integer of more than 64 bits; return it as a string")
    if depth < 0:
        raise NotJson(f"{at[:80]}… is nested too deeply, or contains itself")
    if kind is dict:
        return {_key(k, at): to_json(v, f"{at}[{k!r}]", depth - 1) for k, v in value.items()}
    if kind is list or kind is tuple:
        return [to_json(item, f"{at}[{n}]", depth - 1) for n, item in enumerate(value)]
    return to_json(_converted(value, at), at, depth - 1)


def _key(key: Any, at: str) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, int | float | datetime.date | uuid.UUID) and not isinstance(key, bool):
        return str(key)
    raise NotJson(f"{at} has a key that is a {type(key).__name__}; keys must be strings")


def _converted(value: Any, at: str) -> Any:
    """Return something closer to JSON for a value of no basic type."""
    if isinstance(value, enum.Enum):
        return value.value
    # First, because numpy's floats are floats and pandas' missing date is a date.
    found = _of_packages(value)
    if found is not None:
        return found[0]
    for kind, convert in CONVERSIONS:
        if isinstance(value, kind):
            return convert(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    raise NotJson(f"{at} is a {type(value).__name__}, which JSON cannot hold; convert it first")


CONVERSIONS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (Mapping, dict),
    ((list, tuple), list),
    ((set, frozenset), list),
    ((bytes, bytearray), lambda raw: bytes(raw).decode("utf-8", "replace")),
    ((datetime.datetime, datetime.date, datetime.time), lambda moment: moment.isoformat()),
    (datetime.timedelta, lambda span: span.total_seconds()),
    ((decimal.Decimal, uuid.UUID), str),
)


def _of_packages(value: Any) -> tuple[Any] | None:
    """Convert values of numpy, pandas and Monty; none of them is imported for it."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    monty = sys.modules.get("pydantic_monty")
    if monty is not None and isinstance(value, monty.MontyClassProxy) and value.is_dataclass:
        return (value.attributes,)
    if pandas is not None:
        if isinstance(value, pandas.DataFrame):
            return (value.to_dict("records"),)
        if isinstance(value, pandas.Series | pandas.Index):
            return (value.tolist(),)
        if value is pandas.NaT or value is pandas.NA:
            return (None,)
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            return (value.tolist(),)
        if isinstance(value, numpy.generic):
            return (value.item(),)
    return None


def to_types(function: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments as the function's hints want them: a dataclass, a tuple, a set.

    Raises:
        msgspec.ValidationError: an argument does not fit its hint.
    """
    hints = typing.get_type_hints(function) if function.__annotations__ else {}
    return {
        name: value if hints.get(name, Any) in PLAIN_HINTS else _as(hints[name], value, name)
        for name, value in given.items()
    }


def takes_plain_values(function: types.FunctionType) -> bool:
    """Whether `to_types` leaves the arguments alone, and only their names can be wrong."""
    if (
        function.__dict__
        or function.__code__.co_flags & VARIADIC
        or function.__code__.co_posonlyargcount
    ):
        # A decorator may have given it another signature.
        return False
    hints = typing.get_type_hints(function) if function.__annotations__ else {}
    hints.pop("return", None)
    return all(hint in PLAIN_HINTS for hint in hints.values())


def _as(hint: Any, value: Any, name: str) -> Any:
    try:
        return msgspec.convert(value, type=hint)
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(f"argument `{name}`: {error}") from None
    except TypeError:
        # A hint that has no decoder, such as a union of two objects: the value as it came.
        return value
