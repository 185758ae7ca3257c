"""Say which workspace a call works in: the one a person named, or the user's own.

Without a name, each user has a directory below the home, `workspaces/<user>`, and whoever works
without a user has `workspace`. A named one is shared by all users of the program: whoever
starts it says so. What a tool is made of is made once for each user.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from micro_agi.local.tool import LocalTool
from micro_agi.local.workspace import PREFIX, Workspace, holds_state
from micro_agi.security.context import CallContext
from micro_agi.security.need import Need
from micro_agi.security.tenancy import check_user

OF_USERS = "workspaces"


class Workspaces:
    """The workspaces of one home."""

    def __init__(self, named: str, home: Path, *, person: str = "") -> None:
        """Take the directory that a person named, or ""; `person` is the user at this program.

        Raises: InputInvalid for a directory that holds the homes, or is part of them.
        """
        self._named = named
        self._home = home
        self._person = person
        self._made: dict[str, Workspace] = {}
        self.own = self.of(person)
        """That of the person at this program."""

    def of(self, user: str) -> Workspace:
        """Return a user's workspace; "" is whoever works without a user.

        Raises: InputInvalid for a name that no user can have.
        """
        if user not in self._made:
            self._made[user] = self._make(check_user(user))
        return self._made[user]

    def _make(self, user: str) -> Workspace:
        own = self._home / OF_USERS / user if user else self._home / PREFIX
        homes = self._home.parent  # with the homes of all apps
        workspace = Workspace(
            Path(self._named).expanduser() if self._named else own,
            # Where the program was started is the business of whoever started it.
            current=Path.cwd() if user == self._person else None,
            private=(homes,),
        )
        root = workspace.root
        if root.is_relative_to(os.path.realpath(homes)) and root != Path(os.path.realpath(own)):
            raise holds_state(root, homes)
        return workspace

    def tool(self, make: Callable[[Workspace], LocalTool]) -> LocalTool:
        """Return a tool that works in the workspace of whom each call is for."""
        made: dict[str, LocalTool] = {}

        def of(context: CallContext) -> LocalTool:
            if context.user not in made:
                made[context.user] = make(self.of(context.user))
            return made[context.user]

        async def run(value: Any, context: CallContext) -> Any:
            return await of(context).run(value, context)

        def needs(value: Any, context: CallContext) -> list[Need]:
            return list(of(context).needs(value, context))

        return LocalTool(run=run, needs=needs)
