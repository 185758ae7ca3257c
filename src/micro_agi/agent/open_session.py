"""Make the agents of one runtime, and open its sessions.

`app.Runtime` builds one opener and hands on what its callers ask for. A session's journal,
conversation, agent and approvals are put together here, and nothing of the app runs before
it is permitted.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from micro_agi.agent.compress import Cheap, Compressor
from micro_agi.agent.context import AgentContext, AgentParts, ChooseModel
from micro_agi.agent.limits import limits_of
from micro_agi.agent.schema_processors import SchemaProcessors
from micro_agi.agent.session import Session, SessionParts
from micro_agi.agent.traits import Merger
from micro_agi.llm.gateway import Gateway
from micro_agi.messages import AnyEvent
from micro_agi.registry.users import Users
from micro_agi.security.context import CallContext
from micro_agi.security.tenancy import check_user, owned_session, user_of
from micro_agi.sessions.journal import Journal
from micro_agi.sessions.standing import Standing
from micro_agi.settings import Settings
from micro_agi.tools.approve import Approvals, Approver
from micro_agi.tools.call import ToolCaller
from micro_agi.tools.functions import Functions


class SessionOpener(Struct, frozen=True, kw_only=True):
    """What agents and sessions of one runtime share."""

    settings: Settings
    users: Users
    journal: Journal
    functions: Functions
    gateway: Gateway
    choose: ChooseModel
    cheap: Cheap
    caller: ToolCaller
    processors: SchemaProcessors
    permit: Callable[[], None]
    """Raises PolicyDenied as long as nobody trusts the app."""
    watch: Callable[[str, AnyEvent], None] | None
    """Gets every committed event with the session's id; for spans."""

    def agent_context(
        self,
        user: str | None = None,
        *,
        context: Mapping[str, Any] | None = None,
        delegate_tools: Mapping[str, Any] | None = None,
        memory_contract: Mapping[str, Any] | None = None,
        context_merger: Merger | None = None,
        caller: CallContext | None = None,
        enable_cache: bool = True,
    ) -> AgentContext:
        """Return a new agent context, as `app.Runtime.agent_context` says."""
        user = self.users.named(user) if caller is None else caller.user
        return AgentContext(
            self._agent_parts(user),
            context=context,
            delegate_tools=delegate_tools,
            memory_contract=memory_contract,
            context_merger=context_merger,
            caller=caller,
            enable_cache=enable_cache,
        )

    async def open(
        self,
        session_id: str,
        *,
        new: bool,
        agent: str,
        context: Mapping[str, Any] | None,
        approver: Approver,
        user: str | None,
    ) -> Session:
        """Open a session, as `app.Runtime.session` says.

        `new` says that nobody has written to it yet, so its journal is not read.
        """
        # Whoever may choose the user may as well name the session alone.
        user = self.users.named(user) or user_of(session_id)
        session_id = owned_session(session_id, check_user(user))
        await self.users.welcome(user)
        stands = Standing() if new else await self.journal.standing(session_id)
        talker = self.agent_context(user, context=context)
        wanted = agent or self.settings.agent or stands.conversation.agent
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
            approvals=Approvals(self.users.registry_of(user), approver),
            unfinished=stands.unfinished,
        )

    def _agent_parts(self, user: str) -> AgentParts:
        settings = self.settings
        return AgentParts(
            registry=self.users.registry_of(user),
            functions=self.functions,
            gateway=self.gateway,
            choose=self.choose,
            caller=self.caller,
            processors=self.processors,
            permit=self.permit,
            allow_hosts=settings.allow_hosts,
            tool_budget=settings.tool_budget,
            temperature=None if settings.temperature < 0 else settings.temperature,
            max_tokens=settings.max_tokens or None,
            redactor=self.journal.redactor,
        )

    def _session_parts(self, user: str) -> SessionParts:
        settings = self.settings
        return SessionParts(
            registry=self.users.registry_of(user),
            caller=self.caller,
            compressor=Compressor(
                gateway=self.gateway,
                cheap=self.cheap,
                at=settings.compress_at,
                target_chars=settings.compress_to_chars,
            ),
            new_agent=lambda values: self.agent_context(user, context=values),
            verify=settings.verify,
            watch=self.watch,
            limits=limits_of(settings),
        )
