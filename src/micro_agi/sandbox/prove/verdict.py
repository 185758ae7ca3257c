"""Judge what an attack came to, against what its file says.

Three answers, because two mistakes must not look alike: an attack that got something it
should not have (`escaped`), and one that was stopped, but not for the stated reason
(`differs`): our tests fail for it, a person's sandbox is not switched off for it.
"""

import json
from typing import Any, Literal

from msgspec import Struct

from micro_agi.sandbox.prove.corpus import Attack, Kind

Answer = Literal["held", "differs", "escaped"]


class Outcome(Struct, frozen=True, kw_only=True):
    """What happened."""

    kind: Kind
    what: Any = ""
    """The value, or the message."""
    reached: tuple[str, ...] = ()
    """What was really done outside the worker: host functions that ran, servers that answered."""


class Verdict(Struct, frozen=True, kw_only=True):
    """An attack and what it came to."""

    attack: Attack
    answer: Answer
    said: str

    def __str__(self) -> str:
        expected = f"{self.attack.kind} {self.attack.what}".strip()
        return f"{self.attack.id}: {self.answer}: expected {expected}; {self.said}"


def judge(attack: Attack, outcome: Outcome) -> Verdict:
    """Compare an outcome with the expectation."""
    said = f"{outcome.kind} {outcome.what!r}"
    wanted = tuple(attack.facts.get("reaches", "").split())
    if set(outcome.reached) - set(wanted):
        return Verdict(attack=attack, answer="escaped", said=f"{said}; reached {outcome.reached}")
    # A value that a host function gave proves nothing if the function did not run.
    idle = attack.kind == "value" and set(wanted) != set(outcome.reached)
    if _as_expected(attack, outcome) and not idle:
        return Verdict(attack=attack, answer="held", said=said)
    got_something = outcome.kind in ("value", "returns")
    return Verdict(attack=attack, answer="escaped" if got_something else "differs", said=said)


def _as_expected(attack: Attack, outcome: Outcome) -> bool:
    if attack.kind != outcome.kind:
        return False
    if attack.kind == "value":
        return bool(json.loads(attack.what) == outcome.what)
    return attack.what in str(outcome.what)
