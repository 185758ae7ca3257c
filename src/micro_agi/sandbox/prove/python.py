"""Run the attacks that are Python tools, with all of `ctypes`, in real CPython workers.

Heads: `modules`, `limits`; `level: A` marks what is about a root of its own, which there is none
of at level B; `machine` the processor whose numbers or code it uses. Each attack is followed
by an honest call of the same session, which has to be served.
"""

from msgspec.structs import replace

from micro_agi.errors import SandboxUnavailable
from micro_agi.sandbox.limits import PYTHON
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.prove.corpus import Attack
from micro_agi.sandbox.prove.tools import Tripwires, attempt, limits_of, make_context
from micro_agi.sandbox.prove.verdict import Outcome, Verdict, judge
from micro_agi.sandbox.unit import Unit

LIMITS = replace(PYTHON, wall_s=5.0, total_s=15.0, grace_s=0.5)
HONEST = "def handler(args): return len(args)"


async def refusal(pool: Pool) -> str:
    """Return why the pool runs no Python at all; "" when it does."""
    try:
        await pool.check(_unit("honest", HONEST))
    except SandboxUnavailable as error:
        return error.what
    return ""


async def run_python(attack: Attack, pool: Pool, wires: Tripwires) -> Verdict:
    """Call an attack's handler, then an honest one, and judge."""
    modules = tuple(attack.facts.get("modules", "").split())
    unit = _unit(attack.name, attack.source, modules)
    context = make_context(attack)
    outcome = await attempt(pool, unit, [{}], context, limits_of(attack, LIMITS))
    honest = await attempt(pool, _unit("honest", HONEST), [{"x": 1}], context, LIMITS)
    if honest.what != 1:
        outcome = Outcome(kind="error", what=f"the next call was not served: {honest.what}")
    return judge(attack, replace(outcome, reached=wires.of(attack)))


def _unit(name: str, source: str, modules: tuple[str, ...] = ()) -> Unit:
    return Unit(
        id=f"attack:{name}", source=source, method="handler", modules=modules, language="python"
    )
