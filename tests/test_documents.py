"""The documents say what is so: generated pages, transcripts, links, commands, code blocks.

How to write a block: the words after the language say what it is.

- `python`, `sh` run, in the order of the page, in one directory with a home of its own;
  `sh exit 3` must end with that code.
- `yaml name.yaml`, `lua name.lua`, `json name.json` are written to that file first; a `yaml`
  or `json` block without a name only has to parse.
- `text output` is what the block before it prints. `…` in it stands for anything.
- `norun: why` is a block that cannot run here.
"""

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from micro_agi.commands.rows.row import find
from micro_agi.commands.table import COMMANDS, GLOBAL
from micro_agi.registry import yaml
from tests.warm import Warm

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("decisions/*.md")],
    key=lambda path: path.as_posix(),
)
FENCE = re.compile(r"^```(\w*)[ \t]*([^\n]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
TEST_NAME = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
RUNNABLE = ("python", "sh", "lua", "yaml")
MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?Z?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<hash>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<session>"),
    # The demo takes another port where somebody has its own: a second test run, say.
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block."""

    line: int
    language: str
    info: str
    text: str

    @property
    def runs(self) -> bool:
        return not self.info.startswith("norun")

    @property
    def file(self) -> str:
        return self.info if self.language in ("lua", "yaml", "json") and self.runs else ""

    @property
    def exit_code(self) -> int:
        return int(self.info.removeprefix("exit ")) if self.info.startswith("exit ") else 0


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(
            line=text[: found.start()].count("\n") + 1,
            language=found[1],
            info=found[2].strip(),
            text=found[3],
        )
        for found in FENCE.finditer(text)
    ]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def masked(text: str) -> str:
    for pattern, sign in MASKS:
        text = pattern.sub(sign, text)
    return text


def fits(expected: str, actual: str) -> bool:
    """Whether an output is what a page shows; `…` stands for anything, also for lines."""
    parts = [re.escape(part) for part in masked(expected).strip().split("…")]
    return re.fullmatch(".*?".join(parts), masked(actual).strip(), re.DOTALL) is not None


class Session:
    """Runs the blocks of one page."""

    def __init__(self, directory: Path, warm: Warm) -> None:
        self.warm = warm
        self.directory = directory / "here"
        self.directory.mkdir()
        places = (warm.bin, Path(sys.executable).parent, os.environ["PATH"])
        programs = os.pathsep.join(map(str, places))
        self.environment = {
            "PATH": programs,
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            # Both streams go into one pipe: in the order in which they were written.
            "PYTHONUNBUFFERED": "1",
            "MICRO_AGI_HOME": str(directory / "home"),
            # No page may find a model server that happens to run on this machine.
            "MICRO_AGI_LOCAL_PORTS": ",",
        }

    def run(self, block: Block) -> str:
        """Run a block, or keep its file; return what it printed."""
        if block.file:
            path = self.directory / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
            return ""
        if block.language == "yaml":
            yaml.load(block.text, "a block")
            return ""
        if block.language not in ("python", "sh"):
            return ""
        where = {"cwd": self.directory, "env": self.environment}
        if block.language == "python":
            done = self.warm.run("python", "-c", block.text, together=True, **where)
        else:
            self.warm.start()
            done = subprocess.run(
                ["sh", "-e", "-c", block.text],
                **where,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=50,
                check=False,
            )
        assert done.returncode == block.exit_code, f"line {block.line}: {done.stdout}"
        return done.stdout


@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_code_block_runs_and_prints_what_the_page_shows(page, tmp_path, warm, request):
    if any(b.runs and "micro-agi demo" in b.text for b in blocks_of(page)):
        request.getfixturevalue("demo_port")
    session, printed = Session(tmp_path, warm), ""
    for block in blocks_of(page):
        place = f"{name_of(page)}:{block.line}"
        assert block.language, f"{place}: name the language, or `text`"
        if not block.runs:
            assert block.info.removeprefix("norun:").strip(), f"{place}: say why it cannot run"
        elif block.language == "json":
            json.loads(block.text)
            session.run(block)
        elif block.language in RUNNABLE:
            assert block.language != "lua" or block.file, f"{place}: give the Lua a file name"
            printed = session.run(block)
        elif block.info == "output":
            assert fits(block.text, printed), f"{place}: it printed\n{printed}"


def test_generated_pages_are_what_the_code_says():
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    assert generate["outdated"]() == []


@pytest.mark.usefixtures("demo_port")
@pytest.mark.requirement("000/run/banner", "000/run/time", "000/run/fetch")
def test_the_readme_shows_what_the_demo_prints(tmp_path, warm):
    transcripts = [b for b in blocks_of(ROOT / "README.md") if b.info == "demo"]
    demo = Block(line=0, language="sh", info="", text="micro-agi demo --plain")
    printed = Session(tmp_path, warm).run(demo)
    assert [masked(b.text) for b in transcripts] == [masked(printed)]


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    for target in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{name_of(page)} links to {target}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors_of(path), f"{name_of(page)} links to {target}"


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in LINK.findall(page.read_text("utf-8")):
            path = (page.parent / target.partition("#")[0]).resolve()
            waiting += [path] if path.suffix == ".md" and path.exists() else []
    assert [name_of(p) for p in PAGES if p not in reached] == []


def command_lines(page: Path) -> list[str]:
    """Return every command line of ours that a page names."""
    text = page.read_text("utf-8")
    scripts = [b.text for b in blocks_of(page) if b.language == "sh"]
    lines = [line.strip() for script in scripts for line in script.splitlines()]
    return [*lines, *SPAN.findall(FENCE.sub("", text))]


def known_flags(*commands) -> set[str]:
    arguments = [*GLOBAL, *(a for command in commands for a in command.arguments)]
    return {name for argument in arguments for name in argument.names if name.startswith("-")}


def check_command(line: str) -> str:
    """Return what is wrong with a command line, or ""."""
    try:
        words = shlex.split(line, comments=True)[1:]
    except ValueError:
        words = line.split()[1:]
    words = [word.partition("=")[0] for word in words if word not in ("|", "VERB", "FLAGS")]
    switches = ("store_true",)
    valued = {n for a in GLOBAL if a.options.get("action") not in switches for n in a.names}
    plain, skip = [], False
    for word in words:
        if not skip and not word.startswith("-") and not word.startswith("["):
            plain.append(word)
        skip = word in valued
    flags = {word for word in words if word.startswith("--") and len(word) > 2}
    if not plain or not plain[0].islower():
        return ", ".join(flags - known_flags() - {"--help", "--version"})
    command = find(COMMANDS, plain[0])
    if command is None:
        return f"no command `{plain[0]}`"
    verb = None
    if command.verbs and len(plain) > 1 and plain[1].islower():
        verb = find(command.verbs, plain[1])
        if verb is None:
            return f"no verb `{plain[1]}` of `{plain[0]}`"
    known = known_flags(command, *([verb] if verb else command.verbs))
    return ", ".join(flags - known - {"--help"})


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_a_page_names_exists(page):
    for line in command_lines(page):
        if line.split()[:1] == ["micro-agi"]:
            assert check_command(line) == "", f"{name_of(page)}: {line}"


def test_a_command_that_does_not_exist_is_noticed():
    assert check_command("micro-agi serve") == "no command `serve`"
    assert check_command("micro-agi tool shew x") == "no verb `shew` of `tool`"
    assert check_command("micro-agi --base-uri http://x tool list") != ""
    assert check_command("micro-agi --base-url http://x tool show x") == ""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_run_that_a_page_names_exists(page):
    script = (ROOT / "run").read_text("utf-8")
    for line in command_lines(page):
        if line.startswith("./run "):
            assert f"\n{line.split()[1]})" in script, f"{name_of(page)}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_test_that_a_page_names_exists(page):
    for file, name in TEST_NAME.findall(page.read_text("utf-8")):
        assert f"def {name}(" in (ROOT / file).read_text("utf-8"), f"{file}::{name}"


def test_decisions_are_numbered_without_gaps_and_have_their_four_parts():
    pages = sorted((ROOT / "decisions").glob("0*.md"))
    assert [int(p.name[:4]) for p in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        parts = re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)
        wanted = ["Context", "Choice", "Price", "What would change our mind"]
        assert parts == wanted, name_of(page)
