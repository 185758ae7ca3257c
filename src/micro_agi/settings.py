"""Every setting, read once at the edge: flag > environment > `.env` of a trusted app > default.

The only reader of the environment in this package (a test greps for others). A value
keeps its source, so `micro-agi config show` can say where it came from. Limits that
belong to an entry (a model's window, a tool's hosts) are not settings.
"""

import dataclasses
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints

from micro_agi.errors import SettingInvalid
from micro_agi.values import Secret, nearest

PREFIX = "MICRO_AGI_"
NO_SETTINGS = frozenset({"sources", "keys"})
"""Fields of `Settings` that say something about the others."""
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
    at_most: float | None = None,
    one_of: tuple[str, ...] = (),
    url: bool = False,
) -> Any:
    """Declare a field of `Settings`: default, meaning, unit, other variables, what it takes."""
    metadata = {
        "doc": doc,
        "unit": unit,
        "env": env,
        "at_least": at_least,
        "at_most": at_most,
        "one_of": one_of,
        "url": url,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one runtime. `load` reads them; embedders may construct one directly."""

    app: str = setting("", "app directory; empty means the current one if it is an app")
    home: str = setting("", "where state lives; empty means the platform's data directory")
    agent: str = setting("", "agent entry to talk to; empty means the app's first agent")
    session: str = setting("", "session to continue")
    workspace: str = setting("", "directory whose files agents may change; empty: the home's own")
    model: str = setting("", "model name, for any agent", env=("AGENT_MODEL",))
    base_url: str = setting(
        "",
        "OpenAI-compatible server, with /v1",
        env=("AGENT_MODEL_URL", "OPENAI_BASE_URL"),
        url=True,
    )
    model_server_token: Secret = setting(
        NO_KEY, "token that `model-server` asks for; empty makes one and shows it"
    )
    organization: str = setting(
        "", "OpenAI organization the requests count for", env=("OPENAI_ORGANIZATION",)
    )
    api_key: Secret = setting(
        NO_KEY, "key for `base_url`", env=("AGENT_MODEL_API_KEY", "OPENAI_API_KEY")
    )
    anthropic_url: str = setting(
        "",
        "Anthropic's API, without a version; empty means its own address",
        env=("ANTHROPIC_BASE_URL",),
        url=True,
    )
    google_url: str = setting(
        "",
        "Google's Gemini API, with its version; empty means its own address",
        env=("GEN_AI_API_BASE_URL",),
        url=True,
    )
    user: str = setting(
        "", "whose sessions, tools and grants it is about, where several users share a home"
    )
    allow_hosts: tuple[str, ...] = setting((), "URL patterns that tools may request")
    yes: bool = setting(False, "grant what is asked, once")
    no_input: bool = setting(False, "refuse what is asked")
    plain: bool = setting(False, "no colours, no live drawing", env=("NO_COLOR",))
    docs_url: str = setting("", "remote documentation API; empty means the bundled pages only")

    otel: str = setting(
        "", "where OpenTelemetry spans go: `file` (in the logs), or a collector's URL; empty is off"
    )
    otel_content: bool = setting(False, "put texts, arguments and results into spans")
    embed_model: str = setting(
        "", "embedding model, for searching by meaning; empty means by words only"
    )
    embed_url: str = setting(
        "", "OpenAI-compatible server of `embed_model`, with /v1; empty means `base_url`", url=True
    )
    embed_key: Secret = setting(NO_KEY, "key for `embed_url`; `base_url` gets its own")

    enable_files: bool = setting(True, "the local tools for files", env=("AGENT_ENABLE_FILES",))
    enable_shell: bool = setting(True, "`local:shell`", env=("AGENT_ENABLE_SHELL",))
    enable_fetch: bool = setting(True, "`local:fetch`", env=("AGENT_ENABLE_FETCH",))
    enable_data_view: bool = setting(True, "`local:data_view`", env=("AGENT_ENABLE_DATA_VIEW",))
    enable_pyexe: bool = setting(True, "`local:pyexe`", env=("AGENT_ENABLE_PYEXE",))
    enable_memory: bool = setting(
        True, "`local:memory`, and what it tells unasked", env=("AGENT_ENABLE_MEMORY",)
    )
    verify: bool = setting(
        True, "flag what an answer states and no tool returned; nothing is blocked"
    )

    temperature: float = setting(
        -1.0,
        "sampling temperature of every agent; -1 leaves it to each agent",
        env=("AGENT_TEMPERATURE",),
        at_least=-1,
        at_most=2,
    )
    max_tokens: int = setting(
        0,
        "length of a reply, for every agent; 0 leaves it to each agent",
        unit="tokens",
        env=("AGENT_MAX_TOKENS",),
        at_least=0,
    )
    max_steps: int = setting(
        32, "model requests in one turn", unit="steps", env=("AGENT_MAX_STEPS",), at_least=1
    )
    max_tool_calls: int = setting(128, "tool calls in one turn", unit="calls", at_least=0)
    turn_timeout_s: float = setting(900.0, "wall clock of one turn", unit="s", at_least=1)
    turn_budget_tokens: int = setting(
        0, "tokens of one turn; 0 is no limit", unit="tokens", at_least=0
    )
    turn_budget_usd: float = setting(
        0.0, "money of one turn; 0 is no limit", unit="USD", at_least=0
    )
    max_rounds: int = setting(
        8,
        "the same calls with the same results in one turn; the model is told after half of "
        "them; 0 is no limit",
        unit="rounds",
        at_least=0,
    )
    session_max_steps: int = setting(
        0, "model requests in one session; 0 is no limit", unit="steps", at_least=0
    )
    session_max_tool_calls: int = setting(
        0, "tool calls in one session; 0 is no limit", unit="calls", at_least=0
    )
    session_timeout_s: float = setting(
        0.0, "time that the turns of one session may run; 0 is no limit", unit="s", at_least=0
    )
    session_budget_tokens: int = setting(
        0, "tokens of one session; 0 is no limit", unit="tokens", at_least=0
    )
    session_budget_usd: float = setting(
        0.0, "money of one session; 0 is no limit", unit="USD", at_least=0
    )
    tool_concurrency: int = setting(8, "tool calls at once", unit="calls", at_least=1)
    tool_budget: int = setting(
        64, "tools shown to a model before it has to search; 0 is all", unit="tools", at_least=0
    )
    result_bytes: int = setting(
        32_000, "tool result shown to the model", unit="bytes", at_least=1000
    )
    compress_at: float = setting(
        0.75, "part of the window that triggers compaction", at_least=0.05, at_most=1
    )
    compress_to_chars: int = setting(4000, "length of a summary", unit="characters", at_least=50)
    compress_model: str = setting("gpt-4.1-nano", "model that writes summaries")

    model_timeout_s: float = setting(600.0, "one model request", unit="s", at_least=1)
    model_retries: int = setting(
        3, "retries of a model request in a row that bring no text", unit="tries", at_least=0
    )
    discovery_timeout_s: float = setting(
        0.3, "looking for a local model server", unit="s", at_least=0
    )
    local_ports: tuple[str, ...] = setting(
        ("11434", "8080", "8000", "1234"), "ports on loopback where a model server may listen"
    )

    log_level: str = setting(
        "",
        "least important lines of the log; empty means the app's, else info",
        env=("AGENT_LOG_LEVEL",),
        one_of=("", "debug", "info", "warn", "warning", "error"),
    )

    call_timeout_s: float = setting(5.0, "a Lua call, without host calls", unit="s", at_least=0.01)
    call_wall_s: float = setting(60.0, "a Lua call with its host calls", unit="s", at_least=0.01)
    call_memory_bytes: int = setting(
        64 << 20, "memory of a Lua state", unit="bytes", at_least=4 << 20
    )
    workers: int = setting(16, "sandbox workers at once", unit="processes", at_least=1)
    isolation: str = setting(
        "D", "weakest isolation level accepted; A is the strongest", one_of=("A", "B", "C", "D")
    )

    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where each value that is not a default came from: `--model`, `MICRO_AGI_MODEL`, …"""
    keys: Mapping[str, Secret] = field(default_factory=dict, compare=False)
    """Variables called `…_KEY`: what a model's entry may name as `options.api_key_env`."""

    def source(self, name: str) -> str:
        """Return where the value of `name` came from."""
        return self.sources.get(name, "default")


def names() -> list[str]:
    """All names of settings, in the order of their declaration."""
    return [f.name for f in dataclasses.fields(Settings) if f.name not in NO_SETTINGS]


def describe(name: str) -> Mapping[str, Any]:
    """Return what was declared about one: `doc`, `unit`, `env`, `at_least`, `at_most`, `one_of`."""
    return next(f.metadata for f in dataclasses.fields(Settings) if f.name == name)


def process_environment() -> Mapping[str, str]:
    """Return the environment of this process, for `load`: nobody else reads it."""
    return os.environ


def misspelt(environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables that begin like ours and name no setting, each with the nearest one."""
    known = [PREFIX + name.upper() for name in names()]
    unknown = [name for name in environ if name.startswith(PREFIX) and name not in known]
    return {name: (nearest(name, known, count=1) or [""])[0] for name in sorted(unknown)}


def load(
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    dotenv: Mapping[str, str] | None = None,
) -> Settings:
    """Combine all sources into one `Settings`.

    Shape: `flags` by setting name, None meaning not given; `environ` is usually
    `process_environment()`; `dotenv` holds the app's `.env` once a person has trusted the
    app. A list of texts is one text with commas between them.
    Raises: SettingInvalid naming the flag or variable, its value and what it takes.
    """
    for name in flags or {}:
        if name not in names():
            near = nearest(name, names()) or names()
            raise SettingInvalid(
                f"there is no setting `{name}`", where=name, fix=f"did you mean: {', '.join(near)}"
            )
    hints = get_type_hints(Settings)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for item in dataclasses.fields(Settings):
        if item.name in NO_SETTINGS:
            continue
        for source, value in _candidates(item, flags or {}, environ or {}, dotenv or {}):
            values[item.name] = _parse(item, hints[item.name], source, value)
            sources[item.name] = source
            break
    variables = {**(dotenv or {}), **(environ or {})}
    keys = {n: Secret(v) for n, v in variables.items() if n.endswith("_KEY") and v}
    return Settings(**values, sources=sources, keys=keys)


def flag(name: str) -> str:
    """Return the flag of a setting: `--base-url`, and `--allow-host` once for each of many.

    >>> flag("base_url"), flag("allow_hosts"), flag("yes")
    ('--base-url', '--allow-host', '--yes')
    """
    one = name.removesuffix("s") if isinstance(_default(name), tuple) else name
    return "--" + one.replace("_", "-")


def _default(name: str) -> Any:
    return next(f.default for f in dataclasses.fields(Settings) if f.name == name)


def _candidates(
    item: Any,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    dotenv: Mapping[str, str],
) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if flags.get(item.name) is not None:
        found.append((flag(item.name), flags[item.name]))
    variables = (PREFIX + item.name.upper(), *item.metadata["env"])
    for where, mapping in (("", environ), (" in .env", dotenv)):
        # An empty variable counts as unset, as shells and the seeds' runtimes treat it.
        found += [(name + where, mapping[name]) for name in variables if mapping.get(name)]
    return found


def _parse(item: Any, wanted: Any, source: str, value: Any) -> Any:
    try:
        parsed = _from_text(wanted, value, source) if isinstance(value, str) else value
        parsed = _of_type(wanted, parsed)
        if isinstance(parsed, str) and parsed.lower() in item.metadata["one_of"]:
            parsed = parsed.lower()  # a list of small letters takes `INFO` as well
    except (ValueError, TypeError):
        # A secret's value must not be repeated, not even where it is wrong.
        said = "this" if wanted is Secret else f"`{value}`"
        raise SettingInvalid(
            f"{said} is no value for {source}", where=source, fix=f"give {_wanted(item, wanted)}"
        ) from None
    if fix := _out_of_bounds(item, wanted, parsed):
        raise SettingInvalid(f"`{value}` is no value for {source}", where=source, fix=f"give {fix}")
    return parsed


def _wanted(item: Any, wanted: Any) -> str:
    unit = f" of {item.metadata['unit']}" if item.metadata["unit"] else ""
    kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return kinds.get(wanted, "texts with commas between them") + unit


_WEB = re.compile(r"https?://[^/\s]+")


def _out_of_bounds(item: Any, wanted: Any, value: Any) -> str:
    """Return what to give instead of a value of the right type that makes no sense, or ""."""
    least, most = item.metadata["at_least"], item.metadata["at_most"]
    one_of = item.metadata["one_of"]
    if wanted is float and not math.isfinite(value):
        return _wanted(item, wanted)
    if least is not None and value < least:
        return f"at least {least} {item.metadata['unit']}".rstrip()
    if most is not None and value > most:
        return f"at most {most} {item.metadata['unit']}".rstrip()
    if item.metadata["url"] and value and not _WEB.match(value):
        return "an address like http://127.0.0.1:11434/v1"
    if one_of and value not in one_of:
        return f"one of: {', '.join(filter(None, one_of))}"
    return ""


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


def _of_type(wanted: Any, value: Any) -> Any:
    """Return `value` as its setting has it.

    Raises: TypeError when an embedder gave something of another type.
    """
    if get_args(wanted):
        if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
            return tuple(value)
        raise TypeError
    if isinstance(value, bool) != (wanted is bool):
        raise TypeError  # True is an int to Python, and one step to nobody
    if wanted is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, wanted):
        raise TypeError
    return value


_NAME = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_QUOTED = re.compile(r"""(?:"([^"]*)"|'([^']*)')\s*(?:#.*)?""")


def read_dotenv(path: Path) -> dict[str, str]:
    """Read `NAME=value` lines: `export`, quotes, `#` comments; no expansion, no commands.

    Raises: SettingInvalid naming the line that is none of these, or the file that cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise SettingInvalid(
            f"the file cannot be read: {said}", where=str(path), fix="correct it, or remove it"
        ) from error
    values: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        found = _NAME.fullmatch(line)
        value = _dotenv_value(found[2]) if found else None
        if found is None or value is None:
            # The line itself may hold a key: it is not repeated.
            raise SettingInvalid(
                "not a setting",
                where=f"{path}:{number}",
                fix="write NAME=value on each line, with both quotes or none",
            )
        values[found[1]] = value
    return values


def _dotenv_value(text: str) -> str | None:
    """Return the value behind `=`, or None when a quote is not closed or something follows it."""
    if text[:1] in ('"', "'"):
        quoted = _QUOTED.fullmatch(text)
        return None if quoted is None else quoted[1] or quoted[2] or ""
    if text.startswith("#"):
        return ""
    return re.split(r"\s#", text, maxsplit=1)[0].rstrip()
