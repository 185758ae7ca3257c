"""`agent list|show`: what an agent really is."""

import json

import pytest

APP = """
namespace: app
entries:
  - name: boss
    kind: registry.entry
    meta: {type: agent.gen1, name: boss, comment: Asks others}
    prompt: You decide.
    model: gpt-5.1
    temperature: 0.7
    thinking_effort: 40
    traits: [brief, time_aware, nothing_like_it]
    tools: ["app:look", {id: "app:gone"}, {id: "app:gone", alias: away}]
    delegates: [{id: app:helper, name: ask_helper, rule: the helper for details}]
    memory: [likes tea]
  - name: helper
    kind: registry.entry
    meta: {type: agent.gen1, name: helper}
    prompt: You help.
  - name: brief
    kind: registry.entry
    meta: {type: agent.trait, name: brief}
    prompt: Be brief.
  - name: look
    kind: function.lua
    source: "return { handler = function() return 1 end }"
    method: handler
    meta: {type: tool, llm_alias: look, llm_description: Look around}
"""


@pytest.fixture
def app(program, monkeypatch):
    program.file("app/wippy.yaml", "organization: x\nmodule: y\n")
    program.file("app/src/_index.yaml", APP)
    monkeypatch.chdir(program.directory / "app")
    program.ok("tool", "list", "--yes")


def test_agents_are_listed(program, app):
    out = program.ok("agent", "list")
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert "app:boss gpt-5.1 Asks others" in rows
    assert any(row.startswith("app:helper") for row in rows)


@pytest.mark.requirement("003/show/compiled")
def test_the_exact_prompt_the_tools_and_the_warnings_are_shown(program, app):
    said = program("agent", "show", "boss")
    assert said.code == 0
    assert "You decide.\n\nBe brief.\n\n## Your memory contains:\n- likes tea\n" in said.out
    assert "\n  look  app:look\n    Look around\n" in said.out
    assert "\n  ask_helper  agent app:helper\n" in said.out
    assert '"required": ["message"]' in said.out
    assert "clock:  UTC" in said.out
    assert "sent:   temperature 0.7, thinking effort 40 of 100\n" in said.out
    assert said.err.count("entry not found: app:gone") == 1
    assert "trait `nothing_like_it` does not resolve" in said.err


def test_an_app_that_nobody_trusts_is_shown_without_what_its_functions_would_add(program, app):
    text = APP.replace("prompt: Be brief.", "prompt: Be brief.\n    build_func_id: app:build")
    built = """
  - name: build
    kind: function.lua
    source: "return { handler = function() return { prompt = 'Built.' } end }"
    method: handler
"""
    program.file("app/src/_index.yaml", text + built.lstrip("\n"))
    said = program("agent", "show", "boss", "--no-input")
    assert "You decide.\n\nBe brief.\n" in said.out
    assert "Built." not in said.out
    assert "this app is not trusted, or it changed" in said.err
    assert "Be brief.\n\nBuilt.\n" in program.ok("agent", "show", "boss", "--yes")


def test_a_resolver_of_models_that_fails_or_may_not_run_is_said_beside_the_model(program, app):
    resolver = """
  - name: find_model
    kind: function.lua
    source: "return { handler = function() return nil, 'the database is down' end }"
    method: handler
  - name: models
    kind: contract.binding
    contracts:
      - {contract: "wippy.llm:model_resolver", default: true, methods: {resolve: find_model}}
"""
    program.file("app/src/_index.yaml", APP + resolver.lstrip("\n"))
    assert "this app is not trusted" in " ".join(
        program("agent", "show", "boss", "--no-input").out.split()
    )
    shown = program.ok("agent", "show", "boss", "--yes")
    assert "failed to resolve model `gpt-5.1`: the database is down" in " ".join(shown.split())


def test_for_machines_it_is_one_object(program, app):
    shown = program("agent", "show", "app:boss", "--json").json
    assert (shown["temperature"], shown["thinking_effort"], shown["max_tokens"]) == (0.7, 40, 512)
    assert [t["name"] for t in shown["tools"]] == ["ask_helper", "look"]
    assert shown["tools"][0]["delegate"] == "app:helper"
    assert json.dumps(shown["warnings"]).count("nothing_like_it") == 1


def test_an_unknown_agent_names_the_nearest(program, app):
    assert "app:boss" in program.refused("agent", "show", "app:bos")[-1]
