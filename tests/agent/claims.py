"""Answers with what was seen before them, and what of each is made up: the labelled set.

Half of them are right in ways that a naive comparison flags; a flag on one of those is
what the verifier must not do.
"""

from typing import NamedTuple


class Case(NamedTuple):
    """One answer."""

    name: str
    answer: str
    seen: tuple[str, ...]
    made_up: tuple[str, ...] = ()
    """What should be flagged."""
    missed: tuple[str, ...] = ()
    """What is made up as well, and known not to be found."""


LISTING = "src/\n  main.py  4213 bytes\n  util/text.py  880 bytes\nREADME.md  1999 bytes"
SALES = "region,q1,q2\nnorth,12500,13750\nsouth,8421.55,9100\n"
PAGE = "https://example.org/docs/start says: version 3.12.4 was released. sha 9f86d081884c7d65"

CASES = [
    # What is right.
    Case("said as it was seen", "`main.py` has 4213 bytes.", (LISTING,)),
    Case("a path put together", "It is in src/util/text.py.", (LISTING,)),
    Case("with a leading dot", "See ./src/main.py for it.", (LISTING,)),
    Case("with separators", "North made 12,500 in Q1.", (SALES,)),
    Case("rounded", "South made 8422 in Q1, so 8,400 in round numbers.", (SALES,)),
    Case("added up", "North made 26250 in both quarters.", (SALES,)),
    Case("subtracted", "North grew by 1250.", (SALES,)),
    Case("a thousandth", "North made 12.5 thousand.", (SALES,)),
    Case("multiplied", "20 boxes of 150 are 3000 pieces.", ("20 boxes", "150 each")),
    Case("a share", "That is 1400 percent.", ("14 of 1",)),
    Case("a year", "This was so in 1984 and is in 2026.", (LISTING,)),
    Case("two numbers side by side", "Page 12 345 lines.", ("page 12", "345 lines")),
    Case("a date", "Since 2026-11-21 it is.", (LISTING,)),
    Case("a proposal", "You could move it to src/lib/new_name.py.", (LISTING,)),
    Case("a question", "Shall it go to src/lib/new_name.py?", (LISTING,)),
    Case("an example", "For example 123456 is such a number.", (LISTING,)),
    Case("code", "Run this:\n```\nls /opt/other/place.txt 99999\n```\n", (LISTING,)),
    Case("slashes that are none", "It is read/write, and/or 80 km/h, TCP/IP 3/4.", (LISTING,)),
    Case("what the person said", "I kept /srv/in/a.csv.", ("copy /srv/in/a.csv", LISTING)),
    Case("a call's argument", "I wrote notes/plan.md.", ('{"path": "notes/plan.md"}', "ok")),
    Case("a link", "See https://example.org/docs/start.", (PAGE,)),
    Case("a hash", "Its hash begins with 9f86d081.", (PAGE,)),
    Case("a version", "Version 3.12.4 is out.", (PAGE,)),
    Case("a port and a time", "It answers at 127.0.0.1:8080 since 12:30.", ("listening",)),
    Case("small numbers", "There are 3 files in 2 directories.", (LISTING,)),
    Case("an estimate", "A novel has about 90000 words.", (LISTING,)),
    # What is made up.
    Case("a size", "`main.py` has 5120 bytes.", (LISTING,), ("5120",)),
    Case("a file", "The bug is in src/util/parser.py.", (LISTING,), ("src/util/parser.py",)),
    Case("a rooted path", "It is in /var/lib/thing.", (LISTING,), ("/var/lib/thing",)),
    Case("an amount", "South made 23,417.80 in Q2.", (SALES,), ("23,417.80",)),
    Case("a total", "All together that is 98,765.", (SALES,), ("98,765",)),
    Case(
        "a link",
        "It is at https://example.org/docs/install.",
        (PAGE,),
        ("https://example.org/docs/install",),
    ),
    Case("a hash", "Its hash is deadbeef12345678.", (PAGE,), ("deadbeef12345678",)),
    Case("an invoice", "Invoice 884213 was paid.", ("invoice 884231",), ("884213",)),
    Case(
        "two of three",
        "It has 77231 rows, in src/main.py and src/gone.py.",
        (LISTING,),
        ("src/gone.py", "77231"),
    ),
    Case("among proposals", "Done. 55123 rows were read. You could do more.", ("ok",), ("55123",)),
    # What is made up and cannot be told.
    Case("a small number", "There are 7 tests.", (LISTING,), (), ("7",)),
    Case("by chance a sum", "The other is 5093.", (LISTING,), (), ("5093",)),
    Case("in a hedge", "It may be in src/nowhere.py.", (LISTING,), (), ("src/nowhere.py",)),
]
