"""One measured number beside its peer, its limits, and whether they are reached."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
HEADINGS = ("what", "ours", "peer or limit", "judged", "ahead", "goal", "reached")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a script's table."""

    name: str
    ours: float
    unit: str
    judged: float
    """What `ahead` and `goal` are compared with: a ratio, a difference, or `ours` itself."""
    judged_unit: str
    peer: float | None = None
    peer_name: str = "hand loop"
    ahead: float | None = None
    """At this value we are ahead of every peer that was measured (DESIGN 15)."""
    goal: float | None = None
    more_is_better: bool = False

    def reached(self, bound: float | None) -> bool | None:
        """Whether `judged` is as good as `bound`; None without one."""
        if bound is None:
            return None
        return self.judged >= bound if self.more_is_better else self.judged <= bound

    def as_dict(self) -> dict[str, object]:
        """Return the row for JSON, with the verdicts."""
        verdicts = {
            "ahead_reached": self.reached(self.ahead),
            "goal_reached": self.reached(self.goal),
        }
        return asdict(self) | verdicts

    def cells(self) -> tuple[str, ...]:
        """Return the row for the table."""
        verdicts = [self.reached(self.ahead), self.reached(self.goal)]
        said = {None: "–", True: "yes", False: "no"}
        return (
            self.name,
            f"{_number(self.ours)} {self.unit}",
            f"{_number(self.peer)} {self.unit} {self.peer_name}" if self.peer is not None else "–",
            f"{_number(self.judged)} {self.judged_unit}",
            _number(self.ahead),
            _number(self.goal),
            " / ".join(said[v] for v in verdicts),
        )


def ratio(
    name: str,
    ours: float,
    peer: float,
    unit: str,
    *,
    ahead: float | None = None,
    goal: float | None = None,
    peer_name: str = "hand loop",
) -> Row:
    """Build a row judged by ours ÷ peer."""
    return Row(
        name=name,
        ours=ours,
        unit=unit,
        peer=peer,
        peer_name=peer_name,
        judged=ours / peer,
        judged_unit="×",
        ahead=ahead,
        goal=goal,
    )


def absolute(
    name: str,
    ours: float,
    unit: str,
    *,
    peer: float | None = None,
    peer_name: str = "hand loop",
    ahead: float | None = None,
    goal: float | None = None,
) -> Row:
    """Build a row judged by its own value; the peer is there to compare with."""
    return Row(
        name=name,
        ours=ours,
        unit=unit,
        peer=peer,
        peer_name=peer_name,
        judged=ours,
        judged_unit=unit,
        ahead=ahead,
        goal=goal,
    )


def earlier(
    name: str,
    ours: float,
    peer: float,
    unit: str,
    *,
    ahead: float | None = None,
    goal: float | None = None,
) -> Row:
    """Build a row judged by how much less time ours takes than the peer."""
    return Row(
        name=name,
        ours=ours,
        unit=unit,
        peer=peer,
        judged=peer - ours,
        judged_unit=f"{unit} earlier",
        ahead=ahead,
        goal=goal,
        more_is_better=True,
    )


def faster(
    name: str,
    ours: float,
    peer: float,
    unit: str,
    *,
    ahead: float | None = None,
    goal: float | None = None,
    peer_name: str = "hand loop",
) -> Row:
    """Build a row of a rate, judged by ours ÷ peer."""
    row = ratio(name, ours, peer, unit, ahead=ahead, goal=goal, peer_name=peer_name)
    return replace(row, more_is_better=True)


def show(title: str, rows: Sequence[Row]) -> str:
    """Return the table of one script as text."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEADINGS))]
    texts = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([title, *(text.rstrip() for text in texts), ""])


def save(script: str, rows: Sequence[Row], *, folder: Path = RESULTS) -> Path:
    """Write the rows of one script to `<script>.json`."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{script}.json"
    path.write_text(json.dumps([row.as_dict() for row in rows], indent=1) + "\n", "utf-8")
    return path


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
