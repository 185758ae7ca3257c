"""Whose data a call works with, and where what it stores comes from.

Both are read from the call's context, and no argument of a model can name another: the
user that the call is for, and the `tenant` that the operator put into its values (an agent's
entry, one of its own). A person at their own machine is the tenant "".
"""

from datetime import UTC, datetime

from micro_agi.errors import ArgumentsInvalid
from micro_agi.memory.item import Origin
from micro_agi.security.context import CallContext

TENANT = "tenant"
"""Key of the context's values."""


def tenant_of(context: CallContext) -> str:
    """Return whose data a call works with.

    Raises: ArgumentsInvalid when the context names no text.
    """
    tenant = context.values.get(TENANT, "")
    if not isinstance(tenant, str):
        raise ArgumentsInvalid(
            f"`{TENANT}` of the context is no text", where=context.where, fix="give a name"
        )
    # No tenant that somebody gives is a user's: `@` comes from here alone.
    if context.user:
        return f"@{context.user}/{tenant}"
    return tenant if not tenant.startswith("@") else f"@/{tenant}"


def origin_of(context: CallContext) -> Origin:
    """Return where a call comes from."""
    return Origin(
        actor=context.actor.id,
        agent=context.agent,
        session=context.session,
        turn=context.turn,
        call_id=context.call_id,
        model=context.model,
    )


def moment(at: float) -> str:
    """Return a time as text, in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
