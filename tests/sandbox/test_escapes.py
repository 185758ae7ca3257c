"""The corpus of Lua attacks in `escapes/`: each must come to what its header says."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from micro_agi.errors import ToolFailed

CORPUS = sorted((Path(__file__).parent / "escapes").glob("*.lua"))


@dataclass(frozen=True)
class Attack:
    expect: str
    """`value: <json>` or `error: <part of the message>`."""
    modules: tuple[str, ...]
    source: str


def read(file):
    text = file.read_text("utf-8")
    headers = dict(line[3:].split(": ", 1) for line in text.splitlines()[:3] if ": " in line)
    assert headers["source"], "an attack says where it comes from"
    return Attack(headers["expect"], tuple(headers.get("modules", "").split()), text)


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
def test_an_attack_comes_to_what_its_header_says(lua, file):
    attack = read(file)
    how, _, what = attack.expect.partition(": ")
    if how == "error":
        with pytest.raises(ToolFailed) as failed:
            lua.run(attack.source, modules=attack.modules)
        assert what in failed.value.what
    else:
        found = lua.run(attack.source, modules=attack.modules)
        assert found == (json.loads(what) if what[0] in '{[tf"0123456789' else what)
    assert lua.run("return function() return #string.rep('x', 3) end") == 3


def test_bytecode_is_refused(lua):
    with pytest.raises(ToolFailed, match="binary chunk"):
        lua.run("\x1bLuaT")
