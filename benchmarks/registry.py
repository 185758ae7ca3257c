"""The registry with many entries: change, look up, find, load; and the entries as files."""

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.compare import Size
from benchmarks.server import Server
from benchmarks.table import Row, absolute
from micro_agi.registry.entry import Entry
from micro_agi.registry.load import load_app
from micro_agi.registry.registry import Registry
from micro_agi.security.context import root_context
from micro_agi.store.database import Database

TITLE = "registry: among many entries"
PER_NAMESPACE = 100
BASELINE = [Entry(id="bench:start", kind="registry.entry")]
LOOK_UPS = 20_000


def rows(server: Server, size: Size) -> list[Row]:
    """Fill a registry on disk, then measure it."""
    with tempfile.TemporaryDirectory(prefix="micro-agi-") as folder:
        return asyncio.run(_rows(Path(folder), size))


async def _rows(folder: Path, size: Size) -> list[Row]:
    count = size.entries
    path = folder / "state.db"
    await _fill(path, count)
    start = time.perf_counter()
    database = Database.open(path)
    registry = await Registry.open(database, BASELINE)
    loaded_s = time.perf_counter() - start
    assert len(registry.snapshot()) == count + 1
    change_ms = await _median_ms(size.turns, lambda n: _change(registry, n))
    get_us = _get_us(registry, count)
    find_ms = await _median_ms(size.turns, lambda n: _find(registry, n, count))
    database.close()
    return [
        absolute(
            "one durable change",
            change_ms,
            "ms",
            peer=_bare_commit_ms(folder / "bare.db", size.turns),
            peer_name="bare SQLite commit",
            goal=2,
        ),
        absolute(f"get among {count}", get_us, "µs", goal=3),
        absolute(f"find a namespace of {PER_NAMESPACE} among {count}", find_ms, "ms", goal=1),
        absolute(f"load {count} from the state", loaded_s, "s", goal=3),
        absolute(f"read {count // 10} from YAML files", _yaml_s(folder, count // 10), "s"),
    ]


def entry(number: int) -> Entry:
    """Return one of many entries, as large as a small tool's."""
    return Entry(
        id=f"bench.n{number // PER_NAMESPACE}:entry_{number}",
        kind="registry.entry",
        meta={"type": "bench", "title": f"Entry {number}", "comment": "One of very many entries"},
        data={"number": number, "text": "Some words of content, as entries have. " * 3},
    )


async def _fill(path: Path, count: int) -> None:
    database = Database.open(path)
    registry = await Registry.open(database, BASELINE)
    changes = registry.snapshot().changes()
    for number in range(count):
        changes.create(entry(number))
    await changes.apply(root_context())
    database.close()


async def _change(registry: Registry, number: int) -> None:
    new = Entry(id=f"bench.new:entry_{number}", kind="registry.entry", data={"number": number})
    await registry.snapshot().changes().create(new).apply(root_context())


async def _find(registry: Registry, number: int, count: int) -> None:
    namespace = f"bench.n{number % (count // PER_NAMESPACE)}"
    assert len(registry.find({"namespace": namespace})) == PER_NAMESPACE


def _get_us(registry: Registry, count: int) -> float:
    ids = [entry(number * 7919 % count).id for number in range(LOOK_UPS)]
    get = registry.get
    start = time.perf_counter()
    for entry_id in ids:
        get(entry_id)
    return (time.perf_counter() - start) / LOOK_UPS * 1e6


async def _median_ms(times: int, act: Callable[[int], Awaitable[None]]) -> float:
    taken = []
    for number in range(times):
        start = time.perf_counter()
        await act(number)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000


def _bare_commit_ms(path: Path, times: int) -> float:
    """Return what a durable commit of one row costs here, without anything of ours."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE t(number INTEGER PRIMARY KEY, body BLOB)")
    taken = []
    for number in range(times):
        start = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO t VALUES (?, ?)", (number, b"x" * 500))
        db.execute("COMMIT")
        taken.append(time.perf_counter() - start)
    db.close()
    return statistics.median(taken) * 1000


def _yaml_s(folder: Path, count: int) -> float:
    sources = folder / "app" / "src"
    for namespace in range(count // PER_NAMESPACE or 1):
        file = sources / f"n{namespace}" / "_index.yaml"
        file.parent.mkdir(parents=True)
        first = namespace * PER_NAMESPACE
        entries = (entry(n) for n in range(first, first + min(count, PER_NAMESPACE)))
        texts = [_yaml(e) for e in entries]
        head = f'version: "1.0"\nnamespace: bench.n{namespace}\nentries:\n'
        file.write_text(head + "".join(texts), "utf-8")
    start = time.perf_counter()
    loaded = load_app(folder / "app")
    taken = time.perf_counter() - start
    assert len(loaded.entries) == count
    return taken


def _yaml(given: Entry) -> str:
    meta, data = given.meta, given.data
    return (
        f"  - name: {given.name}\n    kind: {given.kind}\n    meta:\n      type: {meta['type']}\n"
        f"      title: {meta['title']}\n      comment: {meta['comment']}\n"
        f"    number: {data['number']}\n    text: {data['text'].strip()}\n"
    )
