"""Make text from outside safe and short enough for a terminal.

Models, tools and web pages write what is shown here. A control sequence in it could
rewrite the screen, set the clipboard or forge a question, so controls become visible
signs; directions that would reorder a line are dropped.
"""

CONTROL_PICTURES = 0x2400
"""Unicode's signs for the C0 controls start here: ESC is shown as ␛."""

_SAFE: dict[int, int | str] = {
    code: CONTROL_PICTURES + code for code in range(0x20) if chr(code) not in "\n\t"
}
_SAFE |= {0x7F: "\u2421", ord("\r"): ""}
_SAFE |= dict.fromkeys(range(0x80, 0xA0), "\ufffd")
_SAFE |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "")
_SAFE |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
LINE_CHARS = 300


def printable(text: str) -> str:
    r"""Return `text` with nothing in it that moves a cursor, but for newlines and tabs.

    >>> printable("a\x1b[2Jb")
    'a␛[2Jb'
    """
    return text if text.isprintable() else text.translate(_SAFE)


def first_line(text: str, limit: int = LINE_CHARS) -> str:
    r"""Return the first line that is not blank, cut to `limit` characters.

    >>> first_line("  \n the cause \n more")
    'the cause'
    """
    line = next((part for part in text.splitlines() if part.strip()), "").strip()
    line = printable(line).replace("\t", " ")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def indented(text: str, by: str) -> str:
    """Return `text` with `by` before each line that is not empty."""
    return "\n".join(by + line if line else "" for line in text.split("\n"))


def facts(what: str, *, where: str = "", fix: str = "") -> str:
    """Return the three facts of an error or a stop, in the form of every error of ours."""
    lines = [printable(what)]
    lines += [
        f"  {key}: {printable(value)}" for key, value in (("where", where), ("fix", fix)) if value
    ]
    return "\n".join(lines)


def seconds(duration_s: float) -> str:
    """Return a duration as a person reads it.

    >>> seconds(0.0342), seconds(4.26), seconds(125)
    ('34 ms', '4.3 s', '2 min 5 s')
    """
    if duration_s >= 100:
        minutes, rest = divmod(round(duration_s), 60)
        return f"{minutes} min {rest} s"
    return f"{duration_s * 1000:.0f} ms" if duration_s < 1 else f"{duration_s:.1f} s"


def money(usd: float) -> str:
    """Return an amount with as many digits as it needs.

    >>> money(1.5), money(0.00123), money(0)
    ('$1.50', '$0.0012', '$0')
    """
    if not usd:
        return "$0"
    return f"${usd:.2f}" if usd >= 0.1 else f"${usd:.4f}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "step"), counted(1200, "message")
    ('1 step', '1,200 messages')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
