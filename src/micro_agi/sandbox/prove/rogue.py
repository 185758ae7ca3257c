"""Run the attacks that begin where the interpreter is already broken.

`run: machine code` makes system calls: the verdict is how the process ended. `run: worker`
speaks to the runtime as a worker would, and lies: the verdict is what the call comes to.
Heads: `limits`, `modules` (what the call in flight was granted), `reaches`, `mailbox` (the memory
that the runtime shares with it; where there is none, the same lie goes through the socket).
"""

import asyncio
from pathlib import Path

import msgspec

from micro_agi.errors import LimitReached, ToolFailed
from micro_agi.sandbox.conversation import converse
from micro_agi.sandbox.fork_server import ForkServer
from micro_agi.sandbox.host.calls import Frame
from micro_agi.sandbox.outstanding import Places
from micro_agi.sandbox.prove.corpus import Attack
from micro_agi.sandbox.prove.ops import DIED, RETURNED
from micro_agi.sandbox.prove.tools import LIMITS, Tripwires, limits_of, make_context
from micro_agi.sandbox.prove.verdict import Outcome, Verdict, judge
from micro_agi.sandbox.request import Request
from micro_agi.sandbox.unit import Unit
from micro_agi.sandbox.wire import CALL
from micro_agi.sandbox.worker_channel import Worker, WorkerLost

PROGRAM = Path(__file__).parent / "compromised.py"
PATIENCE_S = 5.0
"""For a system call that neither kills nor returns."""

_encode = msgspec.msgpack.encode


async def run_machine_code(attack: Attack, server: ForkServer) -> Verdict:
    """Let a locked process make its system calls, and judge how it ended."""
    worker = await server.fork(frame_bytes=LIMITS.frame_bytes)
    try:
        worker.send(attack.source.encode())
        message = await asyncio.wait_for(worker.receive(), PATIENCE_S)
    except (WorkerLost, TimeoutError) as error:
        return judge(attack, Outcome(kind="error", what=f"no answer: {error}"))
    finally:
        worker.kill("done")
    return judge(attack, _ended(message))


def _ended(message: list[object]) -> Outcome:
    match message:
        case [op, "SIGSYS"] if op == DIED:
            return Outcome(kind="killed", what="SIGSYS")
        case [op, str(text)] if op == RETURNED:
            return Outcome(kind="returns", what=text)
        case _:
            return Outcome(kind="error", what=message)


async def run_worker(attack: Attack, server: ForkServer, wires: Tripwires) -> Verdict:
    """Make a call that the attacker answers, and judge what it came to."""
    worker = await server.fork(frame_bytes=LIMITS.frame_bytes)
    if "mailbox" not in attack.facts:
        worker.close_mailbox()
    try:
        worker.send(attack.source.encode())
        outcome = await _call(attack, worker, wires)
    finally:
        worker.kill("done")
    return judge(attack, outcome)


async def _call(attack: Attack, worker: Worker, wires: Tripwires) -> Outcome:
    limits = limits_of(attack)
    modules = tuple(attack.facts.get("modules", "").split())
    unit = Unit(id=f"attack:{attack.name}", source="", modules=modules)
    request = Request(op=CALL, unit=unit, args=_encode([]), now_ns=None, result_bytes=1000)
    frame = Frame(
        unit=unit,
        context=make_context(attack),
        limits=limits,
        granted=unit.granted,
    )
    functions = wires.functions()
    outcome: Outcome
    try:
        value = await converse(
            worker, request, frame, functions, keep_bytes=False, places=Places(1)
        )
        outcome = Outcome(kind="value", what=value, reached=wires.of(attack))
    except LimitReached as error:
        outcome = Outcome(kind="limit", what=error.what, reached=wires.of(attack))
    except ToolFailed as error:
        outcome = Outcome(kind="error", what=error.what, reached=wires.of(attack))
    return outcome
