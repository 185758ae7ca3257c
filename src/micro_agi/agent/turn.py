"""The loop: from a user message to the final answer, in one screen.

Everything that happens is an event. `commit` journals events before the next effect, and
shows them only then; so what a person saw, what the journal holds and what a model was
sent cannot differ. An outcome that only the next step builds on waits for that step's
intent (`later=True`): a step costs two commits, whatever the number of its calls. The first
of them runs beside the request, whose answer is nothing to anybody before it is done.

Limits are outcomes, never answers. Source: seed 000 "Agent Loop"; spec/agent.md 7.2;
DESIGN 10, 12.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from micro_agi.agent.around import Around
from micro_agi.agent.calling import Calling, Commit
from micro_agi.agent.compress import Compressor, chars_per_token
from micro_agi.agent.context import AgentContext
from micro_agi.agent.fit import Fit, talk_chars
from micro_agi.agent.inputs import Recorder
from micro_agi.agent.limits import TurnLimits
from micro_agi.agent.originals import offer_recall
from micro_agi.agent.outcomes import Outcomes
from micro_agi.agent.shown_after import ShownAfter
from micro_agi.agent.step import Runner
from micro_agi.agent.verify import seen_by, unbacked
from micro_agi.errors import MicroAgiError, ProviderRefused
from micro_agi.llm.failure import CONTEXT_LENGTH, error_type
from micro_agi.llm.request import PreparedRequest
from micro_agi.messages import (
    AnyEvent,
    ApprovalAnswered,
    ApprovalAsked,
    Circling,
    Errored,
    LimitHit,
    Message,
    Outcome,
    Recalled,
    Shortened,
    StepFinished,
    StepStarted,
    Text,
    TextDelta,
    ToolCall,
    ToolCallFinished,
    ToolSpec,
    TurnFinished,
    TurnResumed,
    TurnStarted,
    Unbacked,
    Usage,
)
from micro_agi.registry.registry import Registry
from micro_agi.security.context import CallContext
from micro_agi.sessions.circle import Circles
from micro_agi.sessions.conversation import Conversation
from micro_agi.sessions.recovery import Pending, Unfinished
from micro_agi.tools.approve import Approvals
from micro_agi.tools.call import ToolCaller
from micro_agi.tools.results import owner

Delegate = Callable[["Turn", ToolCall, ToolSpec, Sequence[AnyEvent]], Awaitable[ToolCallFinished]]
"""Lets another agent answer a call: `Delegates.answer`."""

End = tuple[Outcome, str]
"""How a turn ends, and its answer."""

MAX_TRUNCATED = 2
"""Retries of steps that were cut inside their tool calls."""
MAX_EMPTY = 2
"""Retries of steps that had neither text nor a call."""


@dataclass(slots=True, kw_only=True)
class Turn:
    """One turn of one session. Made by `Session`, run once."""

    registry: Registry
    agent: AgentContext
    caller: ToolCaller
    approvals: Approvals
    compressor: Compressor
    conversation: Conversation
    context: CallContext
    limits: TurnLimits
    commit: Commit
    show: Callable[[AnyEvent], None]
    delegate: Delegate
    recorder: Recorder
    spent: Conversation
    """Of the session: what all its turns took, this one and its delegates' included."""
    verify: bool = False
    """Whether an answer is compared with what was seen."""
    activate: bool = False
    """The agent answers for the first time, or again after another one."""
    leaving: Runner | None = None
    """The agent that answered before it, if it was another one."""
    clock: Callable[[], float] = time.monotonic
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    steps: int = 0
    calls: int = 0
    truncated: int = 0
    empty: int = 0
    asked_at: float = 0.0
    waited_s: float = 0.0
    """Time that a person thought about questions."""
    ran_s: float = 0.0
    """Before it was cut off."""
    body: bytes = b""
    """Of the newest request."""
    deadline: asyncio.Timeout = field(default_factory=lambda: asyncio.Timeout(None))
    circles: Circles = field(default_factory=Circles)
    left: Unfinished | None = None
    """What was cut off, until its last reply is done with."""
    outcomes: Outcomes = field(init=False)
    around: Around = field(init=False)
    calling: Calling = field(init=False)
    fit: Fit = field(init=False)
    sent: PreparedRequest | None = None
    """The newest request."""

    def __post_init__(self) -> None:
        self.outcomes = Outcomes(self.registry, self.agent)
        self.fit = Fit(partial(self.caller.results.cut, session=owner(self.context)))
        self.around = Around(self.registry, self.context, self.commit)
        self.calling = Calling(
            registry=self.registry,
            agent=self.agent,
            caller=self.caller,
            approvals=self.approvals,
            outcomes=self.outcomes,
            around=self.around,
            commit=self.commit,
            emit=self._emit,
            delegate=partial(self.delegate, self),
            concurrency=self.limits.tool_concurrency,
        )

    async def run(self, user: Message) -> TurnFinished:
        """Run the turn to its end; every outcome, also a cancelled one, is journalled."""
        agent = self.agent.get_current_agent().compiled.spec.id
        started = TurnStarted(turn=self.context.turn, message=user, agent=agent)
        await self.commit([started], later=True)
        return await self._finish(self._loop())

    async def resume(self, left: Unfinished) -> TurnFinished:
        """Go on with a turn that was cut off: nothing committed is done again.

        Calls without an outcome run (again) where that repeats no effect; of the others the
        model is told that their outcome is unknown.
        """
        self.steps, self.calls = left.steps, left.calls
        self.truncated, self.empty = left.truncated, left.empty
        self.usage, self.cost_usd, self.ran_s = left.usage, left.cost_usd, left.seconds
        self.circles, self.left = left.circles, left
        runs = self.calling.resume(left)
        resumed = TurnResumed(
            turn=self.context.turn,
            again=tuple(call_id for call_id, may_run in runs.items() if may_run),
            unknown=tuple(call_id for call_id, may_run in runs.items() if not may_run),
        )
        await self.commit([resumed])
        return await self._finish(self._go_on(left))

    async def _finish(self, work: Coroutine[Any, Any, End]) -> TurnFinished:
        """Do the turn's work within its time, and commit how it ended."""
        outcome: Outcome
        text = ""
        began, time_limit = self.clock(), self.limits.time(self.spent)
        try:
            may_run_s = self.limits.seconds(self.spent) - self.ran_s
            async with asyncio.timeout(may_run_s) as self.deadline:
                outcome, text = await work
        except asyncio.CancelledError:
            outcome = "cancelled"
        except TimeoutError:
            await self.commit([time_limit])
            outcome = "limit_reached"
        except MicroAgiError as error:
            await self.commit([Errored(error=dict(error.as_dict()))])
            outcome = "failed"
        finally:
            self.outcomes.close()
        self.conversation.close_calls()
        finished = TurnFinished(
            turn=self.context.turn,
            outcome=outcome,
            text=text,
            usage=self.usage,
            cost_usd=self.cost_usd,
            steps=self.steps,
            seconds=self.ran_s + self.clock() - began - self.waited_s,
        )
        await self.commit([finished])
        return finished

    async def _go_on(self, left: Unfinished) -> End:
        """Do what the last reply of a turn that was cut off still asks for, then go on."""
        end = await self._act(left.last, left.pending) if left.last else None
        self.left = None
        return end or await self._loop()

    async def _loop(self) -> End:
        if self.leaving is not None:
            await self.around.phase("deactivate", self.leaving, step=self.steps)
        if self.activate:
            await self.around.phase("activate", await self.agent.ready(), step=self.steps)
        while True:
            limits = self.limits
            hit = limits.reached(self.steps, self.calls, self.usage, self.cost_usd or 0.0)
            hit = hit or limits.session.reached(self.spent)
            if hit is not None:
                await self.commit([hit], later=True)  # with the turn's end: told once
                return "limit_reached", ""
            end = await self._act(await self._step())
            if end is not None:
                return end

    async def _act(
        self, step: StepFinished, pending: Sequence[Pending] | None = None
    ) -> End | None:
        """Do what a reply asks for; return the turn's end if that is it.

        `pending` are the calls to make when it is not all of them.
        """
        calls = step.message.tool_calls
        if step.truncated:
            self.truncated += 1
            if self.truncated > MAX_TRUNCATED:
                limit = LimitHit(limit="truncated replies", value=MAX_TRUNCATED, unit="steps")
                await self.commit([limit], later=True)
                return "limit_reached", step.message.text
        elif step.problem is not None:
            return await self._cut_off(step.problem), step.message.text
        elif calls and pending is None:
            self.calls += len(calls)
            await self.calling.run(calls, self.step_context(), step=self.steps)
        elif calls:
            await self.calling.go_on(calls, pending or (), self.step_context(), step=self.steps)
        elif not step.message.text.strip():
            self.empty += 1
            if self.empty > MAX_EMPTY:
                raise _no_answer(step, self.empty)
        else:
            await self._verify(step.message.text)
            await self._compact(step.usage, running=False)
            return "answered", step.message.text
        if calls and await self._circle():
            return "limit_reached", ""
        await self._compact(step.usage, running=True)
        return None

    async def _cut_off(self, problem: Mapping[str, Any]) -> Outcome:
        """End with a part of an answer: the stream broke off for good, and why decides how."""
        if problem.get("retryable") is True:
            tries = self.limits.model_retries
            await self.commit([LimitHit(limit="model retries", value=tries, unit="tries")])
            return "limit_reached"
        await self.commit([Errored(error=dict(problem))])
        return "failed"

    async def _verify(self, answer: str) -> None:
        """Flag what the answer states and nothing says that the model saw."""
        if not (self.verify and self.calls and self.sent):
            return
        request = self.sent.request
        facts = unbacked(answer, seen_by(request.system, self.conversation.messages[:-1]))
        if facts:
            await self.commit([Unbacked(facts=tuple(facts))], later=True)

    async def _circle(self) -> bool:
        """Tell the model that it goes in a circle; whether it went on long enough."""
        stops_at, left = self.limits.rounds, self.left
        counted = left is not None and left.counted
        circle = self.circles.newest if counted else self.circles.step(self.conversation.messages)
        if circle is None or not stops_at:
            return False
        if circle.rounds >= stops_at:
            limit = LimitHit(limit="same calls", value=stops_at, unit="rounds")
            await self.commit([limit], later=True)
            return True
        if circle.rounds == (stops_at + 1) // 2 and not (left and left.told):
            told = Circling(steps=circle.steps, rounds=circle.rounds, stops_at=stops_at)
            await self.commit([told], later=True)
        return False

    async def _step(self) -> StepFinished:
        runner, values = await self.agent.ready(), self.context.values
        await self.around.phase("before_step", runner, step=self.steps)
        system = await runner.opening(context=values, on_event=self.show)
        memory = await runner.recall(self.conversation.messages, context=values, on_event=self.show)
        if memory is not None:
            await self.commit([Recalled(message=memory)], later=True)
        try:
            return await self._request(system)
        except ProviderRefused as error:
            if error_type(error) != CONTEXT_LENGTH or self.sent is None:
                raise
            # The server counts otherwise than we do; once, with less.
            self.fit.refused(self.sent.request)
            return await self._request(system, refused=error)

    async def _request(
        self, system: str, *, refused: ProviderRefused | None = None
    ) -> StepFinished:
        """Make one model request, and return what came of it.

        Raises: `refused`, the error of the request before, when this one is no shorter.
        """
        runner, prepared = await self._fitted(system)
        if refused is not None and self.sent and len(prepared.body) >= len(self.sent.body):
            raise refused
        self.sent = prepared
        self.steps += 1
        shown: list[str] = []

        def show(event: AnyEvent) -> None:
            if isinstance(event, TextDelta):
                shown.append(event.text)
            self.show(event)

        try:
            # On an open connection the request leaves at once: the commit is done while the
            # model reads it.
            async with ShownAfter(self._intend(runner, prepared), show) as show_later:
                response = await runner.send(prepared, show_later)
        except asyncio.CancelledError:
            await self._keep("".join(shown), runner, prepared)
            raise
        self.fit.learn(prepared.request, response.tokens)
        self.spend(response.tokens, response.cost_usd)
        self.body = prepared.body
        finished = StepFinished(
            step=self.steps,
            model=runner.card.name,
            message=response.message,
            finish_reason=response.finish_reason,
            usage=response.tokens,
            cost_usd=response.cost_usd,
            truncated=response.truncated,
            problem=dict(response.problem) if response.problem else None,
        )
        # One commit for the reply and the intents of its calls; a last reply goes with the
        # turn's end.
        calls = response.message.tool_calls
        intents = await self.calling.intents(calls, runner, step=self.steps)
        effects = any(not intent.replayable for intent in intents)
        await self.commit([finished, *intents], durable=effects, later=not intents)
        await self.around.phase("after_step", runner, step=self.steps)
        return finished

    async def _keep(self, text: str, runner: Runner, prepared: PreparedRequest) -> None:
        """Journal what was shown of a reply that nobody waits for any more, with the turn's end."""
        if not text.strip():
            return
        # What it really took, only the rest of the stream would have said.
        usage = Usage(prompt=self.fit.tokens(prepared.request), completion=self.fit.tokens_in(text))
        cost_usd = runner.card.cost(usage)
        self.spend(usage, cost_usd)
        stopped = StepFinished(
            step=self.steps,
            model=runner.card.name,
            message=Message(role="assistant", parts=(Text(text),)),
            finish_reason="stopped",
            usage=usage,
            cost_usd=cost_usd,
        )
        await self.commit([stopped], later=True)

    async def _intend(self, runner: Runner, prepared: PreparedRequest) -> None:
        """Commit what is asked of the model, and what it was made of."""
        started = StepStarted(
            step=self.steps,
            model=runner.card.name,
            request_hash=prepared.hash,
            registry_version=self.registry.version,
            inputs=self.recorder.of(
                prepared.request,
                system=runner.compiled.system,
                in_words=prepared.request.messages is not self.conversation.messages,
            ),
        )
        await self.commit([started])

    async def _fitted(self, system: str) -> tuple[Runner, PreparedRequest]:
        """Build the next request so that it fits the model's window, as far as it can."""
        messages = self.conversation.messages
        runner = await self.agent.ready()
        prepared = runner.prepare(messages, system=system)
        excess = self.fit.excess(prepared.request, prepared.body)
        if excess and any(m.role == "tool" for m in messages):
            # First, since the tool that reads the rest takes room as well.
            await self.commit(await self.outcomes.offer_pages())
            runner = await self.agent.ready()
            prepared = runner.prepare(messages, system=system)
            excess = self.fit.excess(prepared.request, prepared.body)
            if shorter := await self.fit.shorter(messages, excess):
                before = sum(len(messages[r.at].text) for r in shorter)
                after = sum(len(r.text) for r in shorter)
                event = Shortened(results=tuple(shorter), chars_before=before, chars_after=after)
                await self.commit([event])
                prepared = runner.prepare(messages, system=system)
        excess = self.fit.excess(prepared.request, prepared.body)
        # Where even an empty conversation would not fit, nothing of it is given up.
        if 0 < excess < talk_chars(prepared.request.messages):
            usage = Usage(prompt=self.fit.tokens(prepared.request))
            await self._summarise(runner, usage, running=True)
            prepared = runner.prepare(self.conversation.messages, system=system)
        return runner, prepared

    def step_context(self) -> CallContext:
        """Return the turn's context with the step in its call id, so that keys are unique.

        A delegate's turn has the key of the call that it answers before its own.
        """
        before = f"{self.context.call_id}>" if self.context.call_id else ""
        return self.context.narrowed(call_id=f"{before}{self.context.turn}.{self.steps}")

    def spend(self, usage: Usage, cost_usd: float | None) -> None:
        """Count tokens and money for this turn."""
        self.usage = self.usage.plus(usage)
        if cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost_usd

    async def _compact(self, usage: Usage, *, running: bool) -> None:
        runner = await self.agent.ready()
        if self.compressor.due(usage, runner.card):
            await self._summarise(runner, usage, running=running)

    async def _summarise(self, runner: Runner, usage: Usage, *, running: bool) -> None:
        await self.commit([])  # summarising takes seconds: what waits is committed before
        event = await self.compressor.compact(
            self.conversation,
            usage,
            runner.card,
            running=running,
            keep=self.recorder.keep,
            checkpoint=self.around.checkpoint(runner, step=self.steps),
            chars_per_token=chars_per_token(self.body, usage),
        )
        if event is not None:
            self.spend(event.usage, event.cost_usd)
            await self.commit([event])
            await self.commit(await offer_recall(self.agent))

    async def _emit(self, event: AnyEvent) -> None:
        await self.commit([event])
        self.watch_question(event)

    def watch_question(self, event: AnyEvent) -> None:
        """Move the deadline by the time a person thinks about a question."""
        now = self.clock()
        if isinstance(event, ApprovalAsked):
            self.asked_at = now
        elif isinstance(event, ApprovalAnswered):
            until = self.deadline.when()
            self.waited_s += now - self.asked_at
            if until is not None:
                self.deadline.reschedule(until + now - self.asked_at)


def _no_answer(step: StepFinished, times: int) -> ProviderRefused:
    return ProviderRefused(
        f"the model answered {times} times with neither text nor a tool call",
        where=f"the last reply ended with `{step.finish_reason}`",
        fix="ask again or differently, raise the agent's max_tokens, or use another model",
    )
