"""Open what makes spans, if anybody wants them: else nothing of OpenTelemetry is imported.

`spans` makes them; the extra it needs may be missing, so it is imported here, when asked for.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micro_agi.errors import InputInvalid
from micro_agi.settings import Settings

if TYPE_CHECKING:
    from micro_agi.spans import Spans


def spans_of(
    settings: Settings,
    *,
    provider: Any = None,
    logs: Path,
    provider_of: Callable[[str], str],
) -> "Spans | None":
    """Return what makes spans for the settings, or for an embedder's tracer provider.

    None when neither asks for spans. `provider_of` turns a model's name into its provider's.
    Raises: InputInvalid when the extra is missing, or the place makes no sense.
    """
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
        return Spans(provider, content=settings.otel_content, provider_of=provider_of)
    return open_spans(
        settings.otel, logs=logs, content=settings.otel_content, provider_of=provider_of
    )
