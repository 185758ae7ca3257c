"""Hold instants, spans and zones: what `now`, `date`, `duration` and `timezone` return.

A zone is UTC, the machine's own, a fixed offset, or a name. What a name means is in a file
that the worker cannot open: `ZoneWanted` asks for it, the Lua side fetches it from the
parent and runs the expression again.
"""

import io
import re
import zoneinfo
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo

from micro_agi.sandbox.worker.pure.expr.limits import ExpressionError

SECOND = 1_000_000_000
UTC_RULES = timezone(timedelta(0), "UTC")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC_RULES)
MOST_ZONES = 32
UNITS = {
    **{"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 1_000_000, "s": SECOND},
    **{"m": 60 * SECOND, "h": 3600 * SECOND},
}
PART = re.compile(r"(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)")


class ZoneWanted(Exception):
    """The rules of a named zone are needed; `name` is the only argument."""

    @property
    def name(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class Zone:
    """Where clocks show the same."""

    name: str
    """`UTC`, `Local`, a name such as `Europe/Zurich`, or what a fixed offset is called."""
    fixed_s: int | None = None
    """Seconds east of UTC, if it is always the same."""

    def __str__(self) -> str:
        return self.name


UTC = Zone("UTC", 0)
LOCAL = Zone("Local")


@dataclass(slots=True)
class Rules:
    """The zone files that this worker has seen."""

    known: dict[str, tzinfo] = field(default_factory=dict)

    def learn(self, name: str, content: bytes) -> None:
        """Keep a zone file; without content or understanding it is UTC."""
        if len(self.known) > MOST_ZONES:
            # The machine's own cannot be read again behind the lock.
            self.known = {"Local": self.known["Local"]} if "Local" in self.known else {}
        try:
            self.known[name] = zoneinfo.ZoneInfo.from_file(io.BytesIO(content), key=name)
        except ValueError:
            self.known[name] = UTC_RULES

    def of(self, zone: Zone) -> tzinfo:
        """Return the rules of a zone.

        Raises:
            ZoneWanted: they are in a file that is not here yet.
        """
        if zone.fixed_s is not None:
            return timezone(timedelta(seconds=zone.fixed_s), zone.name)
        if zone.name not in self.known:
            raise ZoneWanted(zone.name)
        return self.known[zone.name]


RULES = Rules()
"""One per worker process: zone files are the same for everybody."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A duration in nanoseconds."""

    ns: int

    def __str__(self) -> str:
        return duration_text(self.ns)


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant and the zone in which it is shown."""

    ns: int
    """Since 1970, of any size."""
    zone: Zone = field(default=UTC, compare=False)

    def __lt__(self, other: "Moment") -> bool:
        return self.ns < other.ns

    def __le__(self, other: "Moment") -> bool:
        return self.ns <= other.ns

    def civil(self) -> datetime:
        """Return date and time of day in its zone, without what is below microseconds.

        Raises:
            ExpressionError: the year is beyond 1 to 9999.
            ZoneWanted: see there.
        """
        try:
            utc = EPOCH + timedelta(seconds=self.ns // SECOND)
            return utc.astimezone(RULES.of(self.zone))
        except OverflowError:
            raise ExpressionError("the time is outside the years 1 to 9999") from None

    @property
    def nanosecond(self) -> int:
        return self.ns % SECOND

    def plus(self, ns: int) -> "Moment":
        return Moment(self.ns + ns, self.zone)

    def since(self, other: "Moment") -> Span:
        # As Go has it: longer than 64 bits is the longest there is.
        return Span(max(-(1 << 63), min((1 << 63) - 1, self.ns - other.ns)))


def moment_of(civil: datetime, nanosecond: int, zone: Zone) -> Moment:
    """Return the instant of a date and time of day in a zone."""
    try:
        aware = civil.replace(tzinfo=RULES.of(zone), microsecond=0)
        since = aware - EPOCH
    except OverflowError:
        raise ExpressionError("the time is outside the years 1 to 9999") from None
    return Moment((since.days * 86400 + since.seconds) * SECOND + nanosecond, zone)


def parse_duration(text: str) -> Span:
    """Read `1h30m`, `-1.5s`, `0`.

    Raises:
        ExpressionError: it is no duration, or longer than 64 bits of nanoseconds.
    """
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    total, at = 0, 0
    while at < len(rest):
        part = PART.match(rest, at)
        if not part or not (part[1] or part[2]) or len(part[1]) > 19:
            break
        scale = UNITS[part[3]]
        fraction = (part[2] or "")[:18]
        total += int(part[1] or "0") * scale
        total += int(fraction or "0") * scale // 10 ** len(fraction)
        at = part.end()
    if rest != "0" and (at < len(rest) or not rest or total >= 1 << 63):
        raise ExpressionError(f"invalid duration {text[:40]!r}; write it as 1h30m or 1.5s")
    return Span(sign * total)


def duration_text(ns: int) -> str:
    """Return the shortest text of a duration: `1h0m0s`, `1.5s`, `20ms`."""
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    if ns == 0:
        return "0s"
    for unit, scale in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
        if ns < scale * 1000:
            return f"{sign}{_in_units(ns, scale)}{unit}"
    seconds = f"{_in_units(ns % (60 * SECOND), SECOND)}s"
    minutes = ns // (60 * SECOND)
    if not minutes:
        return sign + seconds
    hours = f"{minutes // 60}h" if minutes >= 60 else ""
    return f"{sign}{hours}{minutes % 60}m{seconds}"


def _in_units(ns: int, scale: int) -> str:
    whole, rest = divmod(ns, scale)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).rjust(len(str(scale)) - 1, '0').rstrip('0')}"
