"""The users of one registry: what each may know of it, and the policy made with each.

Source: decisions/0042-users.md.
"""

from contextlib import suppress

from micro_agi.errors import EntryConflict, PolicyDenied
from micro_agi.registry.entry import Entry
from micro_agi.registry.registry import Registry
from micro_agi.registry.scopes import WRITE_GROUP
from micro_agi.registry.seen import seen_by
from micro_agi.security.context import root_context
from micro_agi.security.tenancy import GENERATED, USERS, check_user, own

NAME = "write_own_tools"


def user_policy(user: str) -> Entry:
    """Return the entry: an allow on exactly the user's namespace, for that user's calls alone.

    It counts for no other user because of where it stands (`scopes.Scopes.write_scope`).
    """
    namespace = own(USERS, user)
    return Entry(
        id=f"{namespace}:{NAME}",
        kind="security.policy",
        meta={"title": f"Agents that work for {user} may write {user}'s tools"},
        data={
            "policy": {
                "actions": ["registry.*"],
                "resources": [f"{own(GENERATED, user)}:*"],
                "effect": "allow",
            },
            "groups": [f"{namespace}:{WRITE_GROUP}"],
        },
    )


class Users:
    """For whom one program works: for one user, or for whomever each session names."""

    def __init__(self, whole: Registry, only: str) -> None:
        """Take the registry of all, and the setting `user`: "" is any."""
        self._whole = whole
        self._only = only
        self._views: dict[str, Registry] = {}

    def named(self, user: str | None) -> str:
        """Return for whom something is: `user`, else the setting.

        Raises: InputInvalid for what is no name; PolicyDenied for another than the setting's.
        """
        if user is None or user == self._only:
            return self._only
        if self._only:
            raise PolicyDenied(
                f"this program works for `{self._only}`, not for `{user}`",
                where="user",
                fix="open a runtime without the setting `user`, and give one to each session",
            )
        return check_user(user)

    def registry_of(self, user: str) -> Registry:
        """Return what a user may know of the registry; kept, for all of the user's sessions."""
        if user not in self._views:
            self._views[user] = seen_by(self._whole, user)
        return self._views[user]

    async def welcome(self, user: str) -> None:
        """Make the policy that lets a user's agents write the user's tools, once.

        An operator who deletes it takes the right away: it is not made again.
        """
        entry = user_policy(user)
        if not user or entry.id in self._whole.snapshot():
            return
        if not self._whole.history.of_entry(entry.id):
            changes = self._whole.snapshot().changes()
            changes.create(entry)
            with suppress(EntryConflict):  # another process was as fast
                await changes.apply(root_context(reason=f"first session of user {user}"))
