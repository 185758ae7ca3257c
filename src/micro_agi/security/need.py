from msgspec import Struct

"""What one call is about to do and a policy, or a person, has to answer before it starts."""


class Need(Struct, frozen=True, kw_only=True):
    """One action on one resource, known from the arguments of a call."""

    action: str
    """As policies name it: `workspace.write`, `shell.run`."""
    resource: str
    """What exactly; a person's answer counts for this text and no other."""
    reason: str = ""
    """Why it is asked, for the person."""
