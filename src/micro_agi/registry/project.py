"""The files beside an app's sources: how it is run, what it is called, where its sources are.

All are optional, and keys that mean nothing to us are ignored, as the documents' runtime
does. `${…}` stays as it is written: nothing here reads the environment.
Source: spec/runtime.md 1.3, 8.2.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from msgspec import Struct, field

from micro_agi.errors import InputInvalid
from micro_agi.registry import yaml

MAX_FILE_BYTES = 16 << 20

LoggerMode = Literal["development", "production"]
LogLevel = Literal["debug", "info", "warn", "error"]
LogEncoding = Literal["console", "json"]
HistoryType = Literal["memory", "sqlite", "postgres", "nil"]
ModuleType = Literal["module", "library", "application", ""]


class LoggerConfig(Struct, frozen=True, kw_only=True):
    """`logger` of `.wippy.yaml`."""

    mode: LoggerMode = "production"
    level: LogLevel = "info"
    encoding: LogEncoding = "console"


class SecurityConfig(Struct, frozen=True, kw_only=True):
    """`security` of `.wippy.yaml`."""

    strict_mode: bool = False
    """What a module's permission gate answers when a call has no actor or no scope."""


class HistoryConfig(Struct, frozen=True, kw_only=True):
    """`registry` of `.wippy.yaml`."""

    enable_history: bool = True
    history_type: HistoryType = "sqlite"
    history_path: str = ""


class ModuleConfig(Struct, frozen=True, kw_only=True):
    """`wippy.yaml`: what the app is called where it is published."""

    organization: str = ""
    module: str = ""
    version: str = ""
    description: str = ""
    license: str = ""
    repository: str = ""
    homepage: str = ""
    keywords: tuple[str, ...] = ()


class Project(Struct, frozen=True, kw_only=True):
    """Everything the files beside `src` say."""

    version: str = ""
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    security: SecurityConfig = field(default_factory=SecurityConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    module: ModuleConfig = field(default_factory=ModuleConfig)
    source_directory: str = "src"
    """`directories.src` of `wippy.lock`, relative to the app."""
    ignored: tuple[str, ...] = ()
    """Sections of `.wippy.yaml` that are not used here."""

    def not_honoured(self) -> list[str]:
        """Say which settings mean nothing here: silence would promise them."""
        said = []
        if self.security.strict_mode:
            said.append(
                "security.strict_mode of .wippy.yaml changes nothing: refusing is the rule here"
            )
        if self.history.history_type != "sqlite" or not self.history.enable_history:
            said.append("registry.history of .wippy.yaml changes nothing: history is always kept")
        return said


def load_project(directory: Path) -> Project:
    """Read `.wippy.yaml`, `wippy.yaml` and `wippy.lock`, those that are there.

    Raises: InputInvalid with file, line and key.
    """
    runtime = _section(_read(directory, ".wippy.yaml"))
    module = _section(_read(directory, "wippy.yaml"))
    lock = _section(_read(directory, "wippy.lock")).inner("directories")
    logger, security, history = (runtime.inner(n) for n in ("logger", "security", "registry"))
    used = ("version", "logger", "security", "registry")
    return Project(
        version=runtime.text("version"),
        logger=LoggerConfig(
            mode=logger.one_of("mode", get_args(LoggerMode), "production"),
            level=logger.one_of("level", get_args(LogLevel), "info"),
            encoding=logger.one_of("encoding", get_args(LogEncoding), "console"),
        ),
        security=SecurityConfig(strict_mode=security.flag("strict_mode", False)),
        history=HistoryConfig(
            enable_history=history.flag("enable_history", True),
            history_type=history.one_of("history_type", get_args(HistoryType), "sqlite"),
            history_path=history.text("history_path"),
        ),
        module=_module(module),
        source_directory=_inside(lock, lock.text("src") or "src"),
        ignored=tuple(key for key in runtime.values if key not in used),
    )


def read_text(path: Path, *, shown: str) -> str:
    """Read a UTF-8 file of a bearable size.

    Raises: InputInvalid, naming the file as `shown`.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputInvalid(
                f"the file is larger than {MAX_FILE_BYTES} bytes", where=shown, fix="split it"
            )
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputInvalid(f"cannot be read: {error.strerror}", where=shown) from error
    except UnicodeDecodeError as error:
        raise InputInvalid(
            f"it is no UTF-8 at byte {error.start}", where=shown, fix="save it as UTF-8"
        ) from error


class _Section(Struct, frozen=True):
    """A map of one of the files, read by type; a wrong type is an error with its place."""

    document: yaml.Document
    path: yaml.Path
    values: Mapping[str, Any]

    def inner(self, name: str) -> "_Section":
        value = self.values.get(name)
        if value is None:
            return _Section(self.document, (*self.path, name), {})
        if not isinstance(value, dict):
            raise self._wrong(name, "a map")
        return _Section(self.document, (*self.path, name), value)

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value or ""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)  # `version: 1.0` is meant as a text
        raise self._wrong(name, "a text")

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, "a list of texts")
        return tuple(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def one_of(self, name: str, known: tuple[Any, ...], default: Any) -> Any:
        value = self.values.get(name)
        if value is None:
            return default
        if value not in known:
            raise self._wrong(name, f"one of {', '.join(known)}")
        return value

    def _wrong(self, name: str, expected: str) -> InputInvalid:
        return InputInvalid(
            f"`{name}` must be {expected}",
            where=self.document.where((*self.path, name)),
            fix=f"it is {self.values[name]!r} now",
        )


def _read(directory: Path, name: str) -> yaml.Document:
    path = directory / name
    if not path.is_file():
        return yaml.Document(name, None)
    return yaml.load(read_text(path, shown=name), name)


def _section(document: yaml.Document) -> _Section:
    if document.value is not None and not isinstance(document.value, dict):
        raise InputInvalid("the file must be a map", where=document.where(()))
    return _Section(document, (), document.value or {})


def _module(section: _Section) -> ModuleConfig:
    names = ("organization", "module", "version", "description")
    more = ("license", "repository", "homepage")
    texts = {name: section.text(name) for name in (*names, *more)}
    return ModuleConfig(**texts, keywords=section.texts("keywords"))


def _inside(section: _Section, source: str) -> str:
    path = Path(source)
    if path.is_absolute() or ".." in path.parts:
        raise InputInvalid(
            "the source directory lies outside the app",
            where=section.document.where(("directories", "src")),
            fix="name a directory below the app's",
        )
    return source
