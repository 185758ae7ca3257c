"""Find the ids, paths and numbers in a text: what a summary must not lose.

What counts, in the order in which it is looked for; the first that fits takes its place:

- addresses: anything with `://`, e-mail addresses, hosts with a port, IP addresses;
- ids: UUIDs, registry ids (`app.generated:clock`), tickets (`PAY-17`, `#412`), words that mix
  letters and digits (`a1b2c3d4`, `order_4711`, `gpt-4.1-nano`), names with an underscore
  (`max_tokens`);
- paths: with a slash at the start (`/etc/hosts`, `~/x`, `../y`), of Windows, relative ones
  that end in a slash or an extension (`src/a.py`), file names with a known extension;
- settings with a value that has a digit (`--retries=3`, `LEVEL=debug2`), telephone numbers;
- numbers: dates, times, versions, and numbers of two digits or more, or with a sign, a
  currency, a per cent sign or a unit. A lone digit in prose is none: `3 of them` says
  little, and there are too many.

Letters of other scripts count like Latin ones. `tests/agent/facts.txt` is labelled by hand;
the test beside it says how much of it is found and how much that is found is right.
"""

import re
from collections import Counter

_EXTENSIONS = (
    "py|pyi|lua|js|mjs|ts|tsx|jsx|json|jsonl|ya?ml|toml|ini|cfg|conf|env|md|rst|txt|log|csv|tsv|"
    "xml|html?|css|scss|sql|db|sqlite3?|sh|bash|zsh|ps1|bat|go|rs|c|cc|cpp|h|hpp|java|kt|rb|php|"
    "pl|swift|pdf|png|jpe?g|gif|svg|webp|mp[34]|wav|docx?|xlsx?|pptx?|odt|zip|tar|t?gz|bz2|xz|whl|"
    "lock|pem|key|crt|parquet|ipynb|service|diff|patch"
)
_UNITS = (
    "%|‰|°C?|[KMGT]i?B|[kKMG]?bit|bytes?|B|ms|µs|ns|s|sec|min|h|hours?|days?|weeks?|months?|years?|"
    "km|cm|mm|m|kg|g|mg|l|ml|px|pt|kWh|W|kW|V|A|Hz|[kMG]Hz|USD|EUR|GBP|CHF|JPY|€|\\$|£|Euro|"
    "dollars?|tokens?"
)
_TIME = r"\d{1,2}:\d\d(?::\d\d)?"
_NUMBER = r"(?:\d{1,3}(?:[,.'\u00a0\u202f]\d{3})+|\d+)(?:[.,]\d+)?"

_PLAIN = r"(?P<plain>(?:(?!USD|EUR|GBP|CHF|JPY)[^\W\d_]++[.,;:!?)]*+\s++)+)"
"""Words in which nothing is looked for: letters to the next space. No fact begins with one but
an amount of money. Taking them all at once makes prose ten times as fast to search. The group as a
whole is not possessive: Python 3.11 before 3.11.5 finds nothing behind one that is."""

FACT = re.compile(
    "|".join(
        (
            _PLAIN,
            r"\b[A-Za-z][\w+.-]*://[^\s\"'<>()\[\]{}`»]+",
            r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
            r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",
            r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+|/\d+)?\b",
            r"\b[A-Za-z]:\\[^\s\"'<>|`*?]+",
            rf"\b\d{{4}}-\d\d-\d\d(?:[T ]{_TIME}(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\w-])",
            r"\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b",
            rf"\b{_TIME}\b",
            r"\b(?:localhost|[\w-]+(?:\.[\w-]+)+):\d{2,5}(?:/[\w./:@-]*\w)?\b",
            r"(?<![\w-])-{0,2}[A-Za-z][\w-]*=[\w./:-]*\d[\w./:-]*",
            r"(?<!\w)\+\d{1,3}(?:[ -]\d{2,})+\b",
            r"\b[a-z]\w*(?:\.\w+)*:[a-zA-Z_][\w.-]*\w\b",
            r"(?<![\w/.:~])(?:~|\.{1,2})?/[\w.@%+=-]+(?:/[\w.@%+=-]*)*",
            rf"(?<![\w/])[\w.@-]+(?:/[\w.@-]+)*(?:/(?!\w)|/[\w.@-]+\.\w{{1,8}}\b|\.(?:{_EXTENSIONS})\b)",
            r"(?<![\w./)])\.[a-z][\w-]{2,}\b",
            r"\bv?\d+(?:\.\d+){2,}(?:[-+.]?[A-Za-z][\w.]*)?\b|\bv\d+(?:\.\d+)*\b",
            r"(?<!\w)#\d+\b",
            r"\b[A-Z][A-Z0-9]{1,9}(?:-\d+)*-\d{2,}\b",
            rf"(?<![\w.])(?:[€$£]\s?|[-+−](?=\d))?{_NUMBER}\s?(?:{_UNITS})(?![\w])",
            rf"(?<![\w.])(?:[€$£]|USD|EUR|GBP|CHF|JPY)\s?{_NUMBER}",
            r"\b\d+(?:-\d+)+\b",
            r"\b[A-Za-z]+(?:_\w+)+\b",
            r"\b(?=[\w./-]*[^\W\d_])(?=[\w./-]*\d)[^\W_]\w*(?:[-./]\w+)*",
            rf"(?<![\w.])[-+−]\d+(?:[.,]\d+)?\b|(?<![\w.])(?=\d[\d.,'\u00a0\u202f]*\d){_NUMBER}(?!\w)",
        )
    )
)
_LONG_RUN = re.compile(r"(\S{200})\S+")
"""Longer than any id: only its start counts, so that no text is searched for ever."""
_TRAILING = ".,:;!?'’"


def facts(text: str) -> list[str]:
    """Return every fact in a text, in order, as often as it occurs."""
    matches = FACT.finditer(_LONG_RUN.sub(r"\1 ", text))
    found = (match.group().rstrip(_TRAILING) for match in matches if match.lastgroup is None)
    return [fact for fact in found if len(fact) > 1]


def lost(before: str, after: str) -> list[str]:
    """Return the facts that only `before` has: the commonest first, then the newest."""
    counted: Counter[str] = Counter()
    last: dict[str, int] = {}
    for place, fact in enumerate(facts(before)):
        counted[fact] += 1
        last[fact] = place
    missing = [fact for fact in counted if not mentions(after, fact)]
    return sorted(missing, key=lambda fact: (-counted[fact], -last[fact]))


def mentions(text: str, fact: str) -> bool:
    """Whether a text has a fact as a whole: `42` is not in `1425`."""
    at = text.find(fact)
    while at >= 0:
        end = at + len(fact)
        before, after = text[at - 1 : at], text[end : end + 1]
        if not (_joins(before) and _joins(fact[0])) and not (_joins(after) and _joins(fact[-1])):
            return True
        at = text.find(fact, at + 1)
    return False


def _joins(character: str) -> bool:
    return character.isalnum() or character == "_"
