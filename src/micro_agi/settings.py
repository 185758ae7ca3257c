"""Every setting, read once at the edge: flag > environment > `.env` of a trusted app > default.

The only reader of the environment in this package (a test greps for others). A value
keeps its source, so `micro-agi config show` can say where it came from. Limits that
belong to an entry (a model's window, a tool's hosts) are not settings.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints

from micro_agi.errors import SettingInvalid
from micro_agi.values import Secret

PREFIX = "MICRO_AGI_"
TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})
NO_KEY = Secret("")


def setting(
    default: Any,
    doc: str,
    *,
    unit: str = "",
    env: tuple[str, ...] = (),
    at_least: float | None = None,
) -> Any:
    """Declare a field of `Settings`: its default, meaning, unit, other variables, lower bound."""
    metadata = {"doc": doc, "unit": unit, "env": env, "at_least": at_least}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one runtime. `load` reads them; embedders may construct one directly."""

    app: str = setting("", "app directory; empty means the current one if it is an app")
    home: str = setting("", "where state lives; empty means the platform's data directory")
    workspace: str = setting("", "directory that file tools may write")
    agent: str = setting("", "agent entry to talk to; empty means the app's first agent")
    session: str = setting("", "session to continue")
    model: str = setting("", "model name, for any agent")
    base_url: str = setting("", "OpenAI-compatible server, with /v1", env=("OPENAI_BASE_URL",))
    api_key: Secret = setting(NO_KEY, "key for `base_url`", env=("OPENAI_API_KEY",))
    allow_hosts: tuple[str, ...] = setting((), "URL patterns that tools may request")
    yes: bool = setting(False, "grant what is asked, once")
    no_input: bool = setting(False, "refuse what is asked")
    plain: bool = setting(False, "no colours, no live drawing", env=("NO_COLOR",))
    docs_url: str = setting("", "remote documentation API; empty means the bundled pages only")

    max_steps: int = setting(32, "model requests in one turn", unit="steps", at_least=1)
    max_tool_calls: int = setting(128, "tool calls in one turn", unit="calls", at_least=0)
    turn_timeout_s: float = setting(900.0, "wall clock of one turn", unit="s", at_least=1)
    turn_budget_tokens: int = setting(0, "tokens of one turn; 0 is no limit", unit="tokens")
    turn_budget_usd: float = setting(0.0, "money of one turn; 0 is no limit", unit="USD")
    tool_concurrency: int = setting(8, "tool calls at once", unit="calls", at_least=1)
    result_bytes: int = setting(
        32_000, "tool result shown to the model", unit="bytes", at_least=1000
    )
    compress_at: float = setting(0.75, "part of the window that triggers compaction")
    compress_to_chars: int = setting(4000, "length of a summary", unit="characters", at_least=50)
    compress_model: str = setting("gpt-4.1-nano", "model that writes summaries")

    model_timeout_s: float = setting(600.0, "one model request", unit="s", at_least=1)
    model_retries: int = setting(3, "retries of a model request", unit="tries", at_least=0)
    discovery_timeout_s: float = setting(0.3, "looking for a local model server", unit="s")
    local_ports: tuple[str, ...] = setting(
        ("11434", "8080", "8000", "1234"), "ports on loopback where a model server may listen"
    )

    call_timeout_s: float = setting(5.0, "a Lua call, without host calls", unit="s", at_least=0.01)
    call_wall_s: float = setting(60.0, "a Lua call with its host calls", unit="s", at_least=0.01)
    call_memory_bytes: int = setting(
        64 << 20, "memory of a Lua state", unit="bytes", at_least=4 << 20
    )
    workers: int = setting(16, "sandbox workers at once", unit="processes", at_least=1)
    isolation: str = setting("D", "weakest isolation level accepted: A, B, C or D")

    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where each value that is not a default came from: `--model`, `MICRO_AGI_MODEL`, …"""

    def source(self, name: str) -> str:
        """Return where the value of `name` came from."""
        return self.sources.get(name, "default")


def names() -> list[str]:
    """All names of settings, in the order of their declaration."""
    return [f.name for f in dataclasses.fields(Settings) if f.name != "sources"]


def describe(name: str) -> Mapping[str, Any]:
    """Return `doc`, `unit`, `env` (variables besides `MICRO_AGI_<NAME>`) and `at_least` of one."""
    return next(f.metadata for f in dataclasses.fields(Settings) if f.name == name)


def load(
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    dotenv: Mapping[str, str] | None = None,
) -> Settings:
    """Combine all sources into one `Settings`.

    Shape: `flags` by setting name, absent or None meaning not given; `environ` is usually
    `os.environ`; `dotenv` holds the app's `.env` once a person has trusted the app.
    Raises: SettingInvalid naming the flag or variable, its value and what it takes.
    """
    hints = get_type_hints(Settings)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for item in dataclasses.fields(Settings):
        if item.name == "sources":
            continue
        for source, text in _candidates(item, flags or {}, environ or {}, dotenv or {}):
            values[item.name] = _parse(item, hints[item.name], source, text)
            sources[item.name] = source
            break
    return Settings(**values, sources=sources)


def _candidates(
    item: Any,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    dotenv: Mapping[str, str],
) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if flags.get(item.name) is not None:
        found.append(("--" + item.name.replace("_", "-").removesuffix("s"), flags[item.name]))
    variables = (PREFIX + item.name.upper(), *item.metadata["env"])
    for where, mapping in (("", environ), (" in .env", dotenv)):
        # An empty variable counts as unset, as shells and the seeds' runtimes treat it.
        found += [(name + where, mapping[name]) for name in variables if mapping.get(name)]
    return found


def _parse(item: Any, wanted: Any, source: str, value: Any) -> Any:
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list) else value
    try:
        parsed = _from_text(wanted, value, source)
    except ValueError:
        unit = f" of {item.metadata['unit']}" if item.metadata["unit"] else ""
        kind = {int: "a whole number", float: "a number"}.get(wanted, "true or false")
        raise SettingInvalid(
            f"`{value}` is no value for {source}", where=source, fix=f"give {kind}{unit}"
        ) from None
    least = item.metadata["at_least"]
    if least is not None and parsed < least:
        raise SettingInvalid(
            f"{source} is {value}, which is too small",
            where=source,
            fix=f"give at least {least} {item.metadata['unit']}".rstrip(),
        )
    return parsed


def _from_text(wanted: Any, value: str, source: str) -> Any:
    if wanted is bool:
        if source.startswith("NO_COLOR"):  # any value means yes: no-color.org
            return True
        if value.lower() in TRUE | FALSE:
            return value.lower() in TRUE
        raise ValueError(value)
    if wanted is Secret:
        return Secret(value)
    if get_args(wanted):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return wanted(value)


def read_dotenv(path: Path) -> dict[str, str]:
    """Read `NAME=value` lines: `export`, quotes, `#` comments; no expansion, no commands.

    Raises: SettingInvalid naming the line that is none of these.
    """
    values: dict[str, str] = {}
    for number, raw in enumerate(path.read_text("utf-8").splitlines(), 1):
        line = raw.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name.isidentifier():
            raise SettingInvalid(
                "not a setting", where=f"{path}:{number}", fix="write NAME=value on each line"
            )
        if value[:1] in ("'", '"') and value[:1] == value[-1:] and len(value) > 1:
            value = value[1:-1]
        else:
            value = value.partition(" #")[0].rstrip()
        values[name] = value
    return values
