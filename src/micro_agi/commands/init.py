"""`init DIR`: a new app, ready to run: a copy of the bundled one with a README of its own."""

import importlib.resources
import shutil
from importlib.resources.abc import Traversable
from pathlib import Path

from micro_agi.commands.invocation import Invocation
from micro_agi.errors import InputInvalid

README = """# {name}

An app for Micro AGI: an agent, its model, its tools and its policies, as entries in
`src/**/_index.yaml`. Made by `micro-agi init`.

```sh norun: it needs a model
cd {name}
micro-agi            # talk to the agent; `micro-agi doctor` says what is missing
micro-agi tool list  # what it can do, and what it made itself
```

| file | holds |
|---|---|
| `.wippy.yaml` | how the runtime logs |
| `wippy.yaml` | what this app is called |
| `src/_index.yaml` | what the app consists of, and its command `agent` |
| `src/agents/` | the agent: its prompt, its model, its tools |
| `src/models/` | models with their prices and providers |
| `src/policies/` | what the agent may write: `app.generated` and nothing else |
| `src/tools/` | the tools it begins with, in Lua |

What the agent makes is not written here. It is kept as versions in the home of this app;
`micro-agi registry export` writes it to a file. A key for the model goes into `.env`
(`OPENAI_API_KEY=…`), which is read once you trusted the app and belongs in no repository.
"""
GITIGNORE = ".env\n"


async def run(invocation: Invocation) -> int:
    """Copy the bundled app into a new or empty directory."""
    directory = invocation.args.directory
    written = make_app(Path(directory))
    if invocation.as_json:
        invocation.say_json({"directory": directory, "files": written})
        return 0
    invocation.say(f"made an app in {directory}:")
    for name in written:
        invocation.say(f"  {name}")
    invocation.say(f"\nnext: cd {directory} && micro-agi")
    return 0


def make_app(directory: Path) -> list[str]:
    """Write all files of a new app and return their names.

    Raises: InputInvalid for a directory that holds something, or cannot be written.
    """
    directory = directory.expanduser()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        what = "is not empty" if directory.is_dir() else "is no directory"
        raise InputInvalid(
            f"`{directory}` {what}", where=str(directory), fix="name a new or an empty directory"
        )
    bundled = importlib.resources.files("micro_agi") / "bundled" / "app"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _copy(bundled, directory)
        (directory / ".gitignore").write_text(GITIGNORE, "utf-8")
        name = directory.resolve().name
        (directory / "README.md").write_text(README.format(name=name), "utf-8")
    except OSError as error:
        raise InputInvalid(
            f"the app cannot be written: {error.strerror}",
            where=str(error.filename or directory),
            fix="name a directory that you may write",
        ) from error
    files = (p for p in directory.rglob("*") if p.is_file())
    return sorted(p.relative_to(directory).as_posix() for p in files)


def _copy(source: Traversable, target: Path) -> None:
    for item in source.iterdir():
        place = target / item.name
        if item.is_dir():
            place.mkdir()
            _copy(item, place)
        else:
            with item.open("rb") as old, place.open("wb") as new:
                shutil.copyfileobj(old, new)
