"""The bundled documentation: complete front matter, links that lead somewhere, no name left out."""

import asyncio
import json
import posixpath
import re

import pytest

from micro_agi.sandbox.modules import MODULES
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit
from micro_agi.security.context import root_context
from micro_agi.tools.docs import MAX_BYTES, Docs, bundled

CORPUS = Docs().corpus
PAGES = {page.path: page for page in CORPUS.pages}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
GENERATED = {name: module for name, module in MODULES.items() if module.generated}
NOT_YET = {name for name, module in GENERATED.items() if not module.available}


def names(module):
    """Names `module.name` or `module:name` that the module's page writes as code."""
    (page,) = [page for page in PAGES.values() if page.module == module]
    name = re.compile(rf"(?<![\w.:]){module}[.:](\w+(?:\.\w+)*)")
    spans = CODE_SPAN.findall(FENCE.sub("", page.body))
    return {found for span in spans for found in name.findall(span)}


def fences(page, language):
    return [text for name, text in FENCE.findall(page.body) if name == language]


@pytest.mark.parametrize("path", PAGES)
def test_front_matter_is_complete(path):
    page = PAGES[path]
    assert page.summary.endswith(".")
    assert len(page.keywords) >= 5
    assert len(page.summary) <= 130


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_into_one_answer(path):
    assert len(CORPUS.render(PAGES[path]).encode()) < MAX_BYTES


@pytest.mark.parametrize("path", PAGES)
def test_links_lead_to_pages(path):
    text = FENCE.sub("", PAGES[path].body)
    targets = [posixpath.normpath(f"{path}/../{link}") for link in LINK.findall(text)]
    assert [t for t in targets if t.removesuffix(".md") not in PAGES] == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_begins_with_text_and_has_sections_but_no_title_of_its_own(path):
    body = FENCE.sub("", PAGES[path].body)
    assert body.strip()
    assert not re.search(r"^# ", body, re.MULTILINE)


def test_no_alias_is_taken_twice():
    names = [name for page in PAGES.values() for name in page.aliases]
    assert sorted({n for n in names if names.count(n) > 1}) == []
    assert sorted(set(names) & set(PAGES)) == []


@pytest.mark.parametrize("path", PAGES)
def test_every_lua_fence_says_what_it_is(path):
    firsts = [text.partition("\n")[0] for text in fences(PAGES[path], "lua")]
    assert [f for f in firsts if not re.match(r"-- (run |later: run |part$)", f)] == []


@pytest.mark.parametrize("path", [p.path for p in PAGES.values() if p.module])
def test_a_module_page_shows_a_complete_tool(path):
    examples = fences(PAGES[path], "lua")
    whole = [e for e in examples if "return { handler = handler }" in e]
    assert whole or PAGES[path].module in {"security"}


@pytest.mark.parametrize("path", PAGES)
def test_fenced_json_is_json(path):
    for text in fences(PAGES[path], "json"):
        json.loads(text)


def test_pages_say_which_modules_are_not_available_yet():
    for page in PAGES.values():
        if page.module:
            later = "Not available yet" in page.summary
            assert later == (page.module in NOT_YET), page.path
            assert later == ("-- later: run" in page.body), page.path


def test_every_available_module_of_the_sandbox_has_a_page():
    documented = {page.module for page in PAGES.values() if page.module}
    assert {name for name, module in MODULES.items() if module.available} <= documented
    assert documented - set(MODULES) == {"errors", "os", "string", "table", "math"}


@pytest.mark.parametrize("module", sorted(n for n, m in MODULES.items() if m.available))
def test_a_module_page_names_what_the_module_has_and_nothing_else(module):
    has = MODULES[module]
    inner = {f"{table}.{name}" for table, found in has.members.items() for name in found}
    assert names(module) == (set(has.functions) - set(has.members)) | inner


ABSENT = {
    "string": {"dump"},
    "os": {"execute", "remove", "rename", "getenv", "exit", "tmpname", "setlocale"},
}
KEYS_OF = """
return { handler = function(name)
  local keys = {}
  for key in pairs(_G[name] or require(name)) do keys[#keys + 1] = key end
  return keys
end }
"""


def keys_in_a_worker(library):
    async def ask():
        pool = Pool(host={}, workers=1)
        try:
            unit = Unit(id="docs:keys", source=KEYS_OF, method="handler")
            return await pool.call(unit, [library], context=root_context())
        finally:
            await pool.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("library", ["string", "table", "math", "os", "errors"])
def test_a_page_of_the_standard_library_names_what_a_worker_has(library):
    there = set(keys_in_a_worker(library))
    absent = ABSENT.get(library, set())
    assert there & absent == set()
    assert sorted(names(library) - absent) == sorted(there)


def test_the_overview_lists_every_module_where_it_belongs():
    every_tool, operator, later = PAGES["lua/modules"].body.split("## ")[1:]
    for name, module in MODULES.items():
        place = later if not module.available else every_tool if module.generated else operator
        assert f"`{name}`" in place, name


@pytest.mark.parametrize("module", sorted(GENERATED))
def test_the_guide_lists_what_a_tool_may_use(module):
    guide = PAGES["guides/write-a-tool"].body
    section = guide.partition("## Which modules")[2].partition("##")[0]
    allowed, _, missing = section.partition("Not available yet")
    assert f"`{module}`" in (missing if module in NOT_YET else allowed)


def test_the_readme_for_writers_is_no_page():
    assert (bundled() / "README.md").is_file()
    assert not any("readme" in path.lower() for path in PAGES)


@pytest.mark.parametrize(
    "guess",
    [
        *("lua/core/time", "en/lua/core/time", "/lua/core/time/", "lua/core/time.md", "time"),
        *("lua/time", "lua/core/time#layouts", "Lua/Core/Time", "time.parse", "docs/lua/core/time"),
        *("https://wippy.ai/llm/path/en/lua/core/time", "path/en/lua/core/time"),
    ],
)
def test_guesses_of_a_path_lead_to_the_page(guess):
    assert CORPUS.find(guess).path == "lua/core/time"


@pytest.mark.parametrize(
    ("guess", "path"),
    [
        *(("lua/json", "lua/core/json"), ("lua/data/json", "lua/core/json")),
        *(("http_client", "lua/http/client"), ("lua/http/http_client", "lua/http/client")),
        *(("http_client.get", "lua/http/client"), ("lua/http", "lua/http/client")),
        *(("lua/core/hash", "lua/security/hash"), ("sha256", "lua/security/hash")),
        *(("lua/dynamic/expr", "lua/data/expr"), ("lua/regexp", "lua/data/text")),
        *(("registry", "concepts/registry"), ("lua/registry", "lua/core/registry")),
        *(("system/security", "concepts/policies"), ("guides/entry-kinds", "concepts/kinds")),
        *(("framework/agents", "concepts/agents"), ("create_tool", "guides/write-a-tool")),
        *(("guides/write_a_tool", "guides/write-a-tool"), ("url", "lua/http/url")),
    ],
)
def test_likely_guesses_have_aliases(guess, path):
    assert CORPUS.find(guess).path == path
