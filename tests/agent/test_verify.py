"""The verifier: measured on labelled answers, and advisory in a turn."""

import asyncio
import time

import pytest

from micro_agi.agent.verify import unbacked
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import Unbacked
from tests.agent.claims import CASES
from tests.agent.playing import agent, lua, playing, turn


@pytest.mark.requirement("004/verifier/precise")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_made_up_is_flagged_and_nothing_else(case):
    assert sorted(unbacked(case.answer, case.seen)) == sorted(case.made_up)


def test_on_the_labelled_set_no_flag_is_wrong_and_most_inventions_are_found():
    right = wrong = missed = 0
    for case in CASES:
        flagged = set(unbacked(case.answer, case.seen))
        right += len(flagged & set(case.made_up))
        wrong += len(flagged - set(case.made_up))
        missed += len({*case.made_up, *case.missed} - flagged)
    assert wrong == 0
    assert right / (right + missed) >= 0.75


def test_long_talk_costs_little():
    """Two megabytes of numbers, and an answer with a hundred: a bound, not a benchmark."""
    seen = [f"row {n * 7919} value {n * 104729}" for n in range(60_000)]
    answer = " ".join(f"It is {n}." for n in range(1_000_001, 1_000_101))
    start = time.process_time()
    assert unbacked(answer, seen)
    assert time.process_time() - start < 5


COUNT = lua("count", "return 'counted 4182 rows in /srv/q3.csv'", llm_description="Count.")


def play(*answers, **settings):
    async def scenario():
        script = [step for answer in answers for step in (Call("count", {}), answer)]
        entries = [COUNT, agent("a", tools=["app:count"])]
        async with playing(script, *entries, **settings) as played:
            return [await turn(played.runtime) for _ in answers]

    turns = asyncio.run(scenario())
    assert [(t.outcome, t.text) for t, _ in turns] == [("answered", a) for a in answers]
    return [[e.facts for e in events if isinstance(e, Unbacked)] for _, events in turns]


@pytest.mark.requirement("004/verifier/advisory")
def test_an_answer_that_claims_what_no_tool_returned_is_flagged_and_given():
    wrong, right = (f"There are {n} rows in /srv/q3.csv." for n in (9317, 4182))
    assert play(wrong, right) == [[("9317",)], []]
    assert play(wrong, verify=False) == [[]]


def test_an_answer_without_tools_is_not_looked_at():
    async def scenario():
        async with playing(["It has 9317 rows."], agent("a")) as played:
            return await turn(played.runtime)

    _, events = asyncio.run(scenario())
    assert [e for e in events if isinstance(e, Unbacked)] == []
