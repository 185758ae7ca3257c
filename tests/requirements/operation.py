"""What must hold where sessions are many, are somebody's, are killed, and are watched."""

from tests.requirements.entry import Requirement as R

REQUIREMENTS = [
    R(
        "design/12/idempotency-header",
        "DESIGN 12",
        "A tool that its operator declared idempotent can send its call's key with a request.",
    ),
    R(
        "design/14/monty",
        "DESIGN 14, issue 3",
        "Where the kernel cannot confine CPython, Monty runs what it can and says what it cannot.",
    ),
    R(
        "design/12/effect-classes",
        "DESIGN 12",
        "Listings say which tools may run again: replayable, idempotent, effect.",
    ),
    R(
        "design/12/upcasters",
        "DESIGN 12",
        "Every event has a schema number; what older programs wrote is read as it was meant.",
    ),
    R(
        "issue-6/spans",
        "Issue 6, 9",
        "Spans with the GenAI conventions for turns, steps, tools and host calls; off by default.",
    ),
    R(
        "issue-6/cost",
        "Issue 6, 9",
        "`session show --cost` says what each model and each tool took.",
    ),
    R(
        "design/6/tenancy",
        "DESIGN 6",
        "One user's sessions, grants, results and tools are unseen by another's: exact namespaces.",
    ),
]
