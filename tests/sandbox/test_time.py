"""The `time` module and `os.date`, to the letter of spec/runtime.md 5.2 and 6.1."""

import pytest

from micro_agi.security.context import Trial, root_context

AT = "time.date(2024, 12, 29, 15, 4, 5, 123456000, time.utc)"
NEW_YORK = "time.load_location('America/New_York')"

VALUES = [
    (f"tostring({AT})", "2024-12-29 15:04:05.123456 +0000 UTC"),
    (f"{AT}:format(time.RFC3339)", "2024-12-29T15:04:05Z"),
    (f"{AT}:format(time.RFC3339NANO)", "2024-12-29T15:04:05.123456Z"),
    (f"{AT}:format(time.RFC822)", "29 Dec 24 15:04 UTC"),
    (f"{AT}:format(time.RFC822Z)", "29 Dec 24 15:04 +0000"),
    (f"{AT}:format(time.RFC850)", "Sunday, 29-Dec-24 15:04:05 UTC"),
    (f"{AT}:format(time.RFC1123)", "Sun, 29 Dec 2024 15:04:05 UTC"),
    (f"{AT}:format(time.KITCHEN)", "3:04PM"),
    (f"{AT}:format(time.STAMP_MILLI)", "Dec 29 15:04:05.123"),
    (f"{AT}:format(time.DATE_TIME)", "2024-12-29 15:04:05"),
    (f"{AT}:format('002 __2 _2 Janet 3:4:5 pm .000 ,999')", "364 364 29 Janet 3:4:5 pm .123 ,123"),
    (f"{AT}:unix()", 1735484645),
    (f"{AT}:unix_nano()", 1735484645123456000),
    (f"{AT}:weekday()", 0),
    (f"{AT}:year_day()", 364),
    (f"{AT}:nanosecond()", 123456000),
    (f"tostring({AT}:add('1h30m'))", "2024-12-29 16:34:05.123456 +0000 UTC"),
    (f"tostring({AT}:add(time.SECOND))", "2024-12-29 15:04:06.123456 +0000 UTC"),
    (f"tostring({AT}:sub({AT}:add('-36h')))", "36h0m0s"),
    (f"tostring({AT}:truncate(time.parse_duration('1h')))", "2024-12-29 15:00:00 +0000 UTC"),
    (f"tostring({AT}:round(time.parse_duration('10s')))", "2024-12-29 15:04:10 +0000 UTC"),
    (f"tostring({AT}:round(time.parse_duration('1ms')))", "2024-12-29 15:04:05.123 +0000 UTC"),
    (
        "time.date(2024, 1, 31, 0, 0, 0, 0, time.utc):add_date(0, 1, 0):format('2006-01-02')",
        "2024-03-02",
    ),
    (
        "time.date(2024, 14, 35, 25, 61, 61, 0, time.utc):format(time.DATE_TIME)",
        "2025-03-08 02:02:01",
    ),
    (f"tostring({AT}:in_location({NEW_YORK}))", "2024-12-29 10:04:05.123456 -0500 EST"),
    (f"tostring({NEW_YORK})", "America/New_York"),
    (f"time.date(2024, 7, 1, 12, 0, 0, 0, {NEW_YORK}):format('-0700 MST')", "-0400 EDT"),
    # Beyond the file's last entry: the rule at its end.
    (f"time.date(2077, 7, 1, 12, 0, 0, 0, {NEW_YORK}):format('Z07:00 MST')", "-04:00 EDT"),
    (f"time.date(2077, 1, 1, 12, 0, 0, 0, {NEW_YORK}):format('MST')", "EST"),
    (
        "tostring(time.date(2024, 1, 1, 0, 0, 0, 0, time.fixed_zone('X', 5400)))",
        "2024-01-01 00:00:00 +0130 X",
    ),
    ("time.unix(0, 1500000000):utc():format(time.RFC3339NANO)", "1970-01-01T00:00:01.5Z"),
    ("time.date(1, 1, 1, 0, 0, 0, 0, time.utc):is_zero()", True),
    (f"{AT}:equal({AT}:in_location({NEW_YORK}))", True),
    (f"{AT}:before({AT}:add(1)) and {AT}:add(1):after({AT})", True),
    (f"{AT} == {AT}", False),
    ("time.utc == time.utc and tostring(time.utc)", "UTC"),
    ("tostring(time.localtz)", "Local"),
    ("type(time.now())", "userdata"),
    ("time.HOUR + time.NANOSECOND + time.DECEMBER + time.SATURDAY", 3600000000019),
]


@pytest.mark.parametrize(("expression", "expected"), VALUES)
def test_instants_behave_as_the_documents_say(lua, expression, expected):
    assert lua.value(f"({expression})") == [expected]


DURATIONS = [
    ("'1h30m45s'", "1h30m45s"),
    ("'1.5s'", "1.5s"),
    ("'500ms'", "500ms"),
    ("'-2m'", "-2m0s"),
    ("'0'", "0s"),
    ("'1µs'", "1µs"),
    ("'1us1ns'", "1.001µs"),
    ("'.5m'", "30s"),
    ("90 * time.MINUTE", "1h30m0s"),
    ("math.mininteger", "-2562047h47m16.854775808s"),
]


@pytest.mark.parametrize(("value", "text"), DURATIONS)
def test_durations_print_in_units(lua, value, text):
    assert lua.value(f"tostring((time.parse_duration({value})))") == [text]


@pytest.mark.parametrize("text", ["7d", "", "1", "h", "1h ", "1.2.3s", "9999999h", "-"])
def test_a_bad_duration_is_invalid(lua, text):
    assert lua.value(f"select(2, time.parse_duration('{text}')):kind()") == ["Invalid"]


PARSED = [
    ("time.RFC3339", "2024-02-29T23:59:59.5+02:00", "2024-02-29 23:59:59.5 +0200 +0200"),
    ("time.RFC3339", "2024-02-29T23:59:59Z", "2024-02-29 23:59:59 +0000 UTC"),
    ("time.DATE_ONLY", "2024-02-29", "2024-02-29 00:00:00 +0000 UTC"),
    ("time.KITCHEN", "12:30AM", "0000-01-01 00:30:00 +0000 UTC"),
    ("time.RFC1123", "Tue, 10 Nov 2009 23:00:00 XYZ", "2009-11-10 23:00:00 +0000 XYZ"),
    ("'Jan _2 06'", "Feb  3 69", "1969-02-03 00:00:00 +0000 UTC"),
    ("'2006 002'", "2024 366", "2024-12-31 00:00:00 +0000 UTC"),
    ("'02 january 2006'", None, None),
    ("time.DATE_ONLY", "2023-02-29", None),
    ("time.DATE_ONLY", "2024-02-01 ", None),
    ("time.DATE_ONLY", "2024-13-01", None),
    ("time.TIME_ONLY", "24:00:00", None),
    ("time.RFC3339", "2024-02-29 10:00:00Z", None),
]


@pytest.mark.parametrize(("layout", "text", "expected"), PARSED)
def test_texts_are_parsed_by_example(lua, layout, text, expected):
    found = lua.value(f"tostring((time.parse({layout}, [[{text}]], time.utc)))")
    assert found == [expected or "nil"]


def test_a_zone_that_does_not_exist_is_not_found(lua):
    for name, kind in [
        ("Mars/Olympus", "NotFound"),
        ("../../etc/passwd", "NotFound"),
        ("", "Invalid"),
    ]:
        assert lua.value(f"select(2, time.load_location('{name}')):kind()") == [kind]


def test_a_trial_freezes_the_clock_and_does_not_wait(lua):
    context = root_context().narrowed(trial=Trial(now_ns=1_700_000_000_123_456_789))
    expression = "time.now():unix_nano(), os.time(), time.sleep('1h') == nil, os.date('!%H:%M')"
    assert lua.value(expression, context=context) == [
        1_700_000_000_123_456_789,
        1_700_000_000,
        True,
        "22:13",
    ]


OS_VALUES = [
    ("os.date('!%Y-%m-%d %H:%M:%S', 0)", "1970-01-01 00:00:00"),
    ("os.date('!%c', 86400)", "Fri Jan  2 00:00:00 1970"),
    (
        "os.date('!%A %B %I %p %j %w %y %% %U %W %Q %z %Z', 0)",
        "Thursday January 12 AM 001 4 70 % 01 01 %Q +0000 UTC",
    ),
    ("os.date('!%x %X', 0)", "01/01/70 00:00:00"),
    ("os.date('!*t', 3600).hour", 1),
    ("os.time{year=1970, month=1, day=2} - os.time{year=1970, month=1, day=1, hour=12}", 43200),
    ("os.platform", "wippy"),
    ("math.type(os.time())", "integer"),
    ("os.difftime(5, 3)", 2.0),
]


@pytest.mark.parametrize(("expression", "expected"), OS_VALUES)
def test_the_small_os_library(lua, expression, expected):
    assert lua.value(expression) == [expected]
