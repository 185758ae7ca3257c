"""Every model request comes out of the journal again, byte for byte, or is said not to.

`scripted_runtime` replays every session of every test that uses it when it closes.
"""

import asyncio
import json
import sqlite3

import pytest

from micro_agi.app import Parts, Runtime
from micro_agi.errors import EntryInvalid, EntryNotFound
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import StepStarted
from micro_agi.settings import load
from micro_agi.testing.model_server import Reply, ScriptedServer
from micro_agi.testing.transcript import run_transcript, scripted_runtime
from tests.half import HALF, ID, TURN

ROUNDED = {
    **HALF,
    "source": "return { handler = function(a) return { half = a.n // 2 } end }",
    "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
    "tests": [{"args": {"n": 4}, "expect": {"half": 2}}],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with one session: a tool was made, used twice, and then changed by a person."""
    place = tmp_path_factory.mktemp("replay")

    async def scenario():
        async with scripted_runtime(TURN, home=str(place)) as played:
            await run_transcript(played.runtime, "halve 3 and 8", session="s")
            await played.runtime.gate.native(ROUNDED, played.runtime.root())

    asyncio.run(scenario())
    return place


def looking(home, look):
    """Run `look(runtime)` on a copy of the home's state."""

    async def scenario():
        async with scripted_runtime([], home=str(home), replayed=False) as played:
            return await look(played.runtime)

    return asyncio.run(scenario())


@pytest.fixture
def changed(home, tmp_path):
    """A function that changes one row of a copy of the state and replays it there."""

    def change(statement, *values):
        [state] = home.rglob("state.db")
        copy = tmp_path / state.relative_to(home)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(state) as source, sqlite3.connect(copy) as to:
            source.backup(to)
            assert to.execute(statement, values).rowcount == 1
        return looking(tmp_path, lambda rt: rt.replay("s"))

    return change


@pytest.mark.requirement("006/replay/identical")
def test_all_requests_of_a_turn_are_rebuilt_in_another_process_without_a_model(home):
    replay = looking(home, lambda rt: rt.replay("s"))
    assert [(r.turn, r.step, r.verdict) for r in replay.requests] == [
        (1, step, "identical") for step in (1, 2, 3, 4)
    ]
    assert len({r.sent for r in replay.requests}) == 4
    assert replay.identical


@pytest.mark.requirement("006/replay/identical")
@pytest.mark.parametrize("words", [False, True])
def test_the_bytes_that_a_server_got_are_rebuilt(tmp_path, words):
    page = '<tool name="read_result">{"handle": "0123456789abcdef"}</tool>'
    native = Reply(calls=(Call("read_result", {"handle": "0123456789abcdef"}),))
    script = [Reply(text=page) if words else native, Reply(text="nothing")]

    async def scenario():
        async with ScriptedServer(script) as server:
            app = tmp_path / "app"
            (app / "src").mkdir(parents=True)
            (app / "src" / "_index.yaml").write_text(
                APP if words else APP.replace("[generate]", "[generate, tool_use]")
            )
            flags = {
                "home": str(tmp_path / "home"),
                "base_url": server.base_url,
                "model": "little",
                "app": str(app),
            }
            async with await Runtime.open(load(flags=flags), parts=Parts(offline=True)) as runtime:
                runtime.trust()
                await run_transcript(runtime, "what is there?", session="s")
                bodies = [r.body for r in server.received if r.body]
            # Nobody listens at that address any more.
        async with await Runtime.open(load(flags=flags), parts=Parts(offline=True)) as runtime:
            return await runtime.replay("s"), bodies

    replay, bodies = asyncio.run(scenario())
    assert replay.identical
    assert len(replay.requests) == len(bodies) == 2
    assert ("tools" in bodies[0]) != words


APP = """\
version: "1.0"
namespace: app
entries:
  - name: little
    kind: registry.entry
    meta:
      type: llm.model
      name: little
      capabilities: [generate]
    data:
      max_tokens: 8000
      providers: [{id: "wippy.llm.openai:provider", provider_model: little}]
  - name: helper
    kind: registry.entry
    meta: {type: agent.gen1, name: helper}
    data: {prompt: Help., model: little, tools: ["system:read_result"]}
"""


@pytest.mark.requirement("006/replay/damage")
def test_a_flipped_byte_in_the_journal_is_found_where_it_is(changed):
    flip = "CAST(replace(CAST(body AS TEXT), '1.5', '2.5') AS BLOB)"
    where = "kind = 'tool_call_finished' AND CAST(body AS TEXT) LIKE '%1.5%'"
    replay = changed(f"UPDATE journal SET body = {flip} WHERE {where}")
    [damage] = replay.damage
    number = int(damage.where.split("s/")[1].split()[0])
    assert damage.what == f"event {number} is not as it was written"
    assert [r.verdict for r in replay.requests] == [*["identical"] * 3, "different"]
    assert replay.faults[0].seq > number


@pytest.mark.requirement("006/replay/damage")
@pytest.mark.parametrize(
    "change", ["turn = 2", "at = at + 1", "kind = 'warning'", "hash = substr(hash, 2) || 'x'"]
)
def test_every_column_of_a_row_counts(changed, change):
    replay = changed(f"UPDATE journal SET {change} WHERE kind = 'tool_loaded'")
    assert ["is not as it was written" in d.what for d in replay.damage] == [True]


@pytest.mark.requirement("006/replay/damage")
def test_a_missing_row_is_found(changed):
    replay = changed("DELETE FROM journal WHERE kind = 'tool_loaded'")
    assert ["is missing" in d.what for d in replay.damage] == [True]


@pytest.mark.requirement("006/replay/damage")
def test_a_damaged_input_is_found_and_only_its_requests_differ(changed):
    system = "body = CAST(replace(CAST(body AS TEXT), 'half', 'helf') AS BLOB)"
    replay = changed(f'UPDATE blobs SET {system} WHERE CAST(body AS TEXT) LIKE \'{{"id":"{ID}%\'')
    [damage] = replay.damage
    assert damage.where.startswith("blob ")
    assert [r.verdict for r in replay.requests] == [*["identical"] * 2, "different", "different"]


def test_a_lost_input_is_said(changed):
    replay = changed(f'DELETE FROM blobs WHERE CAST(body AS TEXT) LIKE \'{{"id":"{ID}%\'')
    assert replay.requests[-1].verdict == "unreadable"
    assert "it is missing" in replay.requests[-1].why


def test_journals_from_before_inputs_were_recorded_say_so(changed):
    without = "CAST(json_remove(CAST(body AS TEXT), '$.inputs') AS BLOB), hash = ''"
    first = "seq = (SELECT min(seq) FROM journal WHERE kind = 'step_started')"
    replay = changed(f"UPDATE journal SET body = {without} WHERE {first}")
    assert (replay.requests[0].verdict, replay.damage) == ("unrecorded", ())
    assert not replay.identical


def test_what_did_not_change_is_recorded_once(home):
    async def look(runtime):
        recorded = await runtime.journal.read("s")
        return [r.event.inputs for r in recorded if isinstance(r.event, StepStarted)]

    first, second, third, fourth = looking(home, look)
    assert (first, third) == (second, fourth)
    assert first != third


@pytest.mark.requirement("006/replay/what-if")
def test_another_version_of_a_tool_says_what_it_would_have_changed(home):
    found = looking(home, lambda rt: rt.what_if("s", f"{ID}@v2"))
    assert [(json.loads(c.recorded), json.loads(c.then), c.different) for c in found.calls] == [
        ({"half": 1.5}, {"half": 1}, True),
        ({"half": 4.0}, {"half": 4}, found.calls[1].different),
    ]
    assert (found.offered.turn, found.offered.step) == (1, 3)
    assert list(found.offered.changed) == ["schema"]


@pytest.mark.requirement("006/replay/what-if")
def test_the_version_that_ran_changes_nothing(home):
    found = looking(home, lambda rt: rt.what_if("s", f"{ID}@v1"))
    assert not found.different
    assert len(found.calls) == 2


@pytest.mark.requirement("006/replay/what-if")
def test_a_version_with_effects_is_not_run(tmp_path):
    far = {**HALF, "modules": ["http_client"], "hosts": ["http://example.com/*"], "tests": []}
    far["source"] = (
        'local http = require("http_client")\n'
        'return { handler = function() return http.get("http://example.com/") end }'
    )

    async def scenario():
        async with scripted_runtime(TURN, home=str(tmp_path)) as played:
            await run_transcript(played.runtime, "go", session="s")
            await played.runtime.gate.native(far, played.runtime.root())
            return await played.runtime.what_if("s", f"{ID}@v2")

    found = asyncio.run(scenario())
    assert [c.then for c in found.calls] == [None, None]
    assert "effects outside" in found.calls[0].why


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        (f"{ID}@v9", EntryNotFound, "there are: v1, v2"),
        ("app.generated:other@v1", EntryNotFound, "tool list"),
        (ID, EntryInvalid, "ID@vN"),
        (f"{ID}@latest", EntryInvalid, "ID@vN"),
    ],
)
def test_a_version_that_there_is_not_is_refused(home, wanted, error, said):
    with pytest.raises(error) as refused:
        looking(home, lambda rt: rt.what_if("s", wanted))
    assert said in refused.value.fix
