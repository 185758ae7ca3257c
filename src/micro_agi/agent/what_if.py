"""What would have been different in a session with another version of one tool.

Two things that a model reads come from a tool: how it is described (its schema), and what
its calls returned. The first is compared with what was recorded; the calls run again, with
their recorded arguments and at their recorded time, in a worker, as a trial: nothing outside
can be reached. A version that needs the outside is not run, and its calls say so. From the
first difference on the model might have done something else, which nobody can know.

Source: DESIGN 12; issue 6.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from micro_agi.agent.inputs import Recorded as RecordedInputs
from micro_agi.errors import EntryInvalid, EntryNotFound, MicroAgiError
from micro_agi.messages import (
    AnyEvent,
    Delegated,
    StepStarted,
    ToolCall,
    ToolCallFinished,
    ToolCallStarted,
    ToolSpec,
)
from micro_agi.registry.entry import Entry
from micro_agi.registry.history import History
from micro_agi.security.actor import Actor
from micro_agi.security.context import Trial, root_context
from micro_agi.security.policy import Scope
from micro_agi.sessions.journal import Journal
from micro_agi.sessions.rows import Recorded
from micro_agi.tools.call import ToolCaller, as_text, failed_call
from micro_agi.tools.effects import IN_THE_SANDBOX
from micro_agi.tools.functions import Functions
from micro_agi.tools.resolve import tool_spec
from micro_agi.tools.results import Results

SHOWN = ("name", "description", "schema")
"""Fields of a tool that its model is shown."""


class CallThen(Struct, frozen=True, kw_only=True):
    """One recorded call, and what the other version makes of it."""

    seq: int
    """Of its intent in the journal."""
    turn: int
    arguments: object
    recorded: str
    """What the model read."""
    then: str | None
    """What it would have read; None when the call was not run."""
    why: str = ""
    """Why it was not run."""

    @property
    def different(self) -> bool:
        """Whether the model would have read something else."""
        return self.then is not None and self.then != self.recorded


class OfferedThen(Struct, frozen=True, kw_only=True):
    """The first request whose model was shown the tool in another way."""

    seq: int
    turn: int
    step: int
    changed: Mapping[str, tuple[object, object]]
    """By field: what it was shown, and what it would have been."""


class WhatIf(Struct, frozen=True, kw_only=True):
    """What another version of one tool would have changed."""

    tool: str
    version: int
    offered: OfferedThen | None
    calls: tuple[CallThen, ...]

    @property
    def different(self) -> bool:
        """Whether anything a model read would have been something else."""
        return self.offered is not None or any(call.different for call in self.calls)


class OtherVersion(Struct, frozen=True, kw_only=True):
    """Compares sessions with one version of one tool."""

    entry: Entry
    version: int
    functions: Functions
    caller: ToolCaller
    results: Results

    async def compare(self, journal: Journal, session: str) -> WhatIf:
        """Return what would have been different in a session."""
        recorded = await journal.read(session)
        inputs = RecordedInputs(await journal.blobs(session))
        started: dict[str, tuple[Recorded, ToolCallStarted]] = {}
        calls = []
        for row, event in flat(recorded):
            if isinstance(event, ToolCallStarted) and event.tool == self.entry.id:
                started[event.call_id] = (row, event)
            elif isinstance(event, ToolCallFinished) and event.call_id in started:
                calls.append(await self._again(*started.pop(event.call_id), event))
        return WhatIf(
            tool=self.entry.id,
            version=self.version,
            offered=self._offered(recorded, inputs),
            calls=tuple(calls),
        )

    def _offered(self, recorded: Sequence[Recorded], inputs: RecordedInputs) -> OfferedThen | None:
        history, then = self.functions.registry.history, tool_spec(self.entry)
        for row, event in flat(recorded):
            if not isinstance(event, StepStarted) or not event.inputs:
                continue
            tools = inputs.tools(inputs.read(event.inputs))
            if any(tool.id == self.entry.id for tool in tools):
                was = history.entry_at(self.entry.id, event.registry_version)
                changed = _changed(tool_spec(was), then) if was else {}
                if changed:
                    return OfferedThen(seq=row.seq, turn=row.turn, step=event.step, changed=changed)
        return None

    async def _again(
        self, row: Recorded, started: ToolCallStarted, finished: ToolCallFinished
    ) -> CallThen:
        then: str | None = None
        why = ""
        if started.tool_hash == self.entry.hash:
            then = finished.content
        elif self.entry.kind not in IN_THE_SANDBOX or not self.functions.replayable(self.entry):
            why = "not run: this version may have effects outside"
        else:
            then = await self._run(row, started)
        return CallThen(
            seq=row.seq,
            turn=row.turn,
            arguments=started.arguments,
            recorded=finished.content,
            then=then,
            why=why,
        )

    async def _run(self, row: Recorded, started: ToolCallStarted) -> str:
        context = root_context().narrowed(
            root=False,
            actor=Actor("trial"),
            scope=Scope(),
            trial=Trial(now_ns=int(row.at * 1e9)),
        )
        printed: list[str] = []
        try:
            self.caller.schemas.validate(tool_spec(self.entry), started.arguments)
            value = await self.functions.tried(
                self.entry, [started.arguments], context, printed=printed.append
            )
        except MicroAgiError as error:
            call = ToolCall(id=started.call_id, name=started.name, arguments="")
            failed = failed_call(call, self.entry.id, error, printed="".join(printed))
            return failed.content
        text = value if isinstance(value, str) else as_text(value)
        if printed:
            text = f"{text}\n\nprinted:\n{''.join(printed)}"
        return self.results.preview(text)


def flat(recorded: Sequence[Recorded]) -> Iterator[tuple[Recorded, AnyEvent]]:
    """Yield every event with its row, those of delegates without what is around them."""
    for row in recorded:
        event = row.event
        while isinstance(event, Delegated):
            event = event.event
        yield row, event


def version_of(history: History, wanted: str) -> tuple[Entry, int]:
    """Return the entry that `app.generated:x@v3` names, and its version.

    Raises: EntryInvalid for something else; EntryNotFound listing the versions there are.
    """
    entry_id, _, version = wanted.rpartition("@")
    number = version.removeprefix("v")
    if not entry_id or not number.isdigit():
        raise EntryInvalid(
            f"`{wanted}` names no version of a tool",
            where="--with",
            fix="write ID@vN, such as app.generated:clock@v3",
        )
    revisions = history.of_entry(entry_id)
    for revision in revisions:
        if revision.version.id == int(number) and revision.entry is not None:
            return revision.entry, revision.version.id
    known = ", ".join(f"v{r.version.id}" for r in revisions if r.entry is not None)
    raise EntryNotFound(
        f"`{entry_id}` has no version v{number}",
        where="--with",
        fix=f"there are: {known}" if known else "`micro-agi tool list` shows the tools",
    )


def _changed(recorded: ToolSpec, then: ToolSpec) -> dict[str, tuple[object, object]]:
    pairs = {name: (getattr(recorded, name), getattr(then, name)) for name in SHOWN}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
