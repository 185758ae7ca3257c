"""Everything that a worker can ask the parent for: the host functions of one runtime.

Only `app` builds this, for the pool; `sandbox.host.calls` decides which call reaches which
function. A new module with host calls is a line here (CONTRIBUTING, "How to add").
"""

import logging
from collections.abc import Callable

from msgspec import Struct

from micro_agi.framework.agents import NewAgent
from micro_agi.framework.host import framework_functions
from micro_agi.framework.state import Frames
from micro_agi.llm.facade import LlmParts
from micro_agi.net.client import Client
from micro_agi.registry.registry import Registry
from micro_agi.sandbox.host.calls import HostFunction
from micro_agi.sandbox.host.clock import time_functions
from micro_agi.sandbox.host.http_client import http_client_functions
from micro_agi.sandbox.host.logger import logger_functions
from micro_agi.sandbox.host.process import Mailboxes
from micro_agi.store.database import Database
from micro_agi.tools.contract import contract_functions
from micro_agi.tools.ctx import ctx_functions
from micro_agi.tools.env import Environment, env_functions
from micro_agi.tools.events import Bus, events_functions
from micro_agi.tools.functions import Functions
from micro_agi.tools.host import registry_functions
from micro_agi.tools.store import store_functions

LOGGER = "micro_agi.tools"
"""What tools print and log goes there; the program decides where it ends."""


class HostParts(Struct, frozen=True, kw_only=True):
    """What the host functions work with."""

    registry: Registry
    """All of it: what a call may know of it, its context says."""
    database: Database
    client: Client
    environment: Environment
    llm: LlmParts
    new_agent: NewAgent
    functions: Callable[[], Functions]
    """Those of the runtime, which need the pool that needs these."""
    frames: Frames
    mailboxes: Mailboxes
    clock: Callable[[], float]
    """Seconds since 1970."""


def host_functions(parts: HostParts) -> dict[str, HostFunction]:
    """Return every host function by its full name: `http_client.get` and so on."""
    return {
        **http_client_functions(parts.client),
        **logger_functions(logging.getLogger(LOGGER)),
        **time_functions(),
        **registry_functions(parts.registry, parts.functions),
        **ctx_functions(),
        **events_functions(Bus()),
        **contract_functions(parts.registry, parts.functions),
        **env_functions(parts.environment),
        **store_functions(parts.registry, parts.database, clock=parts.clock),
        **framework_functions(
            parts.registry,
            parts.llm,
            parts.new_agent,
            frames=parts.frames,
            mailboxes=parts.mailboxes,
        ),
    }
