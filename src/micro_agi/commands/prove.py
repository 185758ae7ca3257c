"""`doctor --prove`: attack the sandbox on this machine, and show what held.

One row for each family of attacks, one column for each isolation level. What a level let
out is remembered in the home, and the runtime refuses that level until a later run passes.
"""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from micro_agi.commands.invocation import Invocation
from micro_agi.commands.output import wrapped
from micro_agi.errors import MicroAgiError, PolicyDenied
from micro_agi.home import record_proof
from micro_agi.sandbox.fork_server import Level
from micro_agi.sandbox.prove.corpus import CPYTHON, FAMILIES, MONTY, Attack
from micro_agi.sandbox.prove.prove import LevelProof, fails_closed, prove
from micro_agi.store.database import Database

REFUSED = PolicyDenied.exit_code
WIDTHS = (12, 9, 14, 14, 14, 14)
"""Of the columns: the family, what runs its code, and the levels. Together less than 80."""
NO_FILTER = "no system call filter"


async def run(invocation: Invocation, corpus: Mapping[str, Sequence[Attack]] | None = None) -> int:
    """Run the corpus, or other attacks, at every level; exit code 3 when anything escaped."""
    started = time.monotonic()
    minimum = cast("Level", invocation.settings.isolation)  # `settings` takes nothing else
    proofs = []
    async for proof in prove(minimum=minimum, corpus=corpus):
        if not invocation.as_json:
            invocation.note(f"level {proof.level}: {_progress(proof)}")
        proofs.append(proof)
    closed = await fails_closed()
    escaped = {str(p.level): [v.attack.id for v in p.escaped()] for p in proofs if p.verdicts}
    if not closed:
        escaped = {level: [*found, NO_FILTER] for level, found in escaped.items()}
    _remember(invocation, escaped)
    if invocation.as_json:
        invocation.say_json(_as_json(proofs, closed))
    else:
        _show(invocation, proofs, closed, time.monotonic() - started)
    return REFUSED if not closed or any(escaped.values()) else 0


def _progress(proof: LevelProof) -> str:
    if not proof.verdicts:
        return f"{'refused' if proof.refused else 'not available'}: {proof.unavailable}"
    out = len(proof.escaped())
    return f"{len(proof.verdicts)} attacks, {out or 'none'} escaped"


def _remember(invocation: Invocation, escaped: Mapping[str, list[str]]) -> None:
    """Keep the outcome for the runtime; a home that cannot be written is said, not fatal."""
    try:
        database = Database.open(invocation.home / "state.db")
    except (MicroAgiError, OSError) as error:
        invocation.note(f"note: the outcome is not remembered: {error}")
        return
    try:
        record_proof(database, escaped)
    finally:
        database.close()


def _show(invocation: Invocation, proofs: list[LevelProof], closed: bool, took_s: float) -> None:
    # Windows has no user ids; there every level is not available anyway.
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    user = "root" if is_root else "an ordinary user"
    where = f"{platform.system()} {platform.release()} ({platform.machine()})"
    invocation.say(f"attacks by family and isolation level, as {user} on {where}")
    invocation.say()
    head = ("", "worker", *(str(proof.level) for proof in proofs))
    rows = [
        (family, _backend(family), *(_cell(proof, family) for proof in proofs))
        for family in FAMILIES
    ]
    for row in (head, *rows):
        line = "".join(f"{cell:<{width}}" for cell, width in zip(row, WIDTHS, strict=False))
        invocation.say(line.rstrip())
    invocation.say()
    invocation.say(f"without the system call filter: {'refused' if closed else 'ESCAPED'}")
    for proof in proofs:
        if proof.unavailable:
            start = f"level {proof.level}: "
            invocation.say(wrapped(start, _progress(proof), width=invocation.width))
        elif proof.no_python:
            start = f"level {proof.level}: "
            runs = "Monty runs Python tools" if proof.python == "Monty" else "Python refused"
            text = f"{runs}: {proof.no_python}"
            invocation.say(wrapped(start, text, width=invocation.width))
        for verdict in proof.verdicts:
            if verdict.answer != "held":
                start = f"level {proof.level}: "
                invocation.say(wrapped(start, str(verdict), width=invocation.width))
    failed = [p.level for p in proofs if p.escaped()]
    invocation.say(f"took {took_s:.0f} s")
    if failed:
        invocation.note(f"switched off until a later run passes: level {', '.join(failed)}")


def _backend(family: str) -> str:
    if family in MONTY:
        return "Monty"
    return "CPython" if family in CPYTHON else "Lua"


def _cell(proof: LevelProof, family: str) -> str:
    verdicts = proof.of(family)
    if not verdicts:
        return _state(proof, family)
    escaped = len(proof.escaped(family))
    return f"{escaped} ESCAPED" if escaped else f"{len(verdicts)} held"


def _as_json(proofs: list[LevelProof], closed: bool) -> dict[str, Any]:
    cells = [
        {
            "family": family,
            "worker": _backend(family),
            "level": proof.level,
            "state": _state(proof, family),
            "attacks": len(proof.of(family)),
            "escaped": [str(v) for v in proof.escaped(family)],
            "differs": [str(v) for v in proof.of(family) if v.answer == "differs"],
            "why": proof.unavailable or _why_not(proof, family),
        }
        for proof in proofs
        for family in FAMILIES
    ]
    return {"fails_closed": closed, "cells": cells}


def _why_not(proof: LevelProof, family: str) -> str:
    """Return why a family has nothing to attack at a level that this machine shows."""
    if family in CPYTHON:
        return proof.no_python
    if family in MONTY and proof.python != "Monty":
        return "CPython runs Python tools" if proof.python else proof.no_python
    return ""


def _state(proof: LevelProof, family: str) -> str:
    if proof.escaped(family):
        return "escaped"
    if proof.of(family):
        return "held"
    refused = proof.refused or (family in CPYTHON and proof.no_python)
    return "refused" if refused else "not available"
