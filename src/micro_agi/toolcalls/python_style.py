"""Calls in Python's notation: a line, or a fence of nothing else, that calls a known tool."""

import ast
import re
from collections.abc import Mapping
from typing import Any

from micro_agi.messages import ToolSpec
from micro_agi.toolcalls.arguments import json_text, literal, parse_python
from micro_agi.toolcalls.found import Found, fences

_LINE = re.compile(r"^ {0,3}(?P<call>(?P<name>[A-Za-z_]\w*)\(.*\))[ \t]*$", re.MULTILINE)


def python_calls(text: str, tools: Mapping[str, ToolSpec]) -> list[Found]:
    """Find the calls; one inside a sentence, or with anything but literals, is text."""
    found, at = [], 0
    for start, body, body_end, end in fences(text):
        found += _in_lines(text, at, start, tools)
        found += _in_source(text[body:body_end], start, end, tools)
        at = end
    return found + _in_lines(text, at, len(text), tools)


def _in_lines(text: str, start: int, end: int, tools: Mapping[str, ToolSpec]) -> list[Found]:
    return [
        call
        for line in _LINE.finditer(text, start, end)
        if line["name"] in tools
        for call in _in_source(line["call"], line.start(), line.end(), tools)
    ]


def _in_source(source: str, start: int, end: int, tools: Mapping[str, ToolSpec]) -> list[Found]:
    """Return the calls that source consists of; none when there is anything else in it."""
    source = source.strip()
    if source.partition("(")[0] not in tools:
        return []
    try:
        statements = parse_python(source, "exec").body
        read = [_call(statement, tools) for statement in statements]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [
        Found(start=start, end=end, name=name, arguments=arguments, problem=problem)
        for name, arguments, problem in read
    ]


def _call(statement: ast.stmt, tools: Mapping[str, ToolSpec]) -> tuple[str, str, str]:
    """Return name, arguments and problem of one call.

    Raises: ValueError when the statement is no call of a known tool with literal arguments.
    """
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name(id=name), args=args, keywords=keywords)) if (
            name in tools
        ):
            given = [literal(arg) for arg in args]
            named = [(word.arg, literal(word.value)) for word in keywords]
        case _:
            raise ValueError("no call of a tool")
    order = list(tools[name].schema.get("properties", {}))
    arguments: dict[str, Any] = dict(zip(order, given, strict=False))
    problem = ""
    if len(given) > len(order):
        problem = f"{len(given)} arguments without a name; `{name}` has {len(order)} parameters"
    for word, value in named:
        if word is None:
            raise ValueError("`**` is no literal argument")
        if word in arguments:
            problem = f"the argument `{word}` is given twice"
        arguments[word] = value
    return name, json_text(arguments), problem
