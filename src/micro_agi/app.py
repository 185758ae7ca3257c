"""Build a runtime from its parts, and own their start and stop.

The only file that knows all the parts. Nothing starts before it is needed: the sandbox's
zygote is started in the background once a session exists, the HTTP library is imported at
the first request, the documentation is read at the first question.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from micro_agi.agent.compress import Compressor
from micro_agi.agent.context import AgentContext, AgentParts
from micro_agi.agent.discovery import Discovery
from micro_agi.agent.inputs import Recorded as RecordedInputs
from micro_agi.agent.limits import SessionLimits, TurnLimits
from micro_agi.agent.replay import Replay, replay
from micro_agi.agent.schema_processors import SchemaProcessors
from micro_agi.agent.select import Selected, select_agent
from micro_agi.agent.session import Session, SessionParts
from micro_agi.agent.tool_search import outside_a_turn
from micro_agi.agent.traits import Merger
from micro_agi.agent.what_if import OtherVersion, WhatIf, version_of
from micro_agi.errors import EntryConflict, InputInvalid, MicroAgiError, PolicyDenied
from micro_agi.framework.host import compile_schema, framework_functions
from micro_agi.framework.state import Frames
from micro_agi.framework.usage import BoundTracker
from micro_agi.home import (
    app_directory,
    home_directory,
    is_trusted,
    new_session_id,
    switched_off,
    trust,
)
from micro_agi.llm.catalogue import Catalogue, ModelCard, ModelEntry
from micro_agi.llm.embed import Asked
from micro_agi.llm.facade import Llm, LlmParts
from micro_agi.llm.request import Provider
from micro_agi.llm.usage import UsageRecords
from micro_agi.local import switches
from micro_agi.local.module import LocalParts, local_tools
from micro_agi.local.promote_skill import Door
from micro_agi.local.pyexe import Sessions
from micro_agi.local.undo import Undo
from micro_agi.local.workspace import Workspace, workspace_of
from micro_agi.memory.meaning import Embedder
from micro_agi.memory.memory import Memory
from micro_agi.models import Ask, ModelParts, Models
from micro_agi.net.client import Client, Resolve
from micro_agi.registry.entry import Entry
from micro_agi.registry.load import AppFiles, content_hash, load_app
from micro_agi.registry.project import Project
from micro_agi.registry.registry import Registry
from micro_agi.registry.seen import seen_by
from micro_agi.registry.snapshot import Snapshot
from micro_agi.registry.users import user_policy
from micro_agi.sandbox.fork_server import Level
from micro_agi.sandbox.host.calls import HostFunction
from micro_agi.sandbox.host.clock import time_functions
from micro_agi.sandbox.host.http_client import http_client_functions
from micro_agi.sandbox.host.logger import logger_functions
from micro_agi.sandbox.host.process import Mailboxes
from micro_agi.sandbox.kept_zygotes import KeptZygotes, current
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.pool import Pool
from micro_agi.security.context import CallContext, root_context
from micro_agi.security.tenancy import check_user, owned_session, user_of
from micro_agi.sessions.journal import Journal
from micro_agi.sessions.redact import Redactor
from micro_agi.sessions.standing import Standing
from micro_agi.settings import Settings, process_environment
from micro_agi.store.database import Database
from micro_agi.tools.approve import Approvals, Approver, Nobody
from micro_agi.tools.call import ToolCaller
from micro_agi.tools.contract import contract_functions
from micro_agi.tools.create import Created, Draft, Gate, parse_draft
from micro_agi.tools.ctx import ctx_functions
from micro_agi.tools.doc_search import doc_search
from micro_agi.tools.docs import Docs
from micro_agi.tools.env import Environment, env_functions
from micro_agi.tools.events import Bus, events_functions
from micro_agi.tools.functions import Functions
from micro_agi.tools.host import registry_functions
from micro_agi.tools.native import native_tool
from micro_agi.tools.results import Results
from micro_agi.tools.schemas import Schemas
from micro_agi.tools.store import store_functions

if TYPE_CHECKING:  # imported by whoever switches spans on: the extra may be missing
    from micro_agi.spans import Spans

F = TypeVar("F", bound=Callable[..., Any])

FULL_ISOLATION = "A"
LOGGER = "micro_agi.tools"
"""What tools print and log goes there; the program decides where it ends."""

EMBED_TIMEOUT_S = 5.0
"""Of a request for vectors that memory waits for."""

BUNDLED = Path(__file__).parent / "bundled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
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
        self._permitted = False
        self._spans: Spans | None = None
        self._views: dict[str, Registry] = {}
        self._background: set[asyncio.Task[None]] = set()
        self.frames = Frames()
        """What Lua calls in flight hold here: agents and their runners."""
        self.mailboxes = Mailboxes()
        self.registry: Registry
        """All of it, or with the setting `user` what that user may know."""
        self._whole: Registry
        self.workspace: Workspace
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
        self.workspace = workspace_of(settings.workspace, self.home)
        system = load_app(BUNDLED / "system", source="program").entries
        bundled = load_app(BUNDLED / "local", source="program").entries
        local = switches.without(bundled, switches.switched_off(settings))

        async def admit(entry: Entry) -> None:
            await self.functions.admit(entry)

        whole = await Registry.open(
            self.database, [*self.app.entries, *system, *local], clock=parts.clock, admit=admit
        )
        self._whole = whole
        self.registry = seen_by(whole, check_user(settings.user) or None)
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
                fixed=parts.card,
            ),
            parts.providers,
        )
        self.usage = UsageRecords(
            self.database,
            clock=parts.clock,
            bound=BoundTracker(whole, lambda: self.functions),
        )
        self.llm = Llm(self._llm_parts())
        self.memory = Memory(self.database, clock=parts.clock, embedder=self.embedder())
        self._environment = environment = Environment(whole, parts.environ, hide=self.redactor.add)
        self._spans = self._open_spans()
        self.pool = Pool(
            host=self._watched(
                {
                    **http_client_functions(self.client),
                    **logger_functions(logging.getLogger(LOGGER)),
                    **time_functions(),
                    **registry_functions(whole, lambda: self.functions),
                    **ctx_functions(),
                    **events_functions(Bus()),
                    **contract_functions(whole, lambda: self.functions),
                    **env_functions(environment),
                    **store_functions(whole, self.database, clock=parts.clock),
                    **framework_functions(
                        whole,
                        self.llm.parts,
                        lambda values, caller: self.agent_context(context=values, caller=caller),
                        frames=self.frames,
                        mailboxes=self.mailboxes,
                    ),
                }
            ),
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
        self.functions.register("create_tool", self.gate.native)
        self.functions.register("doc_search", doc_search(self.docs))
        self.functions.register("read_result", self.results.page)
        self._register_local()
        self.functions.register("tool_search", outside_a_turn)
        self.caller = ToolCaller(
            self.functions, self.results, Schemas(), environment=environment.filled
        )
        self._processors = SchemaProcessors(self.registry.is_operators)
        self.notices += [*self.app.warnings, *_not_honoured(self.app.project)]

    def _open_spans(self) -> "Spans | None":
        """Return what makes spans, if anybody wants them: else nothing of it is imported.

        Raises: InputInvalid when the extra is missing, or the place makes no sense.
        """
        settings, provider = self.settings, self._parts.tracer_provider
        if not settings.otel and provider is None:
            return None
        try:
            from micro_agi.spans import Spans, open_spans
        except ImportError as error:
            raise InputInvalid(
                "spans need OpenTelemetry, which is not installed",
                where="setting `otel`",
                fix="pip install 'micro-agi[otel]', or leave the setting out",
            ) from error
        if provider is not None:
            return Spans(provider, content=settings.otel_content, provider_of=self._provider_of)
        return open_spans(
            settings.otel,
            logs=self.home / "logs",
            content=settings.otel_content,
            provider_of=self._provider_of,
        )

    def _provider_of(self, model: str) -> str:
        card = self._parts.card or self.catalogue.by_name(model)
        return card.provider if card is not None else ""

    def _watched(self, functions: Mapping[str, HostFunction]) -> Mapping[str, HostFunction]:
        return functions if self._spans is None else self._spans.around(functions)

    def _register_local(self) -> None:
        """Register the tools of namespace `local`."""
        self._sessions = Sessions(self.workspace.root)
        parts = LocalParts(
            workspace=self.workspace,
            database=self.database,
            registry=self._whole,
            memory=self.memory,
            client=self.client,
            sessions=self._sessions,
            gate=Door(check=parse_draft, create=self.gate.native),
            shown=self.results.shown_to,
            clock=self._parts.clock,
        )
        for target, tool in local_tools(parts).items():
            self.functions.register(target, tool.run, needs=tool.needs)

    async def undo(self, count: int = 1) -> list[str]:
        """Take back the newest file changes in this workspace, and say what became of each.

        Raises: EntryNotFound when there are none; EntryConflict for a file changed since.
        """
        done = await Undo(self.database).undo(count, root=self.workspace.root)
        return [f"{undone.what} {undone.path}" for undone in done]

    def _llm_parts(self) -> LlmParts:
        return LlmParts(
            gateway=self.models.gateway,
            client=self.client,
            choose=self.models.choose,
            exact=self.models.exact,
            catalogue=lambda: self.models.catalogue,
            classes=lambda: model_classes(self.registry.snapshot()),
            compile_schema=compile_schema,
            usage=self.usage,
        )

    def embedder(self) -> Embedder | None:
        """Return what makes vectors for memory, if the settings name an embedding model.

        It waits a short time and tries once: whoever searches by meaning also searches by
        words.
        """
        card = self.models.embedding
        if card is None:
            return None

        async def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
            asked = Asked(timeout_s=EMBED_TIMEOUT_S, retries=0)
            return (await self.llm.embed(texts, model=card.name, asked=asked)).vectors

        url = self.settings.embed_url or self.settings.base_url
        return Embedder(f"{card.name} at {url}", embed)

    async def close(self) -> None:
        """Stop every worker, close every connection. Calling it again does nothing."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if hasattr(self, "_sessions"):
            await self._sessions.close()
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
        bundled = self.app.directory == BUNDLED / "app"
        return bundled or is_trusted(self.database, content_hash(self.app.directory))

    def trust(self) -> None:
        """Remember that a person trusts this app as it is now."""
        trust(self.database, content_hash(self.app.directory))

    def _require_trust(self) -> None:
        """Refuse to run anything of an app that nobody has trusted as it is now."""
        if not self.trusted:
            raise PolicyDenied(
                "this app is not trusted, or it changed since it was",
                where=str(self.app.directory),
                fix="read it, then say yes when asked, or start with --yes",
            )

    def _permit(self) -> None:
        """Refuse as `_require_trust` does, but look only until it was allowed once."""
        if not self._permitted:
            self._require_trust()
            self._permitted = True

    async def call(self, entry_id: str, *arguments: Any, context: CallContext | None = None) -> Any:
        """Call a function entry, as root unless a context is given, and return its value.

        Raises: PolicyDenied when the app is not trusted; what `Functions.call` raises.
        """
        self._require_trust()
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
    ) -> AgentContext:
        """Return a new agent context: load an agent into it and run steps.

        `context` is what its tools and functions see of who asks; `delegate_tools` has any
        of `enabled`, `description_suffix`, `default_schema`; `caller` is a call within whose
        authority, and for whose user, its agents act; `user` is as for `session`.
        Raises: InputInvalid for another key of `delegate_tools`.
        """
        parts = AgentParts(
            registry=self._seen(self._user(user) if caller is None else caller.user),
            functions=self.functions,
            gateway=self.models.gateway,
            choose=self.models.choose,
            caller=self.caller,
            processors=self._processors,
            permit=self._permit,
            allow_hosts=self.settings.allow_hosts,
            tool_budget=self.settings.tool_budget,
            temperature=None if self.settings.temperature < 0 else self.settings.temperature,
            max_tokens=self.settings.max_tokens or None,
            redactor=self.redactor,
        )
        return AgentContext(
            parts,
            context=context,
            delegate_tools=delegate_tools,
            memory_contract=memory_contract,
            context_merger=context_merger,
            caller=caller,
        )

    @property
    def discovery(self) -> Discovery:
        """Agents, traits and tools as they are now, by id, name, class or namespace."""
        return Discovery(self.registry.snapshot())

    async def select_agent(self, request: str, of_class: str, *, model: str = "") -> Selected:
        """Let a model choose the agent of a class that fits a request best.

        `model` is a name or a class, else one of class `fast`, else what there is.
        Raises: as `agent.select.select_agent`.
        """
        usual = "class:fast" if self.catalogue.by_class("fast") else ""
        card = await self.models.choose(model or usual)
        return await select_agent(
            self.discovery.agents(of_class=of_class),
            request,
            of_class=of_class,
            gateway=self.models.gateway,
            card=card,
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
        self._permit()
        self.warm()
        self._environment.hide_secrets()
        new = not session_id
        session_id = session_id or new_session_id()
        # Whoever may choose the user may as well name the session alone.
        user = self._user(user) or user_of(session_id)
        session_id = owned_session(session_id, check_user(user))
        await self._welcome(user)
        stands = Standing() if new else await self.journal.standing(session_id)
        wanted = agent or self.settings.agent or stands.conversation.agent
        talker = self.agent_context(context=context, user=user)
        definition = await talker.definition(wanted)
        return Session(
            self._session_parts(user),
            journal=(
                self.journal.start(session_id, agent=definition.id)
                if new
                else await self.journal.open(session_id, agent=definition.id, after=stands)
            ),
            conversation=stands.conversation,
            agent=talker,
            definition=definition,
            approvals=Approvals(self._seen(user), approver or self.approver),
            unfinished=stands.unfinished,
        )

    async def create_tool(self, draft: Draft, *, reason: str) -> Created:
        """Take a draft of the person at the command line, or of the embedder, through the gate.

        Raises: what `Gate.create` raises.
        """
        await self._welcome(self.settings.user)
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
        self._require_trust()
        row = await self.journal.find(session_id)
        entry, version = version_of(self.registry.history, tool)
        other = OtherVersion(
            entry=entry,
            version=version,
            functions=self.functions,
            caller=self.caller,
            results=self.results,
        )
        stored = RecordedInputs(await self.journal.blobs(row.id))
        return await other.compare(await self.journal.read(row.id), stored)

    def _user(self, user: str | None) -> str:
        """Return for whom something is: `user`, else the setting.

        Raises: InputInvalid for what is no name; PolicyDenied for another than the setting's.
        """
        own = self.settings.user
        if user is None or user == own:
            return own
        if own:
            raise PolicyDenied(
                f"this program works for `{own}`, not for `{user}`",
                where="user",
                fix="open a runtime without the setting `user`, and give one to each session",
            )
        return check_user(user)

    def _seen(self, user: str) -> Registry:
        """Return what a user may know of the registry; kept, for all of the user's sessions."""
        if user not in self._views:
            self._views[user] = seen_by(self._whole, user)
        return self._views[user]

    async def _welcome(self, user: str) -> None:
        """Make the policy that lets a user's agents write the user's tools, once.

        An operator who deletes it takes the right away: it is not made again.
        """
        entry = user_policy(user)
        if not user or entry.id in self.registry.snapshot():
            return
        if not self._whole.history.of_entry(entry.id):
            changes = self._whole.snapshot().changes()
            changes.create(entry)
            with suppress(EntryConflict):  # another process was as fast
                await changes.apply(root_context(reason=f"first session of user {user}"))

    def warm(self) -> None:
        """Start what the first turn will need, in the background."""
        if not self._background:
            for job in (self._start_pool(), self._preload_client()):
                task = asyncio.create_task(job)
                self._background.add(task)

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

    async def _preload_client(self) -> None:
        await self.client.preload()

    def _session_parts(self, user: str) -> SessionParts:
        settings = self.settings
        return SessionParts(
            registry=self._seen(user),
            caller=self.caller,
            compressor=Compressor(
                gateway=self.models.gateway,
                cheap=self.models.cheap,
                at=settings.compress_at,
                target_chars=settings.compress_to_chars,
            ),
            new_agent=lambda values: self.agent_context(context=values, user=user),
            verify=settings.verify,
            watch=self._spans.event if self._spans is not None else None,
            limits=TurnLimits(
                steps=settings.max_steps,
                steps_chosen=settings.source("max_steps") != "default",
                tool_calls=settings.max_tool_calls,
                timeout_s=settings.turn_timeout_s,
                budget_tokens=settings.turn_budget_tokens,
                budget_usd=settings.turn_budget_usd,
                tool_concurrency=settings.tool_concurrency,
                rounds=settings.max_rounds,
                session=SessionLimits(
                    steps=settings.session_max_steps,
                    tool_calls=settings.session_max_tool_calls,
                    wall_s=settings.session_timeout_s,
                    budget_tokens=settings.session_budget_tokens,
                    budget_usd=settings.session_budget_usd,
                ),
            ),
        )


def _not_honoured(project: Project) -> list[str]:
    """Say which settings of the app's files mean nothing here: silence would promise them."""
    said = []
    if project.security.strict_mode:
        said.append(
            "security.strict_mode of .wippy.yaml changes nothing: refusing is the rule here"
        )
    if project.history.history_type != "sqlite" or not project.history.enable_history:
        said.append("registry.history of .wippy.yaml changes nothing: history is always kept")
    return said


def model_classes(snapshot: Snapshot) -> list[ModelEntry]:
    """Return the entries of a snapshot that describe classes of models."""
    found = snapshot.find({"meta.type": "llm.model.class"})
    return [ModelEntry(e.id, e.meta, e.data) for e in found]


def catalogue_of(snapshot: Snapshot) -> Catalogue:
    """Return the models of a snapshot, with the providers that entries describe."""
    models, providers = (
        [ModelEntry(e.id, e.meta, e.data) for e in snapshot.find({"meta.type": kind})]
        for kind in ("llm.model", "llm.provider")
    )
    return Catalogue(models, providers)
