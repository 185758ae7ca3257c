"""Examine one part after another: versions, disk, state, app, sandbox, documentation, model.

Each examination stands alone, so that one broken part does not hide the others. What a
person still has to do (there is no model yet) is not called broken.
"""

import importlib.metadata
import platform
import shutil
import sqlite3
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Literal, cast

from msgspec import Struct

from micro_agi.agent.spec import find_agent
from micro_agi.app import Runtime
from micro_agi.commands.invocation import Invocation
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import count
from micro_agi.errors import MicroAgiError, SandboxUnavailable, ToolFailed
from micro_agi.home import remember, switched_off
from micro_agi.llm.discovery import list_models
from micro_agi.memory.meaning import FIX as EMBED_FIX
from micro_agi.sandbox import kept_zygotes
from micro_agi.sandbox.fork_server import Level
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.shell import run_shell
from micro_agi.sandbox.unit import Unit
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext
from micro_agi.security.policy import Scope
from micro_agi.settings import Settings, misspelt, process_environment
from micro_agi.store.database import SQLITE_FLOOR
from micro_agi.tools.docs import Docs

State = Literal["ok", "todo", "broken"]
LOW_DISK_BYTES = 500 << 20
FULL_DISK_BYTES = 20 << 20
MODEL_TIMEOUT_S = 5.0

PYTHON_SUM = Unit(
    id="doctor:python",
    source="def handler(args): return args['a'] * args['b']",
    method="handler",
    language="python",
)
ARITHMETIC = Unit(
    id="doctor:arithmetic",
    source="return { handler = function(args) return args.a * args.b end }",
    method="handler",
)
ESCAPE = Unit(
    id="doctor:escape",
    source="return { handler = function() return os.execute('true') end }",
    method="handler",
)
NO_AUTHORITY = CallContext(actor=Actor("doctor"), scope=Scope())


class Finding(Struct, frozen=True, kw_only=True):
    """What one examination found."""

    part: str
    state: State
    what: str
    fix: str = ""


async def examine(invocation: Invocation) -> AsyncGenerator[Finding, None]:
    """Yield findings as they are made."""
    for finding in (*versions(), *_variables(), _docs(), _disk(invocation)):
        yield finding
    async with aclosing(_sandbox(invocation.settings)) as findings:
        async for finding in findings:
            yield finding
    yield await _shell()
    async with aclosing(_runtime(invocation)) as findings:
        async for finding in findings:
            yield finding


def versions() -> list[Finding]:
    """Return the versions of what everything stands on."""
    import lupa.lua54  # loads the interpreter, which only this part of this process needs

    floor = ".".join(map(str, SQLITE_FLOOR))
    old = sqlite3.sqlite_version_info < SQLITE_FLOOR
    lua = ".".join(map(str, lupa.lua54.LuaRuntime().lua_version))
    ours, lupas = (importlib.metadata.version(name) for name in ("micro-agi", "lupa"))
    return [
        Finding(part="micro-agi", state="ok", what=ours),
        Finding(
            part="python",
            state="ok",
            what=f"{platform.python_version()} on {platform.system()} {platform.release()}",
        ),
        Finding(part="lua", state="ok", what=f"{lua} (lupa {lupas})"),
        Finding(
            part="sqlite",
            state="broken" if old else "ok",
            what=sqlite3.sqlite_version,
            fix=f"use a Python with SQLite {floor} or newer" if old else "",
        ),
    ]


def _variables() -> list[Finding]:
    """Return the variables that begin like settings and are none."""
    return [
        Finding(
            part="settings",
            state="todo",
            what=f"`{name}` is set and is no setting",
            fix=f"did you mean {near}?" if near else "`micro-agi config show` lists them",
        )
        for name, near in misspelt(process_environment()).items()
    ]


def _docs() -> Finding:
    try:
        pages = Docs().corpus.pages
    except MicroAgiError as error:
        return _broken("docs", error)
    if not pages:
        return Finding(
            part="docs",
            state="broken",
            what="the bundled pages are missing",
            fix="install micro-agi again",
        )
    return Finding(part="docs", state="ok", what=count(len(pages), "page"))


def _disk(invocation: Invocation) -> Finding:
    try:
        home = invocation.home
        free = shutil.disk_usage(home).free
    except OSError as error:
        return Finding(
            part="home",
            state="broken",
            what=f"{error.filename or invocation.settings.home}: {error.strerror}",
            fix="name a directory that you may write with --home",
        )
    what = f"{home}, {free / (1 << 30):.1f} GiB free"
    if free < LOW_DISK_BYTES:
        state: State = "broken" if free < FULL_DISK_BYTES else "todo"
        return Finding(part="home", state=state, what=what, fix="free some space, or move --home")
    return Finding(part="home", state="ok", what=what)


async def _sandbox(settings: Settings) -> AsyncGenerator[Finding, None]:
    """Start a worker of its own, run something, and try something that must not work."""
    pool = Pool(
        host={},
        limits=Limits(memory_bytes=settings.call_memory_bytes),
        workers=1,
        minimum=cast("Level", settings.isolation),  # `settings` takes nothing else
        kept=kept_zygotes.current(),
    )
    try:
        await pool.start()
        isolation = pool.report()
        layers = ", ".join(isolation.layers) or "rlimits only"
        yield Finding(
            part="sandbox",
            state="ok" if isolation.level == "A" else "todo",
            what=f"level {isolation.level}: {layers}",
            fix="; ".join(isolation.missing),
        )
        yield await _try_call(pool)
        yield await _try_escape(pool)
        yield await _python_tools(pool)
    except MicroAgiError as error:
        yield _broken("sandbox", error)
    finally:
        await pool.close()


async def _shell() -> Finding:
    """Run a command in a room of its own; a machine that cannot make one has no shell."""
    with tempfile.TemporaryDirectory(prefix="micro-agi-") as place:
        try:
            result = await run_shell("echo $((2 * 21))", workspace=Path(place))
        except SandboxUnavailable as error:
            return Finding(
                part="shell", state="todo", what="agents cannot run commands", fix=error.where
            )
    if result.output == "42\n":
        what = f"2 * 21 is 42 in a locked room, in {result.seconds * 1000:.0f} ms"
        return Finding(part="shell", state="ok", what=what)
    return Finding(
        part="shell",
        state="broken",
        what=f"2 * 21 is {result.output.strip() or result.errors.strip() or result.ended_by}",
        fix="`bash -c 'echo $((2 * 21))'` has to work here",
    )


async def _try_call(pool: Pool) -> Finding:
    start = time.perf_counter()
    result = await pool.call(ARITHMETIC, [{"a": 2, "b": 21}], context=NO_AUTHORITY)
    took_ms = (time.perf_counter() - start) * 1000
    if result == 42:
        return Finding(part="worker", state="ok", what=f"2 * 21 is 42, in {took_ms:.1f} ms")
    return Finding(
        part="worker",
        state="broken",
        what=f"2 * 21 is {result}",
        fix="install lupa again: `pip install --force-reinstall lupa`",
    )


async def _python_tools(pool: Pool) -> Finding:
    """Say what interprets Python tools: CPython, or what stands in for it."""
    try:
        backend, why = await pool.python_backend()
        result = await pool.call(PYTHON_SUM, [{"a": 2, "b": 21}], context=NO_AUTHORITY)
    except SandboxUnavailable as error:
        what = f"refused: {error.what}"
        return Finding(part="py tools", state="todo", what=what, fix=error.fix)
    if result != 42:
        return Finding(part="py tools", state="broken", what=f"2 * 21 is {result} in {backend}")
    if not why:
        return Finding(part="py tools", state="ok", what=f"{backend}: 2 * 21 is 42")
    what = f"{backend}, a subset of Python, runs them: {why}"
    fix = "a kernel with user namespaces or Landlock runs all of Python"
    return Finding(part="py tools", state="todo", what=what, fix=fix)


async def _try_escape(pool: Pool) -> Finding:
    try:
        await pool.call(ESCAPE, [], context=NO_AUTHORITY)
    except SandboxUnavailable:
        raise
    except ToolFailed:
        return Finding(part="escape", state="ok", what="a tool that runs a program is stopped")
    return Finding(
        part="escape",
        state="broken",
        what="a tool could run a program",
        fix="do not run agents here; report this as a security bug",
    )


async def _runtime(invocation: Invocation) -> AsyncGenerator[Finding, None]:
    """Examine what needs the state and the app."""
    try:
        async with open_runtime(invocation) as rt:
            yield _app(rt)
            yield await _state(rt)
            yield _chain(rt)
            for level, escaped in switched_off(rt.database).items():
                yield _switched_off(level, escaped)
            yield await _workspace(rt)
            yield await _model(rt)
            if rt.settings.embed_model:
                yield await _embeddings(rt)
    except MicroAgiError as error:
        yield _broken("app", error)


def _app(rt: Runtime) -> Finding:
    entries = count(len(rt.registry.snapshot()), "entry", "entries")
    if rt.trusted:
        return Finding(part="app", state="ok", what=f"{rt.app.directory}, {entries}")
    return Finding(
        part="app",
        state="todo",
        what=f"{rt.app.directory}, {entries}, not trusted",
        fix="read it; then start it and say yes, or give --yes",
    )


async def _state(rt: Runtime) -> Finding:
    """Write to the database, and let SQLite check it."""
    try:
        remember(rt.database, "doctor", str(int(time.time())))
        said = await rt.database.read(
            lambda db: str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
        )
    except MicroAgiError as error:
        return _broken("state", error)
    path = rt.home / "state.db"
    if said != "ok":
        return Finding(
            part="state",
            state="broken",
            what=f"{path}: {said}",
            fix=f"save what is readable with `sqlite3 {path} .recover`, then use another --home",
        )
    return Finding(part="state", state="ok", what=f"writable and sound, {_size(path)}")


def _size(path: Path) -> str:
    return f"{path.stat().st_size / (1 << 20):.1f} MiB" if path.exists() else "in memory"


def _chain(rt: Runtime) -> Finding:
    broken = rt.registry.history.verify()
    if broken is None:
        number = rt.registry.version
        return Finding(part="registry", state="ok", what=f"v{number}, its history is unbroken")
    return Finding(
        part="registry",
        state="broken",
        what=f"at v{broken.version}: {broken.what}",
        fix="`micro-agi registry export` saves the entries; somebody changed the database by hand",
    )


async def _workspace(rt: Runtime) -> Finding:
    """Write a file where agents may, and read it back."""
    root = rt.workspace.root
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"42")
            file.seek(0)
            sound = file.read() == b"42"
    except OSError as error:
        said = error.strerror or str(error)
        return Finding(
            part="workspace",
            state="broken",
            what=f"{root}: {said}",
            fix="make it writable, or name another directory with --workspace",
        )
    return Finding(part="workspace", state="ok" if sound else "broken", what=f"{root}, writable")


async def _embeddings(rt: Runtime) -> Finding:
    """Embed two texts as memory does."""
    embedder = rt.embedder()
    if embedder is None:
        return Finding(
            part="embeddings",
            state="todo",
            what=f"`{rt.settings.embed_model}` has no server; memory is searched by words only",
            fix="set MICRO_AGI_EMBED_URL to an OpenAI-compatible server, with /v1",
        )
    try:
        vectors = await embedder.embed(["a ship", "bread"])
    except MicroAgiError as error:
        return Finding(
            part="embeddings",
            state="broken",
            what=f"{embedder.model}: {error.what}; memory is searched by words only",
            fix=EMBED_FIX,
        )
    what = f"{embedder.model}, {len(vectors[0])} dimensions"
    return Finding(part="embeddings", state="ok", what=what)


async def _model(rt: Runtime) -> Finding:
    """Choose the model as a session would, and ask its server whether it is there."""
    try:
        agent = find_agent(rt.registry.snapshot(), rt.settings.agent)
        chosen = await rt.models.explain(agent.model)
    except MicroAgiError as error:
        return Finding(part="model", state="todo", what=error.what, fix=error.fix)
    access = chosen.access
    if access is None:
        return Finding(part="model", state="ok", what=chosen.why)
    server = await list_models(
        rt.client,
        access.base_url,
        api_key=access.api_key,
        timeout_s=MODEL_TIMEOUT_S,
        provider=chosen.card.provider.partition(" at ")[0],
    )
    if server is not None:
        return Finding(part="model", state="ok", what=chosen.why)
    return Finding(
        part="model",
        state="broken",
        what=f"{chosen.why}: it does not list its models at {access.base_url}",
        fix="start the server; check the address, the key and the network",
    )


def _switched_off(level: str, escaped: str) -> Finding:
    return Finding(
        part="proof",
        state="broken",
        what=f"isolation level {level} is switched off: {escaped} escaped",
        fix="report it; update the kernel or micro-agi, then run `micro-agi doctor --prove`",
    )


def _broken(part: str, error: MicroAgiError) -> Finding:
    where = f" ({error.where})" if error.where else ""
    return Finding(part=part, state="broken", what=f"{error.what}{where}", fix=error.fix)
