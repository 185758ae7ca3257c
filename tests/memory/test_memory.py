"""Long-term memory: what is stored, found and kept apart. Several processes share it."""

import asyncio
import subprocess
import sys
import textwrap

import pytest

from micro_agi.errors import EntryConflict, EntryNotFound, InputInvalid
from micro_agi.memory import rows
from micro_agi.memory.item import Origin, draft
from micro_agi.memory.memory import Filter, Memory
from micro_agi.search.ranked import CANDIDATES
from micro_agi.store.database import Database
from micro_agi.testing.clock import FakeClock

HERE = Origin(agent="local:assistant", session="s1", turn=3, call_id="3.1/c", actor="agent:a")


def with_memory(scenario, *, path=None, clock=None):
    """Run `scenario(memory)` on a database of its own."""
    database = Database.open(path)
    try:
        memory = Memory(database, clock=(clock or FakeClock()).time)
        return asyncio.run(scenario(memory))
    finally:
        database.close()


async def filled(memory, *contents, **options):
    return [(await memory.add(c, origin=HERE, **options)).item.id for c in contents]


def found(memory, query, **options):
    async def run():
        return [item.content for item in await memory.search(query, **options)]

    return run()


@pytest.mark.requirement("004/memory/operations", "004/memory/provenance")
def test_an_item_is_added_read_changed_and_forgotten_and_says_where_it_came_from():
    async def scenario(memory):
        added = await memory.add(
            "Backups run at 02:00", tags=["ops"], metadata={"host": "db1"}, origin=HERE
        )
        item = added.item
        assert (added.new, item.id, item.revision) == (True, "mem_1", 1)
        assert (item.origin, item.revised_by) == (HERE, HERE)
        changer = Origin(session="s2")
        changed = await memory.update("mem_1", content="Backups run at 03:00", origin=changer)
        assert (changed.content, changed.tags, changed.metadata) == (
            "Backups run at 03:00",
            ("ops",),
            {"host": "db1"},
        )
        assert (changed.revision, changed.origin, changed.revised_by) == (2, HERE, changer)
        assert await memory.get("mem_1") == changed
        assert await found(memory, "02") == []
        gone = await memory.delete("mem_1")
        assert gone == changed
        with pytest.raises(EntryNotFound):
            await memory.get("mem_1")
        assert await filled(memory, "another") == ["mem_2"]  # an id is never given out again

    with_memory(scenario)


@pytest.mark.requirement("004/memory/ranked")
def test_more_and_rarer_words_come_first_and_no_word_is_required():
    async def scenario(memory):
        await filled(
            memory,
            "The staging server is called heron",
            "Postgres runs on port 5433",
            "The web server listens on port 8080",
            "東京の水族館で働いている",
        )
        assert await found(memory, "postgres port") == [
            "Postgres runs on port 5433",
            "The web server listens on port 8080",
        ]
        assert await found(memory, "水族館") == ["東京の水族館で働いている"]
        assert await found(memory, "what about servers?") == [
            "The staging server is called heron",
            "The web server listens on port 8080",
        ]
        assert await found(memory, '"AND NOT (* :') == []

    with_memory(scenario)


def test_tags_metadata_and_session_filter_a_search_and_a_list():
    async def scenario(memory):
        await filled(memory, "port of db", tags=["ops"], metadata={"host": "db1"})
        await filled(memory, "port of web", tags=["ops", "web"])
        await memory.add("port of mail", origin=Origin(session="s2"))
        only = Filter(metadata={"host": "db1"}, tags=("ops",))
        assert await found(memory, "port", only=only) == ["port of db"]
        assert await found(memory, "port", only=Filter(session="s2")) == ["port of mail"]
        page = await memory.listed(only=Filter(tags=("ops",)))
        assert [i.content for i in page.items] == ["port of web", "port of db"]
        assert page.total == 3

    with_memory(scenario)


def test_a_filter_is_not_fooled_by_better_matches_that_it_drops():
    async def scenario(memory):
        for n in range(500):
            await memory.add(f"port port port {n}", origin=Origin(session="noise"))
        await memory.add(f"port {'and much else ' * 9}", origin=Origin(session="mine"), tags=["x"])
        assert len(await found(memory, "port", only=Filter(session="mine"))) == 1

    with_memory(scenario)


def test_pages_follow_each_other_without_gap_or_repetition():
    async def scenario(memory):
        await filled(memory, *(f"note {n}" for n in range(7)))
        seen, after = [], ""
        for _ in range(4):
            page = await memory.listed(limit=2, after=after)
            seen += [item.id for item in page.items]
            after = page.next
        assert seen == [f"mem_{n}" for n in range(7, 0, -1)]
        assert after == ""

    with_memory(scenario)


def test_the_same_content_is_one_item_and_cannot_become_another_ones_twin():
    async def scenario(memory):
        [first, second] = await filled(memory, "likes tea", "likes coffee")
        again = await memory.add("likes   tea", tags=["x"], origin=Origin(session="s2"))
        assert (again.new, again.item.id, again.item.tags) == (False, first, ())
        with pytest.raises(EntryConflict, match="mem_1"):
            await memory.update(second, content="likes tea", origin=HERE)
        with pytest.raises(EntryConflict, match="revision 1"):
            await memory.update(second, content="x", origin=HERE, expected_revision=7)

    with_memory(scenario)


@pytest.mark.requirement("004/memory/spaces")
def test_a_space_cannot_see_change_or_find_what_another_one_has():
    async def scenario(memory):
        await filled(memory, "alice keeps the key under the mat", space="alice")
        await filled(memory, "the mat is blue", "mats", space="bob")
        assert await found(memory, "key mat", space="bob") == ["mats", "the mat is blue"]
        assert await found(memory, "key", space="bob") == []
        assert (await memory.listed(space="bob")).total == 2
        for operation in (memory.get, memory.delete):
            with pytest.raises(EntryNotFound):
                await operation("mem_1", space="bob")
        with pytest.raises(EntryNotFound):
            await memory.update("mem_1", content="x", origin=HERE, space="bob")
        # The same content in two spaces is two items.
        assert (await memory.add("mats", origin=HERE, space="alice")).new

    with_memory(scenario)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"content": "  \n"}, "nothing to remember"),
        ({"content": "x" * 16_001}, "16001 characters"),
        ({"content": "x", "tags": ["a" * 65]}, "is no tag"),
        ({"content": "x", "tags": [str(n) for n in range(17)]}, "17 tags"),
        ({"content": "x", "metadata": {"k": "v" * 5000}}, "metadata has"),
        ({"content": "x", "metadata": {"k": object()}}, "no JSON"),
    ],
)
def test_what_no_item_may_be_is_refused_with_its_limit(given, said):
    async def scenario(memory):
        with pytest.raises(InputInvalid, match=said):
            await memory.add(**given, origin=HERE)
        assert (await memory.listed()).total == 0

    with_memory(scenario)


def test_ids_limits_and_queries_that_are_none_are_refused():
    async def scenario(memory):
        for wrong in ("", "mem_", "-1", "mem_1; DROP", "９", "1" * 30):
            with pytest.raises(InputInvalid, match="no id"):
                await memory.get(wrong)
        for limit in (0, -1, 201):
            with pytest.raises(InputInvalid, match="limit"):
                await memory.search("x", limit=limit)
        with pytest.raises(InputInvalid, match="nothing to search"):
            await memory.search(" ")
        with pytest.raises(InputInvalid, match="nothing to change"):
            await memory.update("mem_1", origin=HERE)

    with_memory(scenario)


def test_text_that_no_database_takes_as_it_is_comes_back_readable():
    async def scenario(memory):
        await filled(memory, "a lone \ud800 half and a \0 zero 😀")
        [item] = (await memory.listed()).items
        assert item.content == "a lone ? half and a \0 zero 😀"
        assert await found(memory, "zero") == [item.content]

    with_memory(scenario)


def test_a_word_that_most_items_have_costs_no_more_and_finds_the_newest():
    many = CANDIDATES + 100

    def fill(db):
        rows.add(db, "bob", draft("server of bob"), HERE, 0.0)
        for n in range(many):
            rows.add(db, "", draft(f"server number {n}"), HERE, 0.0)
        rows.add(db, "", draft("heron server"), HERE, 0.0)

    database = Database.open(None)
    database.write_now(fill)

    async def scenario():
        memory = Memory(database)
        assert (await memory.search("heron server"))[0].content == "heron server"
        found = await memory.search("server", limit=50)
        assert len(found) == 50
        assert min(int(item.id.removeprefix("mem_")) for item in found) > many - CANDIDATES
        # Another space's many newer ones take no place of its own few.
        [own] = await memory.search("server", space="bob")
        assert own.content == "server of bob"

    asyncio.run(scenario())
    database.close()


@pytest.mark.requirement("004/memory/related")
def test_related_items_share_telling_words_and_unrelated_text_finds_none():
    async def scenario(memory):
        await filled(memory, *(f"server number {n}" for n in range(40)))
        await filled(memory, "the heron server is in Oslo")
        related = await memory.related("is heron up? I ask for the server", limit=3)
        assert [item.content for item in related] == ["the heron server is in Oslo"]
        assert await memory.related("which server?", limit=3) == []
        assert await memory.related("heron", without=[related[0].id], limit=3) == []

    with_memory(scenario)


WRITER = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from micro_agi.memory.item import Origin
    from micro_agi.memory.memory import Memory
    from micro_agi.store.database import Database

    async def main(path, name):
        database = Database.open(Path(path))
        memory = Memory(database)
        print("ready", flush=True)
        sys.stdin.readline()  # both start together
        for n in range(40):
            await memory.add(f"{name} saw thing {n}", origin=Origin(session=name))
            await memory.add(f"shared fact {n}", origin=Origin(session=name))
        database.close()

    asyncio.run(main(*sys.argv[1:]))
    """
)


@pytest.mark.requirement("004/memory/processes")
def test_two_processes_that_write_at_once_lose_nothing_and_double_nothing(tmp_path):
    path = tmp_path / "state.db"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("left", "right")
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=50)
        assert writer.returncode == 0

    async def scenario(memory):
        page = await memory.listed(limit=200)
        assert page.total == 120
        assert len({item.id for item in page.items}) == 120
        assert len(await memory.search("left", limit=200)) == 40
        assert len(await memory.search("shared", limit=200)) == 40

    with_memory(scenario, path=path)
