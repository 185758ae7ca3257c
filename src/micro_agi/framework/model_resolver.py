"""Ask the app which model a name means, if it binds `wippy.llm:model_resolver`.

The method `resolve` gets `{model}` and returns a card, the name of a model, or nothing, and
then the entries are asked. It sees in its context whose call it is, and no policy allows it
anything beyond its own grants. Inside a resolver models are named by entries only, so that
none asks itself.

Source: spec/agent.md 6.3. Difference: an error of the resolver is final (decisions/0049).
"""

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from micro_agi.errors import EntryInvalid, MicroAgiError, ToolFailed
from micro_agi.llm.catalogue import Catalogue, ModelCard, ModelEntry
from micro_agi.registry.registry import Registry
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext
from micro_agi.security.policy import Scope
from micro_agi.tools.binding import default_function
from micro_agi.tools.functions import Functions

CONTRACT = "wippy.llm:model_resolver"
AT_ONCE = 4
"""Calls of the resolver, so that many model calls do not start as many workers."""
TIMEOUT_S = 30.0
# At depth 1 it never waits for a place in the pool: the call that it serves may hold the last.
CONTEXT = CallContext(actor=Actor("resolver:model"), scope=Scope(), depth=1)
_META = ("name", "title", "capabilities", "class", "priority")
_DATA = ("max_tokens", "output_tokens", "pricing", "providers", "thinking_effort")


class BoundModelResolver:
    """Finds the app's resolver at each question: bindings may come and go."""

    def __init__(
        self,
        registry: Registry,
        functions: Callable[[], Functions],
        catalogue: Callable[[], Catalogue],
        *,
        permit: Callable[[], None],
    ) -> None:
        """`permit` raises as long as nobody trusts the app whose function would run."""
        self._registry = registry
        self._functions = functions
        self._catalogue = catalogue
        self._permit = permit
        self._places = asyncio.Semaphore(AT_ONCE)
        self._inside: ContextVar[bool] = ContextVar("resolving a model", default=False)

    async def __call__(self, wanted: str, values: Mapping[str, Any]) -> ModelCard | None:
        """Return the card that the app gives for a name; None when it has none to give.

        `values` is what the resolver's `ctx` shows.
        Raises: what the resolver raised, with its kind, behind "failed to resolve model";
            EntryInvalid for a binding or an answer that makes no sense.
        """
        if self._inside.get():
            return None
        function = default_function(
            self._registry.snapshot(),
            CONTRACT,
            "resolve",
            is_operators=self._registry.is_operators,
            what="model resolver",
        )
        if not function:
            return None
        try:
            answer = await self._call(function, wanted, values)
            return None if answer is None else self._card(answer, wanted, function)
        except MicroAgiError as error:
            said = f"failed to resolve model `{wanted}`: {error.what}"
            raise type(error)(said, where=error.where or function, fix=error.fix) from error

    async def _call(self, function: str, wanted: str, values: Mapping[str, Any]) -> Any:
        self._permit()
        entered = self._inside.set(True)
        try:
            async with asyncio.timeout(TIMEOUT_S), self._places:
                context = CONTEXT.narrowed(values=values)
                return await self._functions().call(function, [{"model": wanted}], context)
        except TimeoutError as error:
            what = f"it took longer than {TIMEOUT_S:g} s"
            raise ToolFailed(what, where=function, fix="let it answer sooner") from error
        finally:
            self._inside.reset(entered)

    def _card(self, answer: Any, wanted: str, function: str) -> ModelCard:
        catalogue = self._catalogue()
        if isinstance(answer, str):
            return catalogue.resolve(answer)
        if not isinstance(answer, Mapping):
            raise EntryInvalid(
                f"the resolver returned a {type(answer).__name__}",
                where=function,
                fix="return a model's card, the name of a model, or nothing",
            )
        if not answer.get("providers"):
            # A card as `models.get_by_name` gives it: where a model is, no code is told.
            return catalogue.resolve(str(answer.get("name") or wanted))
        meta = {key: answer[key] for key in _META if key in answer}
        meta |= {"comment": answer["description"]} if "description" in answer else {}
        data = {key: answer[key] for key in _DATA if key in answer}
        return catalogue.read(ModelEntry(function, {"name": wanted, **meta}, data))
