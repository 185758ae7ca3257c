"""`skill list|promote|export|import`: Python functions that became tools, and their folders."""

from pathlib import Path

from micro_agi.commands.draft_file import shown_name
from micro_agi.commands.invocation import Invocation, read_input
from micro_agi.commands.open import open_runtime
from micro_agi.commands.output import table
from micro_agi.commands.tool_names import find_tool, tests_text
from micro_agi.commands.tool_read import first_sentence
from micro_agi.commands.tool_write import say_created
from micro_agi.errors import InputInvalid
from micro_agi.registry.entry import Entry
from micro_agi.security.tenancy import is_generated
from micro_agi.tools.draft import parse_draft, tests_of
from micro_agi.tools.skill_folder import files_of, folder_name, is_skill, read_folder


async def list_skills(invocation: Invocation) -> int:
    """List the skills that agents wrote or a person imported."""
    async with open_runtime(invocation) as rt:
        tools = rt.registry.snapshot().find({"meta.type": "tool"})
        found = [e for e in tools if is_generated(e.namespace) and is_skill(e)]
        rows = [
            (e.name, str(e.data["method"]), f"v{e.revision}", tests_text(rt, e) or "-", _about(e))
            for e in found
        ]
    if invocation.as_json:
        invocation.say_json(
            [
                {
                    "id": e.id,
                    "function": e.data["method"],
                    "version": e.revision,
                    "tests": len(tests_of(e)),
                    "description": e.meta.get("llm_description"),
                }
                for e in found
            ]
        )
    elif rows:
        head = ("SKILL", "FUNCTION", "VERSION", "TESTS", "ABOUT")
        invocation.say(table(head, rows, width=invocation.width))
    else:
        invocation.say("No skills yet: `micro-agi skill promote FILE FUNCTION` makes one.")
    return 0


def _about(entry: Entry) -> str:
    return first_sentence(str(entry.meta.get("llm_description") or ""))


async def promote(invocation: Invocation) -> int:
    """Take a function of a Python file through the gate."""
    args = invocation.args
    draft = parse_draft(
        {
            "name": args.name or args.function,
            "function": args.function,
            "language": "python",
            "source": read_input(args.file),
            "modules": args.modules,
            "hosts": args.hosts,
        }
    )
    reason = f"skill promote {shown_name(args.file)}#{args.function}"
    async with open_runtime(invocation) as rt:
        say_created(invocation, await rt.create_tool(draft, reason=reason))
    return 0


async def export(invocation: Invocation) -> int:
    """Write a skill as a folder of the Agent Skills format."""
    async with open_runtime(invocation) as rt:
        entry = find_tool(rt.registry.snapshot(), invocation.args.name)
    if not is_skill(entry):
        raise InputInvalid(
            f"`{entry.id}` is no skill but a {entry.kind}",
            where=entry.id,
            fix="`micro-agi registry export` writes any entry",
        )
    folder = Path(invocation.args.directory) / folder_name(entry)
    try:
        folder.mkdir(parents=True)
        for name, text in files_of(entry).items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    except FileExistsError as error:
        fix = "remove it, or name another directory"
        raise InputInvalid("there is such a folder already", where=str(folder), fix=fix) from error
    except OSError as error:
        what = f"the folder cannot be written: {error.strerror}"
        raise InputInvalid(what, where=str(folder), fix="name another directory") from error
    invocation.say(str(folder))
    return 0


async def import_folder(invocation: Invocation) -> int:
    """Take the skill in a folder through the gate; what it brings as tests has to pass."""
    folder = Path(invocation.args.folder)
    draft = parse_draft(read_folder(folder))
    async with open_runtime(invocation) as rt:
        created = await rt.create_tool(draft, reason=f"skill import {draft.name}")
        say_created(invocation, created)
    return 0
