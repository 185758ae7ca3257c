"""Shorten a text to a size with a model: in one piece, or in many when it is beyond the window.

One mechanism for two callers: sessions that grow too long (`agent.compress`), and apps that
call `compress.to_size`. A text that is short enough comes back as it is, without a call.
One beyond the model's window is cut into overlapping chunks, each is summarised, and the
summaries are joined by one more call, or shortened again when they are still too much.
If asked to, the result is corrected until it is within 5 % of the size, at most twice.

All lengths are in characters (code points). Source: spec/agent.md 6.15. Differences: a
class names a model too, a model without limits counts as a small one, summaries that fit
together are not sent again, and those that are still too long are cut into chunks again.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from micro_agi.errors import InputInvalid, OutputInvalid
from micro_agi.llm.catalogue import ModelCard
from micro_agi.llm.request import ModelOptions, ModelRequest, Reply
from micro_agi.messages import message

CHARS_PER_TOKEN = 4
"""Rule of thumb for English and code; used only to size summaries and chunks."""
PROMPT_TOKENS = 500
"""For the instruction around the text."""
SPARE_OUTPUT_TOKENS = 200
SAFETY = 0.9
CHUNK_PART = 0.6
"""How much of what fits one chunk may take."""
OVERLAP_CHARS = 200
TOLERANCE = 0.05
LEAST_TOLERANCE_CHARS = 10
LEAST_TARGET_CHARS = 50
LARGEST_OUTPUT_PART = 0.8
UNKNOWN_WINDOW = 8_000
UNKNOWN_OUTPUT = 1_000
SUMMARY = (
    "You shorten texts. Keep the key facts, names, numbers and conclusions, in a coherent tone. "
    "Write {length} and nothing but the summary."
)
SYNTHESIS = (
    "You join summaries of the parts of one text into a single one. Remove what is said twice; "
    "write prose, without headings. Write {length} and nothing but the summary."
)
REFINEMENT = (
    "You correct the length of a summary without changing what it says: {change} it by about "
    "{difference} characters. Write {length} and nothing but the summary."
)

Ask = Callable[[ModelRequest], Awaitable[Reply]]


class Manner(Struct, frozen=True, kw_only=True):
    """How a text is shortened."""

    instruction: str = SUMMARY
    """With `{length}` where the wanted length goes."""
    temperature: float | None = 0.2
    overlap_chars: int = OVERLAP_CHARS
    refinements: int = 2
    """How often the result is sent back to come closer to the size."""


class Measure(Struct, frozen=True, kw_only=True):
    """What shortening a text would take."""

    content_chars: int
    target_chars: int
    usable_chars: int
    """What the model reads in one piece."""
    max_output_chars: int

    @property
    def needs_compression(self) -> bool:
        """Whether the text is longer than wanted."""
        return self.content_chars > self.target_chars

    @property
    def fits(self) -> bool:
        """Whether the model can read it in one piece."""
        return self.content_chars <= self.usable_chars

    @property
    def largest_target(self) -> int:
        """The longest result one may ask for."""
        return int(self.max_output_chars * LARGEST_OUTPUT_PART)

    def as_dict(self) -> dict[str, Any]:
        """Return the facts by the names that Lua code knows."""
        return {
            "content_chars": self.content_chars,
            "target_chars": self.target_chars,
            "compression_ratio": self.target_chars / max(1, self.content_chars),
            "strategy": "direct" if self.fits else "map_reduce",
            "usable_chars": self.usable_chars,
            "max_output_chars": self.max_output_chars,
            "fits_in_context": self.fits,
            "needs_compression": self.needs_compression,
            "safe_max_tokens_for_target": self.target_chars // CHARS_PER_TOKEN
            + SPARE_OUTPUT_TOKENS,
        }


def measure(card: ModelCard, text: str, target_chars: int) -> Measure:
    """Say what shortening `text` to `target_chars` with a model would take."""
    window = card.max_tokens or UNKNOWN_WINDOW
    output = card.output_tokens or min(UNKNOWN_OUTPUT, window // 4)
    # A model whose card promises its whole window as output still reads something.
    tokens = max(window - output - PROMPT_TOKENS, window // 2)
    return Measure(
        content_chars=len(text),
        target_chars=target_chars,
        usable_chars=int(tokens * CHARS_PER_TOKEN * SAFETY),
        max_output_chars=output * CHARS_PER_TOKEN,
    )


def check_target(found: Measure) -> None:
    """Refuse sizes that make no sense for a model.

    Raises: InputInvalid saying which sizes do.
    """
    target, largest = found.target_chars, found.largest_target
    if target < LEAST_TARGET_CHARS:
        said = f"Target size {target} is too small (minimum: {LEAST_TARGET_CHARS} characters)"
    elif target > largest:
        said = f"Target size {target} is too large for model (max reasonable: {largest} characters)"
    else:
        return
    raise InputInvalid(
        said,
        where="target",
        fix=f"ask for {LEAST_TARGET_CHARS} to {largest} characters",
    )


async def to_size(
    ask: Ask, card: ModelCard, text: str, target_chars: int, manner: Manner | None = None
) -> str:
    """Shorten `text` to about `target_chars` with the model of `card`.

    Raises: what `ask` raises; OutputInvalid when the model answers nothing.
    """
    if len(text) <= target_chars:
        return text
    manner = manner or Manner()
    found = measure(card, text, target_chars)
    if found.fits:
        summary = await _summary(ask, card, text, target_chars, manner, exact=True)
    else:
        summary = await _in_chunks(ask, card, text, found, manner)
    return await _refined(ask, card, summary, target_chars, manner)


async def _in_chunks(ask: Ask, card: ModelCard, text: str, found: Measure, manner: Manner) -> str:
    size = max(int(found.usable_chars * CHUNK_PART), LEAST_TARGET_CHARS * 4)
    chunks = split(text, size, overlap=min(manner.overlap_chars, size // 4))
    each = max(LEAST_TARGET_CHARS, min(found.target_chars // len(chunks), size // 4))
    summaries = [await _summary(ask, card, c, each, manner, exact=False) for c in chunks]
    # A model that does not keep to the size must not make the next round as long as this one.
    joined = "\n\n".join(s[: max(each * 2, 200)] for s in summaries)
    if len(joined) <= found.target_chars:
        return joined
    again = replace(manner, instruction=SYNTHESIS, temperature=0.1)
    if manner.instruction is not SUMMARY:
        again = manner
    if len(joined) <= found.usable_chars or len(joined) >= len(text):
        cut = joined[: found.usable_chars]
        return await _summary(ask, card, cut, found.target_chars, again, exact=True)
    return await to_size(ask, card, joined, found.target_chars, replace(again, refinements=0))


async def _summary(
    ask: Ask, card: ModelCard, text: str, target_chars: int, manner: Manner, *, exact: bool
) -> str:
    length = f"at most {target_chars} characters" if exact else f"about {target_chars} characters"
    return await _call(
        ask, card, text, manner.instruction.format(length=length), target_chars, manner.temperature
    )


async def _refined(
    ask: Ask, card: ModelCard, summary: str, target_chars: int, manner: Manner
) -> str:
    tolerance = max(LEAST_TOLERANCE_CHARS, int(target_chars * TOLERANCE))
    for _ in range(manner.refinements):
        difference = len(summary) - target_chars
        if abs(difference) <= tolerance:
            break
        instruction = REFINEMENT.format(
            change="shorten" if difference > 0 else "expand",
            difference=abs(difference),
            length=f"{target_chars} characters",
        )
        try:
            summary = await _call(ask, card, summary, instruction, target_chars, 0.1)
        except OutputInvalid:
            break
    return summary


async def _call(
    ask: Ask,
    card: ModelCard,
    text: str,
    instruction: str,
    target_chars: int,
    temperature: float | None,
) -> str:
    cap = target_chars // CHARS_PER_TOKEN + SPARE_OUTPUT_TOKENS
    request = ModelRequest(
        model=card,
        system=instruction,
        messages=[message("user", text)],
        options=ModelOptions(
            max_tokens=min(cap, card.output_tokens or cap), temperature=temperature
        ),
    )
    reply = await ask(request)
    if not reply.text.strip():
        raise OutputInvalid(
            "Model returned empty response",
            where=card.name,
            fix="try again, or name another model",
        )
    return reply.text.strip()


def split(text: str, size: int, *, overlap: int = 0) -> list[str]:
    """Cut text into chunks of at most `size` characters, at blank lines where there are any.

    Each chunk but the first begins with the last `overlap` characters of the one before.
    """
    chunks: list[str] = []
    start = 0
    while len(text) - start > size:
        end = _cut(text, start + size // 2, start + size)
        chunks.append(text[start:end].strip("\n"))
        start = max(end - overlap, start + 1)
    return [c for c in (*chunks, text[start:].strip("\n")) if c]


def _cut(text: str, low: int, high: int) -> int:
    """Return where to cut: behind the last blank line, else line, else word in this range."""
    for separator in ("\n\n", "\n", " "):
        at = text.rfind(separator, low, high)
        if at >= 0:
            return at + len(separator)
    return high
