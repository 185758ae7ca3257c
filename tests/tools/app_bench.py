"""Real workers over a real registry, for the modules whose functions need one."""

import asyncio
import time
from contextlib import contextmanager

from micro_agi.sandbox.kept_zygotes import current
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext, root_context
from micro_agi.security.policy import Policy, Scope
from micro_agi.store.database import Database
from micro_agi.testing.registry import memory_registry
from micro_agi.testing.sandbox import LuaBench
from micro_agi.tools.contract import contract_functions
from micro_agi.tools.ctx import ctx_functions
from micro_agi.tools.env import Environment, env_functions
from micro_agi.tools.events import Bus, events_functions
from micro_agi.tools.functions import Functions
from micro_agi.tools.host import registry_functions
from micro_agi.tools.store import store_functions


class AppBench:
    """Runs Lua as the operator's entry `app:unit`, with every module that is built."""

    def __init__(self, entries, *, environ=None, clock=time.time):
        self.database = Database.open(None)
        self.registry = asyncio.run(memory_registry(entries, database=self.database))
        self.bus = Bus()
        self.host = {
            **registry_functions(self.registry, lambda: self.functions),
            **ctx_functions(),
            **contract_functions(self.registry, lambda: self.functions),
            **events_functions(self.bus),
            **env_functions(Environment(self.registry, environ or {}, hide=lambda _: None)),
            **store_functions(self.registry, self.database, clock=clock),
        }
        self.lua = LuaBench(host=self.host, kept=current())
        self.functions = Functions(self.registry, self.lua.pool)

    def run(self, body, *, modules=(), context=None):
        """Run statements and return what they return."""
        source = f"return function() {body} end"
        return self.lua.run(source, modules=modules, context=context or root_context())

    def close(self):
        self.lua.close()
        self.database.close()


@contextmanager
def app_bench(entries, **options):
    bench = AppBench(entries, **options)
    try:
        yield bench
    finally:
        bench.close()


def denying(*rules, **values):
    """Return a context in which everything is allowed but these pairs of action and resource."""
    policies = [Policy(id="test:allow", effect="allow")]
    for number, (action, resource) in enumerate(rules):
        policies.append(
            Policy(id=f"test:deny{number}", effect="deny", actions=(action,), resources=(resource,))
        )
    return CallContext(actor=Actor("user:1"), scope=Scope(tuple(policies)), values=values)
