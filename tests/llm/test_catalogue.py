"""Models as entries describe them, and which one a name or class means."""

import pytest

from micro_agi.errors import EntryInvalid, InputInvalid
from micro_agi.llm.catalogue import Catalogue, ModelEntry, Pricing, read_card
from micro_agi.messages import Usage

GPT = ModelEntry(
    "app:gpt-5.1",
    {
        "name": "gpt-5.1",
        "type": "llm.model",
        "title": "GPT-5.1",
        "comment": "Reasoning model",
        "capabilities": ["generate", "tool_use"],
        "class": ["reasoning"],
        "priority": 210,
    },
    {
        "max_tokens": 128000,
        "output_tokens": 32768,
        "pricing": {"input": 2.5, "output": 10},
        "providers": [
            {
                "id": "wippy.llm.openai:provider",
                "options": {"reasoning_model_request": True},
                "provider_model": "gpt-5.1-2025",
            },
            {"id": "other:provider", "provider_model": "x"},
        ],
        "thinking_effort": 10,
    },
)
NANO = ModelEntry(
    "app:nano",
    {"class": ["fast", "reasoning"], "priority": 100},
    {"providers": [{"id": "wippy.llm.openai:provider"}]},
)


def test_an_entry_becomes_a_card():
    card = read_card(GPT)
    assert (card.name, card.title, card.description) == ("gpt-5.1", "GPT-5.1", "Reasoning model")
    assert (card.max_tokens, card.output_tokens, card.priority) == (128000, 32768, 210)
    assert (card.provider, card.provider_model) == ("wippy.llm.openai:provider", "gpt-5.1-2025")
    assert card.options == {"reasoning_model_request": True}
    assert card.thinking_effort == 10


def test_what_is_not_given_has_defaults():
    card = read_card(NANO)
    assert (card.name, card.provider_model, card.pricing) == ("nano", "nano", None)
    assert (card.max_tokens, card.capabilities, card.thinking_effort) == (0, (), None)


@pytest.mark.parametrize(
    ("meta", "data", "path"),
    [
        ({"name": 5}, {}, "meta.name"),
        ({"class": [1]}, {}, "meta.class"),
        ({"priority": "high"}, {}, "meta.priority"),
        ({}, {"max_tokens": 1.5}, "data.max_tokens"),
        ({}, {"pricing": {"input": "free"}}, "data.pricing.input"),
        ({}, {"pricing": {"output": -1}}, "data.pricing.output"),
        ({}, {"providers": {"id": "x"}}, "data.providers"),
        ({}, {"providers": [{"id": 1}]}, "data.providers[0].id"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_path(meta, data, path):
    with pytest.raises(EntryInvalid) as wrong:
        read_card(ModelEntry("app:m", meta, data))
    assert wrong.value.where == f"app:m at {path}"


def test_a_name_a_class_and_a_bare_class_find_a_model():
    models = Catalogue([NANO, GPT])
    assert models.resolve("gpt-5.1").name == "gpt-5.1"
    assert models.resolve("class:reasoning").name == "gpt-5.1"
    assert models.resolve("class:fast").name == "nano"
    assert models.resolve("reasoning").name == "gpt-5.1"
    assert [c.name for c in models.by_class("reasoning")] == ["gpt-5.1", "nano"]
    assert [c.name for c in models.all()] == ["gpt-5.1", "nano"]


@pytest.mark.parametrize("wanted", ["gpt-5", "class:gpt-5.1", "class:nothing", ""])
def test_an_unknown_model_names_the_nearest(wanted):
    with pytest.raises(InputInvalid) as unknown:
        Catalogue([NANO, GPT]).resolve(wanted)
    assert "use one of" in unknown.value.fix


def test_cost_counts_cached_tokens_at_their_own_price():
    spent = Usage(prompt=1_000_000, cached=1_000_000, completion=100_000, thinking=50_000)
    assert Pricing(input=2.5, output=10).cost(spent) == pytest.approx(6.0)
    assert Pricing(input=2.5, output=10, cached_input=0.25).cost(spent) == pytest.approx(3.75)
    assert read_card(NANO).cost(spent) is None


def test_a_provider_can_be_an_entry_whose_options_lie_beneath_the_models():
    provider = ModelEntry(
        "app:gateway",
        {"type": "llm.provider"},
        {
            "driver": {
                "id": "wippy.llm.claude:provider",
                "options": {"base_url": "u", "cache": False},
            }
        },
    )
    model = ModelEntry(
        "app:m",
        {"name": "m"},
        {"providers": [{"id": "app:gateway", "options": {"cache": True}}]},
    )
    [card] = Catalogue([model], [provider]).all()
    assert card.provider == "wippy.llm.claude:provider"
    assert card.options == {"base_url": "u", "cache": True}
    assert Catalogue([model]).all()[0].provider == "app:gateway"
    broken = ModelEntry("app:gateway", {"type": "llm.provider"}, {"driver": "x"})
    with pytest.raises(EntryInvalid, match="has no driver") as invalid:
        Catalogue([model], [broken])
    assert invalid.value.where == "app:gateway at data.driver"


def test_what_is_written_to_a_cache_has_its_own_price():
    usage = Usage(prompt=300, cached=50, cache_write=200, completion=10)
    price = Pricing(input=1, output=10, cached_input=0.1, cache_write=1.25)
    assert price.cost(usage) == pytest.approx((100 + 5 + 250 + 100) / 1e6)
    assert Pricing(input=1, output=10).cost(usage) == pytest.approx((350 + 100) / 1e6)
    assert usage.plus(usage).cache_write == 400
    card = read_card(ModelEntry("app:m", {}, {"pricing": {"input": 1, "cache_write": 1.25}}))
    assert card.pricing == Pricing(input=1, cache_write=1.25)
