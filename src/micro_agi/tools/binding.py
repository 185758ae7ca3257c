"""Which functions implement a contract: `contract.binding` entries, read in one place.

A binding lists contracts with a map from method to function; a method without a namespace
means the binding's own. Source: spec/runtime.md 2.10.
"""

from collections.abc import Callable, Mapping
from typing import Any

from micro_agi.errors import EntryInvalid, EntryNotFound
from micro_agi.registry.entry import Entry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.values import as_object, parse_id


def contracts_of(binding: Entry) -> list[Mapping[str, Any]]:
    """Return what a binding binds, as it is written."""
    listed = binding.data.get("contracts")
    return [as_object(item) for item in listed] if isinstance(listed, list) else []


def bound(binding: Entry, contract_id: str) -> Mapping[str, Any] | None:
    """Return what a binding says about one contract, or None."""
    for item in contracts_of(binding):
        wanted = str(parse_id(str(item.get("contract")), default_namespace=binding.namespace))
        if wanted == contract_id or item.get("contract") == contract_id:
            return item
    return None


def method_of(binding: Entry, contract_id: str, *names: str) -> str | None:
    """Return the id of the function behind the first of these methods that is bound."""
    methods = as_object((bound(binding, contract_id) or {}).get("methods"))
    for name in names:
        if isinstance(methods.get(name), str):
            return str(parse_id(methods[name], default_namespace=binding.namespace))
    return None


def implementations(snapshot: Snapshot, contract_id: str) -> list[Entry]:
    """Return all bindings of a contract, ordered by id."""
    found = snapshot.indexed("kind", "contract.binding")
    return sorted((b for b in found if bound(b, contract_id) is not None), key=lambda b: b.id)


def is_default(binding: Entry, contract_id: str) -> bool:
    """Whether a binding is the one that is meant when only the contract is named."""
    return (bound(binding, contract_id) or {}).get("default") is True


def default_function(
    snapshot: Snapshot,
    contract_id: str,
    method: str,
    *,
    is_operators: Callable[[str], bool],
    what: str,
) -> str:
    """Return the function that the operator bound to a contract's method, or "" without a binding.

    `what` names it in errors: `agent resolver`.
    Raises: EntryInvalid when no binding is the default, or it binds no such method.
    """
    bindings = [b for b in implementations(snapshot, contract_id) if is_operators(b.namespace)]
    if not bindings:
        return ""
    defaults = [b for b in bindings if is_default(b, contract_id)]
    if not defaults:
        listed = ", ".join(b.id for b in bindings)
        raise EntryInvalid(
            f"failed to open {what}: no default binding among {listed}",
            where=contract_id,
            fix="give one of them `default: true`",
        )
    binding = defaults[-1]
    function = method_of(binding, contract_id, method)
    if function is None:
        raise EntryInvalid(
            f"failed to open {what}: `{binding.id}` binds no method `{method}`",
            where=binding.id,
            fix=f"write `methods: {{{method}: namespace:function}}`",
        )
    try:
        return snapshot.get(function).id
    except EntryNotFound as error:
        raise EntryInvalid(
            f"failed to open {what}: {error.what}", where=binding.id, fix=error.fix
        ) from error


def function_behind(
    snapshot: Snapshot, wanted: str, contract_id: str, *methods: str, where: str
) -> str:
    """Return the function that `wanted` stands for: itself, or what a binding names.

    Raises: EntryNotFound for an id that there is not; EntryInvalid for something else.
    """
    entry = snapshot.get(wanted)
    if entry.kind.startswith("function."):
        return entry.id
    found = method_of(entry, contract_id, *methods) if entry.kind == "contract.binding" else None
    if found is not None:
        return snapshot.get(found).id
    raise EntryInvalid(
        f"`{wanted}` is no {contract_id.partition(':')[2]}: a `{entry.kind}` without a method "
        f"`{methods[0]}`",
        where=where,
        fix=f"name a function, or a contract.binding of {contract_id}",
    )
