"""`micro-agi policy` and `micro-agi grants`: what is allowed, why, and taking it back."""

import json

import pytest

from tests.commands.conftest import lines_fit

URL = "https://api.example.com/x"
ALLOW = {
    "id": "app:allow_api",
    "kind": "security.policy",
    "data": {
        "policy": {
            "actions": "http_client.request",
            "resources": "https://api.example.com/*",
            "effect": "allow",
            "conditions": [{"field": "meta.tool", "operator": "exists", "value": True}],
        },
        "groups": ["web"],
    },
}


def grant(program, tool="app.generated:double", tool_hash=None, name="grant_1"):
    shown = program("registry", "show", tool, "--json")
    conditions = [
        {"field": "actor.id", "operator": "eq", "value": "agent:app:dev_assistant"},
        {"field": "meta.tool", "operator": "eq", "value": tool},
        {"field": "meta.tool_hash", "operator": "eq", "value": tool_hash or shown.json["hash"]},
    ]
    rule = {
        "actions": ["http_client.request"],
        "resources": ["https://api.example.com/*"],
        "effect": "allow",
        "conditions": conditions,
    }
    entry = {
        "id": f"app.grants:{name}",
        "kind": "security.policy",
        "meta": {"tool": tool, "agent": "app:dev_assistant"},
        "data": {"policy": rule},
    }
    file = program.file("grant.json", json.dumps([{"op": "create", "entry": entry}]))
    program.ok("registry", "apply", file)


def test_policies_are_listed_with_rule_conditions_and_groups(program):
    program.ok(
        "registry", "apply", program.file("p.json", json.dumps([{"op": "create", "entry": ALLOW}]))
    )
    out = program.ok("policy", "list")
    row = next(line for line in out.splitlines() if line.startswith("app:allow_api "))
    assert "http_client.request on https://api.example.com/*" in row
    assert "if meta.tool exists True" in row
    assert "[app:web]" in row
    assert lines_fit(program.ok("policy", "list", columns=60), 60) == []
    listed = [p["id"] for p in program("policy", "list", "--json").json]
    assert len([p for p in listed if p.startswith("app:")]) == 4


@pytest.mark.parametrize(
    ("action", "resource", "code", "answer", "policy", "then"),
    [
        ("registry.create", "app.generated:x", 0, "allow", "app:allow_generated", "floor"),
        ("registry.update", "app.tools:x", 3, "deny", "app:deny_tools_ns", "nobody is asked"),
        ("registry.delete", "app:dev_assistant", 3, "deny", "app:deny_core_ns", "nobody is asked"),
        ("registry.create", "other:x", 3, "undefined", "", "needs a policy"),
        ("http_client.request", URL, 3, "undefined", "", "a question to the person"),
    ],
)
def test_an_answer_is_explained_for_the_apps_agent(
    program, action, resource, code, answer, policy, then
):
    said = program("policy", "check", action, resource)
    assert said.code == code
    assert said.out.startswith(f"{answer}: agent:app:dev_assistant may ")
    assert (f"policy:  {policy}" in said.out) == bool(policy)
    assert then in said.out
    facts = program("policy", "check", action, resource, "--json").json
    assert (facts["answer"], facts["policy"]) == (answer, policy)


def test_the_person_at_the_command_line_may_do_everything(program):
    out = program.ok("policy", "check", "registry.delete", "app:x", "--actor", "root")
    assert out.startswith("allow: root may do")


@pytest.mark.parametrize("actor", ["dev_assistant", "app:dev_assistant", "agent:app:dev_assistant"])
def test_an_agent_is_named_by_name_id_or_actor(program, actor):
    said = program("policy", "check", "http_client.request", URL, "--actor", actor, "--json")
    assert said.json["actor"] == "agent:app:dev_assistant"


def test_an_unknown_agent_names_those_that_are_there(program):
    lines = program.refused("policy", "check", "a", "b", "--actor", "dev_assistent")
    assert "dev_assistant" in lines[-1]


def test_hosts_of_the_command_line_count(program):
    out = program.ok(
        "policy", "check", "http_client.request", URL, "--allow-host", "api.example.com"
    )
    assert "policy:  command-line:allow_host_0" in out


def test_the_write_groups_do_not_answer_for_anything_but_writes(program):
    out = program("policy", "check", "funcs.call", "app.tools:create_tool").out
    assert out.startswith("undefined")


def test_without_grants_the_list_says_how_one_comes_about(program):
    assert "always" in program.ok("grants", "list")


def test_a_grant_is_listed_with_its_tool_and_whether_it_still_counts(program, double):
    grant(program)
    grant(program, tool_hash="old", name="grant_2")
    rows = program("grants", "list", "--json").json
    assert [row["state"] for row in rows] == ["in force", "tool changed"]
    assert "app.generated:double may http_client.request" in program.ok("grants", "list")
    assert lines_fit(program.ok("grants", "list", columns=60), 60) == []
    program.ok("tool", "disable", "double")
    assert "tool gone" in program.ok("grants", "list")


@pytest.mark.parametrize("name", ["grant_1", "app.grants:grant_1", "app.generated:double", "all"])
def test_a_grant_is_revoked_by_name_by_tool_or_with_all(program, double, name):
    grant(program)
    assert program.ok("grants", "revoke", name).startswith("revoked 1 grant")
    assert program("grants", "list", "--json").json == []


def test_an_unknown_grant_names_the_nearest(program, double):
    assert program.refused("grants", "revoke", "all")[0] == "error: nothing is granted"
    grant(program)
    assert "grant_1" in program.refused("grants", "revoke", "grant_2")[-1]
