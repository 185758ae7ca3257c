"""Read a Python tool's source without running it: to find its function, and early mistakes.

No boundary: whoever wants to can hide a name from this, and gains nothing, because the
worker has no authority to lend. It is here because "line 3: `requests` is not available, use
`http_client`" is worth a whole round of a model's work.
"""

import ast
import sys
import warnings
from collections.abc import Iterator, Mapping

from msgspec import Struct

from micro_agi.errors import EntryInvalid, MicroAgiError
from micro_agi.sandbox.modules import PYTHON_MODULES
from micro_agi.tools.lua_source import Finding
from micro_agi.values import nearest

HANDLER = "handler"

_NO_PROCESSES = "tools cannot start programs, processes or threads"
_NO_SOCKETS = "ask for module `http_client` and use `http_client.get`"
_NO_SYSTEM = "tools have no access to the system; files: `pathlib`, in the working directory"
BLOCKED: Mapping[str, str] = {
    **dict.fromkeys(("os", "sys", "shutil", "resource", "fcntl", "pwd", "mmap"), _NO_SYSTEM),
    **dict.fromkeys(("subprocess", "multiprocessing", "threading", "pty"), _NO_PROCESSES),
    **dict.fromkeys(("_thread", "concurrent", "signal"), _NO_PROCESSES),
    **dict.fromkeys(("socket", "ssl", "http", "ftplib", "smtplib", "select"), _NO_SOCKETS),
    **dict.fromkeys(("socketserver", "selectors", "urllib.request", "xmlrpc"), _NO_SOCKETS),
    **dict.fromkeys(("ctypes", "importlib", "builtins", "gc", "inspect"), "do without it"),
    **dict.fromkeys(("pickle", "marshal", "shelve"), "use `json`"),
}
NOT_INSTALLED: Mapping[str, str] = {
    **dict.fromkeys(("requests", "httpx", "aiohttp", "urllib3"), _NO_SOCKETS),
    **dict.fromkeys(("dateutil", "pytz"), "use `datetime` and `zoneinfo`"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Import(Struct, frozen=True):
    name: str
    """Dotted, as written: `urllib.request`."""
    alias: str
    """What it is called in the source, "" when only parts of it are."""
    line: int


def refused(rule: str, line: int, what: str, fix: str) -> EntryInvalid:
    """Build the refusal of a source by one rule, with its line."""
    return EntryInvalid(f"line {line}: {what} (rule `{rule}`)", where=f"line {line}", fix=fix)


def parse(source: str) -> ast.Module:
    """Parse Python.

    Raises: EntryInvalid with the line.
    """
    try:
        with warnings.catch_warnings():
            # An odd escape in a string is the author's business, and no error here.
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        raise refused("syntax", error.lineno or 1, error.msg, "correct the source") from error
    except (ValueError, RecursionError, MemoryError) as error:
        what = "the source is no text that Python can read, or nested too deeply"
        raise refused("syntax", 1, what, "write it simpler") from error


def not_loaded(error: MicroAgiError) -> EntryInvalid:
    """Return the refusal of a source that does not load in a worker."""
    line = error.where.rpartition(":")[2]
    fix = "leave at top level only what works in an empty directory"
    return refused("import", int(line) if line.isdigit() else 1, error.what, fix)


def function_of(tree: ast.Module, name: str, *, named: str = "") -> Function:
    """Return the function that a call of the tool `name` runs.

    It is the one that the author `named`, else its namesake, else `handler`.
    Raises: EntryInvalid when it is not at top level.
    """
    functions = {n.name: n for n in tree.body if isinstance(n, Function)}
    if named:
        return _named(functions, named)
    for wanted in (name, HANDLER):
        if wanted in functions:
            return functions[wanted]
    near = nearest(name, functions)
    fix = f"define `def {name}(…):` with typed parameters, or `def {HANDLER}(args):`"
    what = f"there is no function `{name}` or `{HANDLER}` at top level"
    if near:
        what += f"; there is `{near[0]}`"
    raise refused("not-found", functions[near[0]].lineno if near else 1, what, fix)


def _named(functions: Mapping[str, Function], named: str) -> Function:
    if named == HANDLER:
        what = f"`{HANDLER}` is the name of functions that take all arguments as one object"
        line = functions[named].lineno if named in functions else 1
        raise refused(HANDLER, line, what, "give the function a name of its own")
    if named in functions:
        return functions[named]
    near = nearest(named, functions)
    what = f"there is no function `{named}` at top level"
    fix = f"there is: {', '.join(near)}" if near else f"define `def {named}(…):`, not indented"
    raise refused("not-found", functions[near[0]].lineno if near else 1, what, fix)


def findings(source: str, *, modules: tuple[str, ...], imports: Mapping[str, str]) -> list[Finding]:
    """Say what in `source` cannot work with what is granted, in the order of lines."""
    tree = parse(source)
    found: list[Finding] = []
    aliases: dict[str, str] = {}
    for one in _imports(tree):
        problem = _import_problem(one, modules, imports)
        if problem is not None:
            found.append(problem)
        elif one.name in PYTHON_MODULES and one.alias:
            aliases[one.alias] = one.name
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=root), attr=name) if root in aliases:
                found += _unknown_function(aliases[root], name, node.lineno)
            case ast.ImportFrom(module=str(module), names=names) if module in modules:
                for each in names:
                    found += _unknown_function(module, each.name, node.lineno)
            case ast.Call(func=ast.Name(id="input")):
                found.append(Finding(node.lineno, "nobody can answer `input`", "take an argument"))
    return sorted(found, key=lambda finding: finding.line)


def _imports(tree: ast.Module) -> Iterator[_Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield _Import(each.name, each.asname or each.name.partition(".")[0], node.lineno)
        elif isinstance(node, ast.ImportFrom):
            yield _Import(node.module or "", "", node.lineno)
            for each in node.names:
                # `from urllib import request` is an import of `urllib.request`.
                if f"{node.module}.{each.name}" in BLOCKED:
                    yield _Import(f"{node.module}.{each.name}", "", node.lineno)


def _import_problem(
    one: _Import, modules: tuple[str, ...], imports: Mapping[str, str]
) -> Finding | None:
    root = one.name.partition(".")[0]
    if root in modules or root in imports:
        return None
    for name in (one.name, root):
        if name in BLOCKED:
            return Finding(one.line, f"tools may not import `{name}`", BLOCKED[name])
    if root in PYTHON_MODULES:
        what = f"module `{root}` is not granted"
        return Finding(one.line, what, f'add "{root}" to `modules`')
    if root in sys.stdlib_module_names:
        return None
    if root in NOT_INSTALLED:
        return Finding(one.line, f"`{root}` is not available to tools", NOT_INSTALLED[root])
    near = nearest(root, [*PYTHON_MODULES, *imports, *sys.stdlib_module_names], count=1)
    hint = f"did you mean: {near[0]}" if near else "tools have the standard library"
    return Finding(one.line, f"there is no module `{root}` for tools", hint)


def _unknown_function(module: str, name: str, line: int) -> list[Finding]:
    known = PYTHON_MODULES[module].functions if module in PYTHON_MODULES else ()
    if not known or name in known or name.startswith("__"):
        return []
    near = nearest(name, known)
    listed = ", ".join(f"{module}.{n}" for n in near or sorted(known))
    hint = f"did you mean: {listed}" if near else f"`{module}` has: {listed}"
    return [Finding(line, f"`{module}.{name}` does not exist", hint)]
