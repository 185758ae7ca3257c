"""Rebuild every model request of a session from its journal, and compare the hashes.

No model is asked. A request is the conversation, derived from the events before it, and
the inputs that were recorded with it (`inputs.py`); the provider's dialect writes it again,
and its bytes must have the hash that was journalled before it was sent. Requests of the
summariser are not steps: what they answered is in the journal, they themselves are not.

Source: DESIGN 12.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from micro_agi.agent.inputs import Recorded as RecordedInputs
from micro_agi.errors import MicroAgiError
from micro_agi.llm.request import ModelRequest, PreparedRequest
from micro_agi.sessions.journal import Damage, Journal
from micro_agi.sessions.replay import Asked, requests
from micro_agi.sessions.rows import Recorded
from micro_agi.toolcalls.teach import spelled_out

Verdict = Literal["identical", "different", "unrecorded", "unreadable"]
Prepare = Callable[[ModelRequest], PreparedRequest]


class Rebuilt(Struct, frozen=True, kw_only=True):
    """One request that was built again."""

    seq: int
    """Of its `step_started` in the journal."""
    turn: int
    step: int
    path: tuple[str, ...]
    """Delegates around it, outermost first."""
    model: str
    sent: str
    """Hash of what was sent."""
    rebuilt: str
    """Hash of what the journal gives, "" when it gives nothing."""
    verdict: Verdict
    why: str = ""


class Replay(Struct, frozen=True, kw_only=True):
    """What a replay found."""

    session: str
    requests: tuple[Rebuilt, ...]
    damage: tuple[Damage, ...]
    """Rows and blobs that are not what was written."""

    @property
    def identical(self) -> bool:
        """Whether nothing is damaged and every request came out as it was sent."""
        return not self.damage and not self.faults

    @property
    def faults(self) -> tuple[Rebuilt, ...]:
        """The requests that did not come out as they were sent."""
        return tuple(r for r in self.requests if r.verdict != "identical")


async def replay(journal: Journal, session: str, prepare: Prepare) -> Replay:
    """Rebuild all requests of a session; `prepare` writes one in its provider's dialect.

    Raises: StoreFailed for a row that cannot be read at all.
    """
    damage = await journal.verify(session)
    recorded = await journal.read(session)
    inputs = RecordedInputs(await journal.blobs(session))
    return Replay(
        session=session,
        requests=tuple(rebuilt(recorded, inputs, prepare)),
        damage=tuple(damage),
    )


def rebuilt(
    recorded: Sequence[Recorded], inputs: RecordedInputs, prepare: Prepare
) -> list[Rebuilt]:
    """Rebuild the requests of a journal that was read."""
    return [_rebuild(asked, inputs, prepare) for asked in requests(recorded)]


def _rebuild(asked: Asked, inputs: RecordedInputs, prepare: Prepare) -> Rebuilt:
    verdict: Verdict = "unrecorded"
    hash_ = why = ""
    if not asked.started.inputs:
        why = "an older program did not record what it was built from"
    else:
        try:
            hash_ = prepare(request_of(asked, inputs)).hash
        except MicroAgiError as error:
            verdict, why = "unreadable", f"{error.what} ({error.where})"
        else:
            verdict = "identical" if hash_ == asked.started.request_hash else "different"
    return Rebuilt(
        seq=asked.seq,
        turn=asked.turn,
        step=asked.started.step,
        path=asked.path,
        model=asked.started.model,
        sent=asked.started.request_hash,
        rebuilt=hash_,
        verdict=verdict,
        why=why,
    )


def request_of(asked: Asked, inputs: RecordedInputs) -> ModelRequest:
    """Return the request that a step sent.

    Raises: StoreFailed when something it needs is missing.
    """
    record = inputs.read(asked.started.inputs)
    return ModelRequest(
        model=inputs.card(record),
        system=inputs.system(record),
        messages=spelled_out(asked.messages) if record.in_words else asked.messages,
        tools=inputs.tools(record),
        options=record.options,
    )
