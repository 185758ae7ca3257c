"""Read YAML and JSON that a person wrote: change sets, exports, drafts of tools.

Every refusal names the file, line and column, as far as they are known.
"""

import json
import re
from pathlib import PurePath

from micro_agi.commands.invocation import read_input
from micro_agi.errors import InputInvalid
from micro_agi.registry import yaml
from micro_agi.registry.yaml import Document

LUA_COMMENT = re.compile(r"\A\s*--\[(=*)\[(.*?)\]\1\][ \t]*\n?", re.DOTALL)
STDIN = "standard input"


def read_document(file: str) -> Document:
    """Read a YAML or JSON file, `-` being standard input.

    Raises: InputInvalid with the place.
    """
    text, shown = read_input(file), shown_name(file)
    # Not only by its suffix: JSON's own parser takes what YAML's does not, such as tabs.
    if text.lstrip()[:1] in ("{", "["):
        try:
            return Document(shown, json.loads(text))
        except (ValueError, RecursionError) as error:
            if PurePath(file).suffix == ".json":
                raise _no_json(error, shown) from error
    return yaml.load(text, shown)


def shown_name(file: str) -> str:
    """Return what a file is called in messages."""
    return STDIN if file == "-" else file


def _no_json(error: ValueError | RecursionError, shown: str) -> InputInvalid:
    where, what = shown, "it is nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        where, what = f"{shown}:{error.lineno}:{error.colno}", error.msg
    return InputInvalid(f"this is no JSON: {what}", where=where, fix="correct it at this place")


def read_draft(file: str) -> tuple[object, int]:
    """Read a draft tool, and the line on which its source begins (0 outside a Lua file).

    A Lua file begins with a comment `--[[ … ]]` that holds the draft's other keys as YAML.
    Raises: InputInvalid with the place.
    """
    if PurePath(file).suffix != ".lua":
        return read_document(file).value, 0
    text = read_input(file)
    found = LUA_COMMENT.match(text)
    if found is None:
        raise InputInvalid(
            "the file does not begin with a comment that describes the tool",
            where=f"{file}:1",
            fix="begin it with --[[ name: … description: … modules: […] input_schema: … ]]",
        )
    # Blank lines in front keep the parser's line numbers those of the file.
    before = text[: found.start(2)].count("\n")
    keys = yaml.load("\n" * before + found[2].replace("\t", "  "), file).value
    if not isinstance(keys, dict) or "source" in keys:
        raise InputInvalid(
            "the first comment must hold `name: …`, `description: …` and so on, but no `source`",
            where=f"{file}:{before + 1}",
            fix="write YAML between --[[ and ]]; the code below the comment is the source",
        )
    return {**keys, "source": text[found.end() :]}, text[: found.end()].count("\n") + 1
