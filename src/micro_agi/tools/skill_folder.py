"""Write a skill as a folder of the Agent Skills format, and read one as a draft.

A folder has the skill's name in lower-case letters, digits and hyphens, a `SKILL.md` whose
front matter says `name` and `description`, and scripts. Which function is the tool, and which
modules and hosts it wants, stands in `metadata`, where the format has room for it; its tests
lie beside the script. A folder from elsewhere without these is read as far as it is clear.

What is read is a stranger's: nothing is followed out of the folder, nothing is run here. It goes
through the gate like every draft.

Source: spec/local-agent.md 7.2; issue 5, item 8.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from micro_agi.errors import InputInvalid
from micro_agi.registry import yaml
from micro_agi.registry.entry import Entry
from micro_agi.tools.draft import tests_of
from micro_agi.tools.python_source import HANDLER, Function, parse

SKILL_FILE = "SKILL.md"
SCRIPTS = "scripts"
FILE_BYTES = 256_000
FOLDER_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
DESCRIPTION_CHARACTERS = 1024
FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?\n)---[ \t]*(\r?\n|\Z)", re.DOTALL)
PREFIX = "micro-agi-"
"""Of our keys in `metadata`, whose values are texts."""


def folder_name(entry: Entry) -> str:
    """Return what the folder of a skill is called: the format has no underscores."""
    return re.sub("_+", "-", entry.name).strip("-")


def files_of(entry: Entry) -> dict[str, str]:
    """Return the files of a skill's folder, by their paths in it."""
    script = f"{SCRIPTS}/{entry.name}.py"
    files = {SKILL_FILE: _skill_file(entry, script), script: str(entry.data["source"])}
    tests = tests_of(entry)
    if tests:
        text = json.dumps([dict(test) for test in tests], indent=2, ensure_ascii=False)
        files[f"{SCRIPTS}/{entry.name}.tests.json"] = text + "\n"
    return files


def _skill_file(entry: Entry, script: str) -> str:
    about = str(entry.meta.get("llm_description") or entry.name)
    data = entry.data
    metadata = {
        "tool": entry.name,
        "function": data["method"],
        "script": script,
        "modules": " ".join(data.get("modules") or ()),
        "hosts": " ".join(data.get("hosts") or ()),
    }
    front = {
        "name": folder_name(entry),
        "description": about[:DESCRIPTION_CHARACTERS],
        "metadata": {PREFIX + key: str(value) for key, value in metadata.items() if value},
    }
    schema = json.dumps(entry.meta.get("input_schema"), indent=2, ensure_ascii=False)
    # JSON texts are YAML as well, and no character of theirs can end the front matter.
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items()]
    return (
        "---\n" + "\n".join(lines) + f"\n---\n\n# {entry.name}\n\n{about}\n\n"
        f"Call `{data['method']}` in `{script}` with:\n\n```json\n{schema}\n```\n"
    )


def read_folder(folder: Path) -> dict[str, Any]:
    """Return the draft of the skill in a folder, in the form of `create_tool`.

    Raises: InputInvalid with the file and how to correct it.
    """
    text = _read(folder, SKILL_FILE)
    front = _front_matter(text, folder / SKILL_FILE)
    name, about = front.get("name"), front.get("description")
    where = str(folder / SKILL_FILE)
    if not isinstance(name, str) or not FOLDER_NAME.fullmatch(name) or len(name) > 64:
        fix = "`name` is of lower-case letters, digits and single hyphens, up to 64"
        raise InputInvalid(f"`{name}` is no name of a skill", where=where, fix=fix)
    if name != folder.resolve().name:
        fix = f"rename the folder to `{name}`"
        raise InputInvalid(f"skill `{name}` is in another folder", where=str(folder), fix=fix)
    if not isinstance(about, str) or not 0 < len(about.strip()) <= DESCRIPTION_CHARACTERS:
        fix = f"say in 1 to {DESCRIPTION_CHARACTERS} characters what it does, and when to use it"
        raise InputInvalid("`description` is missing, or too long", where=where, fix=fix)
    ours = _ours(front)
    script = ours.get("script") or _only_script(folder)
    source = _read(folder, script)
    tool = ours.get("tool") or name.replace("-", "_")
    tests = _tests(folder, script.removesuffix(".py") + ".tests.json")
    return {
        "name": tool,
        "description": about.strip(),
        "function": ours.get("function") or _only_function(source, tool, folder / script),
        "language": "python",
        "source": source,
        "tests": tests,
        "modules": ours.get("modules", "").split(),
        "hosts": ours.get("hosts", "").split(),
    }


def _read(folder: Path, name: str) -> str:
    path = folder / name
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts:
        raise _refused(path, "lies outside the folder")
    for step in range(1, len(parts) + 1):
        if folder.joinpath(*parts[:step]).is_symlink():
            raise _refused(path, "is a link")
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            data = file.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise _refused(path, f"is larger than {FILE_BYTES:,} bytes")
        return data.decode("utf-8").replace("\r\n", "\n")
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _refused(path, "is no UTF-8") from error


def _refused(path: Path, why: str) -> InputInvalid:
    fix = "a skill is a folder with SKILL.md and scripts/NAME.py in it"
    return InputInvalid(f"`{path.name}` {why}", where=str(path), fix=fix)


def _front_matter(text: str, path: Path) -> Mapping[str, Any]:
    found = FRONT.match(text)
    value = yaml.load("\n" + found[1], str(path)).value if found else None
    if not isinstance(value, Mapping):
        fix = "begin it with ---, then name: … and description: …, then ---"
        raise InputInvalid("the file has no front matter", where=f"{path}:1", fix=fix)
    return value


def _ours(front: Mapping[str, Any]) -> dict[str, str]:
    metadata = front.get("metadata")
    if not isinstance(metadata, Mapping):
        return {}
    return {
        str(key).removeprefix(PREFIX): value
        for key, value in metadata.items()
        if str(key).startswith(PREFIX) and isinstance(value, str)
    }


def _only_script(folder: Path) -> str:
    scripts = sorted(p.name for p in (folder / SCRIPTS).glob("*.py"))
    if len(scripts) == 1:
        return f"{SCRIPTS}/{scripts[0]}"
    listed = ", ".join(scripts) or "none"
    fix = f"say in the front matter: metadata: {{{PREFIX}script: {SCRIPTS}/NAME.py}}"
    raise InputInvalid(f"which script is the tool? there is: {listed}", where=str(folder), fix=fix)


def _only_function(source: str, tool: str, path: Path) -> str:
    functions = [
        node.name
        for node in parse(source).body
        if isinstance(node, Function) and not node.name.startswith("_")
    ]
    if tool in functions:
        return tool
    if len(functions) == 1:
        return functions[0]
    listed = ", ".join(functions) or "none"
    fix = f"say in the front matter: metadata: {{{PREFIX}function: NAME}}"
    raise InputInvalid(f"which function is the tool? there is: {listed}", where=str(path), fix=fix)


def _tests(folder: Path, name: str) -> list[Any]:
    if not os.path.lexists(folder / name):
        return []
    try:
        tests = json.loads(_read(folder, name))
    except (ValueError, RecursionError) as error:
        raise _refused(folder / name, "is no JSON") from error
    if not isinstance(tests, list):
        raise _refused(folder / name, "is no list of tests")
    return tests


def is_skill(entry: Entry) -> bool:
    """Whether a tool is a skill: a Python function with typed parameters."""
    named = entry.data.get("method")
    python = entry.kind == "function.python" and entry.meta.get("type") == "tool"
    return python and isinstance(named, str) and named != HANDLER
