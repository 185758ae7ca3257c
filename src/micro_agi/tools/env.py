"""Variables of the environment that the operator declared: the module `env`.

Nothing of the process environment is reachable but through an `env.variable` entry, and
a policy that denies any of a variable's names denies the variable.
Source: spec/runtime.md 2.3, 6.13.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from micro_agi.errors import EntryInvalid, EntryNotFound, InputInvalid, PolicyDenied
from micro_agi.registry.entry import Entry
from micro_agi.registry.registry import Registry
from micro_agi.registry.snapshot import Snapshot
from micro_agi.sandbox.host.calls import HostCall, HostFunction
from micro_agi.security.context import CallContext
from micro_agi.tools.permit import denied
from micro_agi.tools.placeholders import fill
from micro_agi.values import Secret, parse_id

MOST_BYTES = 64 << 10
"""Of one value: variables are no file store."""
ROUTER_DEPTH = 8


SECRET = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD)$")
"""Public names whose values are hidden wherever they would appear, as `meta.secret` says it."""


def env_functions(environment: "Environment") -> dict[str, HostFunction]:
    """Return the host functions of the module."""
    return {
        "env.get": HostFunction(run=environment.get, module="env", outside=False),
        "env.get_all": HostFunction(run=environment.get_all, module="env", outside=False),
        "env.set": HostFunction(run=environment.set, module="env", outside=True),
    }


def _is_secret(variable: Entry) -> bool:
    named = SECRET.search(_public_name(variable).upper()) is not None
    return variable.meta.get("secret") is True or named


def is_declared(snapshot: Snapshot, name: str) -> bool:
    """Whether the operator declared a variable of this public name."""
    return next(iter(snapshot.indexed("variable", name)), None) is not None


class Environment:
    """The declared variables of one runtime."""

    def __init__(
        self,
        registry: Registry,
        environ: Mapping[str, str],
        *,
        hide: Callable[[Secret], None],
    ) -> None:
        """Take `environ` as what `env.storage.os` reads; `hide` is told of secret values."""
        self._registry = registry
        self._environ = environ
        self._hide = hide
        self._memory: dict[str, dict[str, str]] = {}

    def filled(self, context: CallContext, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fill `${NAME}` of declared variables into the context of a tool, as it is called.

        Not earlier, so that no prompt, listing or journal has the value. What the policies
        deny, or what has no value, stays as it is.
        """
        if not any(isinstance(v, str) and "${" in v for v in values.values()):
            return values
        known = _Lookup(lambda name: self._placeholder(context, name))
        return {key: fill(value, known, set()) for key, value in values.items()}

    def _placeholder(self, context: CallContext, name: str) -> str:
        variable = next(iter(self._registry.snapshot().indexed("variable", name)), None)
        if variable is None or _denied(context, "get", {variable.id, name}):
            return ""
        value = self._value(variable)
        if value and _is_secret(variable):
            self._hide(Secret(value))
        return value

    def hide_secrets(self) -> None:
        """Have the values of all secret variables hidden, before anybody has read one."""
        for variable in self._variables():
            if _is_secret(variable) and (value := self._value(variable)):
                self._hide(Secret(value))

    async def get(self, call: HostCall) -> Any:
        name = str(call.argument(0))
        variable = self._variable(name, call)
        self._permit(call.context, "get", "access", name, variable)
        value = self._value(variable)
        if not value:
            raise EntryNotFound(f"environment variable not found: {name}", where="env.get")
        return value

    async def get_all(self, call: HostCall) -> Any:
        found = {}
        for variable in self._variables():
            if not _denied(call.context, "get", {variable.id, _public_name(variable)}):
                value = self._value(variable)
                if value:
                    found[_public_name(variable)] = value
        return found

    async def set(self, call: HostCall) -> Any:
        name, value = str(call.argument(0)), str(call.argument(1))
        variable = self._variable(name, call)
        self._permit(call.context, "set", "set", name, variable)
        if variable.data.get("readonly"):
            raise InputInvalid(f"environment variable is read-only: {name}", where=variable.id)
        if len(value.encode()) > MOST_BYTES:
            raise InputInvalid(f"a value has at most {MOST_BYTES} bytes", where=variable.id)
        self._write(_storage_id(variable), _public_name(variable), value, 0)
        return True

    def _variables(self) -> list[Entry]:
        return self._registry.snapshot().find({"kind": "env.variable"})

    def _variable(self, name: str, call: HostCall) -> Entry:
        """Find by public name, else by id, else by a name in the caller's namespace."""
        variables = self._variables()
        named = [v for v in variables if _public_name(v) == name]
        own = str(parse_id(name, default_namespace=parse_id(call.unit.id).namespace))
        for variable in (*named, *(v for v in variables if v.id == own)):
            return variable
        raise EntryNotFound(f"environment variable not found: {name}", where="env")

    def _permit(
        self, context: CallContext, action: str, verb: str, name: str, variable: Entry
    ) -> None:
        if _denied(context, action, {name, variable.id, _public_name(variable)}):
            raise PolicyDenied(
                f"not allowed to {verb} environment variable: {name}", where=f"env.{action}"
            )

    def _value(self, variable: Entry) -> str:
        value = self._read(_storage_id(variable), _public_name(variable), 0)
        return value or str(variable.data.get("default") or "")

    def _storage(self, storage_id: str, depth: int) -> Entry:
        if depth > ROUTER_DEPTH:
            raise EntryInvalid("storages refer to each other in a circle", where=storage_id)
        try:
            return self._registry.snapshot().get(storage_id)
        except EntryNotFound as error:
            raise EntryNotFound(
                f"referenced storage not found: {storage_id}", where="env", fix=error.fix
            ) from error

    def _read(self, storage_id: str, name: str, depth: int) -> str:
        storage = self._storage(storage_id, depth)
        match storage.kind:
            case "env.storage.os":
                return self._environ.get(name, "")
            case "env.storage.memory":
                return self._memory.get(storage.id, {}).get(name, "")
            case "env.storage.router":
                found = (self._read(s, name, depth + 1) for s in _routed(storage))
                return next((value for value in found if value), "")
            case _:
                raise _unusable(storage)

    def _write(self, storage_id: str, name: str, value: str, depth: int) -> None:
        storage = self._storage(storage_id, depth)
        match storage.kind:
            case "env.storage.os":
                raise InputInvalid(f"environment variable is read-only: {name}", where=storage.id)
            case "env.storage.memory":
                self._memory.setdefault(storage.id, {})[name] = value
            case "env.storage.router" if _routed(storage):
                self._write(_routed(storage)[0], name, value, depth + 1)
            case _:
                raise _unusable(storage)


class _Lookup(dict[str, str]):
    """Values by name, asked for when they are needed; an empty one is no value."""

    def __init__(self, ask: Callable[[str], str]) -> None:
        super().__init__()
        self._ask = ask

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name):
            self[str(name)] = self._ask(str(name))
        return bool(self[str(name)])


def _denied(context: CallContext, action: str, names: set[str]) -> bool:
    return any(denied(context, f"env.{action}", name) for name in names)


def _public_name(variable: Entry) -> str:
    return str(variable.data.get("variable") or variable.id)


def _storage_id(variable: Entry) -> str:
    return str(parse_id(str(variable.data["storage"]), default_namespace=variable.namespace))


def _routed(storage: Entry) -> list[str]:
    listed = storage.data.get("storages")
    names = listed if isinstance(listed, list) else []
    return [str(parse_id(str(name), default_namespace=storage.namespace)) for name in names]


def _unusable(storage: Entry) -> EntryInvalid:
    return EntryInvalid(
        f"`{storage.id}` is a `{storage.kind}`, which cannot hold variables yet",
        where=storage.id,
        fix="use env.storage.os, env.storage.memory or env.storage.router",
    )
