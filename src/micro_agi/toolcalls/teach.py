"""Tell a model in words how to call tools, and tell it what its calls returned.

What is taught here is what `read.py` reads; a test reads every line of it back.
Source: spec/local-agent.md 7.1 (the reference teaches a format that its client ignores).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from micro_agi.messages import Message, Part, Text, ToolSpec, message

HOW = """# Tools

You can call the tools below. To call one, write a tag with its name, and its arguments as
one JSON object:

{example}

Write calls outside of code blocks; several are allowed. Stop after your calls: the results
come in the next message. To mention a call without making it, put it in backticks. When you
need no tool, answer in plain text."""
MUST = "Your next reply must call {what}."


def tools_prompt(tools: Sequence[ToolSpec], tool_choice: str = "auto") -> str:
    """Return the section of a system prompt that teaches the tools, "" for none."""
    if not tools or tool_choice == "none":
        return ""
    example = written_call(tools[0].name, json.dumps(_example(tools[0].schema)))
    sections = [HOW.format(example=example), *map(_described, tools)]
    if tool_choice in ("any", "required"):
        sections.append(MUST.format(what="a tool"))
    elif tool_choice != "auto":
        sections.append(MUST.format(what=f"the tool {tool_choice}"))
    return "\n\n".join(sections)


def written_call(name: str, arguments: str) -> str:
    """Return one call as the model should have written it."""
    return f'<tool name="{name}">{arguments or "{}"}</tool>'


def spelled_out(messages: Sequence[Message]) -> list[Message]:
    """Return a conversation in which calls and results are text, for a model that knows no others.

    The results of one step become one user message, since such models want roles to alternate.
    """
    return [
        spelled
        for is_result, group in groupby(messages, key=lambda m: m.role == "tool")
        for spelled in ([_results(group)] if is_result else map(_assistant, group))
    ]


def _described(tool: ToolSpec) -> str:
    schema = json.dumps(tool.schema, ensure_ascii=False)
    return f"## {tool.name}\n\n{tool.description}\n\nArguments (JSON Schema): {schema}"


def _assistant(said: Message) -> Message:
    if not said.tool_calls:
        return said
    calls = "\n".join(written_call(c.name, c.arguments) for c in said.tool_calls)
    return message("assistant", f"{said.text}\n\n{calls}" if said.text else calls)


def _results(results: Iterator[Message]) -> Message:
    parts: list[Part] = []
    for result in results:
        parts.append(Text(f'<tool_result name="{result.name}">\n{result.text}\n</tool_result>'))
        parts += [p for p in result.parts if not isinstance(p, Text)]
    return Message(role="user", parts=tuple(parts))


def _example(schema: Mapping[str, object]) -> dict[str, object]:
    """Return arguments of the right shape for the first required parameters."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    required = schema.get("required")
    names = required if isinstance(required, list) and required else list(properties)[:1]
    return {name: _sample(properties.get(name)) for name in names}


def _sample(schema: object) -> object:
    if not isinstance(schema, Mapping):
        return "…"
    if schema.get("enum"):
        return schema["enum"][0]
    kinds: Mapping[object, object] = {
        "integer": 1,
        "number": 1.5,
        "boolean": True,
        "array": [],
        "object": {},
    }
    return kinds.get(schema.get("type"), "…")
