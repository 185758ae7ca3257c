"""The functions that make instants, spans and zones, and the methods those have.

Source: spec/runtime.md 6.9; the methods are the ones people write on a Go time.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from micro_agi.sandbox.worker.pure.expr.layouts import guess, read, write
from micro_agi.sandbox.worker.pure.expr.limits import Budget, ExpressionError
from micro_agi.sandbox.worker.pure.expr.moments import (
    LOCAL,
    RULES,
    SECOND,
    UTC,
    Moment,
    Span,
    Zone,
    duration_text,
    moment_of,
    parse_duration,
)
from micro_agi.sandbox.worker.pure.expr.scalars import need


def date(budget: Budget, text: Any, layout: Any = None, zone: Any = None) -> Moment:
    """Read an instant; without a layout the usual ones are tried. UTC unless told otherwise."""
    where = UTC if zone is None else timezone_named(budget, zone)
    if layout is None:
        return guess(need(text, "string", "date"), where)
    return read(need(layout, "string", "date"), need(text, "string", "date"), where)


def timezone_named(budget: Budget, name: Any) -> Zone:
    """Return the zone of that name, whose rules are known from then on."""
    if type(name) is Zone:
        return name
    if need(name, "string", "timezone") == "UTC":
        return UTC
    zone = LOCAL if name == "Local" else Zone(name)
    RULES.of(zone)
    return zone


def _duration(budget: Budget, text: Any) -> Span:
    return parse_duration(need(text, "string", "duration"))


DATES: Mapping[str, Callable[..., Any]] = {
    **{"date": date, "duration": _duration, "timezone": timezone_named},
}


def _add_date(of: Moment, years: Any, months: Any, days: Any) -> Moment:
    civil = of.civil().replace(tzinfo=None, microsecond=0)
    moved = need(years, "int", "AddDate") * 12 + need(months, "int", "AddDate")
    year, month = divmod(civil.year * 12 + civil.month - 1 + moved, 12)
    try:
        # The day may be beyond its month: the 31st of April is the first of May.
        start = datetime(year, month + 1, 1, civil.hour, civil.minute, civil.second)
        days_on = timedelta(days=civil.day - 1 + need(days, "int", "AddDate"))
        return moment_of(start + days_on, of.nanosecond, of.zone)
    except (ValueError, OverflowError):
        raise ExpressionError("the time is outside the years 1 to 9999") from None


def _in(of: Moment, zone: Any) -> Moment:
    return Moment(of.ns, timezone_named(Budget(), zone))


def _format(of: Moment, layout: Any) -> str:
    return write(need(layout, "string", "Format"), of)


def _other(value: Any, name: str) -> Moment:
    found: Moment = need(value, "time", name)
    return found


MOMENT_METHODS: Mapping[str, Callable[..., Any]] = {
    "Year": lambda of: of.civil().year,
    "Month": lambda of: of.civil().month,
    "Day": lambda of: of.civil().day,
    "Hour": lambda of: of.civil().hour,
    "Minute": lambda of: of.civil().minute,
    "Second": lambda of: of.civil().second,
    "Nanosecond": lambda of: of.nanosecond,
    "Weekday": lambda of: of.civil().isoweekday() % 7,
    "YearDay": lambda of: of.civil().timetuple().tm_yday,
    "Unix": lambda of: of.ns // SECOND,
    "UnixMilli": lambda of: of.ns // 1_000_000,
    "UnixMicro": lambda of: of.ns // 1000,
    "UnixNano": lambda of: of.ns,
    "Format": _format,
    "Add": lambda of, span: of.plus(need(span, "duration", "Add").ns),
    "AddDate": _add_date,
    "Sub": lambda of, other: of.since(_other(other, "Sub")),
    "Before": lambda of, other: of.ns < _other(other, "Before").ns,
    "After": lambda of, other: of.ns > _other(other, "After").ns,
    "Equal": lambda of, other: of.ns == _other(other, "Equal").ns,
    "In": _in,
    "UTC": lambda of: Moment(of.ns, UTC),
    "Local": lambda of: Moment(of.ns, LOCAL),
    "Location": lambda of: of.zone,
}
SPAN_METHODS: Mapping[str, Callable[..., Any]] = {
    "Hours": lambda of: of.ns / (3600 * SECOND),
    "Minutes": lambda of: of.ns / (60 * SECOND),
    "Seconds": lambda of: of.ns / SECOND,
    "Milliseconds": lambda of: int(of.ns / 1_000_000),
    "Microseconds": lambda of: int(of.ns / 1000),
    "Nanoseconds": lambda of: of.ns,
    "Abs": lambda of: Span(abs(of.ns)),
    "String": lambda of: duration_text(of.ns),
}
METHODS: Mapping[type, Mapping[str, Callable[..., Any]]] = {
    **{Moment: MOMENT_METHODS, Span: SPAN_METHODS},
    Zone: {"String": lambda of: of.name},
}
