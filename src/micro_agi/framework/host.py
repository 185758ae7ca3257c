"""Put together what Lua code sees of models, agents and messages."""

from collections.abc import Mapping
from typing import Any

from micro_agi.framework.agents import AgentDoor, NewAgent, agents_functions
from micro_agi.framework.models import llm_functions
from micro_agi.framework.state import Frames
from micro_agi.llm.facade import LlmParts
from micro_agi.llm.structured import Violations
from micro_agi.registry.registry import Registry
from micro_agi.sandbox.host.calls import HostFunction
from micro_agi.sandbox.host.process import Mailboxes, process_functions
from micro_agi.tools.schemas import validator_for


def framework_functions(
    registry: Registry, llm: LlmParts, new_agent: NewAgent, *, frames: Frames, mailboxes: Mailboxes
) -> dict[str, HostFunction]:
    """Return the host functions of the modules `llm`, `agents` and `process`."""
    door = AgentDoor(
        registry=registry, new_agent=new_agent, llm=llm, mailboxes=mailboxes, frames=frames
    )
    return {
        **process_functions(mailboxes),
        **llm_functions(llm, mailboxes, frames),
        **agents_functions(door),
    }


def compile_schema(schema: Mapping[str, Any]) -> Violations:
    """Return what says, for a value, where it does not fit a schema.

    Raises: ArgumentsInvalid for a schema that is none, or refers to another document.
    """
    validator = validator_for(schema, where="schema")

    def violations(value: Any) -> list[str]:
        return [f"{_path(e.instance_path)}: {e.message}" for e in validator.iter_errors(value)]

    return violations


def _path(steps: list[str | int]) -> str:
    return "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in steps)
