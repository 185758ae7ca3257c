"""Run a conversation against a scripted model, with the rest real, and read what happened."""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from micro_agi.app import Parts, Runtime
from micro_agi.llm.providers.scripted import (
    PROVIDER,
    Answer,
    ScriptedModel,
    Step,
    scripted_card,
)
from micro_agi.messages import AnyEvent, TextDelta, ToolCallFinished, ToolLoaded, TurnFinished
from micro_agi.settings import load
from micro_agi.tools.approve import Approver


class Played(Struct):
    """One runtime with a scripted model."""

    runtime: Runtime
    model: ScriptedModel


class Transcript(Struct, frozen=True):
    """What one turn did."""

    events: tuple[AnyEvent, ...]
    finished: TurnFinished

    @property
    def lines(self) -> list[str]:
        """The tool lines of seed 000, and the answer last."""
        lines = []
        for event in self.events:
            match event:
                case ToolCallFinished(name=name, error=None):
                    lines.append(f"[{name}] ok")
                case ToolCallFinished(name=name, error=error):
                    lines.append(f"[{name}] error: {(error or {}).get('what')}")
                case ToolLoaded(tool=tool):
                    lines.append(f"[+] {tool}")
        return [*lines, self.finished.text]

    def of(self, kind: type[AnyEvent]) -> list[Any]:
        """Return the events of one type."""
        return [e for e in self.events if isinstance(e, kind)]

    @property
    def shown(self) -> str:
        """The text that was streamed."""
        return "".join(e.text for e in self.events if isinstance(e, TextDelta))


@asynccontextmanager
async def scripted_runtime(
    script: Sequence[Step] | Answer,
    *,
    home: str | None = None,
    app: str | None = None,
    approver: Approver | None = None,
    card: dict[str, Any] | None = None,
    parts: dict[str, Any] | None = None,
    replayed: bool = True,
    **settings: Any,
) -> AsyncIterator[Played]:
    """Open a runtime whose model is `script`, with a home of its own unless given one.

    It can reach nothing but this machine. `card` overrides facts of the model, `parts`
    parts of the runtime, the rest are settings. At the end every session in it is
    `replayed`: each model request has to come out of the journal again.
    """
    with tempfile.TemporaryDirectory(prefix="micro-agi-") as temporary:
        place = home or str(Path(temporary) / "home")
        flags = {"home": place, "app": app, "yes": app is not None or None, **settings}
        loaded = load(flags={k: v for k, v in flags.items() if v is not None})
        model = ScriptedModel(script)
        chosen = Parts(
            providers={PROVIDER: model},
            card=scripted_card(**(card or {})),
            offline=True,
            **(parts or {}),
        )
        async with await Runtime.open(loaded, approver=approver, parts=chosen) as runtime:
            if app is not None:
                runtime.trust()
            yield Played(runtime, model)
            if replayed:
                await assert_replays(runtime)


async def assert_replays(runtime: Runtime) -> None:
    """Rebuild every model request of every session, and fail on one that is not what was sent."""
    for row in await runtime.journal.sessions():
        replay = await runtime.replay(row.id)
        assert replay.identical, f"session {row.id} does not replay: {replay.faults}"


async def run_transcript(
    runtime: Runtime, *messages: str, session: str | None = None, agent: str = ""
) -> list[Transcript]:
    """Send messages one after the other in one session; return what each turn did."""
    opened = await runtime.session(session, agent=agent)
    turns = []
    for text in messages:
        events: list[AnyEvent] = []
        finished = await opened.run(text, events.append)
        turns.append(Transcript(tuple(events), finished))
    return turns
