"""Find what an answer states although nothing that the model saw says so.

Advisory: the turn tells it in an event, blocks nothing and asks no model. Looked at are
URLs, file paths, hashes and numbers of four digits or more, since these can be compared
letter by letter. Precision comes first, so whatever could be right is let through: code
blocks, sentences that propose something, years, numbers that are rounded, added up,
subtracted, multiplied, divided, or a percentage of two that were seen, paths whose parts
were seen. `tests/agent/claims.py` is the labelled set that it is measured on.

Source: seed 004, `flow/judge.py`, whose rules fire on an answer's length and on words in
tool output (spec/local-agent.md 2.3, "Judge").
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import combinations, islice, permutations

from micro_agi.messages import Message

MOST = 8
"""Facts named in one event."""
MOST_NUMBERS = 250
"""Seen numbers that are calculated with, the newest: their pairs are all tried."""

_FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_PROPOSAL = re.compile(
    r"\b(?:could|should|would|might|may|can|let me|shall i|i'll|i will|if you|try|suggest|"
    r"recommend|propose|(?:for|an|as) example|e\.g|for instance|next step|typically|usually)\b|"
    r"\b(?:about|around|roughly|approximately|nearly|almost|some|over|under|than)\s+\d|~\d|\?\s*$",
    re.IGNORECASE,
)
_URL = re.compile(r"\bhttps?://[^\s<>\"'`)\]]+")
_PATH = re.compile(r"(?<![\w/:.])(?:~|\.{1,2})?(?:/?[\w.-]+)(?:/[\w.-]+)+(?!\w)")
_HASH = re.compile(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{8,64}\b")
_NUMBER = re.compile(
    r"(?<![\w.,/:-])\d{1,3}(?:[,_\u00a0\u202f]\d{3})+(?:\.\d+)?(?![\w])|"
    r"(?<![\w.,/:-])\d{4,}(?:\.\d+)?(?![\w/-])"
)
_ANY_NUMBER = re.compile(r"\d[\d,_\u00a0\u202f]*(?:\.\d+)?")
_DATE = re.compile(r"\b\d{4}-\d{2}(?:-\d{2})?\b")


def unbacked(answer: str, seen: Sequence[str]) -> list[str]:
    """Return the URLs, paths, hashes and numbers of an answer that nothing in `seen` has.

    In their order, each once. `seen` is oldest first.
    """
    text = "\n".join(seen)
    numbers: list[float] | None = None
    found: dict[str, None] = {}
    for sentence in _statements(answer):
        for match in _URL.findall(sentence):
            if match.rstrip(".,;:!?/") not in text:
                found[match.rstrip(".,;:!?")] = None
        rest = _URL.sub(" ", sentence)
        for path in _PATH.findall(rest):
            if _is_file(path) and not _has_path(path.rstrip("."), text):
                found[path.rstrip(".")] = None
        rest = _PATH.sub(" ", rest)
        found |= dict.fromkeys(h for h in _HASH.findall(rest) if h not in text)
        for number in _NUMBER.findall(_DATE.sub(" ", _HASH.sub(" ", rest))):
            if _plain(number) in text or number in text or _is_year(number):
                continue
            numbers = _calculated(_numbers(seen)) if numbers is None else numbers
            if not _follows(number, numbers):
                found[number] = None
    return list(found)[:MOST]


def seen_by(system: str, messages: Iterable[Message]) -> list[str]:
    """Return all that a model saw before its answer: the prompt, the talk, calls, results."""
    seen = [system]
    for said in messages:
        seen += [call.arguments for call in said.tool_calls]
        seen.append(said.text)
    return seen


def _statements(answer: str) -> list[str]:
    plain = _FENCE.sub("\n", answer)
    return [s for s in _SENTENCE.split(plain) if s and not _PROPOSAL.search(s)]


def _is_file(path: str) -> bool:
    """Whether something with a slash is a path: not `and/or`, `km/h` or `3/4`."""
    name = path.rstrip(".").rsplit("/", 1)[-1]
    rooted = path.startswith(("/", "~/", "./", "../")) and path.count("/") > 1
    return rooted or bool(re.fullmatch(r"[\w-][\w.-]*\.[A-Za-z]\w{0,7}", name))


def _has_path(path: str, text: str) -> bool:
    parts = [part for part in path.split("/") if part not in ("", "~", ".", "..")]
    return all(part in text for part in parts)


def _plain(number: str) -> str:
    return re.sub(r"[,_\u00a0\u202f]", "", number)


def _is_year(number: str) -> bool:
    return number.isdigit() and 1800 <= int(number) <= 2100


def _numbers(seen: Sequence[str]) -> list[float]:
    """Return the newest numbers that were seen, each once."""
    found: dict[float, None] = {}
    for text in reversed(seen):
        for match in reversed(_ANY_NUMBER.findall(text)):
            for written in {_plain(match), *match.replace("_", ",").split(",")}:
                if written.strip().replace(".", "", 1).isdigit():
                    found[float(written)] = None
        if len(found) >= MOST_NUMBERS:
            break
    return list(islice(found, MOST_NUMBERS))


def _follows(number: str, calculated: Sequence[float]) -> bool:
    """Whether a number is, rounded as it is written, one of these, which are sorted."""
    plain = _plain(number)
    decimals = len(plain.partition(".")[2])
    zeros = len(plain) - len(plain.rstrip("0")) if not decimals else 0
    off = 0.51 * 10.0 ** (zeros - decimals)
    at = bisect_left(calculated, float(plain) - off)
    return at < len(calculated) and calculated[at] <= float(plain) + off


def _calculated(numbers: Sequence[float]) -> list[float]:
    """Return the numbers, in thousands too, and what any two of them make; sorted."""
    found = [*numbers, *(x * 1000 for x in numbers)]
    for a, b in combinations(numbers, 2):
        found += (a + b, abs(a - b), a * b)
    for a, b in permutations(numbers, 2):
        if b:
            found += (a / b, 100 * a / b)
    return sorted(found)
