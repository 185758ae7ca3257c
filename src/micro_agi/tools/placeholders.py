"""`${name}` in the context of a tool, a delegate or a memory: filled from values by name."""

from collections.abc import Mapping
from typing import Any


def fill(value: Any, values: Mapping[str, Any], missing: set[str]) -> Any:
    """Replace a text `${name}` by the value of that name, and `${name}` inside texts by its text.

    Names that are not in `values` stay as they are and are added to `missing`.
    """
    if not isinstance(value, str) or "${" not in value:
        return value
    before, _, rest = value.partition("${")
    name, closed, after = rest.partition("}")
    if not closed:
        return value
    if name not in values or values[name] == value:
        missing.add(name)
        return value
    if not before and not after:
        return values[name]
    return f"{before}{values[name]}{fill(after, values, missing)}"
