"""`session replay`: is the record of a session whole, and what would another tool have changed."""

import msgspec

from micro_agi.agent.replay import Rebuilt
from micro_agi.agent.what_if import WhatIf
from micro_agi.app import Runtime
from micro_agi.commands.invocation import Invocation
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import count, facts, table

DIFFERENT = 1
"""Exit code when something is not as it was, or would not be."""
EXCERPT_CHARS = 200


async def replay(invocation: Invocation) -> int:
    """Rebuild every request of a session and say which is not what was sent.

    Raises: EntryNotFound for an unknown session; EntryInvalid for a `--with` that is none.
    """
    async with open_runtime(invocation) as rt:
        if invocation.args.other:
            return _say_what_if(
                invocation, await rt.what_if(invocation.args.id, invocation.args.other)
            )
        return await _replay(invocation, rt)


async def _replay(invocation: Invocation, rt: Runtime) -> int:
    found = await rt.replay(invocation.args.id)
    broken = rt.registry.history.verify()
    damage = [(d.where, d.what) for d in found.damage]
    if broken is not None:
        damage.append((f"registry version v{broken.version}", broken.what))
    whole = found.identical and broken is None
    if invocation.as_json:
        invocation.say_json(
            {
                "session": found.session,
                "identical": whole,
                "requests": [msgspec.to_builtins(r) for r in found.requests],
                "damage": [{"where": where, "what": what} for where, what in damage],
            }
        )
        return 0 if whole else DIFFERENT
    if found.faults:
        rows = [_cells(r) for r in found.faults]
        heads = ("EVENT", "TURN", "STEP", "MODEL", "REQUEST")
        invocation.say(table(heads, rows, width=invocation.width))
    for where, what in damage:
        invocation.say(facts([("damaged", where), ("what", what)], width=invocation.width))
    same = len(found.requests) - len(found.faults)
    verdict = f"{same} of {count(len(found.requests), 'model request')} rebuilt byte for byte"
    invocation.say(verdict if damage else f"{verdict}; journal and registry hold together")
    return 0 if whole else DIFFERENT


def _cells(request: Rebuilt) -> tuple[str, ...]:
    inside = "".join(f"{agent}: " for agent in request.path)
    what = f"{request.verdict}: {request.why}" if request.why else request.verdict
    return (
        str(request.seq),
        str(request.turn),
        str(request.step),
        request.model,
        inside + what,
    )


def _say_what_if(invocation: Invocation, found: WhatIf) -> int:
    if invocation.as_json:
        calls = [msgspec.to_builtins(c) | {"different": c.different} for c in found.calls]
        invocation.say_json(msgspec.to_builtins(found) | {"calls": calls})
        return DIFFERENT if found.different else 0
    if found.offered is not None:
        place = f"turn {found.offered.turn}, step {found.offered.step}"
        invocation.say(f"from {place} on the model would have been shown another tool:")
        for field, (recorded, then) in found.offered.changed.items():
            lines = [(f"{field} was", _excerpt(recorded)), ("instead", _excerpt(then))]
            invocation.say(facts(lines, width=invocation.width, indent="  "))
    for call in found.calls:
        place = f"event {call.seq}, turn {call.turn}: {_excerpt(call.arguments)}"
        if call.then is None:
            invocation.say(f"{place}\n  {call.why}")
        elif call.different:
            lines = [("was", _excerpt(call.recorded)), ("instead", _excerpt(call.then))]
            invocation.say(f"{place}\n{facts(lines, width=invocation.width, indent='  ')}")
    if not found.calls:
        invocation.say(f"session `{invocation.args.id}` never called `{found.tool}`")
        return DIFFERENT if found.different else 0
    same = sum(call.then is not None and not call.different for call in found.calls)
    invocation.say(f"{same} of {count(len(found.calls), 'call')} would have had the same result")
    return DIFFERENT if found.different else 0


def _excerpt(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= EXCERPT_CHARS else text[: EXCERPT_CHARS - 1] + "…"
