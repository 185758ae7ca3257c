"""A sandbox for tests: real locked workers behind one synchronous object."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from micro_agi.sandbox.host.calls import HostFunction
from micro_agi.sandbox.kept_zygotes import KeptZygotes
from micro_agi.sandbox.limits import PYTHON, Limits
from micro_agi.sandbox.modules import MODULES
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit
from micro_agi.security.context import CallContext, root_context

SHORT = Limits(wall_s=0.5, total_s=5.0)
"""Enough for any test's code, even on a busy machine; a runaway is stopped soon."""


SHORT_PYTHON = replace(PYTHON, wall_s=2.0, total_s=10.0, grace_s=0.3)


class LuaBench:
    """Runs Lua in one pool on one event loop of its own. `close` ends it."""

    def __init__(
        self,
        *,
        host: Mapping[str, HostFunction] | None = None,
        limits: Limits = SHORT,
        python: Limits = SHORT_PYTHON,
        workers: int = 4,
        without: frozenset[str] = frozenset(),
        kept: KeptZygotes | None = None,
    ) -> None:
        self._runner = asyncio.Runner()
        self.loop = self._runner.get_loop()
        self.pool = Pool(
            host=host or {},
            limits=limits,
            workers=workers,
            without=without,
            python=python,
            kept=kept,
        )
        self.wait(self.pool.start())

    def wait(self, coroutine: Any) -> Any:
        """Run a coroutine on the bench's loop and return its result."""
        return self._runner.run(coroutine)

    def run(
        self,
        source: str,
        *args: Any,
        modules: tuple[str, ...] = (),
        imports: tuple[tuple[str, Unit], ...] = (),
        method: str = "handler",
        context: CallContext | None = None,
        limits: Limits | None = None,
    ) -> Any:
        """Call the chunk's method as the unit `test:unit` and return its result."""
        unit = Unit(id="test:unit", source=source, method=method, modules=modules, imports=imports)
        context = context or root_context()
        return self.wait(self.pool.call(unit, args, context=context, limits=limits))

    def python(
        self,
        source: str,
        *args: Any,
        modules: tuple[str, ...] = (),
        imports: tuple[tuple[str, Unit], ...] = (),
        method: str = "handler",
        context: CallContext | None = None,
        limits: Limits | None = None,
        printed: Callable[[str], None] | None = None,
    ) -> Any:
        """Call a function of a Python source as the unit `test:unit` and return its result."""
        unit = Unit(
            id="test:unit",
            source=source,
            method=method,
            modules=modules,
            imports=imports,
            language="python",
        )
        context = context or root_context()
        return self.wait(
            self.pool.call(unit, args, context=context, limits=limits, printed=printed)
        )

    def value(self, expression: str, **options: Any) -> Any:
        """Return what a Lua expression list gives, as a list; every built module is granted."""
        granted = tuple(name for name, module in MODULES.items() if module.available)
        source = f"return function() return {{ {expression} }} end"
        return self.run(source, modules=granted, **options)

    def close(self) -> None:
        self.wait(self.pool.close())
        self._runner.close()
