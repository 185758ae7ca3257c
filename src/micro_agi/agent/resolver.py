"""Find the definition behind an agent's identifier: the app's own resolver, then the registry.

An app that keeps agents elsewhere (a database, one set for each user) binds the contract
`wippy.agent:resolver`. Its method `resolve` gets `{agent_id}` and returns a definition, or
nothing, and then the registry is asked by id and by name. An error of the resolver is final:
falling back could give somebody an agent that the resolver meant to refuse.

Source: spec/agent.md 5, seed 003 "Resolver Contract".
"""

from collections.abc import Callable, Mapping
from typing import Any

from micro_agi.agent.spec import AgentSpec, find_agent, inline_spec, near_agents
from micro_agi.agent.traits import Call
from micro_agi.errors import EntryInvalid, MicroAgiError
from micro_agi.registry.snapshot import Snapshot
from micro_agi.tools.binding import default_function

CONTRACT = "wippy.agent:resolver"


async def resolve_agent(
    snapshot: Snapshot,
    wanted: str,
    *,
    call: Call,
    is_operators: Callable[[str], bool],
    values: Mapping[str, Any],
) -> AgentSpec:
    """Return the definition of the agent that `wanted` names.

    `values` is what the resolver's `ctx` shows: whose session it is, for instance.
    Raises: what the resolver raised, with its kind, behind "failed to resolve agent";
        EntryNotFound with the nearest agents when nobody knows it.
    """
    function = resolver_function(snapshot, is_operators)
    if function and wanted:
        try:
            answer = await call(function, [{"agent_id": wanted}], values)
        except MicroAgiError as error:
            said = f"failed to resolve agent: {error.what}"
            # A resolver in Lua says that it knows no such agent, and seldom which there are.
            fix = error.fix or ("" if wanted in snapshot else near_agents(snapshot, wanted))
            raise type(error)(said, where=error.where or function, fix=fix) from error
        if answer is not None:
            return _spec(answer, wanted, function)
    return find_agent(snapshot, wanted)


def resolver_function(snapshot: Snapshot, is_operators: Callable[[str], bool]) -> str:
    """Return the function that the operator bound to the contract, or "" when there is none.

    Raises: EntryInvalid when no binding is the default, or it binds no method `resolve`.
    """
    return default_function(
        snapshot, CONTRACT, "resolve", is_operators=is_operators, what="agent resolver"
    )


def _spec(answer: Any, wanted: str, function: str) -> AgentSpec:
    if not isinstance(answer, Mapping):
        raise EntryInvalid(
            f"failed to resolve agent: the resolver returned a {type(answer).__name__}",
            where=function,
            fix="return a map with the keys of an agent's entry, or nothing",
        )
    return inline_spec({**answer, "id": answer.get("id") or wanted})
