"""What must hold where sessions are many, are somebody's, are killed, and are watched."""

from tests.requirements.entry import Requirement as R

REQUIREMENTS = [
    R(
        "design/6/tenancy",
        "DESIGN 6",
        "One user's sessions, grants, results and tools are unseen by another's: exact namespaces.",
    ),
]
