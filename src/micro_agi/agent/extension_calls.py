"""Call what traits declared around steps and tool calls: wrappers, lifecycles, checkpoints.

Each function gets one map, the payload, with `options` replaced by its own, and its context
through `ctx`. A failure is recorded and the next one is called, unless the extension is
strict. Hosts (sessions, `StepCaller`, an embedder) decide what an answer means.

Source: spec/agent.md 1.6, 4. Ours: an extension may name a function directly, and a binding
binds the phase's name, else the contract's one method.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from micro_agi.agent.extensions import CHECKPOINT, CONTRACTS, LIFECYCLE, WRAPPER, Extension
from micro_agi.agent.traits import Call
from micro_agi.errors import EntryInvalid, InputInvalid, MicroAgiError, ToolFailed
from micro_agi.messages import Message, Warned, message
from micro_agi.registry.snapshot import Snapshot
from micro_agi.tools.binding import function_behind
from micro_agi.values import as_object

METHODS = {WRAPPER: "wrap", LIFECYCLE: "apply", CHECKPOINT: "create"}


class Summary(Struct, kw_only=True):
    """What the extensions of one phase answered."""

    applied: int = 0
    skipped: int = 0
    messages: list[Any] = field(default_factory=list)
    context: dict[str, Any] = field(default_factory=dict)
    observations: list[Any] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def warnings(self) -> list[Warned]:
        """The recorded failures as events."""
        return [
            Warned(text=f"`{e['binding_id']}` failed: {e['error']}", where=f"trait {e['trait_id']}")
            for e in self.errors
        ]


class Extensions:
    """Calls extensions of one agent; made for one host, with the functions of one snapshot."""

    def __init__(self, found: Sequence[Extension], *, call: Call, snapshot: Snapshot) -> None:
        self._found = found
        self._call = call
        self._snapshot = snapshot

    def of(self, kind: str) -> tuple[Extension, ...]:
        """Return those of one kind, in the order they are called."""
        return tuple(e for e in self._found if e.kind == kind)

    async def apply(self, payload: Mapping[str, Any]) -> Summary:
        """Call the lifecycle extensions of `payload["phase"]`.

        Raises: InputInvalid for a payload without `phase` or `host.kind`; ToolFailed when a
            strict one fails.
        """
        summary = Summary()
        extensions = self.of(LIFECYCLE)
        if extensions:
            phase = _required(payload, LIFECYCLE)
            await self._each(extensions, phase, dict(payload), summary)
        return summary

    async def before_execute(self, payload: Mapping[str, Any]) -> tuple[list[Any], Summary]:
        """Let the tool wrappers see the calls; return those that shall run.

        Raises: as `apply`; the calls must not run then.
        """
        summary = Summary()
        running = {**payload, "phase": "before_execute"}
        if self.of(WRAPPER):
            _required(running, "tool wrapper")
            await self._each(self.of(WRAPPER), "before_execute", running, summary)
        return list(running["tool_calls"]), summary

    async def after_execute(self, payload: Mapping[str, Any]) -> Summary:
        """Tell the tool wrappers what became of the calls; their failures change nothing."""
        summary = Summary()
        running = {**payload, "phase": "after_execute"}
        if self.of(WRAPPER):
            await self._each(self.of(WRAPPER), "after_execute", running, summary, lenient=True)
        return summary

    async def checkpoint(self, payload: Mapping[str, Any]) -> tuple[str, Summary]:
        """Return what the first checkpoint that succeeds wrote, or "" when none did.

        Raises: as `apply`; EntryInvalid for another contract than the checkpoint's.
        """
        summary = Summary()
        for extension in self.of(CHECKPOINT):
            _required({**payload, "phase": CHECKPOINT}, CHECKPOINT)
            if extension.contract != CONTRACTS[CHECKPOINT]:
                raise EntryInvalid(
                    f"unsupported checkpoint contract: {extension.contract}", where=extension.id
                )
            try:
                answer = await self._answer(extension, CHECKPOINT, payload)
                written = answer.get("memory") or answer.get("summary")
                if not isinstance(written, str) or not written:
                    raise ToolFailed("a checkpoint returned neither `memory` nor `summary`")
            except MicroAgiError as error:
                self._failed(extension, CHECKPOINT, error, summary, lenient=False)
                continue
            summary.applied += 1
            return written, summary
        return "", summary

    async def _each(
        self,
        extensions: Sequence[Extension],
        phase: str,
        payload: dict[str, Any],
        summary: Summary,
        *,
        lenient: bool = False,
    ) -> None:
        """Call all extensions of a phase; replaced `tool_calls` go on to the next."""
        for extension in extensions:
            if extension.phases and phase not in extension.phases:
                summary.skipped += 1
                continue
            try:
                answer = await self._answer(extension, phase, payload)
            except MicroAgiError as error:
                self._failed(extension, phase, error, summary, lenient=lenient)
                continue
            summary.applied += 1
            summary.messages += _listed(answer.get("messages"))
            summary.context.update(as_object(answer.get("context")))
            summary.observations += _listed(answer.get("observations"))
            if answer.get("metadata"):
                ids = {"binding_id": extension.id, "trait_id": extension.trait}
                summary.metadata.append({**ids, "metadata": answer["metadata"]})
            if phase == "before_execute" and isinstance(answer.get("tool_calls"), list):
                payload["tool_calls"] = answer["tool_calls"]

    async def _answer(
        self, extension: Extension, phase: str, payload: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        function = function_behind(
            self._snapshot,
            extension.binding,
            extension.contract,
            phase,
            METHODS[extension.kind],
            where=f"{extension.id} of trait {extension.trait}",
        )
        own = {**payload, "options": dict(extension.options)}
        answer = await self._call(function, [own], extension.context)
        if answer is None or answer == []:
            return {}
        if not isinstance(answer, Mapping):
            raise ToolFailed(
                f"`{function}` returned a {type(answer).__name__}",
                where=function,
                fix="return a map, or nothing",
            )
        return answer

    def _failed(
        self,
        extension: Extension,
        phase: str,
        error: MicroAgiError,
        summary: Summary,
        *,
        lenient: bool,
    ) -> None:
        """Record a failure, or hand it on when the extension is strict."""
        if extension.strict and not lenient:
            raise ToolFailed(
                f"`{extension.id}` failed: {error.what}", where=error.where, fix=error.fix
            ) from error
        summary.errors.append(
            {
                "binding_id": extension.id,
                "trait_id": extension.trait,
                "phase": phase,
                "error": error.what,
                "strict": extension.strict,
            }
        )


def _required(payload: Mapping[str, Any], what: str) -> str:
    """Return the phase of a payload that has all that extensions rely on.

    Raises: InputInvalid.
    """
    if not payload.get("phase"):
        raise InputInvalid(f"{what} phase is required", where="phase")
    if not as_object(payload.get("host")).get("kind"):
        raise InputInvalid(f"{what} host is required", where="host.kind")
    return str(payload["phase"])


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def developer_messages(summary: Summary) -> list[Message]:
    """Return what lifecycle extensions said, as messages to be kept: texts, or `{content}`."""
    texts = (m if isinstance(m, str) else as_object(m).get("content") for m in summary.messages)
    return [message("developer", t) for t in texts if isinstance(t, str) and t]
