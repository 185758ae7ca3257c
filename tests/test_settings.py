"""Settings, through `load`: which source wins, what is refused, what is never shown."""

import contextlib
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro_agi.errors import SettingInvalid
from micro_agi.settings import (
    PREFIX,
    Settings,
    describe,
    flag,
    load,
    misspelt,
    names,
    read_dotenv,
)
from micro_agi.values import Secret

KEY = "sk-canary-123456"


def refusal(**sources):
    with pytest.raises(SettingInvalid) as refused:
        load(**sources)
    return refused.value


def test_a_flag_beats_the_environment_beats_the_apps_file_beats_the_default():
    sources = {
        "flags": {"model": "flag"},
        "environ": {"MICRO_AGI_MODEL": "environment"},
        "dotenv": {"MICRO_AGI_MODEL": "file"},
    }
    seen = []
    for drop in ("flags", "environ", "dotenv", None):
        settings = load(**sources)
        seen.append((settings.model, settings.source("model")))
        if drop:
            del sources[drop]
    assert seen == [
        ("flag", "--model"),
        ("environment", "MICRO_AGI_MODEL"),
        ("file", "MICRO_AGI_MODEL in .env"),
        ("", "default"),
    ]


def test_our_own_variable_beats_the_one_that_others_use_too():
    both = {"OPENAI_BASE_URL": "http://theirs/v1", "MICRO_AGI_BASE_URL": "http://ours/v1"}
    assert load(environ=both).base_url == "http://ours/v1"
    assert load(environ={"OPENAI_BASE_URL": "http://theirs/v1"}).base_url == "http://theirs/v1"


def test_the_environment_beats_the_file_also_by_another_variable_of_the_same_setting():
    settings = load(environ={"OPENAI_API_KEY": "a"}, dotenv={"MICRO_AGI_API_KEY": "b"})
    assert settings.api_key.reveal() == "a"
    assert settings.source("api_key") == "OPENAI_API_KEY"


def test_an_empty_variable_counts_as_unset():
    settings = load(environ={"MICRO_AGI_MODEL": "", "MICRO_AGI_MAX_STEPS": ""})
    assert (settings.model, settings.max_steps) == ("", 32)


def test_an_empty_flag_is_given():
    settings = load(flags={"model": ""}, environ={"MICRO_AGI_MODEL": "environment"})
    assert (settings.model, settings.source("model")) == ("", "--model")


def test_nothing_is_read_from_the_process_unless_it_is_handed_in(monkeypatch):
    monkeypatch.setenv("MICRO_AGI_MODEL", "from the process")
    assert load().model == ""


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("YES", True), ("on", True), ("false", False), ("0", False)]
)
def test_a_switch_is_read_from_the_usual_words(text, value):
    assert load(environ={"MICRO_AGI_YES": text}).yes is value


def test_any_value_of_no_color_means_plain():
    assert load(environ={"NO_COLOR": "0"}).plain is True
    assert load(environ={"NO_COLOR": ""}).plain is False


def test_a_list_is_written_with_commas_and_given_by_repeating_a_flag():
    text = load(environ={"MICRO_AGI_ALLOW_HOSTS": "a.example, b.example,"})
    listed = load(flags={"allow_hosts": ["a.example", "b.example"]})
    assert text.allow_hosts == listed.allow_hosts == ("a.example", "b.example")
    assert listed.source("allow_hosts") == "--allow-host"


@pytest.mark.parametrize(
    ("name", "shown"), [("yes", "--yes"), ("no_input", "--no-input"), ("workers", "--workers")]
)
def test_a_source_names_the_flag_as_it_is_typed(name, shown):
    assert flag(name) == shown


@pytest.mark.parametrize(
    ("variable", "value", "fix"),
    [
        ("MAX_STEPS", "many", "give a whole number of steps"),
        ("MAX_STEPS", "1.5", "give a whole number of steps"),
        ("MAX_STEPS", "0", "give at least 1 steps"),
        ("TURN_TIMEOUT_S", "soon", "give a number of s"),
        ("TURN_TIMEOUT_S", "nan", "give a number of s"),
        ("MODEL_TIMEOUT_S", "inf", "give a number of s"),
        ("CALL_TIMEOUT_S", "-1", "give at least 0.01 s"),
        ("TURN_BUDGET_USD", "-0.01", "give at least 0 USD"),
        ("TURN_BUDGET_TOKENS", "-5", "give at least 0 tokens"),
        ("DISCOVERY_TIMEOUT_S", "-1", "give at least 0 s"),
        ("COMPRESS_AT", "1.5", "give at most 1"),
        ("COMPRESS_AT", "0", "give at least 0.05"),
        ("YES", "perhaps", "give true or false"),
        ("ISOLATION", "E", "give one of: A, B, C, D"),
        ("ISOLATION", "a", "give one of: A, B, C, D"),
        ("CALL_MEMORY_BYTES", "1000", "give at least 4194304 bytes"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_variable_and_what_to_give(variable, value, fix):
    error = refusal(environ={PREFIX + variable: value})
    assert error.what == f"`{value}` is no value for {PREFIX}{variable}"
    assert (error.where, error.fix) == (PREFIX + variable, fix)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_steps", 0),
        ("max_steps", True),
        ("max_steps", 1.5),
        ("max_steps", [1]),
        ("turn_timeout_s", float("nan")),
        ("yes", 1),
        ("model", 5),
        ("model", ["a"]),
        ("allow_hosts", 5),
        ("allow_hosts", [5]),
        ("api_key", 5),
        ("isolation", "Z"),
    ],
)
def test_an_embedders_values_are_held_to_the_same_rules(name, value):
    assert refusal(flags={name: value}).where == flag(name)


def test_an_embedder_may_give_a_whole_number_for_a_fraction():
    settings = load(flags={"turn_timeout_s": 60})
    assert settings.turn_timeout_s == 60.0
    assert isinstance(settings.turn_timeout_s, float)


def test_an_unknown_setting_names_the_nearest():
    error = refusal(flags={"modell": "x"})
    assert error.what == "there is no setting `modell`"
    assert "model" in error.fix


def test_a_misspelt_variable_is_found_with_what_was_meant():
    environ = {"MICRO_AGI_MODLE": "x", "MICRO_AGI_MODEL": "x", "PATH": "/bin", "MICRO_AGI_": "x"}
    assert misspelt(environ)["MICRO_AGI_MODLE"] == "MICRO_AGI_MODEL"
    assert set(misspelt(environ)) == {"MICRO_AGI_MODLE", "MICRO_AGI_"}


def test_a_key_is_never_shown_not_by_the_settings_and_not_by_an_error():
    settings = load(environ={"OPENAI_API_KEY": KEY})
    assert settings.api_key.reveal() == KEY
    assert KEY not in repr(settings)
    assert KEY not in repr(settings.sources)
    assert KEY not in str(refusal(flags={"api_key": [KEY]}))


def test_a_secret_that_is_a_secret_already_is_taken_as_it_is():
    assert load(flags={"api_key": Secret(KEY)}).api_key.reveal() == KEY


def test_every_setting_is_described_and_has_a_default_that_its_own_rules_accept():
    defaults = {name: getattr(Settings(), name) for name in names()}
    again = load(flags=defaults)
    assert [getattr(again, n) for n in names() if n != "api_key"] == [
        v for n, v in defaults.items() if n != "api_key"
    ]
    for name in names():
        facts = describe(name)
        assert facts["doc"]
        assert set(facts) == {"doc", "unit", "env", "at_least", "at_most", "one_of", "url"}


@pytest.mark.parametrize("text", ["nonsense", "ftp://x/v1", "http://", "localhost:8080"])
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(SettingInvalid) as refused:
        load(flags={"base_url": text})
    assert "http://127.0.0.1:11434/v1" in refused.value.fix


def test_keys_of_models_are_kept_as_secrets():
    settings = load(environ={"MY_CLOUD_KEY": "sk-1", "EMPTY_KEY": "", "PATH": "x"})
    assert set(settings.keys) == {"MY_CLOUD_KEY"}
    assert "sk-1" not in repr(settings)


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().model = "x"


@given(st.text())
def test_any_text_in_a_variable_is_a_value_or_a_refusal(text):
    for name in ("MAX_STEPS", "COMPRESS_AT", "YES", "LOCAL_PORTS", "ISOLATION"):
        with contextlib.suppress(SettingInvalid):
            load(environ={PREFIX + name: text})


def test_only_this_module_reads_the_environment():
    package = Path(__file__).parent.parent / "src" / "micro_agi"
    readers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if any(word in path.read_text("utf-8") for word in ("os.environ", "getenv"))
    }
    assert readers == {"settings.py"}


def dotenv(tmp_path, text):
    path = tmp_path / ".env"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_dotenv(path)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("export A=1", "1"),
        ("export\tA=1", "1"),
        ("  A = 1  ", "1"),
        ("A=", ""),
        ("A='single quotes'", "single quotes"),
        ('A="double # quotes"', "double # quotes"),
        ('A="quoted" # and a comment', "quoted"),
        ("A=''", ""),
        ("A=plain # and a comment", "plain"),
        ("A=# only a comment", ""),
        ("A= # only a comment", ""),
        ("A=a#b", "a#b"),
        ("A=b=c", "b=c"),
        ("A=$HOME `id`", "$HOME `id`"),
        ("A=it's", "it's"),
        ("\ufeffA=1", "1"),
        ("# before\n\nA=1", "1"),
        ("A=0\nA=1", "1"),
        ("A=1\r\nB=2", "1"),
    ],
)
def test_a_line_of_dotenv_is_read_as_shells_read_it_without_running_anything(tmp_path, line, value):
    assert dotenv(tmp_path, line)["A"] == value


@pytest.mark.parametrize(
    "line", ["no equals", "=oops", "1A=x", "A-B=x", 'A="open', "A='open", 'A="a" b', "exportA x"]
)
def test_a_line_that_is_none_is_refused_with_its_number_and_without_its_content(tmp_path, line):
    with pytest.raises(SettingInvalid) as refused:
        dotenv(tmp_path, f"# one\nOK=1\n{line}\n")
    assert refused.value.where == f"{tmp_path / '.env'}:3"
    assert line not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(SettingInvalid, match="no UTF-8"):
        dotenv(tmp_path, b"A=\xff\xfe")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(SettingInvalid, match="cannot be read"):
        read_dotenv(tmp_path)


SEED = {
    "AGENT_MODEL": ("model", "qwen2.5-coder-7b", "qwen2.5-coder-7b"),
    "AGENT_MODEL_URL": ("base_url", "http://localhost:8000/v1", "http://localhost:8000/v1"),
    "AGENT_MAX_STEPS": ("max_steps", "20", 20),
    "AGENT_MAX_TOKENS": ("max_tokens", "900", 900),
    "AGENT_TEMPERATURE": ("temperature", "0.7", 0.7),
    "AGENT_ENABLE_SHELL": ("enable_shell", "off", False),
    "AGENT_ENABLE_FILES": ("enable_files", "No", False),
    "AGENT_ENABLE_FETCH": ("enable_fetch", "0", False),
    "AGENT_ENABLE_DATA_VIEW": ("enable_data_view", "FALSE", False),
    "AGENT_ENABLE_PYEXE": ("enable_pyexe", "yes", True),
    "AGENT_LOG_LEVEL": ("log_level", "WARNING", "warning"),
}


@pytest.mark.requirement("004/settings/names")
@pytest.mark.parametrize("variable", SEED)
def test_the_variables_of_the_local_agent_count_in_file_and_environment(variable):
    name, text, value = SEED[variable]
    for source, place in (("", "environ"), (" in .env", "dotenv")):
        settings = load(**{place: {variable: text}})
        assert getattr(settings, name) == value
        assert settings.source(name) == variable + source


@pytest.mark.requirement("004/settings/invalid")
@pytest.mark.parametrize(
    ("variable", "value", "fix"),
    [
        ("AGENT_MAX_STEPS", "many", "give a whole number of steps"),
        ("AGENT_MAX_STEPS", "0", "give at least 1 steps"),
        ("AGENT_TEMPERATURE", "hot", "give a number"),
        ("AGENT_TEMPERATURE", "2.5", "give at most 2"),
        ("AGENT_ENABLE_SHELL", "maybe", "give true or false"),
        ("AGENT_LOG_LEVEL", "loud", "give one of: debug, info, warn, warning, error"),
        ("AGENT_MODEL_URL", "localhost:8000", "give an address like http://127.0.0.1:11434/v1"),
    ],
)
def test_a_wrong_value_names_its_variable_and_what_it_takes(variable, value, fix):
    for place, where in (("environ", variable), ("dotenv", f"{variable} in .env")):
        with pytest.raises(SettingInvalid) as wrong:
            load(**{place: {variable: value}})
        assert wrong.value.what == f"`{value}` is no value for {where}"
        assert wrong.value.fix == fix
