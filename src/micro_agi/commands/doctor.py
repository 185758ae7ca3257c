"""`doctor`: what works on this machine, and what to do about what does not."""

from micro_agi.commands import prove
from micro_agi.commands.health import Finding, examine
from micro_agi.commands.invocation import Invocation
from micro_agi.commands.output import wrapped

SIGNS = {"ok": "ok   ", "todo": "todo ", "broken": "FAIL "}


async def run(invocation: Invocation) -> int:
    """Examine everything in seconds; exit code 1 when something is broken.

    With `--prove`, attack the sandbox instead.
    """
    if invocation.args.prove:
        return await prove.run(invocation)
    findings: list[Finding] = []
    async for finding in examine(invocation):
        findings.append(finding)
        if not invocation.as_json:
            _say(invocation, finding)
    broken = [f for f in findings if f.state == "broken"]
    if invocation.as_json:
        invocation.say_json(
            [{"part": f.part, "state": f.state, "what": f.what, "fix": f.fix} for f in findings]
        )
    elif broken:
        invocation.note(f"\nbroken: {', '.join(f.part for f in broken)}")
    return 1 if broken else 0


def _say(invocation: Invocation, finding: Finding) -> None:
    start = f"{SIGNS[finding.state]} {finding.part:<10} "
    invocation.say(wrapped(start, finding.what, width=invocation.width))
    if finding.fix:
        # Below the part's name, not below its text: a fix is long and a terminal narrow.
        invocation.say(wrapped(f"{'':6}fix: ", finding.fix, width=invocation.width))
