"""What the terminal needs of a runtime; `app.Runtime` fits, and so can an embedder's own."""

from typing import Any, Protocol

from micro_agi.agent.session import Session
from micro_agi.registry.registry import Registry
from micro_agi.tools.approve import Approver


class Agency(Protocol):
    """Opens sessions, and holds the registry that they share."""

    @property
    def registry(self) -> Registry:
        """The registry of the app: tools, agents and models are listed from it."""
        ...

    async def session(
        self, session_id: str | None, *, agent: str = "", approver: Approver | None = None
    ) -> Session:
        """Open a new session, or the one with this id; `approver` answers its questions."""
        ...

    async def undo(self, count: int = 1) -> list[str]:
        """Take back the newest changes of files, and say in a line what became of each."""
        ...

    def root(self) -> Any:
        """Return the person's own authority; the terminal only hands it on to the registry."""
        ...
