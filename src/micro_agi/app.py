"""Build a runtime from its parts, and own their start and stop.

The only file that knows all the parts; what is an assembly of its own has a file beside it:
`host_functions`, `native_functions`, `program_models`, `tracing`, and for agents and
sessions `agent.open_session`. Nothing starts before it is needed: the sandbox's
zygote is started in the background once a session exists, the HTTP library is imported at
the first request, the documentation is read at the first question.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from msgspec import Struct, field

from micro_agi.agent.context import AgentContext
from micro_agi.agent.discovery import Discovery
from micro_agi.agent.open_session import SessionOpener
from micro_agi.agent.replay import Replay, replay
from micro_agi.agent.schema_processors import SchemaProcessors
from micro_agi.agent.select import Selected, select_agent
from micro_agi.agent.session import Session
from micro_agi.agent.traits import Merger
from micro_agi.agent.what_if import OtherVersion, WhatIf, version_of
from micro_agi.errors import MicroAgiError
from micro_agi.framework.model_resolver import BoundModelResolver
from micro_agi.framework.state import Frames
from micro_agi.home import (
    Trust,
    app_directory,
    home_directory,
    new_session_id,
    switched_off,
)
from micro_agi.host_functions import HostParts, host_functions
from micro_agi.llm.catalogue import Catalogue, ModelCard
from micro_agi.llm.facade import Llm
from micro_agi.llm.request import Provider
from micro_agi.llm.usage import UsageRecords
from micro_agi.local import switches
from micro_agi.local.workspace import Workspace
from micro_agi.local.workspaces import Workspaces
from micro_agi.memory.meaning import Embedder
from micro_agi.memory.memory import Memory
from micro_agi.models import Ask, ModelParts, Models, catalogue_of
from micro_agi.native_functions import NativeParts, register_native
from micro_agi.net.client import Client, Resolve
from micro_agi.program_models import memory_embedder, program_llm, usage_records
from micro_agi.registry.load import AppFiles, load_app
from micro_agi.registry.registry import Registry
from micro_agi.registry.seen import seen_by
from micro_agi.registry.users import Users
from micro_agi.sandbox.fork_server import Level
from micro_agi.sandbox.host.process import Mailboxes
from micro_agi.sandbox.kept_zygotes import KeptZygotes, current
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.pool import Pool
from micro_agi.security.context import CallContext, root_context
from micro_agi.security.tenancy import check_user
from micro_agi.sessions.journal import Journal
from micro_agi.sessions.redact import Redactor
from micro_agi.settings import Settings, process_environment
from micro_agi.store.database import Database
from micro_agi.tools.approve import Approver, Nobody
from micro_agi.tools.call import ToolCaller
from micro_agi.tools.create import Created, Gate
from micro_agi.tools.docs import Docs
from micro_agi.tools.draft import Draft
from micro_agi.tools.env import Environment
from micro_agi.tools.functions import Functions
from micro_agi.tools.native import native_tool
from micro_agi.tools.results import Results
from micro_agi.tools.schemas import Schemas
from micro_agi.tracing import spans_of

if TYPE_CHECKING:  # imported by whoever switches spans on: the extra may be missing
    from micro_agi.spans import Spans

F = TypeVar("F", bound=Callable[..., Any])

FULL_ISOLATION = "A"
BUNDLED = Path(__file__).parent / "bundled"


class Parts(Struct, frozen=True, kw_only=True):
    """What an embedder or a test may put in place of the usual parts."""

    providers: Mapping[str, Provider] = field(default_factory=dict)
    """Model providers by id, besides those that settings give access to."""
    card: ModelCard | None = None
    """The model of every agent, whatever its definition says."""
    clock: Callable[[], float] = time.time
    resolve: Resolve | None = None
    """Resolver of the HTTP client."""
    tls: ssl.SSLContext | None = None
    """Certificate authorities of the HTTP client, instead of the system's."""
    offline: bool = False
    """Refuse every connection that leaves this machine."""
    environ: Mapping[str, str] = field(default_factory=process_environment)
    """What `env.storage.os` entries read."""
    database: Database | None = None
    """State to use instead of the home's; closed with the runtime."""
    tracer_provider: Any = None
    """An OpenTelemetry `TracerProvider` that gets spans; it stays its maker's to shut down."""
    zygotes: KeptZygotes | None = field(default_factory=current)
    """What keeps the sandbox's zygotes when the runtime closes, if anything does."""


class Runtime:
    """Everything one process needs to run agents. Use it with `async with`."""

    def __init__(
        self, settings: Settings, app: AppFiles, database: Database, home: Path, parts: Parts
    ) -> None:
        self.settings = settings
        self.app = app
        self.home = home
        self.database = database
        self.notices: list[str] = []
        """Things a person should know at the start, one line each."""
        self.client = Client(resolve=parts.resolve, offline=parts.offline, tls=parts.tls)
        self.docs = Docs(docs_url=settings.docs_url, client=self.client)
        self.redactor = Redactor([settings.api_key, *settings.keys.values()])
        self.journal = Journal(
            database, clock=parts.clock, redactor=self.redactor, user=settings.user or None
        )
        self.approver: Approver = Nobody()
        self._ask: Ask | None = None
        self._parts = parts
        self._trust = Trust(database, app.directory, always=app.directory == BUNDLED / "app")
        self._spans: Spans | None = None
        self._background: set[asyncio.Task[None]] = set()
        self.frames = Frames()
        """What Lua calls in flight hold here: agents and their runners."""
        self.mailboxes = Mailboxes()
        self.registry: Registry
        """All of it, or with the setting `user` what that user may know."""
        self._whole: Registry
        self.workspace: Workspace
        """Of the person at this program; other users have their own."""
        self.memory: Memory
        self.functions: Functions
        self.models: Models
        self.llm: Llm
        """Models for the program itself: `generate`, `structured_output`, `embed`, …."""
        self.usage: UsageRecords
        """What model calls outside of sessions used."""
        self.gate: Gate
        self.results: Results
        self.caller: ToolCaller
        self.pool: Pool

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        approver: Approver | None = None,
        ask: Ask | None = None,
        parts: Parts | None = None,
    ) -> "Runtime":
        """Open the state and load the app; what was opened is closed again on failure.

        `approver` answers what tools may do; `ask` puts a yes-or-no question to the person.
        Raises: the errors of the loader, the store and the registry.
        """
        parts = parts or Parts()
        directory = app_directory(settings)
        if directory is None:
            app = load_app(BUNDLED / "app", source="program")
        else:
            app = load_app(directory)
        home = home_directory(settings, directory)
        database = parts.database or Database.open(home / "state.db")
        runtime = cls(settings, app, database, home, parts)
        runtime.approver = approver or Nobody()
        runtime._ask = ask
        try:
            await runtime._build()
        except BaseException:
            await runtime.close()
            raise
        return runtime

    async def __aenter__(self) -> "Runtime":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _build(self) -> None:
        settings, parts = self.settings, self._parts
        user = check_user(settings.user)
        self._workspaces = Workspaces(settings.workspace, self.home, person=user)
        self.workspace = self._workspaces.own
        system = load_app(BUNDLED / "system", source="program").entries
        bundled = load_app(BUNDLED / "local", source="program").entries
        local = switches.without(bundled, switches.switched_off(settings))

        whole = await Registry.open(
            self.database,
            [*self.app.entries, *system, *local],
            clock=parts.clock,
            admit=lambda entry: self.functions.admit(entry),
        )
        self._whole = whole
        self._users = Users(whole, user)
        self.registry = seen_by(whole, user or None)
        refused = switched_off(self.database)
        self.notices += [
            f"isolation level {level} is switched off: {escaped} escaped when "
            "`micro-agi doctor --prove` ran"
            for level, escaped in refused.items()
        ]
        self.models = Models(
            ModelParts(
                settings=settings,
                catalogue=lambda: catalogue_of(self.registry.snapshot()),
                client=self.client,
                database=self.database,
                ask=self._ask,
                say=self.notices.append,
                resolve=BoundModelResolver(
                    whole,
                    lambda: self.functions,
                    lambda: self.catalogue,
                    permit=self._trust.permit,
                ),
                fixed=parts.card,
            ),
            parts.providers,
        )
        self.usage = usage_records(
            self.database, clock=parts.clock, registry=whole, functions=lambda: self.functions
        )
        self.llm = program_llm(
            self.models, self.client, self.usage, snapshot=lambda: self.registry.snapshot()
        )
        self.memory = Memory(self.database, clock=parts.clock, embedder=self.embedder())
        self._environment = environment = Environment(whole, parts.environ, hide=self.redactor.add)
        self._spans = spans_of(
            settings,
            provider=parts.tracer_provider,
            logs=self.home / "logs",
            provider_of=self._provider_of,
        )
        host = host_functions(
            HostParts(
                registry=whole,
                database=self.database,
                client=self.client,
                environment=environment,
                llm=self.llm.parts,
                new_agent=lambda values, caller: self.agent_context(context=values, caller=caller),
                functions=lambda: self.functions,
                frames=self.frames,
                mailboxes=self.mailboxes,
                clock=parts.clock,
            )
        )
        self.pool = Pool(
            host=host if self._spans is None else self._spans.around(host),
            limits=Limits(
                wall_s=settings.call_timeout_s,
                total_s=settings.call_wall_s,
                memory_bytes=settings.call_memory_bytes,
            ),
            workers=settings.workers,
            minimum=cast(Level, settings.isolation),  # `settings` takes nothing else
            refused=refused,
            kept=parts.zygotes,
        )
        self.functions = Functions(whole, self.pool)
        self.gate = Gate(whole, self.functions, self.pool)
        self.results = Results(self.database, limit_bytes=settings.result_bytes)
        self._end_native = register_native(
            self.functions,
            NativeParts(
                gate=self.gate,
                docs=self.docs,
                results=self.results,
                workspaces=self._workspaces,
                database=self.database,
                registry=whole,
                memory=self.memory,
                client=self.client,
                clock=parts.clock,
            ),
            local=local,
        )
        self.caller = ToolCaller(
            self.functions, self.results, Schemas(), environment=environment.filled
        )
        self._opener = SessionOpener(
            settings=settings,
            users=self._users,
            journal=self.journal,
            functions=self.functions,
            gateway=self.models.gateway,
            choose=self.models.choose,
            cheap=self.models.cheap,
            caller=self.caller,
            processors=SchemaProcessors(whole.is_operators),
            permit=self._trust.permit,
            watch=self._spans.event if self._spans is not None else None,
        )
        self.notices += [*self.app.warnings, *self.app.project.not_honoured()]

    def _provider_of(self, model: str) -> str:
        card = self._parts.card or self.catalogue.by_name(model)
        return card.provider if card is not None else ""

    async def undo(self, count: int = 1, *, user: str | None = None) -> list[str]:
        """Take back the newest file changes in the workspace, and say what became of each.

        Only those made for `user` count: the setting `user`, unless given.
        Raises: EntryNotFound when there are none; EntryConflict for a file changed since.
        """
        from micro_agi.local.undo import Undo  # few programs undo anything

        user = self._users.named(user)
        root = self._workspaces.of(user).root
        done = await Undo(self.database, user=user).undo(count, root=root)
        return [f"{undone.what} {undone.path}" for undone in done]

    def embedder(self) -> Embedder | None:
        """Return what makes vectors for memory, if the settings name an embedding model."""
        return memory_embedder(self.settings, self.models, self.llm)

    async def close(self) -> None:
        """Stop every worker, close every connection. Calling it again does nothing."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if hasattr(self, "_end_native"):
            await self._end_native()
        if hasattr(self, "pool"):
            await self.pool.close()
        await self.client.close()
        if self._spans is not None:
            # Sending waits for a collector, which must not hold up what else runs here.
            await asyncio.to_thread(self._spans.close)
        self.database.close()

    def root(self, *, reason: str = "") -> CallContext:
        """Return the context of the person at the command line, or of the embedder."""
        return root_context(user=self.settings.user, reason=reason)

    @property
    def catalogue(self) -> Catalogue:
        """All models of the app."""
        return self.models.catalogue

    @property
    def trusted(self) -> bool:
        """Whether the app is the bundled one, or a person trusted exactly this content."""
        return self._trust.given

    def trust(self) -> None:
        """Remember that a person trusts this app as it is now."""
        self._trust.give()

    async def call(self, entry_id: str, *arguments: Any, context: CallContext | None = None) -> Any:
        """Call a function entry, as root unless a context is given, and return its value.

        Raises: PolicyDenied when the app is not trusted; what `Functions.call` raises.
        """
        self._trust.require()
        return await self.functions.call(entry_id, arguments, context or self.root())

    @overload
    def tool(self, function: F) -> F: ...

    @overload
    def tool(self, *, replayable: bool = False) -> Callable[[F], F]: ...

    def tool(self, function: F | None = None, *, replayable: bool = False) -> Any:
        """Make an async function of the embedding program a tool, as a decorator.

        `@rt.tool`, or `@rt.tool(replayable=True)` for one that changes nothing outside this
        process: it may run again after a crash, and its calls need not wait for the disk.
        It is mounted as `app.native:<name>` as long as the runtime is open; `add_tools`
        gives it to an agent.
        Raises: EntryInvalid when it cannot be described; EntryConflict for a taken name.
        """

        def mount(decorated: F) -> F:
            entry, native = native_tool(decorated, replayable=replayable)
            self.registry.mount([entry])
            self.functions.register(entry.id, native)
            return decorated

        return mount if function is None else mount(function)

    def agent_context(
        self,
        *,
        context: Mapping[str, Any] | None = None,
        delegate_tools: Mapping[str, Any] | None = None,
        memory_contract: Mapping[str, Any] | None = None,
        context_merger: Merger | None = None,
        caller: CallContext | None = None,
        user: str | None = None,
        enable_cache: bool = True,
    ) -> AgentContext:
        """Return a new agent context: load an agent into it and run steps.

        `context` is what its tools and functions see of who asks; `delegate_tools` has any
        of `enabled`, `description_suffix`, `default_schema`; `caller` is a call within whose
        authority, and for whose user, its agents act; `user` is as for `session`; without
        `enable_cache` no service is told to cache the conversation.
        Raises: InputInvalid for another key of `delegate_tools`.
        """
        return self._opener.agent_context(
            user,
            context=context,
            delegate_tools=delegate_tools,
            memory_contract=memory_contract,
            context_merger=context_merger,
            caller=caller,
            enable_cache=enable_cache,
        )

    @property
    def discovery(self) -> Discovery:
        """Agents, traits and tools as they are now, by id, name, class or namespace."""
        return Discovery(self.registry.snapshot())

    async def select_agent(self, request: str, of_class: str, *, model: str = "") -> Selected:
        """Let a model choose the agent of a class that fits a request best.

        `model` is a name or a class; else a cheap one at a service that one of them uses.
        Raises: as `agent.select.select_agent`.
        """

        async def choose(names: Sequence[str]) -> ModelCard:
            return await (self.models.choose(model) if model else self.models.beside(names, {}))

        return await select_agent(
            self.discovery.agents(of_class=of_class),
            request,
            of_class=of_class,
            gateway=self.models.gateway,
            choose=choose,
        )

    async def session(
        self,
        session_id: str | None = None,
        *,
        agent: str = "",
        context: Mapping[str, Any] | None = None,
        approver: Approver | None = None,
        user: str | None = None,
    ) -> Session:
        """Open a session: a new one, or one that goes on where it stopped.

        `agent` is an id, a name, or what the app's resolver understands; `context` says who
        asks (`{"user_id": …}`) and is not journalled: give it again when a session goes on.
        `user` is for whom it is, "" for nobody in particular; the setting `user` unless given.
        What a user's sessions, tools and grants are, no other user's session can know. Its id
        is `<user>/<session>`; the part after the slash is enough here.
        Raises: EntryNotFound for an unknown agent; PolicyDenied when the app is not trusted, or
            the session is another user's; InputInvalid for a user or session that cannot be;
            what the app's resolver raises.
        """
        self._trust.permit()
        self.warm()
        self._environment.hide_secrets()
        return await self._opener.open(
            session_id or new_session_id(),
            new=not session_id,
            agent=agent,
            context=context,
            approver=approver or self.approver,
            user=user,
        )

    async def create_tool(self, draft: Draft, *, reason: str) -> Created:
        """Take a draft of the person at the command line, or of the embedder, through the gate.

        Raises: what `Gate.create` raises.
        """
        await self._users.welcome(self.settings.user)
        return await self.gate.create(draft, self.root(reason=reason))

    async def replay(self, session_id: str) -> Replay:
        """Rebuild every model request of a session from its journal, without a model.

        Raises: EntryNotFound for an unknown session; StoreFailed for a row that cannot be read.
        """
        row = await self.journal.find(session_id)
        return await replay(self.journal, row.id, self.models.prepare_again)

    async def what_if(self, session_id: str, tool: str) -> WhatIf:
        """Say what would have been different in a session with `app.generated:x@v3`.

        Raises: EntryInvalid or EntryNotFound for what names no version; what `replay` raises.
        """
        self._trust.require()
        row = await self.journal.find(session_id)
        entry, version = version_of(self.registry.history, tool)
        other = OtherVersion(
            entry=entry,
            version=version,
            functions=self.functions,
            caller=self.caller,
            results=self.results,
        )
        return await other.compare(self.journal, row.id)

    def warm(self) -> None:
        """Start what the first turn will need, in the background."""
        if not self._background:
            for job in (self._start_pool(), self.client.preload()):
                self._background.add(asyncio.create_task(job))

    async def _start_pool(self) -> None:
        try:
            await self.pool.start()
            if self.pool.level != FULL_ISOLATION:
                self.notices.append(
                    f"isolation level {self.pool.level} on this machine: see `micro-agi doctor`"
                )
        except MicroAgiError as error:
            # The call that needs a worker raises it again; here it is only news.
            self.notices.append(error.what)
