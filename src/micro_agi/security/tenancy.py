"""Whose an entry or a session is, where a program works for several users.

What belongs to a user stands in namespaces of exactly that user: `app.generated.<user>` for
tools, `app.grants.<user>` for the answers that the user gave, `app.users.<user>` for the policy
that lets the user's agents write. `app.generated` and `app.grants` themselves belong to whoever
works without a user. Nothing here matches patterns: `al` has no part in what is `alice`'s.

Source: DESIGN 6; decisions/0042-users.md.
"""

import re
from functools import lru_cache

from micro_agi.errors import InputInvalid, PolicyDenied

GENERATED = "app.generated"
"""Namespace of the tools that agents make."""
GRANTS = "app.grants"
"""Namespace of the answers "always" that a person gave."""
USERS = "app.users"
"""Above the namespaces of the policies that were made with the users."""
_OWNED = (GENERATED, GRANTS, USERS)
_USER = re.compile(r"[a-z][a-z0-9_]{0,63}")


def check_user(user: str) -> str:
    """Return `user`, "" for none.

    Raises: InputInvalid for a name that cannot be a part of a namespace.
    """
    if user and not _USER.fullmatch(user):
        raise InputInvalid(
            f"`{user}` is no name of a user",
            where="user",
            fix="write it with a lower-case letter, then up to 63 of a-z, 0-9 and _",
        )
    return user


def own(namespace: str, user: str) -> str:
    """Return the user's own namespace instead of `namespace`.

    >>> own(GENERATED, "alice"), own(GENERATED, "")
    ('app.generated.alice', 'app.generated')
    """
    return f"{namespace}.{user}" if user else namespace


def is_owned(namespace: str) -> bool:
    """Whether what stands in `namespace` belongs to one user, or to whoever has none."""
    return any(namespace == o or namespace.startswith(f"{o}.") for o in _OWNED)


def is_generated(namespace: str) -> bool:
    """Whether `namespace` holds tools that agents made, for whomever."""
    return namespace == GENERATED or namespace.startswith(f"{GENERATED}.")


def is_grants(namespace: str) -> bool:
    """Whether `namespace` holds grants, whoever's."""
    return namespace == GRANTS or namespace.startswith(f"{GRANTS}.")


def is_persons(namespace: str) -> bool:
    """Whether only a person writes in `namespace`, with grants and policies of some user."""
    return any(namespace == o or namespace.startswith(f"{o}.") for o in (GRANTS, USERS))


@lru_cache(maxsize=4096)  # asked for every entry of every look-up; the answers are few
def visible(namespace: str, user: str | None) -> bool:
    """Whether `user` may know what stands in `namespace`; None is the operator, who may.

    A namespace below a user's own (`app.generated.alice.x`) is nobody's.

    >>> visible("app.generated.alice", "alice"), visible("app.generated.alice", "al")
    (True, False)
    >>> visible("app.tools", "al"), visible("app.generated", "al"), visible("app.generated", "")
    (True, False, True)
    """
    if user is None or not is_owned(namespace):
        return True
    return any(namespace == own(o, user) for o in _OWNED)


def owner(namespace: str) -> str:
    """Return whose a namespace is: a user's name, or "" for nobody's in particular.

    >>> owner("app.generated.alice"), owner("app.generated"), owner("app.tools")
    ('alice', '', '')
    """
    for owned in _OWNED:
        if namespace.startswith(f"{owned}."):
            return namespace.removeprefix(f"{owned}.")
    return ""


def owned_session(session: str, user: str) -> str:
    """Return the id under which a user's session is kept: `alice/s1`.

    Raises: InputInvalid for an id that no session may have; PolicyDenied for another user's.

    >>> owned_session("s1", "alice"), owned_session("alice/s1", "alice"), owned_session("s1", "")
    ('alice/s1', 'alice/s1', 's1')
    """
    before, slash, rest = session.partition("/")
    bare = rest if slash else session
    if not bare or "/" in bare:
        raise InputInvalid(f"`{session}` is no session id", where="session", fix="leave out `/`")
    if slash and before != user:
        raise PolicyDenied(
            f"session `{session}` belongs to another user",
            where=f"user {user or 'none'}",
            fix=f"give the user: `--user {before}`",
        )
    return f"{user}/{bare}" if user else bare


def user_of(session: str) -> str:
    """Return whose session has this id.

    >>> user_of("alice/s1"), user_of("s1")
    ('alice', '')
    """
    before, slash, _ = session.partition("/")
    return before if slash else ""
