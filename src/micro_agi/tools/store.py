"""Keys and values that last, by store entry, in the state database: the module `store`.

Every write gives its key a new version, from one counter of the store, so a version is
never seen twice. What has expired is absent at once and removed by the next write.
Source: spec/runtime.md 6.16.
"""

import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from micro_agi.errors import EntryNotFound, InputInvalid, PolicyDenied
from micro_agi.registry.registry import Registry
from micro_agi.sandbox.failure import LuaFacts, tool_failed
from micro_agi.sandbox.host.calls import HostCall, HostFunction
from micro_agi.store.database import Database
from micro_agi.tools.permit import denied
from micro_agi.values import as_object

KIND = "store.sql"
MOST_KEY_BYTES = 1024
LISTED = 100
MOST_LISTED = 1000
LISTED_BYTES = 512 << 10
"""Of the values in one page of a list: an answer must fit into the caller's memory."""


def store_functions(
    registry: Registry, database: Database, *, clock: Callable[[], float]
) -> dict[str, HostFunction]:
    """Return the host functions of the module; `clock` decides what has expired."""
    stores = _Stores(registry, database, clock)
    reading = {
        "store.open": stores.open,
        "store.info": stores.info,
        "store.key.get": stores.get,
        "store.key.list": stores.list,
    }
    writing = {"store.key.set": stores.put, "store.key.delete": stores.delete}
    return {
        name: HostFunction(run=run, module="store", outside=name in writing, keep_bytes=True)
        for name, run in (reading | writing).items()
    }


class _Put(Struct, frozen=True, kw_only=True):
    """One write, as the options say."""

    key: str
    value: bytes
    ttl_s: float | None
    only_if_absent: bool
    if_version: int | None


class _Stores:
    def __init__(self, registry: Registry, database: Database, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._database = database
        self._clock = clock

    async def open(self, call: HostCall) -> Any:
        store = self._store(call)
        _permit(call, "store.get", store)
        return store

    async def info(self, call: HostCall) -> Any:
        store = self._store(call)
        _permit(call, "store.info", store)
        now = self._clock()

        def count(connection: sqlite3.Connection) -> int:
            row = connection.execute(
                f"SELECT count(*) FROM store_items WHERE store = ? AND {ALIVE}",  # noqa: S608 - our own text
                (store, now),
            ).fetchone()
            return int(row[0])

        return {"id": store, "kind": KIND, "keys": await self._database.read(count)}

    async def get(self, call: HostCall) -> Any:
        """Return `{key, value, version}`, or nothing."""
        store, key = self._store(call), _key(call.argument(1))
        _permit(call, "store.key.has" if call.argument(2) else "store.key.get", store, key=key)
        now = self._clock()
        row = await self._database.read(lambda connection: _row(connection, store, key, now))
        return None if row is None else _entry(key, *row)

    async def put(self, call: HostCall) -> Any:
        store, key = self._store(call), _key(call.argument(1))
        _permit(call, "store.key.set", store, key=key)
        options = as_object(call.argument(3))
        version = options.get("if_version")
        put = _Put(
            key=key,
            value=msgspec.msgpack.encode(call.argument(2)),
            ttl_s=_seconds(options.get("ttl")),
            only_if_absent=options.get("only_if_absent") is True,
            if_version=None if version is None else _whole(version, "if_version"),
        )
        now = self._clock()
        version = await self._database.write(lambda connection: _write(connection, store, put, now))
        return {"key": key, "value": call.argument(2), "version": version}

    async def delete(self, call: HostCall) -> Any:
        store, key = self._store(call), _key(call.argument(1))
        _permit(call, "store.key.delete", store, key=key)
        now = self._clock()

        def run(connection: sqlite3.Connection) -> bool:
            _forget_expired(connection, store, now)
            done = connection.execute(
                "DELETE FROM store_items WHERE store = ? AND key = ?", (store, key)
            )
            return done.rowcount > 0

        return await self._database.write(run)

    async def list(self, call: HostCall) -> Any:
        store, options = self._store(call), as_object(call.argument(1))
        prefix, after = _text(options.get("prefix")), _text(options.get("after"))
        _permit(call, "store.key.list", store, prefix=prefix)
        limit = _whole(options.get("limit") or LISTED, "limit")
        limit = max(1, min(limit, MOST_LISTED))
        now = self._clock()
        rows = await self._database.read(
            lambda connection: _page(connection, store, prefix, after, now, limit + 1)
        )
        items: list[dict[str, Any]] = []
        size = 0
        for key, value, version in rows[:limit]:
            size += len(value)
            if items and size > LISTED_BYTES:
                break
            items.append(_entry(key, value, version))
        more = len(items) < len(rows)
        page: dict[str, Any] = {"items": items, "has_more": more}
        return page | ({"cursor": items[-1]["key"]} if more else {})

    def _store(self, call: HostCall) -> str:
        store = str(call.argument(0))
        entry = self._registry.snapshot().get(store)
        if entry.kind != KIND:
            raise EntryNotFound(
                f"`{store}` is a `{entry.kind}`, no store", where="store", fix=f"use a {KIND} entry"
            )
        return store


ALIVE = "(expires IS NULL OR expires > ?)"


def _row(
    connection: sqlite3.Connection, store: str, key: str, now: float
) -> tuple[bytes, int] | None:
    row: tuple[bytes, int] | None = connection.execute(
        f"SELECT value, version FROM store_items WHERE store = ? AND key = ? AND {ALIVE}",  # noqa: S608 - our own text
        (store, key, now),
    ).fetchone()
    return row


def _page(
    connection: sqlite3.Connection, store: str, prefix: str, after: str, now: float, limit: int
) -> list[tuple[str, bytes, int]]:
    # Keys that begin with the prefix lie together, so the key's own order finds them.
    return connection.execute(
        f"SELECT key, value, version FROM store_items WHERE store = ? AND {ALIVE}"  # noqa: S608 - our own text
        " AND key > ? AND key >= ? AND substr(key, 1, length(?)) = ? ORDER BY key LIMIT ?",
        (store, now, after, prefix, prefix, prefix, limit),
    ).fetchall()


def _write(connection: sqlite3.Connection, store: str, put: _Put, now: float) -> int:
    _forget_expired(connection, store, now)
    row = _row(connection, store, put.key, now)
    if put.only_if_absent and row is not None:
        raise tool_failed(LuaFacts(kind="AlreadyExists", message=f"key already exists: {put.key}"))
    if put.if_version is not None and (row is None or row[1] != put.if_version):
        found = "absent" if row is None else str(row[1])
        message = f"version conflict: {put.key} is at {found}, not {put.if_version}"
        raise tool_failed(LuaFacts(kind="Conflict", message=message, retryable=True))
    (version,) = connection.execute(
        "INSERT INTO store_versions VALUES (?, 1)"
        " ON CONFLICT (store) DO UPDATE SET version = version + 1 RETURNING version",
        (store,),
    ).fetchone()
    connection.execute(
        "INSERT OR REPLACE INTO store_items VALUES (?, ?, ?, ?, ?)",
        (store, put.key, put.value, version, None if put.ttl_s is None else now + put.ttl_s),
    )
    return int(version)


def _forget_expired(connection: sqlite3.Connection, store: str, now: float) -> None:
    connection.execute("DELETE FROM store_items WHERE store = ? AND expires <= ?", (store, now))


def _permit(call: HostCall, action: str, store: str, **facts: str) -> None:
    if denied(call.context, action, store, **facts):
        raise PolicyDenied(f"not allowed: {action} on {store}", where=action)


def _entry(key: str, value: bytes, version: int) -> dict[str, Any]:
    return {"key": key, "value": msgspec.msgpack.decode(value), "version": version}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _key(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InputInvalid("key is required", where="store")
    if len(value.encode()) > MOST_KEY_BYTES:
        raise InputInvalid(f"a key has at most {MOST_KEY_BYTES} bytes", where="store")
    return value


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputInvalid("ttl must be a number of seconds", where="store")
    return float(value) if value > 0 else None


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputInvalid(f"{name} must be a whole number", where="store")
    return value
