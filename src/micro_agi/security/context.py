"""The authority and the place that travel with every call.

A `CallContext` is made at the outermost edge (a terminal, a request, a session's turn),
narrowed for each call inside it, and passed explicitly. There is no ambient one: code
without a context can do nothing. Only the command line and embedders make a root context.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from micro_agi.errors import PolicyDenied
from micro_agi.security.actor import ROOT, Actor
from micro_agi.security.policy import Policy, Scope, Verdict, denial


class Trial(Struct, frozen=True, kw_only=True):
    """A draft tool is being tried: nothing may reach outside."""

    host: Mapping[str, Any] = field(default_factory=dict)
    """Canned answers by host function: `{"http_client.get": {"status_code": 200, "body": "…"}}`."""
    now_ns: int | None = None
    """What `time.now()` says, in nanoseconds since 1970."""


class CallContext(Struct, frozen=True, kw_only=True):
    """The authority and the place of one call.

    Every door takes one. `narrowed` derives the context of a nested call; nothing widens.
    """

    actor: Actor
    scope: Scope
    """Policies that answer for the actor."""
    within: tuple[tuple[Actor, Scope], ...] = ()
    """Who asked the actor to act, outermost first: a delegate may do only what all of them
    may. A person's answer for exactly this call (`grants`) needs no allow of theirs."""
    root: bool = False
    """A person at the command line, or the embedder: every door opens."""
    agent: str = ""
    """Id of the agent entry whose turn this is, or ""."""
    user: str = ""
    """For whom it happens, where a program works for several users; "" without users."""
    session: str = ""
    turn: int = 0
    call_id: str = ""
    """The model's id of the tool call in flight, or ""."""
    idempotency_key: str = ""
    """Under which a call of an idempotent tool runs, however often; "" for other calls."""
    fence: int = 0
    """Token of the session's lease: once another process has taken the session over, what
    this call would write is refused. 0 outside sessions."""
    model: str = ""
    """Name of the model that asked for it: provenance."""
    tool: str = ""
    """Registry id of the innermost function that runs."""
    tool_hash: str = ""
    """Content hash of that entry: grants are bound to it."""
    depth: int = 0
    """How many `funcs.call` lie around it."""
    deadline: float | None = None
    """On the event loop's clock, seconds."""
    grants: Scope = field(default_factory=Scope)
    """What the innermost function itself may do on top of `scope`: the hosts its operator
    gave it, the answers a person gave for exactly this version of it. Never inherited."""
    trial: Trial | None = None
    reason: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What Lua's `ctx.get` sees: the session's and the tool's context."""

    def narrowed(self, **changes: Any) -> "CallContext":
        """Return a copy with some fields replaced; `root` can only be given up.

        Raises: PolicyDenied for a call that would become root or another user's, or leave
        the trial it is in.
        """
        if changes.get("root") and not self.root:
            raise PolicyDenied("a call cannot become root", where=self.where)
        if changes.get("user", self.user) != self.user and not self.root:
            raise PolicyDenied("a call cannot become another user's", where=self.where)
        if self.trial is not None and changes.get("trial", self.trial) is None:
            raise PolicyDenied("a call cannot leave its trial", where=self.where)
        return replace(self, **changes)

    def evaluate(self, action: str, resource: str) -> Verdict:
        """Return what all scopes and the innermost function's grants answer together.

        Any deny denies. A grant allows; without one, everybody in the chain must.
        """
        request = {"tool": self.tool, "tool_hash": self.tool_hash}
        verdicts = [s.evaluate(a, action, resource, request) for a, s in self.chain]
        for verdict in verdicts:
            if verdict.answer == "deny":
                return verdict
        granted = self.grants.evaluate(self.actor, action, resource, request)
        if granted.answer != "undefined":
            return granted
        return next((v for v in verdicts if not v.allowed), verdicts[-1])

    @property
    def sees(self) -> str | None:
        """Whose entries it may know (`tenancy.visible`): None is the operator, who sees all."""
        return None if self.root and not self.user else self.user

    @property
    def chain(self) -> tuple[tuple[Actor, Scope], ...]:
        """Everybody whose authority this call has, with the actor itself last."""
        return (*self.within, (self.actor, self.scope))

    def delegated(self, actor: Actor, scope: Scope, **changes: Any) -> "CallContext":
        """Return the context of an agent that acts for this one: the intersection of both."""
        return self.narrowed(
            actor=actor, scope=scope, within=self.chain, grants=Scope(), root=False, **changes
        )

    def require(self, action: str, resource: str) -> None:
        """Return quietly if exactly allowed, else raise `PolicyDenied`."""
        verdict = self.evaluate(action, resource)
        if not verdict.allowed:
            raise denial(verdict, action, resource)

    def forbid_denied(self, action: str, resource: str) -> None:
        """Return quietly unless a policy denies it; for what a grant elsewhere allows already."""
        verdict = self.evaluate(action, resource)
        if verdict.answer == "deny":
            raise denial(verdict, action, resource)

    @property
    def where(self) -> str:
        """Who and where, for the `where` of a refusal."""
        return self.actor.id + (f" in session {self.session}" if self.session else "")


EVERYTHING = Scope((Policy(id="system:root", effect="allow"),))


def root_context(*, user: str = "", session: str = "", reason: str = "") -> CallContext:
    """Make the context of a person at the command line or of an embedder: all doors open.

    With a user, only the doors to what that user may know.
    """
    return CallContext(
        actor=ROOT, scope=EVERYTHING, root=True, user=user, session=session, reason=reason
    )
