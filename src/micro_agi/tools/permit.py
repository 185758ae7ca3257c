"""Ask the policies on behalf of a host module that the operator granted.

Only the operator's entries can be granted these modules, so using them needs no allow:
what a policy denies is refused (the rule of `tools/host.py`).
"""

from micro_agi.security.context import CallContext
from micro_agi.security.policy import Verdict


def verdict(context: CallContext, action: str, resource: str, **facts: str) -> Verdict:
    """Return what the policies say; `facts` are further fields for their conditions."""
    meta = {"tool": context.tool, "tool_hash": context.tool_hash, **facts}
    return context.scope.plus(context.grants.policies).evaluate(
        context.actor, action, resource, meta
    )


def denied(context: CallContext, action: str, resource: str, **facts: str) -> bool:
    """Whether a policy denies it."""
    return verdict(context, action, resource, **facts).answer == "deny"
