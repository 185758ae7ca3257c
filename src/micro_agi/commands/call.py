"""`call ID [JSON]`: call one function entry, as root."""

from typing import Any

import msgspec

from micro_agi.commands.invocation import Invocation, read_input
from micro_agi.commands.open import open_runtime
from micro_agi.errors import ArgumentsInvalid, InputInvalid
from micro_agi.terminal.console import Console
from micro_agi.tools.resolve import tool_spec


async def run(invocation: Invocation) -> int:
    """Call the entry with one argument and print its result as JSON."""
    argument = _argument(invocation.args.json)
    console = Console.open(invocation.settings)
    async with open_runtime(invocation, console=console) as rt:
        entry = rt.registry.get(invocation.args.id)
        if not entry.kind.startswith("function."):
            raise InputInvalid(
                f"`{entry.id}` is a `{entry.kind}`, which cannot be called",
                where=entry.id,
                fix="`micro-agi registry list --kind 'function.*'` lists what can be",
            )
        if entry.meta.get("type") == "tool":
            rt.caller.schemas.validate(tool_spec(entry), argument)
        result = await rt.call(entry.id, argument)
    invocation.say_json(result)
    return 0


def _argument(text: str) -> Any:
    """Read the argument; `-` reads it from standard input.

    Raises: ArgumentsInvalid.
    """
    raw = read_input("-") if text == "-" else text
    try:
        return msgspec.json.decode(raw) if raw.strip() else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise ArgumentsInvalid(
            f"the argument is no JSON: {error}",
            where="standard input" if text == "-" else "the command line",
            fix="""write it like '{"expression": "2*21"}', in single quotes""",
        ) from error
