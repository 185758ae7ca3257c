"""The log file: what an app's `.wippy.yaml` asks for, for the user alone."""

import json
import logging
import stat

import pytest

from micro_agi.commands.log_file import logging_to
from micro_agi.registry.project import LoggerConfig
from micro_agi.sessions.redact import Redactor
from micro_agi.values import Secret

LOG = logging.getLogger("micro_agi.tools")
DEVELOPMENT = LoggerConfig(mode="development")


def written(path, config=DEVELOPMENT, **options):
    with logging_to(path, config, **options):
        LOG.debug("too small")
        LOG.info("hello %s", "world", extra={"tool": "app:x"})
    return path.read_text("utf-8").splitlines()


def test_development_writes_one_line_for_a_person_with_its_fields(tmp_path):
    (line,) = written(tmp_path / "logs" / "a.log")
    assert line.endswith("info    micro_agi.tools: hello world tool='app:x'")


@pytest.mark.parametrize(
    "config", [LoggerConfig(mode="production"), LoggerConfig(mode="development", encoding="json")]
)
def test_production_and_json_write_one_object_a_line(tmp_path, config):
    (line,) = written(tmp_path / "a.log", config)
    facts = json.loads(line)
    assert (facts["level"], facts["logger"], facts["message"], facts["tool"]) == (
        "info",
        "micro_agi.tools",
        "hello world",
        "app:x",
    )


@pytest.mark.parametrize(("level", "lines"), [("debug", 2), ("info", 1), ("warn", 0)])
def test_the_level_is_honoured(tmp_path, level, lines):
    path = tmp_path / "a.log"
    path.touch()
    assert len(written(path, LoggerConfig(mode="development", level=level))) == lines


def test_a_text_cannot_forge_a_second_record(tmp_path):
    path = tmp_path / "a.log"
    with logging_to(path, DEVELOPMENT):
        LOG.warning("one\n2026-01-01 00:00:00 error   forged")
    assert len(path.read_text("utf-8").splitlines()) == 1


def test_a_traceback_is_kept_in_both_forms(tmp_path):
    for mode in ("development", "production"):
        path = tmp_path / f"{mode}.log"
        with logging_to(path, LoggerConfig(mode=mode)):
            try:
                raise ValueError("the cause")
            except ValueError:
                LOG.exception("it failed")
        assert "the cause" in path.read_text("utf-8")


def test_a_key_is_masked(tmp_path):
    path = tmp_path / "a.log"
    with logging_to(path, DEVELOPMENT, clean=Redactor([Secret("sk-canary")]).text):
        LOG.info("the key is sk-canary", extra={"header": "Bearer sk-canary"})
    assert path.read_text("utf-8").count("***") == 2
    assert "canary" not in path.read_text("utf-8")


def test_the_file_is_the_users_alone(tmp_path):
    written(tmp_path / "logs" / "a.log")
    assert stat.S_IMODE((tmp_path / "logs" / "a.log").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700


def test_nothing_is_left_behind_and_nothing_goes_to_standard_error(tmp_path, capsys):
    before = list(logging.getLogger("micro_agi").handlers)
    written(tmp_path / "a.log")
    assert logging.getLogger("micro_agi").handlers == before
    assert capsys.readouterr().err == ""


def test_a_place_that_cannot_hold_a_log_is_no_reason_to_fail(tmp_path):
    (tmp_path / "file").touch()
    with logging_to(tmp_path / "file" / "logs" / "a.log", DEVELOPMENT):
        LOG.info("nobody hears this")


@pytest.mark.requirement("000/infrastructure/logger", "000/process/root")
def test_what_a_tool_logs_is_in_the_homes_log_file(program):
    source = (
        'local logger = require("logger")\n'
        "return { handler = function() logger:info('heard', {n = 1}) return 1 end }"
    )
    entry = {
        "id": "app.tools:talk",
        "kind": "function.lua",
        "meta": {"type": "tool", "llm_alias": "talk"},
        "data": {"source": source, "method": "handler", "modules": ["logger"]},
    }
    program.ok(
        "registry", "apply", program.file("c.json", json.dumps([{"op": "create", "entry": entry}]))
    )
    program.ok("call", "app.tools:talk")
    log = next(program.home.rglob("micro-agi.log")).read_text("utf-8")
    assert "heard" in log
