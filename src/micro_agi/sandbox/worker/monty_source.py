"""Say what a source needs that Monty lacks, in words that help its author.

Monty is not CPython: it runs a subset, and says so in its own terms when it meets the rest. Here is
what can be told before anything runs, and the wording of all of it.

Source: pydantic-monty 1.4.0, tried construct by construct; decisions/0054-monty.md.
"""

import ast
import re
from collections.abc import Iterator

from micro_agi.sandbox.worker.python_modules import HOST_MODULES, INSTEAD, LUA_ONLY

WHY = "this machine cannot confine CPython, so Python tools run in Monty, which has"
FIX = (
    "write it without, write the tool in lua, or run micro-agi where the kernel has user "
    "namespaces or Landlock"
)
PACKAGES = ("numpy", "pandas")
UNSUPPORTED = re.compile(r"The monty syntax parser does not yet support (?:the )?(.*)", re.DOTALL)


class NotInMonty(Exception):
    """The source needs what Monty lacks: `what`, on which line (0: on none)."""

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(f"{WHY} no {what}")
        self.line = line


def parsed(text: str, name: str) -> ast.Module:
    """Parse a source as CPython would; what Monty has no word for is found before it runs.

    Raises: SyntaxError; NotInMonty.
    """
    tree = ast.parse(text, name)
    for node in ast.walk(tree):
        names = [each.name for each in node.names] if isinstance(node, ast.ImportFrom) else []
        attribute = node.attr if isinstance(node, ast.Attribute) else ""
        if "HostError" in (*names, attribute):
            what = "`HostError` (catch `Exception` instead, and read its text)"
            raise NotInMonty(what, getattr(node, "lineno", 0))
    return tree


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the modules that a source cannot do without, with their lines."""
    optional = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in optional:
            continue
        if isinstance(node, ast.Import):
            for each in node.names:
                yield each.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno


def missing(name: str, granted: frozenset[str], aliases: frozenset[str], line: int) -> Exception:
    """Return the error of an import that Monty refused."""
    root = name.partition(".")[0]
    if root in aliases:
        return NotInMonty(f"imports of other entries (`{root}`)", line)
    if root in HOST_MODULES and root not in granted:
        return ImportError(f"module `{root}` is not granted: add {root!r} to `modules`")
    if root in LUA_ONLY:
        use = INSTEAD.get(root)
        hint = f"use {use}" if use else "Python tools have nothing like it"
        return ImportError(f"there is no module `{root}` for tools: {hint}")
    return NotInMonty(f"module `{name}`", line)


def is_async(tree: ast.Module, function: str) -> bool:
    """Whether the function at top level has to be awaited."""
    return any(isinstance(n, ast.AsyncFunctionDef) and n.name == function for n in tree.body)
