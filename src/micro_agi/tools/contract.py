"""Contracts and their bindings: the module `contract`.

A binding says which function each method of a contract is. It is looked up again at every
call, with the context of that call: what an instance in a worker says about itself is
no more than a wish. Functions are called through the same door as `funcs.call`.
Source: spec/runtime.md 2.10, 6.17.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from micro_agi.errors import EntryNotFound, InputInvalid, PolicyDenied
from micro_agi.registry.entry import Entry
from micro_agi.registry.registry import Registry
from micro_agi.sandbox.host.calls import HostCall, HostFunction
from micro_agi.security.context import CallContext
from micro_agi.tools.binding import bound, contracts_of, implementations, is_default, method_of
from micro_agi.tools.functions import Functions
from micro_agi.tools.host import Calling
from micro_agi.tools.permit import denied
from micro_agi.values import as_object, parse_id


def contract_functions(
    registry: Registry, functions: Callable[[], Functions]
) -> dict[str, HostFunction]:
    """Return the host functions of the module."""
    contracts = _Contracts(registry, Calling(registry, functions))
    inside = {
        "contract.get": contracts.get,
        "contract.implementations": contracts.implementations,
        "contract.implements": contracts.implements,
        "contract.open": contracts.open,
        "contract.allow": contracts.allow,
    }
    found = {
        name: HostFunction(run=run, module="contract", outside=False)
        for name, run in inside.items()
    }
    found["contract.call"] = HostFunction(
        run=contracts.call, module="contract", outside=True, keep_bytes=True, needs="worker"
    )
    return found


class _Contracts:
    def __init__(self, registry: Registry, calling: Calling) -> None:
        self._registry = registry
        self._calling = calling

    async def get(self, call: HostCall) -> Any:
        definition = self._definition(str(call.argument(0)))
        _permit(call.context, "contract.get", definition.id)
        return {"id": definition.id, "methods": _methods(definition)}

    async def implementations(self, call: HostCall) -> Any:
        definition = self._definition(str(call.argument(0)))
        _permit(call.context, "contract.implementations", definition.id)
        return [b.id for b in implementations(self._registry.snapshot(), definition.id)]

    async def implements(self, call: HostCall) -> Any:
        binding = self._binding(str(call.argument(0)))
        return bound(binding, str(call.argument(1))) is not None

    async def open(self, call: HostCall) -> Any:
        """Check that a binding can be used with these values; return what it offers."""
        wanted, options = call.argument(1), as_object(call.argument(2))
        binding, contract_id = self._resolve(str(call.argument(0) or ""), wanted)
        _permit(call.context, "contract.open", binding.id)
        facts = bound(binding, contract_id) or {}
        values = {**call.context.values, **as_object(options.get("context"))}
        required = facts.get("context_required")
        missing = [k for k in required if k not in values] if isinstance(required, list) else []
        if missing:
            listed = ", ".join(str(key) for key in missing)
            raise InputInvalid(f"missing required context keys: [{listed}]", where=binding.id)
        names = [m["name"] for m in _methods(self._definition(contract_id))]
        return {"binding": binding.id, "contract": contract_id, "methods": names}

    async def allow(self, call: HostCall) -> Any:
        right = str(call.argument(0))
        _permit(call.context, f"contract.{right}", right)
        return await self._calling.allow(call)

    async def call(self, call: HostCall) -> Any:
        binding_id, contract_id, method = (str(call.argument(n)) for n in range(3))
        target = method_of(self._binding(binding_id), contract_id, method)
        if target is None:
            raise EntryNotFound(f"method '{method}' not bound", where=binding_id)
        _permit(call.context, "contract.call", method)
        return await self._calling.call(replace(call, args=[target, call.args[3], *call.args[4:]]))

    def _definition(self, contract_id: str) -> Entry:
        entry = self._registry.snapshot().get(contract_id)
        if entry.kind != "contract.definition":
            raise EntryNotFound(f"contract not found: {contract_id}", where="contract")
        return entry

    def _binding(self, binding_id: str) -> Entry:
        entry = self._registry.snapshot().get(binding_id)
        if entry.kind != "contract.binding":
            raise EntryNotFound(f"binding not found: {binding_id}", where="contract")
        return entry

    def _resolve(self, binding_id: str, contract_id: Any) -> tuple[Entry, str]:
        """Return the binding and the contract that are meant when one may be left open."""
        if binding_id:
            binding = self._binding(binding_id)
            if not isinstance(contract_id, str):
                listed = contracts_of(binding)
                first = next((str(c.get("contract")) for c in listed), "")
                contract_id = str(parse_id(first, default_namespace=binding.namespace))
            if bound(binding, contract_id) is None:
                raise EntryNotFound(
                    f"`{binding_id}` does not bind contract '{contract_id}'", where=binding_id
                )
            return binding, contract_id
        wanted = str(contract_id)
        bindings = implementations(self._registry.snapshot(), wanted)
        defaults = [b for b in bindings if is_default(b, wanted)]
        if not defaults:
            raise EntryNotFound(f"no default binding for contract '{wanted}'", where="contract")
        return defaults[-1], wanted


def _methods(definition: Entry) -> list[dict[str, Any]]:
    listed = definition.data.get("methods")
    methods = [dict(as_object(m)) for m in listed] if isinstance(listed, list) else []
    return [m for m in methods if isinstance(m.get("name"), str)]


def _permit(context: CallContext, action: str, resource: str) -> None:
    if denied(context, action, resource):
        raise PolicyDenied(f"not allowed: {action} on {resource}", where=action)
