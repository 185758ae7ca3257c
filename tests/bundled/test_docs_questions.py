"""Questions in other words than the pages': each finds its page among the first three."""

import pytest

from micro_agi.tools.docs import Docs

TIME = {"lua/core/time", "guides/work-with-time"}
JSON = {"lua/core/json", "guides/work-with-json"}
HTTP = {"lua/http/client", "guides/fetch-a-url"}
ERRORS = {"guides/errors-in-tools", "lua/core/errors"}
TESTS = {"guides/write-tests-for-a-tool"}
WRITE = {"guides/write-a-tool"}

QUESTIONS = [
    ("how do I get the current hour in Tokyo", TIME),
    ("what time is it", TIME),
    ("what's today's date", TIME),
    ("how many days until christmas", TIME),
    ("convert a unix epoch to something readable", TIME),
    ("which day of the week was 14 July 1789", TIME),
    ("add three months to a date", TIME),
    ("compare two dates", TIME),
    ("strftime", {"lua/core/os"}),
    ("wait five seconds", {"lua/core/time"}),
    ("edit a file in the workspace", {"guides/work-with-files"}),
    ("run a shell command", {"guides/work-with-files"}),
    ("remember something for another session", {"guides/remember-and-plan"}),
    ("columns of a csv file", {"guides/remember-and-plan"}),
    ("task list of a project", {"guides/remember-and-plan"}),
    ("daylight saving timezone conversion", TIME),
    ("ISO 8601 timestamp", TIME),
    ("stopwatch elapsed milliseconds", TIME),
    ("sha checksum of a string", {"lua/security/hash"}),
    ("md5sum", {"lua/security/hash"}),
    ("verify a webhook signature", {"lua/security/hash"}),
    ("hmac sha256", {"lua/security/hash"}),
    ("call a web API and read a field", HTTP),
    ("download a page from the internet", HTTP),
    ("what is my ip address", HTTP),
    ("send a POST with a bearer token", HTTP),
    ("get the weather", HTTP),
    ("upload a file as multipart form", {"lua/http/client"}),
    ("curl", HTTP),
    ("scrape a website", HTTP),
    ("several requests in parallel", {"lua/http/client"}),
    ("url-encode a query parameter", HTTP | {"lua/http/url"}),
    ("split a url into host and path", {"lua/http/url"}),
    ("join a relative link to its base address", {"lua/http/url"}),
    ("parse a JSON response", JSON | HTTP),
    ("turn a table into json text", JSON),
    ("validate data against a json schema", JSON),
    ("deserialize", JSON),
    ("null values disappear", JSON),
    ("write a tool in python", {"python/tools"}),
    ("can I use numpy or pandas", {"python/tools"}),
    ("type hints to schema", {"python/tools"}),
    ("ask a language model from lua", {"lua/framework/llm"}),
    ("get JSON that fits a schema from a model", {"lua/framework/llm"}),
    ("vectors of an embedding model", {"lua/framework/llm"}),
    ("summarize a long text", {"lua/framework/llm"}),
    ("build a conversation with images", {"lua/framework/prompt"}),
    ("run an agent from lua and execute its tool_calls", {"lua/framework/agents"}),
    ("pid and messages by topic", {"lua/core/process"}),
    ("generate a unique id", {"lua/security/uuid"}),
    ("random guid", {"lua/security/uuid"}),
    ("decode base64 attachment", {"lua/data/base64"}),
    ("btoa", {"lua/data/base64"}),
    ("encrypt with AES", {"lua/security/crypto"}),
    ("check a JWT", {"lua/security/crypto"}),
    ("hash a password with pbkdf2", {"lua/security/crypto"}),
    ("regular expression with capture groups", {"lua/data/text", "lua/core/string"}),
    ("diff of two texts", {"lua/data/text"}),
    ("split text on commas", {"lua/core/string"}),
    ("trim whitespace", {"lua/core/string"}),
    ("uppercase the first letter", {"lua/core/string"}),
    ("sort a list descending", {"lua/core/table"}),
    ("remove duplicates from an array", {"lua/core/table"}),
    ("group rows and sum", {"lua/core/table"}),
    ("round to two decimals", {"lua/core/math", "lua/core/string"}),
    ("roll a dice", {"lua/core/math"}),
    ("standard deviation", {"lua/core/math"}),
    ("evaluate a formula given by the user", {"lua/data/expr"}),
    ("read a yaml config", {"lua/data/yaml", "concepts/entries"}),
    ("how do I make a new tool", WRITE),
    ("create_tool arguments", WRITE | {"concepts/tools"}),
    ("what must the source return", WRITE),
    ("which modules may I use", WRITE | {"lua/modules"}),
    ("overview of all libraries", {"lua/modules"}),
    ("may I use channels", {"lua/modules", "lua/core/channel"}),
    ("write to a file on disk", {"lua/core/environment", "concepts/sandbox"}),
    ("run a shell command", {"lua/core/environment"}),
    ("is os.getenv available", {"lua/core/os", "lua/core/environment"}),
    ("remember something between two calls", {"lua/core/environment"}),
    ("attempt to index a nil value", ERRORS),
    ("how to return an error", ERRORS),
    ("catch an exception", ERRORS),
    ("module not found", ERRORS | {"lua/core/environment"}),
    ("rate limited error kind", {"lua/core/errors"}),
    ("fake the network in a test", TESTS),
    ("freeze the clock", TESTS | TIME),
    ("not available in a trial", TESTS | ERRORS),
    ("expected output for my draft", TESTS),
    ("call one tool from another", {"lua/core/funcs"}),
    ("write a log line", {"lua/core/logger", "lua/core/environment"}),
    ("list all entries of a namespace", {"lua/core/registry", "concepts/registry"}),
    ("undo a change to a tool", {"concepts/registry", "concepts/tools"}),
    ("where are my tools stored", {"concepts/registry"}),
    ("what is in an _index.yaml", {"concepts/entries"}),
    ("which kinds of entries are there", {"concepts/kinds"}),
    ("why was my write denied", {"concepts/policies"}),
    ("what does app:* match", {"concepts/policies"}),
    ("how long may a tool run", {"concepts/limits"}),
    ("maximum size of a result", {"concepts/limits"}),
    ("user approval for a host", {"concepts/grants"}),
    ("is model-written code isolated", {"concepts/sandbox"}),
    ("summary of long conversations", {"concepts/agents"}),
    ("system prompt of an agent", {"concepts/agents"}),
    ("local time in New York right now", TIME),
    ("age of a person from their birthday", TIME),
    ("is it a leap year", TIME),
    ("http get request example", HTTP),
    ("the server returned 404", HTTP | ERRORS),
    ("currency exchange rate", HTTP),
    ("stock price", HTTP),
    ("array of objects to string", JSON | {"lua/core/table"}),
    ("is this string a valid uuid", {"lua/security/uuid"}),
    ("does the string start with a prefix", {"lua/core/string"}),
    ("largest number in a list", {"lua/core/math", "lua/core/table"}),
    ("convert radians to degrees", {"lua/core/math"}),
    ("iterate over a dictionary in order", {"lua/core/table"}),
    ("what does handler receive", WRITE),
    ("why did my tool crash", ERRORS),
    ("can I read files", {"lua/core/environment", "concepts/sandbox"}),
    ("list available tools", {"concepts/tools", "lua/core/registry", "lua/modules"}),
    ("revert to an earlier version", {"concepts/registry", "lua/core/registry"}),
    ("source code too long", {"concepts/limits", "guides/write-a-tool"}),
    ("wait for several things at once", {"lua/core/channel"}),
    ("run two requests in parallel", {"lua/core/channel", "lua/core/funcs"}),
    ("deadlock all coroutines blocked", {"lua/core/channel"}),
    ("convert a value to messagepack bytes", {"lua/core/payload"}),
    ("read an environment variable", {"lua/core/env"}),
    ("remember a value between calls in a database", {"lua/core/store"}),
    ("publish an event and subscribe to it", {"lua/core/events"}),
    ("open a binding of a contract", {"lua/core/contract"}),
    ("values of the caller's context", {"lua/core/ctx"}),
    ("calculate 2*21 given as text", {"lua/data/expr", "lua/core/math"}),
]


@pytest.fixture(name="corpus", scope="module")
def corpus_fixture():
    return Docs().corpus


@pytest.mark.parametrize(("question", "pages"), QUESTIONS)
def test_a_question_finds_its_page_among_the_first_three(corpus, question, pages):
    found = [hit.key for hit in corpus.hits(question, 3)]
    assert pages & set(found), found


def test_most_questions_find_their_page_first(corpus):
    first = [corpus.hits(question, 1)[0].key in pages for question, pages in QUESTIONS]
    assert sum(first) / len(first) > 0.8


def test_the_questions_cover_every_page(corpus):
    wanted = set().union(*(pages for _, pages in QUESTIONS))
    assert {page.path for page in corpus.pages} - wanted <= {"lua/security/security"}
