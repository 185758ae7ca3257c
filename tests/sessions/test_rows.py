"""Rows of journals that older programs wrote are read as they were meant.

`journal-1.jsonl` has one of every event with every field, as schema 1 wrote it. It is never
changed, but for a line for each event that is new. A change of shape raises `SCHEMA`, adds an
upcaster, and starts a file of its own; this one has to go through the upcasters then.
"""

import json
import typing
from pathlib import Path

import msgspec
import pytest

from micro_agi.errors import StoreFailed
from micro_agi.messages import AnyEvent, TextDelta, ThinkingDelta, Warned
from micro_agi.sessions import rows

GOLDEN = [
    json.loads(line)
    for line in Path(__file__).with_name("journal-1.jsonl").read_text("utf-8").splitlines()
]
KINDS = {
    kind.__struct_config__.tag: kind
    for kind in typing.get_args(AnyEvent)
    if kind not in (TextDelta, ThinkingDelta)
}


def stored(events):
    return [
        (n, 0.0, 1, event["kind"], event["schema"], json.dumps(event["body"]).encode())
        for n, event in enumerate(events, 1)
    ]


def holds(event, written):
    """Whether all that was written is in an event, in the same place."""
    if isinstance(written, dict):
        return all(key in event and holds(event[key], value) for key, value in written.items())
    if isinstance(written, list):
        return len(event) == len(written) and all(map(holds, event, written))
    return event == written


@pytest.mark.requirement("design/12/upcasters")
def test_every_event_that_was_ever_written_is_read_with_all_that_is_in_it():
    assert {event["kind"] for event in GOLDEN} == set(KINDS)
    for written, event in zip(GOLDEN, rows.decode("s", stored(GOLDEN)), strict=True):
        assert holds(msgspec.to_builtins(event), written["body"]), written["kind"]


@pytest.mark.requirement("design/12/upcasters")
@pytest.mark.parametrize("written", GOLDEN, ids=lambda written: written["kind"])
def test_a_row_from_before_a_field_was_added_has_its_default(written):
    fields = msgspec.structs.fields(KINDS[written["kind"]])
    needed = {"type", *(f.encode_name for f in fields if f.required)}
    body = {key: value for key, value in written["body"].items() if key in needed}
    [event] = rows.decode("s", stored([{**written, "body": body}]))
    assert isinstance(event, KINDS[written["kind"]])


@pytest.mark.requirement("design/12/upcasters")
def test_rows_of_an_older_schema_go_through_the_upcasters_between(monkeypatch):
    def renamed(kind, body):
        assert kind == "warning"
        return {**body, "text": body.pop("said")}

    monkeypatch.setitem(rows.UPCASTERS, 0, renamed)
    old = {"kind": "warning", "schema": 0, "body": {"type": "warning", "said": "old"}}
    new = {"kind": "warning", "schema": 1, "body": {"type": "warning", "text": "new"}}
    assert rows.decode("s", stored([old, new])) == [Warned(text="old"), Warned(text="new")]


def test_the_row_that_cannot_be_read_is_named_among_many():
    bad = {"kind": "warning", "schema": 1, "body": {"type": "warning", "text": 7}}
    with pytest.raises(StoreFailed, match="event 2 of session `s`"):
        rows.decode("s", stored([GOLDEN[0], bad, *GOLDEN]))
