"""What the terminal needs of a runtime; `app.Runtime` fits, and so can an embedder's own."""

from typing import Protocol

from micro_agi.agent.session import Session
from micro_agi.registry.history import Version
from micro_agi.registry.registry import Registry
from micro_agi.tools.approve import Approver


class Agency(Protocol):
    """Opens sessions, and holds the registry that they share."""

    @property
    def registry(self) -> Registry:
        """The registry of the app: tools, agents and models are listed from it."""
        ...

    async def session(
        self,
        session_id: str | None = None,
        *,
        agent: str = "",
        approver: Approver | None = None,
    ) -> Session:
        """Open a new session, or the one with this id, with whoever answers its questions."""
        ...

    async def rollback(self, entry_id: str, *, to: int) -> Version:
        """Restore one entry to what it was after version `to`, with the person's authority."""
        ...
