"""The search index, through `add` and `search`."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_agi.search.index import Index
from micro_agi.search.ranked import words

FRUIT = {
    "apple": ("Apple", "pome", "A round fruit that grows on trees and keeps over winter."),
    "banana": ("Banana", "tropical", "A long yellow fruit. Bananas ripen off the plant."),
    "press": ("Pressing juice", "cider", "Apples are washed, milled and pressed."),
}


@pytest.fixture(name="index")
def index_fixture():
    index = Index()
    for key, (title, keywords, body) in FRUIT.items():
        index.add(key, title=title, keywords=keywords, body=body)
    yield index
    index.close()


def keys(index, query, limit=10):
    return [hit.key for hit in index.search(query, limit)]


def test_a_word_in_the_title_outranks_the_same_word_in_the_body(index):
    assert keys(index, "apple") == ["apple", "press"]


def test_other_forms_of_a_word_match(index):
    assert keys(index, "ripening bananas") == ["banana"]


def test_keywords_find_a_document_that_never_says_the_word(index):
    assert keys(index, "cider") == ["press"]


def test_a_question_needs_only_one_of_its_words(index):
    assert keys(index, "how do I transport something tropical by submarine") == ["banana"]


def test_an_unknown_word_matches_as_the_beginning_of_a_known_one(index):
    assert keys(index, "trop") == ["banana"]
    assert keys(index, "tropicals!") == ["banana"]


def test_a_word_that_only_resembles_another_is_ignored_beside_a_known_one(index):
    index.add("commander", title="Commander", body="orders")
    assert keys(index, "apples, bananas and commas") == ["banana", "apple", "press"]


def test_a_hit_shows_the_words_around_the_match(index):
    (hit, *_) = index.search("yellow")
    assert (hit.title, "yellow fruit" in hit.excerpt, "\n" in hit.excerpt) == (
        "Banana",
        True,
        False,
    )
    assert hit.score > 0


def test_a_key_added_again_is_replaced(index):
    index.add("apple", title="Quince", body="Hard.")
    assert keys(index, "quince") == ["apple"]
    assert keys(index, "winter") == []


def test_a_removed_document_is_not_found(index):
    index.remove("banana")
    index.remove("banana")
    assert keys(index, "banana") == []


def test_the_limit_is_kept_and_of_equal_scores_the_first_added_comes_first(index):
    for key in ("c", "a", "b"):
        index.add(key, title="same", body="same words")
    assert keys(index, "same words", 2) == ["c", "a"]
    assert keys(index, "same", 0) == []


def test_stop_words_alone_are_still_looked_for(index):
    assert keys(index, "on") == ["apple"]
    assert words("how to be") == ["how", "to", "be"]


def test_names_with_underscores_are_found_whole_and_in_parts(index):
    index.add("client", title="http_client", body="requests")
    assert keys(index, "http_client")[0] == "client"
    assert keys(index, "client")[0] == "client"
    assert keys(index, "http_thing")[0] == "client"


def test_a_given_connection_keeps_the_documents_and_stays_open():
    connection = sqlite3.connect(":memory:")
    Index(connection, table="pages").add("k", title="kept", body="")
    again = Index(connection, table="pages")
    assert keys(again, "kept") == ["k"]
    again.close()
    assert connection.execute("SELECT 1").fetchone() == (1,)
    connection.close()


@pytest.mark.parametrize(
    "query",
    [
        *("", " ", '"', "'", '"""', "*", "a*", "(", "NEAR(a b)", "apple AND", "OR", "NOT apple"),
        *("title:apple", "{title body}: x", "-apple", "^apple", "a + b", "apple; DROP TABLE x"),
        *("\x00", "apple\x00banana", "\ud800", "²", "_", "__", "日本語", "🍎", "%s", "?"),
        "apple " * 20_000,
        "".join(f"w{n} " for n in range(20_000)),
        "x" * 100_000,
    ],
)
def test_any_text_is_a_safe_query(index, query):
    assert len(index.search(query)) <= len(FRUIT)


@given(query=st.text(max_size=60), body=st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_no_query_and_no_document_breaks_the_index(query, body):
    index = Index()
    index.add(body, title=body, keywords=query, body=body)
    assert len(index.search(query)) <= 1
    assert len(index.search(body)) <= 1
    index.close()
