"""Give an agent the tool that reads what a compaction took away, once there is something.

The tool is the runtime's (`system:recall`); an app's agents need not list it. Where an agent
has a tool of its own with that name, the one that pages results does the same.
"""

from collections.abc import Sequence

from micro_agi.agent.context import AgentContext
from micro_agi.errors import EntryInvalid, EntryNotFound
from micro_agi.llm.text_calls import TOOL_USE
from micro_agi.messages import ToolLoaded
from micro_agi.tools.results import READ_RESULT, RECALL


async def offer_recall(agent: AgentContext) -> Sequence[ToolLoaded]:
    """Add the tool to the running agent; the event to commit, or none when it has it."""
    runner = await agent.ready()
    if any(tool.id == RECALL for tool in runner.compiled.tools):
        return ()
    capabilities = runner.card.capabilities
    if capabilities and TOOL_USE not in capabilities and not runner.compiled.tools:
        return ()  # it talks only: teaching it to call would change how it answers
    for wanted in (RECALL, READ_RESULT):
        if any(tool.id == wanted for tool in runner.compiled.tools):
            return ()
        agent.add_tools(wanted)
        try:
            fresh = await agent.reload(wanted=wanted)
        except (EntryInvalid, EntryNotFound):
            agent.remove_tool(wanted)
            continue
        name = next(tool.name for tool in fresh.compiled.tools if tool.id == wanted)
        return (ToolLoaded(call_id="", tool=wanted, name=name),)
    return ()
