"""What providers of models do: `seeds/agents.txt`, as `spec/agent.md` 6 has it."""

from tests.requirements.entry import Requirement as R

REQUIREMENTS = [
    R(
        "agents/providers/contract",
        "LLM",
        "OpenAI (both dialects), compatible servers, Anthropic and Google keep one contract.",
    ),
    R("agents/providers/errors", "LLM", "What a provider refuses is one of the typed errors."),
    R(
        "agents/providers/structured-output",
        "LLM",
        "Each service gets a wanted schema in its own form; the answer is checked all the same.",
        "differs",
        "Anthropic's output format and Google's JSON Schema; the reference forces a tool call.",
    ),
    R(
        "agents/providers/cut-streams",
        "LLM",
        "A stream that is cut goes on while it gets further; half a tool call is never run.",
    ),
    R(
        "agents/providers/signatures",
        "LLM",
        "Signed thinking survives a restart and goes back byte for byte.",
    ),
    R(
        "agents/providers/call-ids",
        "LLM",
        "Every tool call has an id of its own.",
        "differs",
        "Google's calls get a random id; the reference's had only seconds in them and collided.",
    ),
    R(
        "agents/providers/tool-choice",
        "LLM",
        "A choice of auto, any, none or a name reaches the provider.",
        "differs",
        "`any` is forced at Google too; the reference sent AUTO.",
    ),
    R(
        "agents/providers/system-messages",
        "LLM",
        "System and developer messages go where the provider takes them.",
        "differs",
        "Only those at the start become the system text; later ones keep their place.",
    ),
    R(
        "agents/providers/effort",
        "LLM",
        "Thinking effort becomes a budget, a level or an effort, as the model wants it.",
    ),
    R(
        "agents/providers/cache-markers",
        "LLM",
        "Cache markers become cache breakpoints at Anthropic, four at most.",
        "differs",
        "The first places stay marked, not the last, so that nothing sent changes; the end "
        "of an agent's conversation is always cached.",
    ),
    R(
        "agents/models/class-stays-local",
        "LLM",
        "A class, and the agent selector, stay at a server that a person chose.",
        "differs",
        "The reference asks gpt-4.1, whatever the agents run on.",
    ),
    R(
        "agents/providers/google-key",
        "LLM",
        "Google's key is read from GEMINI_API_KEY, else from GOOGLE_API_KEY.",
    ),
]
