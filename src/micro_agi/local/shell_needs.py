"""What a command text needs before it runs: each of its commands by itself, as the rules say."""

from micro_agi.errors import PolicyDenied
from micro_agi.local.shell_rules import RULE_TYPE, Answer, Judge, Judgment, rules_of
from micro_agi.registry.registry import Registry
from micro_agi.security.need import Need

RUN = "shell.run"
"""What a command needs that the rules allow."""
CONFIRM = "shell.confirm"
"""What one needs that they leave to a person."""


def needs_of(
    command: str, directory: str, workspace: str, registry: Registry
) -> tuple[list[Need], bool]:
    """Return what has to be allowed before a command may run in `directory`.

    The second is whether git is asked to do more than look.
    Raises: PolicyDenied for what a rule denies; EntryInvalid for a rule that cannot be read.
    """
    found = registry.snapshot().find({"meta.type": RULE_TYPE})
    rules = rules_of(found, registry.is_operators)
    judgment = Judge(rules, workspace).judge(command, directory)
    git = any(a.program == "git" and a.effect != "allow" for a in judgment.answers)
    return _needs(command, judgment), git


def _needs(command: str, judgment: Judgment) -> list[Need]:
    """Return what has to be allowed.

    Raises: PolicyDenied for what a rule denies.
    """
    for answer in judgment.answers:
        if answer.effect == "deny":
            raise _denied(answer)
    if judgment.unclear:
        # One question about all of it: a person reads what a parser could not.
        return [Need(action=CONFIRM, resource=command, reason=judgment.unclear)]
    if not judgment.answers:
        # A comment, an assignment: it runs nothing, and is still a use of the shell.
        return [Need(action=RUN, resource=command)]
    return [
        Need(
            action=RUN if answer.effect == "allow" else CONFIRM,
            resource=answer.text,
            reason=_reason(answer, command),
        )
        for answer in judgment.answers
    ]


def _reason(answer: Answer, command: str) -> str:
    rule = f" (rule `{answer.rule}`)" if answer.rule else ""
    part = f"; part of: {command}" if answer.text.strip() != command.strip() else ""
    return f"{answer.reason}{rule}{part}"


def _denied(answer: Answer) -> PolicyDenied:
    return PolicyDenied(
        f"`{answer.text[:200]}` is not run: {answer.reason}",
        where=f"rule `{answer.rule}`",
        fix="do without it; a person can change the rule, or run the command",
    )
