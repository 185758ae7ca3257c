"""`init`, `call`, trust and `.env`, `config show`, `docs`: an app of one's own."""

import json
import os
import stat

import pytest

from tests.commands.conftest import lines_fit

KEY = "sk-canary-98765"


@pytest.fixture
def app(program, monkeypatch):
    """A new app; the program runs inside it."""
    program.ok("init", "myapp")
    directory = program.directory / "myapp"
    monkeypatch.chdir(directory)
    return directory


@pytest.mark.requirement("000/structure/init", "000/run/hub")
def test_a_new_app_has_the_seeds_structure_and_is_ready_to_run(program, app, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    names = {p.relative_to(app).as_posix() for p in app.rglob("*") if p.is_file()}
    seed = {".wippy.yaml", "wippy.yaml", "README.md", ".gitignore", "src/_index.yaml"}
    assert seed | {"src/agent.lua", "src/tools/create_tool.lua"} <= names
    assert program("--yes", stdin="quit\n").out.startswith("dev assistant (quit to exit)\n")
    assert "myapp" in (app / "README.md").read_text()


def test_the_files_that_were_made_are_listed(program):
    assert "src/_index.yaml" in program("init", "other", "--json").json["files"]


def test_an_empty_directory_is_taken_and_a_full_one_refused(program):
    (program.directory / "empty").mkdir()
    program.ok("init", "empty")
    assert "is not empty" in program.refused("init", "empty")[0]
    program.file("file", "x")
    assert "is no directory" in program.refused("init", "file")[0]
    assert "cannot be written" in program.refused("init", "file/below")[0]


def test_a_new_app_has_a_home_of_its_own(program, app):
    program.ok("tool", "list")
    assert any(p.name.startswith("myapp-") for p in program.home.iterdir())


def test_nothing_of_an_app_runs_before_a_person_trusts_it(program, app):
    words = ("call", "app.tools:registry_list", '{"namespace": "app.tools"}')
    assert "not trusted" in program.refused(*words, code=3)[0]
    assert "not trusted" in program.refused("ask", "hi", code=3)[0]
    program.ok(*words, "--yes")
    program.ok(*words)


def test_a_changed_app_has_to_be_trusted_again(program, app):
    words = ("call", "app.tools:registry_list", '{"namespace": "app.tools"}')
    program.ok(*words, "--yes")
    with (app / "src" / "agent.lua").open("a") as file:
        file.write("\n-- changed\n")
    assert "changed since" in program.refused(*words, code=3)[0]


def test_an_app_that_is_only_looked_at_needs_no_trust(program, app):
    assert "app.tools:create_tool" in program.ok("tool", "list")


def setting(program, name):
    return next(s for s in program("config", "show", "--json").json if s["name"] == name)


def test_the_apps_dotenv_counts_only_once_it_is_trusted(program, app, monkeypatch):
    (app / ".env").write_text(f"MICRO_AGI_MAX_STEPS=7\nOPENAI_API_KEY={KEY}\n")
    assert setting(program, "max_steps")["value"] == 32
    program.ok("call", "app.tools:registry_list", '{"namespace": "app"}', "--yes")
    assert setting(program, "max_steps")["source"] == "MICRO_AGI_MAX_STEPS in .env"
    monkeypatch.setenv("MICRO_AGI_MAX_STEPS", "9")
    assert setting(program, "max_steps")["value"] == 9


def test_an_apps_dotenv_cannot_move_its_home(program, app, monkeypatch):
    monkeypatch.delenv("MICRO_AGI_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(program.home))
    (app / ".env").write_text(f"MICRO_AGI_HOME={program.directory}/elsewhere\n")
    program.ok("call", "app.tools:registry_list", '{"namespace": "app"}', "--yes")
    assert setting(program, "home")["source"] == "default"
    assert not (program.directory / "elsewhere").exists()


def test_a_key_is_masked_wherever_it_comes_from(program, app, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for words in (("config", "show"), ("config", "show", "--json"), ("doctor",)):
        said = program(*words)
        assert KEY not in said.out + said.err
    assert setting(program, "api_key")["value"] == "***"


def test_every_setting_is_shown_with_value_unit_source_and_meaning(program):
    out = program.ok("config", "show", "--model", "mine")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert "32 steps" in rows["max_steps"]
    assert "default" in rows["max_steps"]
    assert rows["model"].split()[1:3] == ["mine", "--model"]
    assert lines_fit(program.ok("config", "show", columns=60), 60) == []


def test_a_misspelt_variable_is_pointed_out(program, monkeypatch):
    monkeypatch.setenv("MICRO_AGI_MODLE", "x")
    assert "did you mean MICRO_AGI_MODEL?" in program("config", "show").err


def test_settings_are_shown_also_when_the_app_is_broken(program, app):
    (app / "src" / "_index.yaml").write_text("namespace: app\nentries: 5\n")
    said = program("config", "show")
    assert said.code == 0
    assert "the app was left out" in said.err


def test_a_broken_app_is_refused_with_file_and_line(program, app):
    (app / "src" / "_index.yaml").write_text("namespace: app\nentries: 5\n")
    lines = program.refused("tool", "list")
    assert "src/_index.yaml:2" in lines[1]


def test_a_function_is_called_with_json_and_answers_in_json(program, double):
    assert program("call", "app.generated:double", '{"n": 4}').json == {"result": 8}
    assert program("call", "app.generated:double", "-", stdin='{"n": 5}').json == {"result": 10}


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["app.generated:double", '{"n": '], 2, "no JSON"),
        (["app.generated:duoble", "{}"], 2, "not found"),
        (["app:dev_assistant"], 2, "cannot be called"),
        (["app.generated:double", "{}"], 2, "do not fit the schema"),
        (["app.generated:double", '{"n": "x"}'], 2, "$.n"),
    ],
)
def test_a_call_that_cannot_be_done_says_why(program, double, words, code, what):
    assert what in program.refused("call", *words, code=code)[0]


def test_a_call_that_takes_too_long_is_a_limit(program, monkeypatch):
    monkeypatch.setenv("MICRO_AGI_CALL_TIMEOUT_S", "0.2")
    draft = {
        "name": "forever",
        "description": "Never end",
        "source": "return { handler = function() while true do end end }",
    }
    program.ok("tool", "create", program.file("f.json", json.dumps(draft)))
    assert program("call", "app.generated:forever").code == 4


def test_the_log_is_in_the_home_and_the_users_alone(program, double):
    program.ok("tool", "test")
    logs = next(program.home.rglob("state.db")).parent / "logs"
    assert stat.S_IMODE(os.stat(logs).st_mode) == 0o700


def test_the_documentation_is_searched_shown_and_listed_without_any_state(program):
    assert "lua/core/time" in program.ok("docs", "search", "what", "time", "is", "it")
    assert program.ok("docs", "show", "time").startswith("# Time")
    assert "lua/core/time" in program.ok("docs", "toc")
    assert lines_fit(program.ok("docs", "toc", columns=60), 60) == []
    assert not program.home.exists()


def test_the_documentation_is_there_for_machines(program):
    assert program("docs", "show", "lua/core/time", "--json").json["path"] == "lua/core/time"
    assert len(program("docs", "search", "time", "--limit", "2", "--json").json) == 2
    assert {"path", "title", "summary"} == set(program("docs", "toc", "--json").json[0])


def test_a_long_page_can_be_read_from_a_byte_on(program):
    whole = program.ok("docs", "show", "lua/core/time")
    part = program.ok("docs", "show", "lua/core/time", "--offset", "1000")
    assert part[:50] in whole
    assert not part.startswith("# Time")


def test_a_remote_documentation_that_does_not_answer_leaves_the_bundled_page(program, monkeypatch):
    monkeypatch.setenv("MICRO_AGI_DOCS_URL", "http://127.0.0.1:9/llm")
    out = program.ok("docs", "show", "lua/core/time")
    assert out.startswith("(bundled page: http://127.0.0.1:9/llm/")
    assert "# Time" in out
    assert "bundled page" in program.ok("docs", "search", "time")


def test_an_unknown_page_names_the_nearest(program):
    assert "lua/core/time" in program.refused("docs", "show", "lua/core/tiem")[-1]
    assert "at least 1" in program.refused("docs", "search", "x", "--limit", "0")[-1]
