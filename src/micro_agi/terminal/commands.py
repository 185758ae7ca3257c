"""What lines that begin with `/` do.

Each command is one row of a table, from which `/help`, completion and the nearest name of
a mistyped one come. Commands read the registry and the session; those that change
something outside the session are `/rollback` and `/undo`, with the person's own authority.
"""

from collections.abc import Awaitable, Callable, Iterable

from msgspec import Struct

from micro_agi.agent.session import Session
from micro_agi.agent.spec import AGENT_TYPE, agent_spec
from micro_agi.errors import EntryNotFound, InputInvalid
from micro_agi.registry.entry import Entry
from micro_agi.terminal.agency import Agency
from micro_agi.terminal.card import tool_card
from micro_agi.terminal.console import Console
from micro_agi.terminal.text import counted, first_line, money
from micro_agi.terminal.wording import spent
from micro_agi.tools.effects import effect_class
from micro_agi.tools.resolve import visible_name
from micro_agi.values import nearest

MODEL_TYPE = "llm.model"
NAME_COLUMNS = 24
MORE = """\
Enter sends; Alt-Enter, or a backslash at the end of a line, goes on in a new line.
Ctrl-C stops the agent, twice leaves."""


class Command(Struct, frozen=True):
    """One row of the table."""

    name: str
    argument: str
    """How the argument is called in the help; "" for none."""
    does: str
    run: Callable[[str], Awaitable[None]]
    choices: Callable[[], Iterable[tuple[str, str]]] = tuple
    """(word, meaning) pairs that its argument may be."""

    @property
    def usage(self) -> str:
        """The command with its argument."""
        return f"{self.name} {self.argument}".rstrip()


class Commands:
    """The commands of one session at one terminal."""

    def __init__(self, agency: Agency, session: Session, console: Console) -> None:
        self._agency = agency
        self._session = session
        self._console = console
        rows = (
            Command("/help", "", "list the commands", self._help),
            Command("/tools", "", "list the tools the agent can call", self._tools),
            Command(
                "/tool", "NAME", "show a tool: source, versions, tests, grants",
                self._tool, self._tool_names,
            ),
            Command(
                "/rollback", "NAME [N]", "restore a tool to version N, or the one before",
                self._rollback, self._tool_names,
            ),
            Command("/undo", "[N]", "take back the last N changes of files", self._undo),
            Command("/model", "[NAME]", "show the model, or switch it", self._model, self._models),
            Command("/agent", "[ID]", "show the agent, or switch it", self._agent, self._agents),
            Command("/cost", "", "tokens and money of this session", self._cost),
            Command("/compact", "", "shorten the conversation now", self._compact),
            Command("/session", "", "this session's id, and how to go on with it", self._about),
            Command("/quit", "", "leave", _leave),
        )  # fmt: skip
        self.table = {row.name: row for row in rows}

    async def run(self, text: str) -> None:
        """Run one command.

        Raises: InputInvalid for an unknown one, naming the nearest; what the command raises.
        """
        name, _, argument = text.partition(" ")
        row = self.table.get(name)
        if row is None:
            near = nearest(name, self.table)
            raise InputInvalid(
                f"there is no command `{name}`",
                fix=f"did you mean {' or '.join(near)}?" if near else "/help lists them",
            )
        await row.run(argument.strip())

    def choices(self, before: str) -> Iterable[tuple[str, str]]:
        """Return what could end the text before the cursor."""
        if not before.startswith("/"):
            return ()
        name, space, rest = before.partition(" ")
        if not space:
            return [(row.name, row.does) for row in self.table.values()]
        row = self.table.get(name)
        return row.choices() if row is not None and " " not in rest else ()

    def _say(self, text: str) -> None:
        self._console.screen.say(text)

    async def _help(self, _: str) -> None:
        width = max(len(row.usage) for row in self.table.values())
        rows = [f"  {row.usage:<{width}}  {row.does}" for row in self.table.values()]
        self._say("\n".join([*rows, *(f"  {line}" for line in MORE.splitlines())]))

    async def _tools(self, _: str) -> None:
        runner = await self._session.load()
        rows = [(self._marks(t.id) + t.name, t.description) for t in runner.compiled.tools]
        self._list(rows)
        if any(name.startswith("+") for name, _ in rows):
            self._say("  + was made by an agent; /tool NAME shows it")
        if any(name[1] == "!" for name, _ in rows):
            self._say("  ! may have an effect outside, so a call that was cut off is not repeated")

    def _marks(self, tool: str) -> str:
        """Return two characters: made by an agent, may have an effect."""
        registry = self._agency.registry
        operators = registry.is_operators(tool.partition(":")[0])
        entry = registry.snapshot().get(tool) if tool in registry.snapshot() else None
        effect = entry is not None and effect_class(entry, operators=operators) == "effect"
        return ("+" if not operators else " ") + ("!" if effect else " ")

    async def _tool(self, name: str) -> None:
        card = tool_card(self._agency.registry, self._find_tool(name))
        self._say(card.facts)
        if card.source:
            self._say("")
            self._console.screen.code(card.source, card.language)

    async def _rollback(self, argument: str) -> None:
        name, _, number = argument.partition(" ")
        registry = self._agency.registry
        entry_id = self._known_tool(name)
        versions = [r.version.id for r in registry.history.of_entry(entry_id)]
        if number.strip():
            to = _number(number)
        else:
            # Of a tool with one version the one before is the registry before it: no tool.
            to = versions[-2] if len(versions) > 1 else versions[-1] - 1
        version = await registry.rollback(
            entry_id, to=to, context=self._agency.root(), reason=f"/rollback {argument}"
        )
        there = entry_id in registry.snapshot()
        await self._reload(entry_id, there=there)
        became = f"as it was at version {to}" if there else "taken out of use"
        self._say(f"  {entry_id} is {became} (version {version.id} of the registry)")

    async def _undo(self, number: str) -> None:
        for line in await self._agency.undo(_count(number) if number else 1):
            self._say(f"  {line}")

    async def _reload(self, entry_id: str, *, there: bool) -> None:
        """Let the running agent see what became of a tool."""
        await self._session.load()
        if not there:
            self._session.agent.remove_tool(entry_id)
        await self._session.agent.reload()

    async def _model(self, name: str) -> None:
        runner = await self._session.load()
        if name:
            runner = await self._session.agent.switch_to_model(name)
            self._say(f"  {runner.card.name} answers from now on")
            return
        self._say(f"  {runner.card.name} answers")
        self._list([(f"  {model}", title) for model, title in self._models()])

    async def _agent(self, wanted: str) -> None:
        runner = await self._session.load()
        if wanted:
            runner = await self._session.agent.switch_to_agent(wanted)
            self._say(f"  {runner.compiled.spec.id} answers from now on, on {runner.card.name}")
            return
        self._say(f"  {runner.compiled.spec.id} answers")
        self._list([(f"  {agent}", about) for agent, about in self._agents()])

    async def _cost(self, _: str) -> None:
        session = self._session
        usage, turns = session.usage, counted(session.conversation.turn, "turn")
        self._say(f"  {spent(usage, None)}, in {turns}")
        if session.cost_usd:
            self._say(f"  {money(session.cost_usd)}")
        elif usage.window:
            self._say("  no money: the models used have no price")

    async def _compact(self, _: str) -> None:
        screen = self._console.screen
        if not await self._session.compact(screen.show):
            self._say("  nothing to compact yet: the last exchange stays word for word")

    async def _about(self, _: str) -> None:
        session = self._session
        self._say(
            f"  session {session.id}: {counted(session.conversation.turn, 'turn')}, "
            f"{counted(len(session.conversation.messages), 'message')}\n"
            f"  go on with it later: micro-agi --session {session.id}"
        )

    def _list(self, rows: Iterable[tuple[str, str]]) -> None:
        """Say rows of a name and a meaning, one line each."""
        columns = self._console.screen.columns
        found = list(rows)
        width = min(max((len(name) for name, _ in found), default=0), NAME_COLUMNS + 2)
        for name, meaning in found:
            room = max(12, columns - max(width, len(name)) - 4)
            self._say(f"{name:<{width}}  {first_line(meaning, room)}".rstrip())

    def _find_tool(self, name: str) -> Entry:
        """Find a tool by the name a model sees, the name of its entry, or its id.

        Raises: EntryNotFound with the nearest names; InputInvalid without a name.
        """
        if not name:
            raise InputInvalid("which tool?", fix="/tools lists them")
        tools = self._agency.registry.find({"meta.type": "tool"})
        for entry in tools:
            if name in (visible_name(entry), entry.id, entry.name):
                return entry
        near = nearest(name, [n for e in tools for n in (visible_name(e), e.id)])
        raise EntryNotFound(
            f"there is no tool `{name}`",
            fix=f"did you mean: {', '.join(near)}" if near else "/tools lists them",
        )

    def _known_tool(self, name: str) -> str:
        """Return the id of a tool that is there, or of one that once was."""
        try:
            return self._find_tool(name).id
        except EntryNotFound:
            if self._agency.registry.history.of_entry(name):
                return name
            raise

    def _tool_names(self) -> list[tuple[str, str]]:
        tools = self._agency.registry.find({"meta.type": "tool"})
        return [(visible_name(entry), first_line(_about(entry), 60)) for entry in tools]

    def _models(self) -> list[tuple[str, str]]:
        models = self._agency.registry.find({"meta.type": MODEL_TYPE})
        return [(str(e.meta.get("name") or e.id), str(e.meta.get("title") or "")) for e in models]

    def _agents(self) -> list[tuple[str, str]]:
        agents = self._agency.registry.find({"meta.type": AGENT_TYPE})
        return [(s.id, s.description or s.title) for s in map(agent_spec, agents)]


def _about(entry: Entry) -> str:
    return str(entry.meta.get("llm_description") or entry.meta.get("comment") or "")


def _number(text: str) -> int:
    try:
        return int(text.strip().removeprefix("v"))
    except ValueError as error:
        raise InputInvalid(
            f"`{text.strip()}` is no version", fix="/tool NAME lists the versions of a tool"
        ) from error


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputInvalid(f"`{text}` is no number", fix="/undo 2 takes back two") from error


async def _leave(_: str) -> None:
    """Do nothing: the loop knows the word."""
