"""A session: one conversation with one agent, journalled, that can be gone on with later.

It owns the agent context, the conversation and the answers a person gave. One turn at a
time; a second message waits for nobody and is refused.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

from msgspec import Struct

from micro_agi.agent.compress import Compressor
from micro_agi.agent.context import AgentContext
from micro_agi.agent.delegates import Delegates, NewAgent
from micro_agi.agent.inputs import Recorder
from micro_agi.agent.limits import TurnLimits
from micro_agi.agent.originals import offer_recall
from micro_agi.agent.spec import AgentSpec
from micro_agi.agent.step import Runner
from micro_agi.agent.turn import Turn
from micro_agi.errors import EntryInvalid, EntryNotFound, InputInvalid, StoreFailed
from micro_agi.messages import AnyEvent, TurnFinished, Usage, Warned, message
from micro_agi.registry.registry import Registry
from micro_agi.security.context import CallContext
from micro_agi.sessions.conversation import Conversation
from micro_agi.sessions.journal import RENEW_S, SessionJournal
from micro_agi.sessions.recovery import Unfinished
from micro_agi.sessions.redact import Stream
from micro_agi.tools.approve import Approvals
from micro_agi.tools.call import ToolCaller

Listener = Callable[[AnyEvent], None]


class SessionParts(Struct, frozen=True, kw_only=True):
    """What sessions of one runtime share."""

    registry: Registry
    caller: ToolCaller
    compressor: Compressor
    new_agent: NewAgent
    limits: TurnLimits
    verify: bool = True
    """Whether answers are compared with what was seen."""
    watch: Callable[[str, AnyEvent], None] | None = None
    """Gets every committed event with the session's id; for spans."""


class Session:
    """Made by `app.Runtime.session`; `send` or `run` a message, `cancel` to stop a turn."""

    def __init__(
        self,
        parts: SessionParts,
        *,
        journal: SessionJournal,
        conversation: Conversation,
        agent: AgentContext,
        definition: AgentSpec,
        approvals: Approvals,
        unfinished: Unfinished | None = None,
    ) -> None:
        self.id = journal.session
        self.agent = agent
        self.definition = definition
        """Of the agent that it was opened with; another one may answer since."""
        self.conversation = conversation
        self.approvals = approvals
        self.unfinished = unfinished
        """The last turn, when it was cut off: `resume` goes on with it."""
        self._parts = parts
        self._journal = journal
        self._recorder = Recorder(journal.keep)
        self._listener: Listener = _ignore
        self._stream = Stream(journal.redactor)
        self._waiting: list[AnyEvent] = []
        """Applied to the conversation, to be journalled with the next commit."""
        self._running: asyncio.Task[Any] | None = None
        """The task that runs a turn, which is its caller's."""
        self._stopping = False
        self._loaded_agent = False
        self._compiled_at = -1
        self._told: set[Warned] = set()
        self._answering: Runner | None = None
        """Who answered the newest turn."""

    @property
    def usage(self) -> Usage:
        """Tokens of all turns."""
        return self.conversation.usage

    @property
    def cost_usd(self) -> float:
        """Money of all turns; models without a price count nothing."""
        return self.conversation.cost_usd

    async def load(self) -> Runner:
        """Load the agent and the tools that the session had loaded; called by the first turn.

        Raises: EntryNotFound, EntryInvalid, InputInvalid when no model can be had.
        """
        if self._loaded_agent:
            runner = await self.agent.ready()
            await self._warn(runner)
            return runner
        known = []
        for tool in self.conversation.loaded:
            try:
                self._parts.registry.get(tool)
                known.append(tool)
            except EntryNotFound as error:
                gone = Warned(text=f"loaded tool is gone: {error.what}", fix=error.fix)
                await self._commit([gone])
        self.agent.add_tools(known)
        runner = await self.agent.load_agent(self.definition.id)
        # What the first turn needs besides, while nobody waits yet; this also tells now
        # which policy is missing.
        self.agent.authority(runner.compiled.spec)
        runner.ready()
        self._loaded_agent = True
        self._compiled_at = self._parts.registry.version
        await self._warn(runner)
        return runner

    async def _warn(self, runner: Runner) -> None:
        """Tell what is wrong with an agent, each warning once."""
        new = [w for w in runner.compiled.warnings if w not in self._told]
        self._told.update(new)
        await self._commit(new)

    async def run(self, text: str, listener: Listener) -> TurnFinished:
        """Run one turn and return how it ended; `listener` gets every event as it happens.

        Cancelling the caller cancels the turn, which is journalled as cancelled. A turn that
        was cut off before is left as it is: `resume` it first to have its answer.
        Raises: InputInvalid when a turn is running or no model can be had.
        """
        return await self._alone(self._turn(text), listener)

    async def resume(self, listener: Listener) -> TurnFinished:
        """Go on with the turn that was cut off, and return how it ended, as `run` does.

        Raises: InputInvalid when there is none, and what `run` raises.
        """
        if self.unfinished is None:
            raise InputInvalid(
                f"the last turn of session `{self.id}` has ended", fix="send a message"
            )
        return await self._alone(self._resumed(self.unfinished), listener)

    async def _alone(
        self, turn: Coroutine[Any, Any, TurnFinished], listener: Listener
    ) -> TurnFinished:
        """Run one turn, while no other may."""
        if self._running is not None:
            turn.close()
            raise InputInvalid(
                f"session `{self.id}` is busy with a turn", fix="wait for it, or cancel it"
            )
        self._listener = listener
        self._running, self._stopping = asyncio.current_task(), False
        self._prolong()
        try:
            finished = await turn
            if finished.outcome == "cancelled":
                self._absorb_cancellation()
            return finished
        finally:
            self._prolonging.cancel()
            self._running = None
            self._listener = _ignore

    def cancel(self) -> bool:
        """Stop the running turn, if there is one; it ends with outcome `cancelled`."""
        if self._running is None:
            return False
        self._stopping = True
        return self._running.cancel()

    def _prolong(self) -> None:
        """Keep the session's lease from now on, also while nothing is journalled."""
        loop = asyncio.get_running_loop()
        self._prolonging = loop.call_later(RENEW_S, self._renew)

    def _renew(self) -> None:
        renewal = asyncio.get_running_loop().create_task(self._journal.renew())
        renewal.add_done_callback(self._renewed)
        self._prolong()

    def _renewed(self, renewal: "asyncio.Task[None]") -> None:
        """Stop a turn that another process goes on with: it could commit nothing any more."""
        if not renewal.cancelled() and renewal.exception() and self._running is not None:
            self._running.cancel()

    def _absorb_cancellation(self) -> None:
        """Go on after a cancellation that `cancel` asked for; hand on anybody else's.

        The turn runs in its caller's task: a task of its own would cost the first token
        a round of the event loop.
        """
        assert self._running is not None
        if not self._stopping:
            raise asyncio.CancelledError
        self._running.uncancel()

    async def send(self, text: str) -> AsyncIterator[AnyEvent]:
        """Run one turn and yield its events; leaving the loop early cancels the turn."""
        queue: asyncio.Queue[AnyEvent | None] = asyncio.Queue()
        turn = asyncio.create_task(self.run(text, queue.put_nowait))
        turn.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            await turn
        finally:
            if not turn.done():
                turn.cancel()
                await asyncio.gather(turn, return_exceptions=True)

    async def compact(self, listener: Listener) -> bool:
        """Shorten the conversation now, whatever its size; False when nothing can go."""
        runner = await self.load()
        event = await self._parts.compressor.compact(
            self.conversation, Usage(), runner.card, running=False, keep=self._journal.keep
        )
        if event is None:
            return False
        self._listener = listener
        await self._commit([event])
        await self._commit(await offer_recall(self.agent))
        self._listener = _ignore
        return True

    async def _turn(self, text: str) -> TurnFinished:
        self.unfinished = None
        turn = await self._prepared(self.conversation.turn + 1)
        return await turn.run(message("user", text))

    async def _resumed(self, left: Unfinished) -> TurnFinished:
        turn = await self._prepared(left.started.turn)
        self.unfinished = None
        return await turn.resume(left)

    async def _prepared(self, number: int) -> Turn:
        """Return the turn with this number, with the agent and its authority as they are now."""
        parts = self._parts
        await parts.registry.refresh()
        runner = await self.load()
        if parts.registry.version != self._compiled_at:
            runner = await self._recompile(runner)
        spec = runner.compiled.spec
        authority = self.agent.authority(spec)
        context = CallContext(
            actor=authority.actor,
            scope=authority.scope,
            agent=spec.id,
            user=authority.user,
            session=self.id,
            turn=number,
            fence=self._journal.fence,
            model=runner.card.name,
            values={**self.agent.values, **spec.context},
        )
        before, self._answering = self._answering, runner
        other = before is None or before.compiled.spec.id != spec.id
        return Turn(
            registry=parts.registry,
            agent=self.agent,
            caller=parts.caller,
            approvals=self.approvals,
            compressor=parts.compressor,
            conversation=self.conversation,
            context=context,
            limits=parts.limits.of_agent(spec.options),
            verify=parts.verify,
            commit=self._commit,
            show=self._show,
            delegate=Delegates(parts.new_agent).answer,
            recorder=self._recorder,
            spent=self.conversation,
            activate=other,
            leaving=before if other else None,
        )

    async def _recompile(self, runner: Runner) -> Runner:
        """Compile the agent again: the registry changed since, by this or another session."""
        self._compiled_at = self._parts.registry.version
        try:
            fresh = await self.agent.reload()
        except (EntryInvalid, EntryNotFound) as error:
            # The definition itself is broken now; the one that worked goes on.
            await self._commit([Warned(text=error.what, where=error.where, fix=error.fix)])
            return runner
        await self._warn(fresh)
        return fresh

    async def _commit(
        self, events: Sequence[AnyEvent], *, durable: bool = False, later: bool = False
    ) -> Sequence[AnyEvent]:
        """Journal events, then apply them to the conversation, then show them.

        Returns them as they were journalled: without secrets.
        With `later` they are applied now, and journalled and shown with the next commit: for
        outcomes that nothing but the next step builds on, since a commit is what costs.
        """
        events = [self._journal.redactor.event(event) for event in events]
        if (watch := self._parts.watch) is not None:
            for event in events:
                watch(self.id, event)
        if later:
            for event in events:
                self.conversation.apply(event)
            self._waiting += events
            return events
        waiting, self._waiting = self._waiting, []
        turn = self.conversation.turn
        for event in (*waiting, *events):
            turn = getattr(event, "turn", turn)
        append = self._journal.append([*waiting, *events], turn=turn, durable=durable)
        try:
            # A durable one waits for another thread; cancelled there, its events would be in
            # the journal and not in the conversation.
            await (asyncio.shield(append) if durable else append)
        except StoreFailed:
            # They are part of the conversation already: the next commit tries again.
            self._waiting = [*waiting, *self._waiting]
            raise
        for event in waiting:
            self._tell(event)
        for event in events:
            self.conversation.apply(event)
            self._tell(event)
        return events

    def _show(self, event: AnyEvent) -> None:
        """Show what is not journalled."""
        self._tell(self._journal.redactor.event(event))

    def _tell(self, event: AnyEvent) -> None:
        """Hand an event without secrets on; a secret may still be split over two deltas."""
        for shown in self._stream.shown(event):
            self._listener(shown)


def _ignore(_: AnyEvent) -> None:
    """Drop an event: nobody listens."""
