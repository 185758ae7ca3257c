"""`wippy.llm:llm` and its discovery: models for an app's Lua code."""

import pytest

from micro_agi.errors import PolicyDenied
from micro_agi.llm.failure import provider_error
from micro_agi.llm.providers.scripted import Call
from tests.tools.app_bench import denying

CITY = "{ type = 'object', properties = { city = { type = 'string' } }, required = { 'city' } }"


@pytest.mark.requirement("003/llm/generate")
def test_a_model_is_asked_with_options_and_tools(app):
    body = """
local response = llm.generate("add 1 and 2", {
    model = "gpt-4o", temperature = 0, max_tokens = 20, top_p = 0.5, stop_sequences = { "END" },
    tool_choice = "add",
    tools = { { name = "add", description = "Add", schema = { type = "object" },
        registry_id = "app:add" } },
})
return response
"""
    found = app.run(body, ["Sure. ", Call("add", {"a": 1, "b": 2}, id="call_123456")])
    assert found["result"] == "Sure. "
    assert found["finish_reason"] == "tool_call"
    (call,) = found["tool_calls"]
    assert call == {
        "id": "call_123456",
        "name": "add",
        "arguments": {"a": 1, "b": 2},
        "registry_id": "app:add",
        "context": {},
    }
    (asked,) = app.model.requests
    assert (asked.options.temperature, asked.options.max_tokens) == (0, 20)
    assert asked.options.tool_choice == "add"
    assert {k: asked.model.options[k] for k in ("top_p", "stop")} == {"top_p": 0.5, "stop": ["END"]}


@pytest.mark.requirement("003/llm/retry")
def test_a_call_says_how_often_it_is_tried_again(app):
    down = provider_error("server_error", "down", retry_after_s=0)
    for retry, tries in (
        ("{ attempts = 0 }", 1),
        ("{ attempts = 1, backoff_ms = 5 }", 2),
        ("{ max_attempts = 5 }", 5),
    ):
        body = f"local _, err = llm.generate('hi', {{ model = 'gpt-4o', retry = {retry} }}) "
        assert app.run(f"{body} return err:kind()", *[down] * 6) == "Unavailable"
        assert len(app.model.requests) == tries
    body = "local _, err = llm.generate('hi', { model = 'gpt-4o', retry = { atempts = 1 } })"
    assert app.run(f"{body} return err:message()") == "`retry.atempts` is no option"


@pytest.mark.requirement("003/llm/bad-input")
def test_bad_options_are_refused_with_the_nearest_names(app):
    body = """
local outcomes = {}
for n, options in ipairs({
    {}, { model = "m", temprature = 1 }, { model = "m", temperature = "hot" },
    { model = "m", base_url = "https://elsewhere" }, { model = "m", tool_choice = "serch",
      tools = { { name = "search", schema = { type = "object" } } } },
    { model = "m", tools = { { name = "x" } } },
    { model = "m", stream = {} }, { model = "m", stream = { reply_to = "{local|1}" } },
}) do
    local _, err = llm.generate("hi", options)
    outcomes[n] = err:kind() .. ": " .. err:message() .. " | " .. err:details().fix
end
return outcomes
"""
    found = app.run(body)
    starts = [
        "Invalid: Model is required in options",
        "Invalid: `temprature` is no option | use one of: temperature",
        "Invalid: `temperature` is no number",
        "Invalid: `base_url` is no option",
        "Invalid: Tool 'serch' not found in available tools | use one of: auto, any, none, search",
        "Invalid: a tool needs a name and a schema",
        "Invalid: PID is required for streamer",
        "NotFound: no process {local|1}",
    ]
    assert [text[: len(start)] for text, start in zip(found, starts, strict=True)] == starts
    assert app.model.requests == []


@pytest.mark.requirement("003/llm/errors")
@pytest.mark.parametrize(
    ("type", "kind", "retryable"),
    [
        ("context_length_exceeded", "Invalid", False),
        ("content_filtered", "Invalid", False),
        ("authentication_error", "PermissionDenied", False),
        ("model_error", "NotFound", False),
    ],
)
def test_what_a_service_says_has_its_kind_and_type(app, type, kind, retryable):
    body = """
local response, err = llm.generate("hi", { model = "gpt-4o" })
return { err:kind(), err:retryable(), err:details().type, tostring(err):find("it says no") ~= nil,
    err:details().type == llm.ERROR_TYPE.CONTENT_FILTER }
"""
    said = provider_error(type, "it says no", where="scripted")
    assert app.run(body, said) == [kind, retryable, type, True, type == "content_filtered"]


@pytest.mark.requirement("003/llm/errors")
def test_a_service_that_stays_overloaded_is_a_rate_limit_in_lua(app):
    busy = provider_error("rate_limit_exceeded", "slow down", status=429, retry_after_s=0.0)
    body = """
local _, err = llm.generate("hi", { model = "gpt-4o" })
return { err:kind(), err:retryable(), err:details().status_code }
"""
    assert app.run(body, *[busy] * 4) == ["RateLimited", True, 429]


@pytest.mark.requirement("003/llm/structured")
def test_structured_output_fits_its_schema_after_one_correction(app):
    body = f"""
local response = llm.structured_output({CITY}, "Where?", {{ model = "gpt-4o" }})
local repaired = llm.structured_output({CITY}, "Where?", {{ model = "gpt-4o" }})
return {{ response.result.city, response.metadata.rounds, repaired.result.city,
    repaired.metadata.rounds }}
"""
    fenced = 'Here:\n```json\n{"city": "Ulm"}\n```'
    assert app.run(body, fenced, '{"town": 5}', '{"city": "Bonn"}') == ["Ulm", 1, "Bonn", 2]
    first, _, repair = app.model.requests
    assert '"required":["city"]' in first.system
    assert repair.messages[-2].text == '{"town": 5}'
    assert '$: "city" is a required property' in repair.messages[-1].text


@pytest.mark.requirement("003/llm/structured-error")
def test_structured_output_that_does_not_fit_twice_is_a_typed_error(app):
    body = f"""
local _, err = llm.structured_output({CITY}, "Where?", {{ model = "gpt-4o" }})
local _, none = llm.structured_output(nil, "Where?", {{ model = "gpt-4o" }})
local _, bad = llm.structured_output({{ type = "town" }}, "Where?", {{ model = "gpt-4o" }})
local _, far = llm.structured_output({{ ["$ref"] = "https://x/y.json" }}, "W",
    {{ model = "gpt-4o" }})
return {{ err:kind(), err:details().code, none:message(), bad:kind(), far:message() }}
"""
    found = app.run(body, "no", '{"city": 5}')
    assert found[:4] == ["Invalid", "output.invalid", "Schema is required", "Invalid"]
    assert "another document" in found[4]


@pytest.mark.requirement("003/llm/models", "003/llm/classes")
def test_models_are_found_by_name_class_and_capability(app):
    body = """
local thinkers = llm.available_models(llm.CAPABILITY.THINKING)
local card = models.get_by_name("gpt-4.1-nano")
local fast = models.get_by_class("fast")
local _, unknown = models.get_by_name("gpt-9")
local _, bad = llm.available_models("thinkin")
local classes = {}
for n, class in ipairs(llm.get_classes()) do classes[n] = class.name end
return {
    all = #models.get_all(), thinkers = #thinkers, window = card.max_tokens, key = card.options,
    fast = fast[1] and fast[1].name, unknown = unknown, bad = bad:details().fix,
    classes = classes, same = #classes == #models.get_all_classes(),
}
"""
    found = app.run(body)
    assert found["all"] >= found["thinkers"]
    assert found["window"] > 0
    assert "key" not in found
    assert found["unknown"] == "No model found with name: gpt-9"
    assert found["bad"] == "use one of: thinking"
    assert found["classes"] == sorted(found["classes"])
    assert found["same"] is True


@pytest.mark.requirement("003/llm/status", "003/llm/usage")
def test_status_and_usage_records(app):
    body = """
local response = llm.generate("hi", { model = "gpt-4o" })
local tracked = llm.track_usage("my-model", 10, 5, 2, 1, 0, { metadata = {} })
local _, bad = llm.track_usage("my-model", "many")
return { llm.status({ model = "gpt-4o" }).status, response.usage_record.usage_id,
    tracked.usage_id, bad:kind() }
"""
    status, first, second, bad = app.run(body, "hello")
    assert (status, bad) == ("healthy", "Invalid")
    assert int(second) == int(first) + 1
    totals = {t.model: t for t in app.wait(app.runtime.usage.totals())}
    assert totals["my-model"].usage.prompt == 10
    assert totals["my-model"].usage.completion == 5
    assert totals["scripted"].calls >= 1


@pytest.mark.requirement("003/llm/usage-contract")
def test_an_app_may_track_usage_itself(app):
    source = """return { handler = function(model, prompt, out, thinking, read, write, options)
      local kept = store.get("app:ledger")
      kept:set("last", { model = model, prompt = prompt, actor = options.metadata.actor })
      return { usage_id = "ledger-" .. (options.metadata.job or "?") .. options.timestamp }
    end }"""
    app.define(
        {"id": "app:ledger", "kind": "store.sql", "data": {}},
        {
            "id": "app:track",
            "kind": "function.lua",
            "data": {"source": source, "modules": ["store"], "method": "handler"},
        },
        {
            "id": "app:ledger_binding",
            "kind": "contract.binding",
            "data": {
                "contracts": [
                    {"contract": "wippy.llm:usage_tracker", "methods": {"track_usage": "track"}}
                ]
            },
        },
    )
    try:
        body = """
local options = { model = "gpt-4o", timestamp = 7, metadata = { job = "j" } }
local response = llm.generate("hi", options)
return response.usage_record.usage_id
"""
        assert app.run(body, "hello") == "ledger-j7"
        broken = {"source": "return { handler = function() error('no') end }", "method": "handler"}
        app.define({"id": "app:track", "kind": "function.lua", "data": broken})
        assert app.run(body, "hello").isdecimal()
    finally:
        app.remove("app:ledger_binding", "app:track", "app:ledger")


@pytest.mark.requirement("003/llm/policy")
def test_a_policy_can_take_models_away(app):
    body = """
local _, generate = llm.generate("hi", { model = "gpt-4.1-nano" })
local _, structured = llm.structured_output({ type = "object" }, "hi", { model = "gpt-4.1-nano" })
local names = {}
for n, card in ipairs(llm.available_models()) do names[card.name] = true end
return { generate:kind(), structured:kind(), names["gpt-4.1-nano"] == nil, names["gpt-5.1"] }
"""
    context = denying(("llm.*", "gpt-4.1-nano"))
    assert app.run(body, context=context) == ["PermissionDenied", "PermissionDenied", True, True]
    assert app.model.requests == []
    with pytest.raises(PolicyDenied):
        context.require("llm.generate", "gpt-4.1-nano")


@pytest.mark.requirement("003/compress/to-size")
def test_texts_are_compressed_through_the_documents_library(app):
    body = """
local long = ("word "):rep(200)
local short = compress.to_size("gpt-4o", "short", 60)
local once = compress.to_size("gpt-4o", long, 100)
local refined = compress.to_size("gpt-4o", long, 100)
local rough = compress.to_size("gpt-4o", long, 100, { skip_refinement = true })
local outcomes = { short, #once, #refined, #rough }
for _, case in ipairs({ { "", long, 100 }, { "gpt-4o", "", 100 }, { "gpt-4o", long, 0 },
    { "gpt-4o", long, 10 }, { "gpt-4o", long, 10000000 } }) do
    local _, err = compress.to_size(case[1], case[2], case[3])
    outcomes[#outcomes + 1] = err:message()
end
return outcomes
"""
    found = app.run(body, "x" * 100, "x" * 200, "x" * 97, "x" * 150)
    assert found[:4] == ["short", 100, 97, 150]
    assert [text[:25] for text in found[4:]] == [
        "Model name is required",
        "Content is required",
        "Target size must be a pos",
        "Target size 10 is too sma",
        "Target size 10000000 is t",
    ]
    assert "shorten it by about 100 characters" in app.model.requests[2].system


@pytest.mark.requirement("003/compress/stats")
def test_what_compressing_takes_is_known_before(app):
    body = """
local stats = compress.get_stats("gpt-4o", ("x"):rep(600000), 4000)
local can, why = compress.can_compress("gpt-4o", ("x"):rep(1000), 20)
compress.configure({ default_temperature = 0.7, nonsense = 1 })
return { stats.strategy, stats.safe_max_tokens_for_target, stats.needs_compression, can, why,
    (compress.can_compress("gpt-4o", "x", 11)), compress.get_config().default_temperature,
        compress.get_config().nonsense }
"""
    found = app.run(body)
    assert found[:4] == ["map_reduce", 1200, True, False]
    assert "too small" in found[4]
    assert found[5:] == [False, 0.7]
