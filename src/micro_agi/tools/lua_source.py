"""Read Lua source as tokens, to tell an author early what will not work.

No boundary: whoever wants to can hide a name from this (`_G["o".."s"]`), and gains
nothing, because what is not granted does not exist in the worker. It is here because
"line 3: `time.nowz` does not exist, did you mean `time.now`" is worth a whole round of a
model's work.

Comments and strings are skipped, so innocent text never matches.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from micro_agi.sandbox.modules import MODULES
from micro_agi.values import nearest

BLOCKED = (
    *("os.execute", "os.remove", "os.rename", "io.open", "io.popen"),
    *("loadfile", "dofile", "debug", "package", "rawset", "rawget", "setfenv", "getfenv"),
)
"""Seed 000's blocked names: chains of identifiers; `debug` stands for `debug.anything`."""

_ROOTS_ONLY_WITH_FIELD = frozenset({"debug", "package"})

_TOKEN = re.compile(
    r"""
    (?P<comment>--\[(?P<c>=*)\[.*?\](?P=c)\]|--[^\n]*)
  | (?P<long>\[(?P<s>=*)\[.*?\](?P=s)\])
  | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
  | (?P<name>[A-Za-z_]\w*)
  | (?P<number>\d[\w.]*)
  | (?P<space>\s+)
  | (?P<other>\.\.\.?|::|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = ("comment", "long", "string", "name", "number", "space", "other")


class Token(Struct, frozen=True):
    """One token that is neither space nor comment."""

    kind: str
    text: str
    line: int


class Finding(Struct, frozen=True):
    """Something that will not work, with the line and what to do."""

    line: int
    what: str
    fix: str


def tokens(source: str) -> list[Token]:
    """Split Lua source into tokens; never fails, an unclosed string becomes single characters."""
    found = []
    line = 1
    for match in _TOKEN.finditer(source):
        text = match.group()
        kind = next(k for k in _KINDS if match.group(k) is not None)
        if kind not in ("space", "comment"):
            found.append(Token("string" if kind == "long" else kind, text, line))
        line += text.count("\n")
    return found


class Chain(Struct, frozen=True):
    """A dotted name in the source, like `time.now`."""

    names: tuple[str, ...]
    line: int
    argument: str
    """The text of a string literal that follows directly, as in `require("time")`."""
    local: bool
    """Declared by `local` here."""


def chains(source: str) -> Iterator[Chain]:
    """Yield every chain of names, leaving out fields of other values, keys and methods."""
    items = tokens(source)
    at = 0
    while at < len(items):
        token = items[at]
        before = items[at - 1].text if at else ""
        if token.kind != "name" or before in (".", ":", "goto", "::"):
            at += 1
            continue
        names = [token.text]
        end = at + 1
        while end + 1 < len(items) and items[end].text in (".", ":"):
            if items[end + 1].kind != "name":
                break
            names.append(items[end + 1].text)
            end += 2
        following = items[end].text if end < len(items) else ""
        is_key = following == "=" and before in ("{", ",", ";") and _in_table(items, at)
        if not is_key:
            yield Chain(tuple(names), token.line, _argument(items, end), before == "local")
        at = end


def _in_table(items: list[Token], at: int) -> bool:
    """Whether the innermost open bracket before `at` is a brace."""
    depth = 0
    for token in reversed(items[:at]):
        if token.text in (")", "}", "]"):
            depth += 1
        elif token.text in ("(", "{", "["):
            if depth == 0:
                return token.text == "{"
            depth -= 1
    return False


def _argument(items: list[Token], at: int) -> str:
    if at < len(items) and items[at].text == "(":
        at += 1
    if at < len(items) and items[at].kind == "string":
        return items[at].text.strip("\"'")
    return ""


def findings(source: str, *, modules: tuple[str, ...], imports: Mapping[str, str]) -> list[Finding]:
    """Say what in `source` cannot work with what is granted, in the order of lines."""
    granted = {*modules, *imports}
    aliases = {m: m for m in modules}
    own: set[str] = set()
    found: list[Finding] = []
    pending = ""
    for chain in chains(source):
        root = chain.names[0]
        if chain.local:
            own.add(root)
            pending = root
            continue
        if root == "require" and chain.argument:
            found += _require(chain, granted)
            if pending and chain.argument in MODULES:
                aliases[pending] = chain.argument
                own.discard(pending)
            pending = ""
            continue
        pending = ""
        if root in own and root not in aliases:
            continue
        if blocked := _blocked(chain):
            found += blocked
        elif root in aliases:
            found += _unknown_function(chain, aliases[root])
        elif root in MODULES and root not in granted and len(chain.names) > 1:
            found += _not_granted(chain)
    return found


def _blocked(chain: Chain) -> list[Finding]:
    dotted = ".".join(chain.names)
    for name in BLOCKED:
        exact = dotted == name or dotted.startswith(name + ".")
        if exact and not (name in _ROOTS_ONLY_WITH_FIELD and dotted == name):
            shown = f"{name}.{chain.names[1]}" if name in _ROOTS_ONLY_WITH_FIELD else name
            what = f"`{shown}` does not exist in tools"
            return [Finding(chain.line, what, "use the modules that tools may have instead")]
    return []


def _require(chain: Chain, granted: set[str]) -> list[Finding]:
    name = chain.argument
    if name in granted:
        return []
    if name in MODULES and MODULES[name].generated:
        return [
            Finding(chain.line, f"module `{name}` is not granted", f'add "{name}" to `modules`')
        ]
    near = nearest(name, [*granted, *(m for m, f in MODULES.items() if f.generated)])
    hint = f"did you mean: {', '.join(near)}" if near else "remove it"
    return [Finding(chain.line, f"there is no module `{name}` for tools", hint)]


def _not_granted(chain: Chain) -> list[Finding]:
    root = chain.names[0]
    dotted = ".".join(chain.names[:2])
    if not MODULES[root].generated:
        return [Finding(chain.line, f"tools may not use `{dotted}`", "do without it")]
    return [
        Finding(
            chain.line,
            f"`{dotted}` needs module `{root}`, which is not granted",
            f'add "{root}" to `modules`',
        )
    ]


def _unknown_function(chain: Chain, module: str) -> list[Finding]:
    known = MODULES[module].functions
    if len(chain.names) < 2 or not known:
        return []
    name = chain.names[1]
    if name not in known:
        return [_nameless(chain.line, module, name, known)]
    inner = MODULES[module].members.get(name)
    if inner and len(chain.names) > 2 and chain.names[2] not in inner:
        return [_nameless(chain.line, f"{module}.{name}", chain.names[2], inner)]
    return []


def _nameless(line: int, table: str, name: str, known: Sequence[str]) -> Finding:
    near = nearest(name, known)
    hint = (
        f"did you mean: {', '.join(f'{table}.{n}' for n in near)}"
        if near
        else (f"`{table}` has: {', '.join(sorted(known))}")
    )
    return Finding(line, f"`{table}.{name}` does not exist", hint)
