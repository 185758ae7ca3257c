"""List the modules that Lua code can be granted, with their functions.

The gate reads it: which modules exist, which a generated tool may ask for, and what a
misspelt name was meant to be. A test compares it with what a worker really has.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from micro_agi.errors import EntryInvalid
from micro_agi.values import nearest


class Module(Struct, frozen=True, kw_only=True):
    """One module name."""

    doc: str
    generated: bool = False
    """Whether a tool that a model wrote may ask for it."""
    functions: tuple[str, ...] = ()
    """Functions and constants; empty for a module that is not built yet."""
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Functions of the tables inside: `crypto.random` has `bytes`."""

    @property
    def available(self) -> bool:
        return bool(self.functions)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MODULES: Mapping[str, Module] = {
    "base64": Module(
        doc="base64 text to bytes and back", generated=True, functions=("encode", "decode")
    ),
    "channel": Module(
        doc="channels between coroutines", generated=True, functions=_names("new select")
    ),
    "crypto": Module(
        doc="random bytes, HMAC, AES, JWT, PBKDF2",
        generated=True,
        functions=_names("random hmac encrypt decrypt jwt pbkdf2 constant_time_compare"),
        members={
            "random": _names("bytes string uuid"),
            "hmac": _names("sha256 sha512"),
            "encrypt": _names("aes chacha20"),
            "decrypt": _names("aes chacha20"),
            "jwt": _names("encode verify"),
        },
    ),
    "expr": Module(doc="evaluate expressions", generated=True, functions=("compile", "eval")),
    "hash": Module(
        doc="MD5, SHA-1, SHA-2, HMAC, FNV-1",
        generated=True,
        functions=_names(
            "md5 sha1 sha256 sha512 hmac_md5 hmac_sha1 hmac_sha256 hmac_sha512 fnv32 fnv64"
        ),
    ),
    "http_client": Module(
        doc="HTTP requests, made by the runtime within the policies",
        generated=True,
        functions=_names(
            "get post put delete head patch request request_batch encode_uri decode_uri"
        ),
    ),
    "json": Module(
        doc="JSON text to values and back, JSON Schema",
        generated=True,
        functions=_names("encode decode validate validate_string"),
    ),
    "payload": Module(
        doc="values with a format: JSON, YAML, MessagePack, text",
        generated=True,
        functions=_names("new format"),
    ),
    "process": Module(
        doc="messages between calls, by pid and topic",
        generated=True,
        functions=_names("pid id listen unlisten inbox send"),
    ),
    "text": Module(
        doc="regular expressions, differences, splitting",
        generated=True,
        functions=_names("regexp diff splitter"),
    ),
    "time": Module(
        doc="instants, durations, zones, formatting and parsing",
        generated=True,
        functions=_names(
            "now date unix parse parse_duration load_location fixed_zone sleep after timer ticker "
            "utc localtz NANOSECOND MICROSECOND MILLISECOND SECOND MINUTE HOUR "
            "JANUARY FEBRUARY MARCH APRIL MAY JUNE JULY AUGUST SEPTEMBER OCTOBER NOVEMBER "
            "DECEMBER SUNDAY MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY "
            "RFC3339 RFC3339NANO RFC822 RFC822Z RFC850 RFC1123 RFC1123Z KITCHEN "
            "STAMP STAMP_MILLI STAMP_MICRO STAMP_NANO DATE_TIME DATE_ONLY TIME_ONLY"
        ),
    ),
    "url": Module(
        doc="take URLs apart, build and join them, encode and decode their parts",
        generated=True,
        functions=_names("parse build join encode decode encode_query decode_query"),
    ),
    "uuid": Module(
        doc="make and read UUIDs",
        generated=True,
        functions=_names("v1 v3 v4 v5 v7 validate version variant parse format"),
    ),
    "yaml": Module(
        doc="YAML text to values and back", generated=True, functions=("encode", "decode")
    ),
    "funcs": Module(doc="call other functions", functions=_names("call async new")),
    "logger": Module(
        doc="write to the runtime's log", functions=_names("debug info warn error with named")
    ),
    "registry": Module(
        doc="read entries and apply changes",
        functions=_names(
            "get find parse_id snapshot snapshot_at current_version versions history "
            "apply_version build_delta"
        ),
    ),
    "security": Module(
        doc="actors, policies and scopes",
        functions=_names("actor scope can new_actor new_scope policy named_scope token_store"),
    ),
    "contract": Module(
        doc="contracts and their bindings",
        functions=_names("open get find_implementations is"),
    ),
    "ctx": Module(doc="values of the call's context", functions=_names("get all")),
    "env": Module(
        doc="environment variables the operator declared", functions=_names("get set get_all")
    ),
    "events": Module(doc="events between parts", functions=_names("subscribe send")),
    "io": Module(doc="the terminal"),
    "llm": Module(
        doc="models: behind the libraries of wippy.llm",
        functions=_names(
            "generate structured_output embed status available_models get_classes track_usage "
            "compress measure"
        ),
    ),
    "agents": Module(
        doc="agents: behind the libraries of wippy.agent",
        functions=_names("new change load switch config current step stats tool tools select"),
    ),
    "store": Module(doc="keys and values that last", functions=_names("get")),
}

PYTHON_MODULES: Mapping[str, Module] = {
    "http_client": Module(
        doc="HTTP requests, made by the runtime within the policies",
        generated=True,
        functions=_names("get post put delete head patch request request_batch HostError Response"),
    ),
    "numpy": Module(doc="arrays and numerics, if installed", generated=True),
    "pandas": Module(doc="data frames, if installed", generated=True),
}
"""What Python tools may ask for; the standard library needs no grant."""

ALWAYS = frozenset({"channel", "payload", "process"})
"""Accepted in any list of modules: the documents have them as globals everywhere."""


def require_known(name: str, *, where: str) -> None:
    """Return quietly if a unit may list the module `name`.

    Raises:
        EntryInvalid: there is no such module, or it is not available yet.
    """
    module = MODULES.get(name)
    if module is None:
        near = nearest(name, MODULES) or sorted(n for n, m in MODULES.items() if m.available)
        raise EntryInvalid(
            f"there is no module `{name}`", where=where, fix=f"one of: {', '.join(near)}"
        )
    if not module.available and name not in ALWAYS:
        have = ", ".join(sorted(n for n, m in MODULES.items() if m.available))
        raise EntryInvalid(
            f"module `{name}` is not available yet", where=where, fix=f"available: {have}"
        )


def nearest_function(module: str, function: str) -> list[str]:
    """Return the module's functions most like `function`, as `module.function`."""
    known = MODULES[module].functions if module in MODULES else ()
    return [f"{module}.{name}" for name in nearest(function, known)]


def is_privileged(modules: Iterable[str]) -> bool:
    """Whether any of these grants is the operator's alone to give."""
    return any(name in MODULES and not MODULES[name].generated for name in modules)
