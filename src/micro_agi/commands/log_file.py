"""Write what parts log to `logs/micro-agi.log` in the home, as `.wippy.yaml` asks.

`encoding: json` or `mode: production` writes one JSON object a line, `mode: development`
lines for people. The file is the user's alone and is turned over at a bounded size. What
a person must know is said on the terminal, never only here.
"""

import json
import logging
import logging.handlers
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from micro_agi.registry.project import LoggerConfig

LOGGER = "micro_agi"
MAX_BYTES = 5 << 20
KEPT = 3
"""Older files; with the current one at most 20 MiB."""

Clean = Callable[[str], str]
"""Returns a text without secrets."""

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@contextmanager
def logging_to(path: Path, config: LoggerConfig, *, clean: Clean = str) -> Iterator[None]:
    """Log to `path` as long as the block runs; a home that cannot hold logs has none.

    `clean` takes secrets out of a line.
    """
    logger = logging.getLogger(LOGGER)
    before = (logger.level, logger.propagate)
    handler = _handler(path, config)
    if handler.formatter is not None:
        handler.setFormatter(_Masking(handler.formatter, clean))
    logger.addHandler(handler)
    logger.setLevel(LEVELS[config.level])
    # Without this, warnings would also go to standard error, in a second form.
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(before[0])
        logger.propagate = before[1]


def _handler(path: Path, config: LoggerConfig) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler = _PrivateFile(
            path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8", delay=True
        )
    except OSError:
        return logging.NullHandler()
    as_json = config.encoding == "json" or config.mode == "production"
    handler.setFormatter(JsonLines() if as_json else PlainLines())
    return handler


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """Opens its files for the user alone: a tool may log what it was given."""

    def _open(self) -> "logging._IOBase":  # type: ignore[name-defined]  # typeshed's own name
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, self.mode, encoding=self.encoding)


class _Masking(logging.Formatter):
    """Formats as another one does, without secrets."""

    def __init__(self, inner: logging.Formatter, clean: Clean) -> None:
        super().__init__()
        self._inner = inner
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        return self._clean(self._inner.format(record))


class PlainLines(logging.Formatter):
    """`2026-01-31 12:00:00 info  micro_agi.part: text key=value`, one line each."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; a traceback follows on indented ones."""
        at = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        more = "".join(f" {key}={value!r}" for key, value in _extra(record).items())
        text = _escaped(record.getMessage()) + more
        line = f"{at} {record.levelname.lower():<7} {record.name}: {text}"
        if record.exc_info:
            line += "\n  " + self.formatException(record.exc_info).replace("\n", "\n  ")
        return line


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON; values that are no JSON are written as text."""
        facts = {
            "at": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            facts["error"] = self.formatException(record.exc_info)
        return json.dumps(facts, ensure_ascii=False, default=str)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields that the caller added with `extra`."""
    return {key: value for key, value in vars(record).items() if key not in _USUAL}


def _escaped(text: str) -> str:
    """Keep a record on one line: a logged text must not forge another record."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
