"""Ask a person before a call does something that no policy answers.

A tool declares in its entry (`data.hosts`) what it wants to reach. What the scope allows
or denies is settled; the rest is a question, asked before the call starts. The answer
counts for one call, for the session, or always: then it becomes a policy entry in
`app.grants`, bound to agent, tool and the content hash of the tool, so that a changed
tool asks again. Agents cannot write that namespace.

Source: DESIGN 6.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from micro_agi.errors import InputInvalid, PolicyDenied
from micro_agi.messages import (
    Approval,
    ApprovalAnswered,
    ApprovalAsked,
    Question,
)
from micro_agi.registry.entry import Entry
from micro_agi.registry.registry import Registry
from micro_agi.security.context import CallContext, root_context
from micro_agi.security.hosts import allow_policies, private_hosts, url_patterns
from micro_agi.security.policy import Policy, Scope, denial
from micro_agi.security.tenancy import GRANTS, own

REQUEST = "http_client.request"

Emit = Callable[[ApprovalAsked | ApprovalAnswered], Awaitable[None]]


class Approver(Protocol):
    """Whoever answers questions: a person at a terminal, a client of the server, nobody."""

    name: str
    """Recorded with each answer: `person`, `--yes`, `nobody`."""

    async def ask(self, question: Question) -> Approval:
        """Answer one question."""
        ...


class Nobody:
    """Refuses everything: no person is attached."""

    name = "nobody"

    async def ask(self, question: Question) -> Approval:
        """Refuse."""
        return "refuse"


class YesOnce:
    """`--yes`: grants once what is asked, but never a private address."""

    name = "--yes"

    async def ask(self, question: Question) -> Approval:
        """Grant once, unless the resource is on this machine or its network."""
        return "refuse" if private_hosts(question.resource) else "once"


class Approvals:
    """The answers of one session, and the door to the lasting ones."""

    def __init__(self, registry: Registry, approver: Approver) -> None:
        self.approver = approver
        self._registry = registry
        self._session: set[Question] = set()
        # Calls run concurrently, and a person answers one question at a time.
        self._asking = asyncio.Lock()

    async def grants(
        self, entry: Entry, context: CallContext, *, trusted: bool, emit: Emit
    ) -> Scope:
        """Return what this call of `entry` may do on top of its scope, asking where needed.

        `trusted` entries were written by the operator: their hosts are granted already.
        Raises: PolicyDenied when a policy or the person refuses.
        """
        granted: list[Policy] = []
        for pattern in declared_hosts(entry):
            verdict = context.evaluate(REQUEST, pattern)
            if verdict.answer == "deny":
                raise denial(verdict, REQUEST, pattern)
            question = Question(
                agent=context.agent,
                tool=entry.id,
                tool_hash=entry.hash,
                action=REQUEST,
                resource=pattern,
                reason=str(entry.meta.get("llm_description") or entry.meta.get("comment") or ""),
            )
            if not (trusted or context.root or verdict.allowed or question in self._session):
                await self._ask(question, context, emit)
            granted += (
                allow_policies(f"{GRANTS}:{entry.id}", pattern) if not verdict.allowed else ()
            )
        return Scope(tuple(_distinct(granted)))

    async def _ask(self, question: Question, context: CallContext, emit: Emit) -> None:
        async with self._asking:
            if question not in self._session:
                await self._put(question, context, emit)

    async def _put(self, question: Question, context: CallContext, emit: Emit) -> None:
        await emit(ApprovalAsked(call_id=context.call_id, question=question))
        approval = await self.approver.ask(question)
        await emit(
            ApprovalAnswered(
                call_id=context.call_id,
                question=question,
                approval=approval,
                by=self.approver.name,
            )
        )
        if approval == "refuse":
            raise _refusal(question, self.approver.name)
        if approval in ("session", "always"):
            self._session.add(question)
        if approval == "always":
            await remember(self._registry, question, user=context.user)


def declared_hosts(entry: Entry) -> tuple[str, ...]:
    """Return the URL patterns that an entry declares in `data.hosts`.

    Raises: InputInvalid for one that no policy can answer.
    """
    hosts = entry.data.get("hosts") or ()
    if isinstance(hosts, Mapping):  # an empty Lua table is an empty map
        hosts = ()
    if not isinstance(hosts, list | tuple):
        raise InputInvalid(
            "`hosts` must be a list of URL patterns", where=f"{entry.id} at data.hosts"
        )
    return tuple(p for host in hosts for p in url_patterns(str(host)))


async def remember(registry: Registry, question: Question, *, user: str = "") -> None:
    """Write the grants of an "always" into the user's namespace, with the person's authority."""
    namespace = own(GRANTS, user)
    changes = registry.snapshot().changes()
    for number, policy in enumerate(allow_policies(GRANTS, question.resource)):
        facts = f"{question.agent}|{question.tool_hash}|{policy.actions}|{policy.resources}"
        name = "grant_" + hashlib.sha256(facts.encode()).hexdigest()[:16]
        if any(e.name == name for e in registry.snapshot().namespace(namespace)):
            continue
        changes.create(_grant_entry(f"{namespace}:{name}", question, policy, number))
    if changes.ops():
        await changes.apply(root_context(user=user, reason=f"always: {question.resource}"))


def _grant_entry(entry_id: str, question: Question, policy: Policy, number: int) -> Entry:
    conditions: list[dict[str, Any]] = [
        {"field": "actor.id", "operator": "eq", "value": f"agent:{question.agent}"},
        {"field": "meta.tool", "operator": "eq", "value": question.tool},
        {"field": "meta.tool_hash", "operator": "eq", "value": question.tool_hash},
    ]
    return Entry(
        id=entry_id,
        kind="security.policy",
        meta={
            "title": f"{question.tool} may request {question.resource}",
            "tool": question.tool,
            "agent": question.agent,
            "part": number,
        },
        data={
            "policy": {
                "actions": list(policy.actions),
                "resources": list(policy.resources),
                "effect": "allow",
                "conditions": conditions,
            }
        },
    )


def _distinct(policies: list[Policy]) -> list[Policy]:
    """Give policies distinct ids, since a scope keeps one of each id."""
    return [
        Policy(id=f"{p.id}#{n}", effect=p.effect, actions=p.actions, resources=p.resources)
        for n, p in enumerate(policies)
    ]


def _refusal(question: Question, by: str) -> PolicyDenied:
    nobody = by == Nobody.name
    who = "nobody is here to allow it" if nobody else f"refused by {by}"
    return PolicyDenied(
        f"`{question.tool}` may not request `{question.resource}`: {who}",
        where=f"{question.action} for agent {question.agent or 'none'}",
        fix=f"a person can start with `--allow-host {question.resource}`, or answer when asked",
    )
