"""What must hold where sessions are many, are somebody's, are killed, and are watched."""

from tests.requirements.entry import Requirement as R

REQUIREMENTS = [
    R(
        "design/12/idempotency-header",
        "DESIGN 12",
        "A tool that its operator declared idempotent can send its call's key with a request.",
    ),
    R(
        "design/12/effect-classes",
        "DESIGN 12",
        "Listings say which tools may run again: replayable, idempotent, effect.",
    ),
    R(
        "design/6/tenancy",
        "DESIGN 6",
        "One user's sessions, grants, results and tools are unseen by another's: exact namespaces.",
    ),
]
