"""No tool's cost grows with the number of files, but for the traversal that was asked for."""

import sys

import pytest

LISTED = []
WATCHING = []


def watch(event, arguments):
    """Note every listing of a directory; a hook cannot be taken away, so it has a switch."""
    if WATCHING and event in ("os.listdir", "os.scandir"):
        LISTED.append(arguments)


@pytest.fixture(scope="module", autouse=True)
def hook():
    """Watch for the rest of this process; without the switch it costs nothing to speak of."""
    sys.addaudithook(watch)


@pytest.mark.requirement("004/workspace/cost")
def test_reading_writing_editing_and_undoing_list_no_directory(tools):
    tools.path("a.txt").write_text("one\n")

    def switch(_):
        WATCHING.append(True)

    try:
        results = tools(
            switch,
            ("read_file", {"path": "a.txt"}),
            ("write_file", {"path": "new/b.txt", "content": "x"}),
            ("edit_file", {"path": "a.txt", "old": "one", "new": "two"}),
            ("search_files", {"path": "a.txt", "pattern": "two"}),
            lambda rt: rt.undo(2),
            lambda _: WATCHING.clear(),
        )
    finally:
        WATCHING.clear()
    assert results[-2] == ["restored a.txt", "removed new/b.txt"]
    assert LISTED == []


@pytest.mark.requirement("004/workspace/cost")
def test_a_listing_of_one_directory_looks_into_no_other(tools):
    for n in range(5):
        (tools.path(f"d{n}") / "deep").mkdir(parents=True)

    def switch(_):
        LISTED.clear()
        WATCHING.append(True)

    try:
        tools(switch, ("list_files", {}), lambda _: WATCHING.clear())
    finally:
        WATCHING.clear()
    assert len(LISTED) == 1
