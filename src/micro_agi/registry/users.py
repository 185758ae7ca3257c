"""The policy that is made with a user: it lets the user's agents write the user's tools."""

from micro_agi.registry.entry import Entry
from micro_agi.registry.scopes import WRITE_GROUP
from micro_agi.security.tenancy import GENERATED, USERS, own

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
