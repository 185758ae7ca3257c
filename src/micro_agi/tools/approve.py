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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

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
from micro_agi.security.need import Need
from micro_agi.security.policy import Condition, Policy, Scope, denial
from micro_agi.security.tenancy import GRANTS, own

REQUEST = "http_client.request"
PERSON_ONLY = ("shell.", "skill.", "workspace.programs")
"""Beginnings of actions that `--yes` never grants."""

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
    """`--yes`: grants once what is asked, but never a private address, nor a shell command."""

    name = "--yes"

    async def ask(self, question: Question) -> Approval:
        """Grant once, unless only a person may."""
        return "refuse" if is_private(question) or is_for_a_person(question) else "once"


def is_private(question: Question) -> bool:
    """Whether it is about an address on this machine or its network."""
    return question.action == REQUEST and bool(private_hosts(question.resource))


def is_for_a_person(question: Question) -> bool:
    """Whether the action is one that `--yes` never grants."""
    return question.action.startswith(PERSON_ONLY)


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
            if not (trusted or context.root or verdict.allowed or _what(question) in self._session):
                await self._ask(question, context, emit)
            granted += (
                allow_policies(f"{GRANTS}:{entry.id}", pattern) if not verdict.allowed else ()
            )
        return Scope(tuple(_distinct(granted)))

    async def permits(
        self, entry: Entry, context: CallContext, needs: Sequence[Need], *, emit: Emit
    ) -> tuple[Policy, ...]:
        """Ask for what the policies leave open of what a call needs; return what was granted.

        Each need is answered by itself, and an answer counts for exactly its text, or for
        the URLs of the host that it names.
        Raises: PolicyDenied for what a policy or the person refuses.
        """
        granted: list[Policy] = []
        for number, need in enumerate(needs):
            verdict = context.evaluate(need.action, need.resource)
            if verdict.answer == "deny":
                raise denial(verdict, need.action, need.resource)
            if verdict.allowed:
                continue
            question = Question(
                agent=context.agent,
                tool=entry.id,
                tool_hash=entry.hash,
                action=need.action,
                resource=need.resource,
                reason=need.reason,
            )
            if _what(question) not in self._session:
                await self._ask(question, context, emit)
            granted += _policies(f"{GRANTS}:{entry.id}#need{number}", question)
        return tuple(granted)

    async def _ask(self, question: Question, context: CallContext, emit: Emit) -> None:
        async with self._asking:
            if _what(question) not in self._session:
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
            self._session.add(_what(question))
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
    for number, policy in enumerate(_policies(GRANTS, question)):
        facts = f"{question.agent}|{question.tool_hash}|{policy.actions}|{policy.resources}"
        facts += "".join(f"|{c.value}" for c in policy.conditions)
        name = "grant_" + hashlib.sha256(facts.encode()).hexdigest()[:16]
        if any(e.name == name for e in registry.snapshot().namespace(namespace)):
            continue
        changes.create(_grant_entry(f"{namespace}:{name}", question, policy, number))
    if changes.ops():
        await changes.apply(root_context(user=user, reason=f"always: {question.resource}"))


def _what(question: Question) -> Question:
    """Return what an answer counts for: the same thing may be asked for another reason."""
    return msgspec.structs.replace(question, reason="")


def _policies(policy_id: str, question: Question) -> tuple[Policy, ...]:
    """Return what a person's answer allows: a host with all its addresses, else exactly that."""
    if question.action == REQUEST:
        return allow_policies(policy_id, question.resource)
    return (_exactly(policy_id, question),)


def _exactly(policy_id: str, question: Question) -> Policy:
    """Allow one action on one resource; a star in the resource is a star and no pattern."""
    same = Condition(field="resource", operator="eq", value=question.resource)
    return Policy(id=policy_id, effect="allow", actions=(question.action,), conditions=(same,))


def _grant_entry(entry_id: str, question: Question, policy: Policy, number: int) -> Entry:
    conditions: list[dict[str, Any]] = [
        {"field": "actor.id", "operator": "eq", "value": f"agent:{question.agent}"},
        {"field": "meta.tool", "operator": "eq", "value": question.tool},
        {"field": "meta.tool_hash", "operator": "eq", "value": question.tool_hash},
        *({"field": c.field, "operator": c.operator, "value": c.value} for c in policy.conditions),
    ]
    return Entry(
        id=entry_id,
        kind="security.policy",
        meta={
            "title": f"{question.tool} may {verb(question.action)} {question.resource}",
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


VERBS = {
    REQUEST: "request",
    "shell.run": "run",
    "shell.confirm": "run",
    "shell.network": "connect to",
    "python.run": "run Python in",
    "skill.promote": "make a tool of",
    "workspace.read": "read",
    "workspace.write": "write",
    "workspace.programs": "change what runs later in",
}


def verb(action: str) -> str:
    """Return an action in the words of a question: may it … this?"""
    return VERBS.get(action, f"do {action} on")


def _refusal(question: Question, by: str) -> PolicyDenied:
    nobody = by == Nobody.name
    who = "nobody is here to allow it" if nobody else f"refused by {by}"
    if by == YesOnce.name and is_for_a_person(question):
        who = "--yes does not cover it"
    starting = f"start with `--allow-host {question.resource}`, or "
    return PolicyDenied(
        f"`{question.tool}` may not {verb(question.action)} `{question.resource}`: {who}",
        where=f"{question.action} for agent {question.agent or 'none'}",
        fix=f"a person can {starting if question.action == REQUEST else ''}answer when asked",
    )
