"""Contexts narrow and never widen."""

import pytest

from micro_agi.errors import PolicyDenied
from micro_agi.security.actor import ROOT, Actor
from micro_agi.security.context import CallContext, Trial, root_context
from micro_agi.security.policy import Policy, Scope

DENY = Policy(id="app:no", effect="deny", actions=("write",))
ALLOW = Policy(id="app:yes", effect="allow")
HASH = {"field": "meta.tool_hash", "operator": "eq", "value": "h1"}


def context(**changes):
    return CallContext(actor=Actor("agent:a"), scope=Scope((ALLOW, DENY)), **changes)


def test_root_is_explicit_and_can_only_be_given_up():
    root = root_context(session="s", reason="why")
    assert (root.root, root.actor, root.session, root.reason) == (True, ROOT, "s", "why")
    assert root.evaluate("anything", "at:all").allowed
    assert not root.narrowed(root=False).root
    assert root.narrowed(session="t").root
    with pytest.raises(PolicyDenied, match="cannot become root"):
        root.narrowed(root=False).narrowed(root=True)
    with pytest.raises(PolicyDenied, match="cannot become root"):
        context().narrowed(root=True)


def test_a_call_cannot_leave_the_trial_it_is_in():
    trying = context().narrowed(trial=Trial(now_ns=1))
    assert trying.narrowed(depth=1).trial == Trial(now_ns=1)
    assert trying.narrowed(trial=Trial(now_ns=2)).trial == Trial(now_ns=2)
    with pytest.raises(PolicyDenied, match="cannot leave its trial"):
        trying.narrowed(trial=None)


def test_a_context_cannot_be_changed():
    with pytest.raises(AttributeError):
        context().root = True


def test_require_takes_exactly_allow_and_forbid_denied_takes_anything_but_deny():
    silent = CallContext(actor=Actor("a"), scope=Scope())
    context().require("read", "x")
    context().forbid_denied("read", "x")
    silent.forbid_denied("read", "x")
    for refused in (lambda: silent.require("read", "x"), lambda: context().require("write", "x")):
        with pytest.raises(PolicyDenied):
            refused()
    with pytest.raises(PolicyDenied, match="is not allowed"):
        context().forbid_denied("write", "x")


def test_grants_count_beside_the_scope_and_do_not_beat_its_deny():
    grant = Scope((Policy(id="app.grants:g", effect="allow", actions=("write", "fetch")),))
    silent = CallContext(actor=Actor("a"), scope=Scope((DENY,)), grants=grant)
    silent.require("fetch", "x")
    with pytest.raises(PolicyDenied):
        silent.require("write", "x")


def test_where_says_who_and_in_which_session():
    assert context().where == "agent:a"
    assert context(session="s1").where == "agent:a in session s1"
