"""Write and read instants by layouts: the reference time `Mon Jan 2 15:04:05 MST 2006`.

The same layouts as module `time` has, in Python, because expressions run there. Reading goes
through `re`: a pattern is made of a few fixed parts that cannot overlap, so it is linear.
"""

import calendar
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from micro_agi.sandbox.worker.pure.expr.limits import ExpressionError
from micro_agi.sandbox.worker.pure.expr.moments import Moment, Zone, moment_of

TEXT = "2006-01-02 15:04:05.999999999 -0700 MST"
TRIED = (
    *("2006-01-02", "15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04:05Z07:00"),
    *("02 Jan 06 15:04 MST", "Monday, 02-Jan-06 15:04:05 MST", "Mon, 02 Jan 2006 15:04:05 MST"),
)
"""What `date` tries when it is given no layout."""

CHUNK = re.compile(
    r"January|Jan|Monday|Mon|MST|2006|Z07:00|Z0700|-07:00|-0700|-07|__2|002|01|02|03|04|05|06|15"
    r"|PM|pm|_2|[.,]0+(?!\d)|[.,]9+(?!\d)|1|2|3|4|5"
)
MONTHS, DAYS = calendar.month_name, calendar.day_name
MOST_CHARACTERS = 200


def write(layout: str, moment: Moment) -> str:
    """Return the instant in its zone, as the layout shows the reference time."""
    civil = moment.civil()
    return CHUNK.sub(lambda found: _written(found[0], civil, moment), layout)


def _written(chunk: str, at: datetime, moment: Moment) -> str:
    if chunk[0] in ".,":
        digits = f"{moment.nanosecond:09d}"[: len(chunk) - 1]
        if chunk[1] == "9":
            digits = digits.rstrip("0")
        return chunk[0] + digits if digits else ""
    return WRITERS[chunk](at)


def _offset(at: datetime, form: str) -> str:
    zone = at.utcoffset()
    seconds = int(zone.total_seconds()) if zone else 0
    if form.startswith("Z") and not seconds:
        return "Z"
    hours, minutes = divmod(abs(seconds) // 60, 60)
    sign = "-" if seconds < 0 else "+"
    tail = f":{minutes:02d}" if ":" in form else f"{minutes:02d}" if len(form) > 3 else ""
    return f"{sign}{hours:02d}{tail}"


def _offset_writer(form: str) -> Callable[[datetime], str]:
    return lambda at: _offset(at, form)


WRITERS: Mapping[str, Callable[[datetime], str]] = {
    "2006": lambda at: f"{at.year:04d}",
    "06": lambda at: f"{at.year % 100:02d}",
    "January": lambda at: MONTHS[at.month],
    "Jan": lambda at: MONTHS[at.month][:3],
    "01": lambda at: f"{at.month:02d}",
    "1": lambda at: str(at.month),
    "02": lambda at: f"{at.day:02d}",
    "_2": lambda at: f"{at.day:2d}",
    "2": lambda at: str(at.day),
    "002": lambda at: f"{at.timetuple().tm_yday:03d}",
    "__2": lambda at: f"{at.timetuple().tm_yday:3d}",
    "Monday": lambda at: DAYS[at.weekday()],
    "Mon": lambda at: DAYS[at.weekday()][:3],
    "15": lambda at: f"{at.hour:02d}",
    "03": lambda at: f"{at.hour % 12 or 12:02d}",
    "3": lambda at: str(at.hour % 12 or 12),
    "04": lambda at: f"{at.minute:02d}",
    "4": lambda at: str(at.minute),
    "05": lambda at: f"{at.second:02d}",
    "5": lambda at: str(at.second),
    "PM": lambda at: "PM" if at.hour >= 12 else "AM",
    "pm": lambda at: "pm" if at.hour >= 12 else "am",
    "MST": lambda at: at.tzname() or "UTC",
    **{form: _offset_writer(form) for form in ("Z07:00", "Z0700", "-07:00", "-0700", "-07")},
}

NUMBER = {
    **{"2006": r"(?P<year>\d{4})", "06": r"(?P<short>\d{2})"},
    **{"01": r"(?P<month>\d{2})", "1": r"(?P<month>\d{1,2})"},
    **{"02": r"(?P<day>\d{2})", "2": r"(?P<day>\d{1,2})", "_2": r" ?(?P<day>\d{1,2})"},
    **{"15": r"(?P<hour>\d{2})", "03": r"(?P<hour>\d{2})", "3": r"(?P<hour>\d{1,2})"},
    **{"04": r"(?P<minute>\d{2})", "4": r"(?P<minute>\d{1,2})"},
    **{"05": r"(?P<second>\d{2})(?:\.(?P<fraction>\d{1,9}))?"},
    **{"5": r"(?P<second>\d{1,2})(?:\.(?P<fraction>\d{1,9}))?"},
    **{"002": r"(?P<yearday>\d{3})", "__2": r" *(?P<yearday>\d{1,3})"},
    **{"January": r"(?P<name>[A-Z][a-z]+)", "Jan": r"(?P<name>[A-Z][a-z]{2})"},
    **{"Monday": r"[A-Z][a-z]+day", "Mon": r"[A-Z][a-z]{2}"},
    **{"PM": r"(?P<half>AM|PM)", "pm": r"(?P<half>am|pm)", "MST": r"(?P<zone>[A-Z]{3,5})"},
    **{"Z07:00": r"(?P<offset>Z|[+-]\d\d:\d\d)", "Z0700": r"(?P<offset>Z|[+-]\d{4})"},
    **{"-07:00": r"(?P<offset>[+-]\d\d:\d\d)", "-0700": r"(?P<offset>[+-]\d{4})"},
    "-07": r"(?P<offset>[+-]\d\d)",
}


def read(layout: str, text: str, zone: Zone) -> Moment:
    """Return the instant that a text in this layout names; `zone` holds if the text has none.

    Raises:
        ExpressionError: the text is not in the layout, or no such day or hour exists.
    """
    if len(layout) > MOST_CHARACTERS or len(text) > MOST_CHARACTERS:
        raise ExpressionError(f"a date or layout longer than {MOST_CHARACTERS} characters")
    try:
        found = re.fullmatch(_pattern(layout), text)
    except re.error:
        raise ExpressionError(f"the layout {layout!r} names one part twice") from None
    if not found:
        raise ExpressionError(f"cannot parse {text!r} as {layout!r}")
    try:
        return _moment({k: v for k, v in found.groupdict().items() if v is not None}, zone)
    except ValueError as error:
        raise ExpressionError(f"cannot parse {text!r} as {layout!r}: {error}") from None


def guess(text: str, zone: Zone) -> Moment:
    """Return the instant of a text in one of the usual layouts.

    Raises:
        ExpressionError: it is in none of them.
    """
    for layout in TRIED:
        try:
            return read(layout, text, zone)
        except ExpressionError:
            continue
    raise ExpressionError(f"invalid date {text[:40]!r}; write it as 2006-01-02T15:04:05Z")


def _pattern(layout: str) -> str:
    parts, at = [], 0
    seconds = False
    for chunk in CHUNK.finditer(layout):
        parts.append(re.escape(layout[at : chunk.start()]))
        at = chunk.end()
        # Behind the seconds any fraction is read, whether the layout has one or not.
        if chunk[0][0] not in ".," or not seconds:
            parts.append(NUMBER.get(chunk[0]) or re.escape(chunk[0]))
        seconds = chunk[0] in ("05", "5")
    return "".join([*parts, re.escape(layout[at:])])


def _moment(parts: dict[str, str], zone: Zone) -> Moment:
    year = int(parts.get("year", "0"))
    if "short" in parts:
        # Two digits: 1969 to 2068, as Go has it.
        year = int(parts["short"]) + (1900 if int(parts["short"]) >= 69 else 2000)
    month = int(parts.get("month", "1"))
    if "name" in parts:
        month = _month_named(parts["name"])
    hour = int(parts.get("hour", "0"))
    if "half" in parts:
        hour = hour % 12 + (12 if parts["half"].lower() == "pm" else 0)
    # A layout without a year is read in year 0, which only sums with a duration make useful.
    civil = datetime(
        max(year, 1), month, int(parts.get("day", "1")), hour,
        int(parts.get("minute", "0")), int(parts.get("second", "0")),
    )  # fmt: skip
    nanosecond = int(parts.get("fraction", "0").ljust(9, "0"))
    return moment_of(civil, nanosecond, _zone(parts, zone))


def _month_named(name: str) -> int:
    for number in range(1, 13):
        if name in (MONTHS[number], MONTHS[number][:3]):
            return number
    raise ValueError(f"no month {name}")


def _zone(parts: dict[str, str], zone: Zone) -> Zone:
    offset = parts.get("offset")
    if offset is None:
        return Zone("UTC", 0) if parts.get("zone") in ("UTC", "GMT") else zone
    if offset in ("Z", "+00:00", "+0000", "+00"):
        return Zone("UTC", 0)
    digits = offset[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    if seconds >= 86400:
        raise ValueError("the offset is longer than a day")
    return Zone("", -seconds if offset[0] == "-" else seconds)
