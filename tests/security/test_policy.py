"""Policies: patterns, conditions, three answers. Rows follow spec/runtime.md 3.2 to 3.4."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_agi.errors import EntryInvalid, PolicyDenied
from micro_agi.security.actor import Actor
from micro_agi.security.policy import (
    OPERATORS,
    Condition,
    Policy,
    Scope,
    covers,
    denial,
    evaluate,
    parse_policy,
)

ACTOR = Actor("user:7", {"role": "admin", "age": 41, "team": {"name": "core", "tags": ["a", "b"]}})
META = {
    "n": 42,
    "text": "hello world",
    "flag": True,
    "list": ["x", 2, True],
    "half": 0.5,
    "numeric": "42",
    "nothing": None,
    "deep": {"er": {"x": 1}},
    "odd.key": "literal",
}


@pytest.mark.parametrize(
    ("pattern", "matches", "does_not"),
    [
        ("*", ["", "x", "app:x"], []),
        ("app:x", ["app:x"], ["app:xy", "App:x", "app:", ""]),
        ("app.*", ["app", "app.x", "app.tools:y", "app:x", "apple"], ["ap", ""]),
        ("app:*", ["app:x", "app:", "app:a:b"], ["app.tools:x", "app", "apple:x"]),
        ("app*", ["app", "apple", "app:x", "app.tools:x"], ["ap"]),
        ("app.tools:*", ["app.tools:x"], ["app.tools", "app.tools.x:y"]),
        ("*.read", ["*.read"], ["app.read", ".read"]),
        ("a*b", ["a*b"], ["ab", "axb"]),
        ("**", ["*", "*x"], ["x"]),
        (".*", [".*"], ["", ".", ".x", "x"]),
        ("a*", ["a", "ab"], ["b"]),
        ("a.*", ["a", "ab", "a.b"], ["b"]),
        ("", [""], ["x"]),
        ("registry.*", ["registry.create", "registry", "registryx"], ["funcs.call"]),
        ("app:?", ["app:?"], ["app:x"]),
        ("[a]*", ["[a]", "[a]x"], ["a"]),
    ],
)
def test_a_pattern_covers_what_the_table_says(pattern, matches, does_not):
    assert [v for v in matches if not covers(pattern, v)] == []
    assert [v for v in does_not if covers(pattern, v)] == []


def rule(effect="allow", *, policy_id="app:p", **fields):
    return Policy(id=policy_id, effect=effect, **fields)


def answer(policy, action="read", resource="app:x", *, actor=ACTOR, meta=META):
    return evaluate(policy, actor, action, resource, meta).answer


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "allow"),
        ({"actions": ("write", "read")}, "allow"),
        ({"actions": ("write",)}, "undefined"),
        ({"actions": ()}, "undefined"),
        ({"resources": ("app:*",)}, "allow"),
        ({"resources": ("other:*", "app.tools:*")}, "undefined"),
        ({"actions": ("read",), "resources": ("app:y",)}, "undefined"),
    ],
)
def test_action_and_resource_must_both_match(fields, expected):
    assert answer(rule(**fields)) == expected
    denied = answer(rule("deny", **fields))
    assert denied == ("deny" if expected == "allow" else "undefined")


def holds(field, operator, value=None, *, value_from="", actor=ACTOR, meta=META):
    condition = Condition(field=field, operator=operator, value=value, value_from=value_from)
    return answer(rule(conditions=(condition,)), actor=actor, meta=meta) == "allow"


@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("actor.id", "eq", "user:7"),
        ("actor.meta.role", "eq", "admin"),
        ("actor.meta.team.name", "eq", "core"),
        ("action", "eq", "read"),
        ("resource", "eq", "app:x"),
        ("meta.n", "eq", 42),
        ("meta.n", "eq", 42.0),
        ("meta.n", "eq", "42"),
        ("meta.numeric", "eq", 42),
        ("meta.numeric", "eq", "42.0"),
        ("meta.flag", "eq", True),
        ("meta.flag", "eq", "true"),
        ("meta.deep.er.x", "eq", 1),
        ("meta.list", "eq", ["x", 2, True]),
        ("odd.key", "eq", "literal"),
        ("n", "eq", 42),
        ("meta.n", "ne", 43),
        ("meta.flag", "ne", 1),
        ("meta.text", "ne", "hello"),
        ("meta.n", "lt", 43),
        ("meta.n", "lt", "42.5"),
        ("meta.numeric", "gt", 41),
        ("meta.n", "lte", 42),
        ("meta.n", "gte", 42),
        ("meta.half", "gt", -1e3),
        ("meta.n", "in", [1, "42"]),
        ("meta.n", "in", "42"),
        ("actor.meta.role", "nin", ["user", "guest"]),
        ("actor.meta.role", "nin", "user"),
        ("meta.text", "contains", "lo wo"),
        ("meta.numeric", "contains", 2),
        ("meta.list", "contains", "x"),
        ("meta.list", "contains", "2"),
        ("meta.list", "contains", True),
        ("meta.text", "ncontains", "bye"),
        ("meta.list", "ncontains", "y"),
        ("actor.meta.team.tags", "contains", "b"),
        ("resource", "matches", "^app:.$"),
        ("resource", "matches", "p"),
        ("meta.n", "matches", "4"),
        ("resource", "nmatches", "^tools"),
        ("meta.n", "exists", True),
        ("meta.n", "exists", "anything"),
        ("meta.none", "exists", False),
        ("meta.nothing", "exists", False),
        ("meta.none", "nexists", True),
        ("meta.none", "nexists", "anything"),
        ("meta.n", "nexists", False),
    ],
)
def test_a_condition_holds(field, operator, value):
    assert holds(field, operator, value)


@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("actor.id", "eq", "user:8"),
        ("meta.n", "eq", 43),
        ("meta.flag", "eq", 1),
        ("meta.flag", "eq", "True"),
        ("meta.n", "ne", "42"),
        ("meta.n", "lt", 42),
        ("meta.n", "gt", 42),
        ("meta.text", "lt", 5),
        ("meta.text", "gte", "a"),
        ("meta.flag", "gt", 0),
        ("meta.n", "in", [1, 2]),
        ("meta.n", "in", 42),
        ("meta.n", "nin", 41),
        ("meta.n", "nin", [42]),
        ("meta.text", "contains", ["hello"]),
        ("meta.n", "contains", 4),
        ("meta.n", "ncontains", 9),
        ("meta.text", "ncontains", "hello"),
        ("resource", "matches", "^x"),
        ("resource", "matches", 5),
        ("meta.list", "matches", "x"),
        ("meta.list", "nmatches", "nothing"),
        ("resource", "nmatches", "app"),
        ("meta.none", "exists", True),
        ("meta.n", "exists", False),
        ("meta.n", "nexists", True),
        ("meta.none", "nexists", False),
        ("actor", "eq", "user:7"),
        ("actor.name", "eq", "user:7"),
        ("actor.meta", "eq", "x"),
        ("meta.deep", "eq", "x"),
        ("meta.text.x", "exists", True),
        ("action.x", "exists", True),
    ],
)
def test_a_condition_does_not_hold(field, operator, value):
    assert not holds(field, operator, value)


@pytest.mark.parametrize("operator", sorted(set(OPERATORS) - {"exists", "nexists"}))
def test_every_comparison_with_a_missing_field_is_false_the_negative_ones_too(operator):
    for value in (1, "x", ["x"], "^x", None):
        assert not holds("meta.none", operator, value)
        assert not holds("meta.nothing", operator, value)
        assert not holds("meta.n", operator, value_from="meta.none")


def test_the_right_side_may_be_another_field():
    assert holds("meta.numeric", "eq", value_from="meta.n")
    assert holds("actor.meta.role", "ne", value_from="actor.id")
    assert holds("meta.n", "in", value_from="meta.numeric")
    assert holds("actor.id", "eq", "ignored", value_from="actor.id")


def test_a_pattern_that_comes_from_a_field_is_an_error_and_decides_nothing():
    for operator in ("matches", "nmatches"):
        assert not holds("resource", operator, value_from="meta.text")


def test_long_numbers_are_not_rounded_into_each_other():
    big = "9007199254740993"
    assert not holds("actor.id", "eq", "9007199254740992", actor=Actor(big))
    assert holds("actor.id", "ne", "9007199254740992", actor=Actor(big))
    assert holds("meta.x", "gt", "9007199254740992", meta={"x": big})
    assert holds("meta.x", "eq", 10**30, meta={"x": str(10**30)})


@pytest.mark.parametrize("text", ["inf", "nan", "1_0", "٤٢", " 42", "0x2a", "", "1e", "9" * 5000])
def test_words_that_a_programming_language_takes_for_numbers_are_texts(text):
    assert holds("meta.x", "eq", text, meta={"x": text})
    assert not holds("meta.x", "lt", float("inf"), meta={"x": text})
    assert not holds("meta.x", "eq", 42, meta={"x": text})
    assert not holds("meta.x", "eq", 10, meta={"x": text})


def test_a_search_takes_linear_time():
    assert not holds("meta.x", "matches", "(a+)+$", meta={"x": "a" * 20_000 + "b"})


def test_conditions_about_nobody_are_not_decided():
    nobody = Actor("")
    assert not holds("action", "eq", "read", actor=nobody)
    assert not holds("actor.id", "eq", "", actor=nobody)
    assert holds("actor.meta.role", "eq", "x", actor=Actor("", {"role": "x"}))
    assert answer(rule(), actor=nobody) == "allow"


def test_all_conditions_must_hold():
    true = Condition(field="action", operator="eq", value="read")
    false = Condition(field="action", operator="eq", value="write")
    broken = Condition(field="meta.text", operator="lt", value=1)
    for effect in ("allow", "deny"):
        assert answer(rule(effect, conditions=(true, true))) == effect
        assert answer(rule(effect, conditions=(true, false))) == "undefined"
        assert answer(rule(effect, conditions=(broken, true))) == "undefined"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(OPERATORS), VALUES, VALUES, st.booleans())
def test_no_value_makes_a_condition_crash(operator, left, right, from_field):
    meta = {"left": left, "right": right}
    other = "meta.right" if from_field else ""
    assert isinstance(holds("meta.left", operator, right, value_from=other, meta=meta), bool)


@settings(deadline=None, max_examples=300)
@given(VALUES)
def test_no_data_of_a_policy_entry_does_anything_but_parse_or_be_refused(data):
    for rule_data in (data, {"actions": data, "resources": "*", "effect": "deny"}):
        for groups in ([], data):
            try:
                policy = parse_policy("a:p", {"policy": rule_data, "groups": groups})
            except EntryInvalid:
                continue
            assert policy.effect in ("allow", "deny")


CORE = rule("deny", policy_id="app:deny_core_ns", resources=("app:*",))
TOOLS = rule("deny", policy_id="app:deny_tools_ns", resources=("app.tools:*",))
OWN = rule("allow", policy_id="app:allow_own", resources=("app*",))


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("app:agent", ("deny", "app:deny_core_ns")),
        ("app.tools:create_tool", ("deny", "app:deny_tools_ns")),
        ("app.generated:clock", ("allow", "app:allow_own")),
        ("other:thing", ("undefined", "")),
    ],
)
def test_a_scope_denies_over_allow_in_every_order(resource, expected):
    for policies in permutations([CORE, TOOLS, OWN]):
        verdict = Scope(policies).evaluate(ACTOR, "registry.create", resource)
        assert (verdict.answer, verdict.policy) == expected
        assert verdict.allowed == (expected[0] == "allow")


def test_an_empty_scope_answers_nothing():
    assert Scope().evaluate(ACTOR, "x", "y").answer == "undefined"


def test_the_deny_only_scope_of_the_seed_never_allows():
    scope = Scope((CORE, TOOLS))
    verdict = scope.evaluate(ACTOR, "registry.create", "app.generated:x")
    assert verdict.answer == "undefined"
    with pytest.raises(PolicyDenied, match="no policy matches"):
        scope.require(ACTOR, "registry.create", "app.generated:x")


def test_a_policy_with_a_known_id_replaces_the_old_one():
    scope = Scope((CORE,)).plus([rule("allow", policy_id=CORE.id)])
    assert len(scope.policies) == 1
    scope.require(ACTOR, "read", "app:x")


def test_a_refusal_says_which_policy_by_which_patterns_and_how_to_ask():
    with pytest.raises(PolicyDenied) as refused:
        Scope((CORE, OWN)).require(ACTOR, "registry.create", "app:x")
    assert str(refused.value) == (
        "`registry.create` on `app:x` is not allowed\n"
        "  where: denied by `app:deny_core_ns` (* on app:*)\n"
        "  fix: `micro-agi policy check registry.create app:x` explains; a person can add a policy"
    )
    verdict = Scope((OWN,)).evaluate(ACTOR, "read", "app:x")
    assert verdict.why() == "allowed by `app:allow_own` (* on app*)"
    assert denial(verdict, "a", "b").exit_code == 3


GOOD = {"actions": "*", "resources": ["a:*"], "effect": "deny"}


def parse(**changes):
    groups = changes.pop("groups", None)
    return parse_policy("app:p", {"policy": {**GOOD, **changes}, "groups": groups})


def test_a_policy_entry_is_read():
    condition = {"field": "actor.id", "operator": "eq", "value": None}
    found = parse(groups=["g", "other:h", ":i"], conditions=[condition])
    assert found.groups == ("app:g", "other:h", ":i")
    assert (found.actions, found.resources, found.effect) == (("*",), ("a:*",), "deny")
    assert found.conditions == (Condition(field="actor.id", operator="eq"),)


@pytest.mark.parametrize(
    ("changes", "where", "said"),
    [
        ({"effect": "Deny"}, "policy.effect", "invalid policy effect: Deny"),
        ({"effect": None}, "policy.effect", "invalid policy effect"),
        ({"effect": ["deny"]}, "policy.effect", "invalid policy effect"),
        ({"actions": ""}, "policy.actions", "actions string cannot be empty"),
        ({"actions": []}, "policy.actions", "actions list cannot be empty"),
        ({"actions": None}, "policy.actions", "actions must be a string or list"),
        ({"actions": [1]}, "policy.actions", "actions must be a string or list"),
        ({"resources": ""}, "policy.resources", "resources string cannot be empty"),
        ({"resources": []}, "policy.resources", "resources list cannot be empty"),
        ({"resources": {"a": 1}}, "policy.resources", "resources must be a string or list"),
        ({"groups": "agent_security"}, "groups", "groups must be a list"),
        ({"groups": [5]}, "groups", "groups must be a list"),
        ({"groups": [""]}, "groups", "groups must be a list"),
        ({"conditions": {"field": "x"}}, "policy.conditions", "conditions must be a list"),
        ({"conditions": [5]}, "policy.conditions[0]", "field is required"),
        ({"conditions": [{}]}, "policy.conditions[0]", "condition 0: field is required"),
        ({"conditions": [{"field": 5}]}, "policy.conditions[0]", "must be a field path"),
        ({"conditions": [{"field": "x"}]}, "policy.conditions[0]", "operator is required"),
        (
            {"conditions": [{"field": "x", "operator": "like", "value": 1}]},
            "policy.conditions[0]",
            "invalid operator: like",
        ),
        (
            {"conditions": [{"field": "x", "operator": ["eq"], "value": 1}]},
            "policy.conditions[0]",
            "invalid operator",
        ),
        (
            {"conditions": [{"field": "x", "operator": "exists"}]},
            "policy.conditions[0]",
            "value or value_from is required",
        ),
        (
            {"conditions": [{"field": "x", "operator": "eq", "value_from": 5}]},
            "policy.conditions[0]",
            "must be a field path",
        ),
        (
            {"conditions": [{"field": "x", "operator": "matches", "value": "("}]},
            "policy.conditions[0]",
            "invalid pattern: missing )",
        ),
        (
            {"conditions": [{"field": "x", "operator": "nmatches", "value": 5}]},
            "policy.conditions[0]",
            "invalid pattern",
        ),
    ],
)
def test_a_wrong_policy_entry_is_refused_with_its_place(changes, where, said):
    with pytest.raises(EntryInvalid) as refused:
        parse(**changes)
    assert refused.value.where == f"app:p at {where}"
    assert said in refused.value.what


def test_a_policy_without_a_rule_is_refused():
    for data in ({}, {"policy": None}, {"policy": "deny"}, {"policy": []}):
        with pytest.raises(EntryInvalid, match="needs actions"):
            parse_policy("app:p", data)
