"""Decide whether an action on a resource is allowed.

Pure: no registry, no clock, no input or output. `registry.changes` asks for every write
and `sandbox.host` for every host call, so the rules have no second door.

Deny beats allow whatever the order, and silence is not consent: a scope whose policies
match nothing answers "undefined", which `require` refuses.

Source: seed 000 "Namespace Deny Policies"; patterns, conditions and the three answers as
spec/runtime.md 3.2 to 3.4. Patterns in conditions are RE2: linear in their input.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import re2
from msgspec import Struct, field

from micro_agi.errors import EntryInvalid, PolicyDenied
from micro_agi.security.actor import Actor

Answer = Literal["allow", "deny", "undefined"]
Effect = Literal["allow", "deny"]

OPERATORS = (
    *("eq", "ne", "lt", "gt", "lte", "gte", "in", "nin"),
    *("contains", "ncontains", "matches", "nmatches", "exists", "nexists"),
)

_MISSING = object()


class Condition(Struct, frozen=True, kw_only=True):
    """One condition of a policy: `field operator value`."""

    field: str
    """A path: `actor.id`, `actor.meta.role`, `action`, `resource`, `meta.x`, or a request key."""
    operator: str
    value: Any = None
    value_from: str = ""
    """Path whose value is the right-hand side, instead of `value`."""


class Policy(Struct, frozen=True, kw_only=True):
    """One `security.policy` entry."""

    id: str
    """Registry id, quoted in every refusal: `app:deny_core_ns`."""
    effect: Effect
    actions: tuple[str, ...] = ("*",)
    """Patterns over action names: `registry.create`, `registry.*`."""
    resources: tuple[str, ...] = ("*",)
    """Patterns over resource ids. `app:*` is namespace `app` alone, not `app.tools`."""
    conditions: tuple[Condition, ...] = ()
    """All must hold; one that fails or cannot be decided leaves the policy out."""
    groups: tuple[str, ...] = ()
    """Ids of the groups (named scopes) it belongs to."""


class Verdict(Struct, frozen=True, kw_only=True):
    """An answer and the policy, patterns and reason behind it, for `policy check` and refusals."""

    answer: Answer
    policy: str = ""
    action_pattern: str = ""
    resource_pattern: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the answer is exactly `allow`."""
        return self.answer == "allow"

    def why(self) -> str:
        """Say which policy answered and by which patterns, in one line."""
        if self.answer == "undefined":
            return "no policy matches"
        said = "denied" if self.answer == "deny" else "allowed"
        return f"{said} by `{self.policy}` ({self.action_pattern} on {self.resource_pattern})"


class Scope(Struct, frozen=True):
    """An immutable set of policies, at most one of each id."""

    policies: tuple[Policy, ...] = ()

    def plus(self, policies: Iterable[Policy]) -> "Scope":
        """Return a scope with `policies` added; one with a known id replaces the old one."""
        by_id = {p.id: p for p in (*self.policies, *policies)}
        return Scope(tuple(by_id.values()))

    def evaluate(
        self,
        actor: Actor,
        action: str,
        resource: str,
        meta: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """Return the answer of all policies together: any deny, else any allow, else undefined."""
        allowed: Verdict | None = None
        for policy in self.policies:
            verdict = evaluate(policy, actor, action, resource, meta)
            if verdict.answer == "deny":
                return verdict
            if allowed is None and verdict.answer == "allow":
                allowed = verdict
        return allowed or Verdict(answer="undefined")

    def require(
        self,
        actor: Actor,
        action: str,
        resource: str,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """Return quietly if allowed.

        Raises:
            PolicyDenied: a policy denies it, or none allows it.
        """
        verdict = self.evaluate(actor, action, resource, meta)
        if not verdict.allowed:
            raise denial(verdict, action, resource)


def denial(verdict: Verdict, action: str, resource: str) -> PolicyDenied:
    """Build the refusal that a person and a model read."""
    return PolicyDenied(
        f"`{action}` on `{resource}` is not allowed",
        where=verdict.why(),
        fix=f"`micro-agi policy check {action} {resource}` explains; a person can add a policy",
    )


def covers(pattern: str, value: str) -> bool:
    """Whether `pattern` covers `value`: all, equal, or a prefix before a trailing star.

    A trailing `.*` drops the dot too, so `app.*` covers `app:x` and `apple`: kept as the
    documents' runtime has it. A star anywhere else is an ordinary character.

    Source: spec/runtime.md 3.2.
    """
    if pattern == "*" or pattern == value:
        return True
    if len(pattern) > 2 and pattern.endswith(".*"):
        return value.startswith(pattern[:-2])
    if pattern == ".*":  # neither form: two ordinary characters
        return False
    return len(pattern) > 1 and pattern.endswith("*") and value.startswith(pattern[:-1])


def evaluate(
    policy: Policy,
    actor: Actor,
    action: str,
    resource: str,
    meta: Mapping[str, Any] | None = None,
) -> Verdict:
    """Return what one policy answers; "undefined" when it does not apply."""
    by_action = next((p for p in policy.actions if covers(p, action)), None)
    by_resource = next((p for p in policy.resources if covers(p, resource)), None)
    if by_action is None or by_resource is None:
        return Verdict(answer="undefined")
    request = _Request(actor, action, resource, meta or {})
    nobody = not actor.id and not actor.meta
    if policy.conditions and nobody:  # conditions about nobody cannot be decided
        return Verdict(answer="undefined")
    if not all(_holds(c, request) for c in policy.conditions):
        return Verdict(answer="undefined")
    return Verdict(
        answer=policy.effect,
        policy=policy.id,
        action_pattern=by_action,
        resource_pattern=by_resource,
    )


class _Request(Struct, frozen=True):
    actor: Actor
    action: str
    resource: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    def look_up(self, path: str) -> Any:
        """Return the value at a field path, or `_MISSING`; nil counts as missing."""
        match path.split("."):
            case ["actor", "id"]:
                value: Any = self.actor.id
            case ["actor", "meta", *keys] if keys:
                value = _walk(self.actor.meta, keys)
            case ["action"]:
                value = self.action
            case ["resource"]:
                value = self.resource
            case ["meta", *keys] if keys:
                value = _walk(self.meta, keys)
            case _:
                value = self.meta.get(path, _MISSING)
        return _MISSING if value is None else value


def _walk(value: Any, keys: list[str]) -> Any:
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return _MISSING
        value = value[key]
    return value


def _holds(condition: Condition, request: _Request) -> bool:
    left = request.look_up(condition.field)
    right: Any = condition.value
    if condition.value_from:
        right = request.look_up(condition.value_from)
    if condition.operator in ("exists", "nexists"):
        # The right side says what is wanted, it is no comparison; anything but a
        # bool means true (spec/runtime.md 3.3).
        wanted = right if isinstance(right, bool) else True
        present = left is not _MISSING
        return present == (wanted if condition.operator == "exists" else not wanted)
    if left is _MISSING or right is _MISSING:
        return False
    negative = condition.operator in ("ne", "nin", "ncontains", "nmatches")
    positive = condition.operator[1:] if negative and condition.operator != "ne" else "eq"
    try:
        if negative:
            return not _compare(positive, left, right, literal=not condition.value_from)
        return _compare(condition.operator, left, right, literal=not condition.value_from)
    except (ValueError, TypeError, re2.error):
        return False


def _compare(operator: str, left: Any, right: Any, *, literal: bool) -> bool:
    match operator:
        case "eq":
            return _equal(left, right)
        case "lt":
            return _number(left) < _number(right)
        case "gt":
            return _number(left) > _number(right)
        case "lte":
            return _number(left) <= _number(right)
        case "gte":
            return _number(left) >= _number(right)
        case "in":
            if isinstance(right, str):
                return _equal(left, right)
            if isinstance(right, list | tuple):
                return any(_equal(left, item) for item in right)
            raise TypeError("`in` needs a list or a string on its right")
        case "contains":
            if isinstance(left, str):
                return _text(right) in left
            if isinstance(left, list | tuple):
                return any(_equal(item, right) for item in left)
            raise TypeError("`contains` needs a string or a list on its left")
        case "matches":
            if not literal:
                raise TypeError("a pattern must be written in the policy, not taken from a field")
            return re2.search(right, _text(left)) is not None
    raise ValueError(f"unknown operator {operator}")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError("not a scalar")


_WHOLE = re.compile(r"[-+]?[0-9]{1,400}")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def _number(value: Any) -> int | float:
    """Return a number, or the one that a text writes.

    Whole numbers stay exact: as floats, two long ids that differ in the last digit would
    be equal. Words such as `inf` and `nan`, underscores and other scripts' digits are texts.
    """
    if isinstance(value, str):
        if _WHOLE.fullmatch(value):
            return int(value)
        if _DECIMAL.fullmatch(value):
            return float(value)
        raise ValueError("not a number")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a number")
    return value


def _equal(left: Any, right: Any) -> bool:
    if type(left) is type(right) and left == right:
        return True
    try:
        return _number(left) == _number(right)
    except (TypeError, ValueError):
        pass
    try:
        return _text(left) == _text(right)
    except TypeError:
        return False


def parse_policy(entry_id: str, data: Mapping[str, Any]) -> Policy:
    """Read the data of a `security.policy` entry.

    A group without a namespace gets the policy's own.

    Raises:
        EntryInvalid: a field is missing or wrong; `where` is its path.

    Source: spec/runtime.md 2.5.
    """
    rule = data.get("policy")
    if not isinstance(rule, Mapping):
        raise _invalid(entry_id, "policy", "`policy` needs actions, resources and effect")
    effect = rule.get("effect")
    if effect != "allow" and effect != "deny":
        raise _invalid(
            entry_id, "policy.effect", f"invalid policy effect: {effect}", "`allow` or `deny`"
        )
    namespace = entry_id.partition(":")[0]
    groups = data.get("groups") or ()
    if not isinstance(groups, list | tuple) or not all(isinstance(g, str) and g for g in groups):
        raise _invalid(entry_id, "groups", "groups must be a list of group names or ids")
    conditions = rule.get("conditions") or ()
    if not isinstance(conditions, list | tuple):
        raise _invalid(entry_id, "policy.conditions", "conditions must be a list")
    return Policy(
        id=entry_id,
        effect=effect,
        actions=_patterns(entry_id, "actions", rule.get("actions")),
        resources=_patterns(entry_id, "resources", rule.get("resources")),
        conditions=tuple(_condition(entry_id, n, c) for n, c in enumerate(conditions)),
        groups=tuple(g if ":" in g else f"{namespace}:{g}" for g in groups),
    )


def _patterns(entry_id: str, key: str, value: Any) -> tuple[str, ...]:
    where = f"policy.{key}"
    if isinstance(value, str):
        if not value:
            raise _invalid(entry_id, where, f"{key} string cannot be empty")
        return (value,)
    if isinstance(value, list | tuple):
        if not value:
            raise _invalid(entry_id, where, f"{key} list cannot be empty")
        if all(isinstance(item, str) for item in value):
            return tuple(value)
    raise _invalid(entry_id, where, f"{key} must be a string or list of strings")


def _condition(entry_id: str, number: int, value: Any) -> Condition:
    where = f"policy.conditions[{number}]"
    if not isinstance(value, Mapping) or not value.get("field"):
        raise _invalid(entry_id, where, f"condition {number}: field is required")
    for key in ("field", "value_from"):
        if not isinstance(value.get(key) or "", str):
            raise _invalid(entry_id, where, f"condition {number}: {key} must be a field path")
    operator = value.get("operator")
    if not operator:
        raise _invalid(entry_id, where, f"condition {number}: operator is required")
    if operator not in OPERATORS:
        known = ", ".join(OPERATORS)
        raise _invalid(entry_id, where, f"condition {number}: invalid operator: {operator}", known)
    if "value" not in value and not value.get("value_from"):
        raise _invalid(entry_id, where, f"condition {number}: value or value_from is required")
    if operator in ("matches", "nmatches") and "value" in value:
        options = re2.Options()
        options.log_errors = False  # it would write to stderr
        try:
            re2.compile(value["value"], options)
        except (re2.error, TypeError) as error:
            said = error.args[0] if error.args else ""
            said = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
            what = f"condition {number}: invalid pattern: {said}"
            raise _invalid(entry_id, where, what) from error
    return Condition(
        field=value["field"],
        operator=operator,
        value=value.get("value"),
        value_from=value.get("value_from") or "",
    )


def _invalid(entry_id: str, path: str, what: str, known: str = "") -> EntryInvalid:
    return EntryInvalid(
        what, where=f"{entry_id} at {path}", fix=f"use one of: {known}" if known else ""
    )
