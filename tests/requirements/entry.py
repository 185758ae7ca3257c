"""The form of the manifest."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Requirement:
    """One behaviour that a requirement document asks for."""

    id: str
    """`document/section/behaviour`."""
    section: str
    """Heading of the document it stands under."""
    sentence: str
    """The behaviour, in our words."""
    status: Literal["met", "differs", "later"] = "met"
    note: str = ""
    """Why it differs, or which issue brings it."""
