"""`wippy.llm:prompt`: the conversation builder of Lua code, and what a model gets of it."""

import pytest

from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import Document, Image, Text

MERGING = [
    ("p:add_user('a'):add_user('b')", ["user:a\n\nb"]),
    ("p:add_user('a'):add_assistant('b'):add_user('c')", ["user:a", "assistant:b", "user:c"]),
    ("p:add_system(''):add_developer(nil):add_user('')", ["user:"]),
    ("p:add_developer('a', { memory_ids = { 1 } }):add_developer('b')", ["developer:a\n\nb"]),
    ("p:add_developer('a'):add_developer('b', { x = 1 })", ["developer:a", "developer:b"]),
    ("p:add_user('a'):add_cache_marker():add_user('b')", ["user:a", "cache_marker:", "user:b"]),
    ("p:add_message('user', {}):add_message(nil, { prompt.text('x') })", []),
    ("p:add_user('a'):clear():add_user('b')", ["user:b"]),
    ("p:add_function_call('f', nil, 'c1'):add_function_result('f', nil, 'c1')", []),
    (
        "p:add_function_call('f', {}, 'c1'):add_function_result('f', '', 'c1'):add_user('a')",
        ["function_call:", "function_result:", "user:a"],
    ),
]
SHOWN = """
local function shown(builder)
    local lines = {}
    for n, message in ipairs(builder:get_messages()) do
        local first = message.content and message.content[1]
        lines[n] = message.role .. ":" .. (first and first.text or "")
    end
    return lines
end
"""


@pytest.mark.requirement("003/lua/prompt-merging")
def test_messages_of_one_role_become_one(app):
    cases = ", ".join(
        f"(function() local p = prompt.new() {methods} return shown(p) end)()"
        for methods, _ in MERGING
    )
    found = app.run(f"{SHOWN} return {{ {cases} }}")
    # Lua has one empty table.
    assert [lines or [] for lines in found] == [expected for _, expected in MERGING]


@pytest.mark.requirement("003/lua/prompt-parts")
def test_images_documents_and_markers_reach_the_model(app):
    body = """
local p = prompt.with_system("Look closely.")
p:add_message(prompt.ROLE.USER, {
    prompt.text("What is this?"),
    prompt.image("https://example.com/cat.png", "image/png"),
    prompt.image_base64("image/jpeg", "QUJD"),
    prompt.document_base64("application/pdf", "UERG"),
}, "ann", { source = "upload" })
p:add_cache_marker("long")
return llm.generate(p, { model = "gpt-4o" }).result
"""
    assert app.run(body, "A cat.") == "A cat."
    system, user = app.model.requests[0].messages
    assert (system.role, system.text) == ("system", "Look closely.")
    assert user.name == "ann"
    assert user.metadata == {"source": "upload", "cache_marker": "long"}
    assert user.parts == (
        Text("What is this?"),
        Image(url="https://example.com/cat.png", mime="image/png"),
        Image(data="QUJD", mime="image/jpeg"),
        Document(data="UERG", mime="application/pdf"),
    )


@pytest.mark.requirement("003/lua/prompt-images-in-results")
def test_images_in_results_follow_the_run_of_results(app):
    body = """
local p = prompt.new():add_user("draw")
p:add_function_call("draw", { n = 1 }, "c1")
p:add_function_result("draw", { result = "done", _images = { { url = "https://x/1.png" }, 5 } },
    "c1")
p:add_function_call("draw", { n = 2 }, "c2")
p:add_function_result("draw", '{"result": "done", "_images": "none"}', "c2")
p:add_user("thanks")
local first, second = p:get_messages(), p:get_messages()
return { first = first, same = #first == #second,
    stored = p.messages[3].content[1].text._images[1].url }
"""
    found = app.run(body)
    assert found["same"] is True
    assert found["stored"] == "https://x/1.png"
    roles = [m["role"] for m in found["first"]]
    calls = ["function_call", "function_result"]
    assert roles == ["user", *calls, *calls, "user", "user"]
    assert found["first"][2]["content"][0]["text"] == '{"result":"done (see image results below)"}'
    untouched = '{"result": "done", "_images": "none"}'
    assert found["first"][4]["content"][0]["text"] == untouched
    assert found["first"][5]["content"][0]["source"]["url"] == "https://x/1.png"


@pytest.mark.requirement("003/lua/prompt-data")
def test_a_conversation_is_plain_data_and_copies_are_independent(app):
    body = """
local p = prompt.new():add_user("a")
local copy, stored = p:clone(), prompt.new(json.decode(json.encode(p.messages)))
copy:add_user("b")
stored:add_assistant("c")
local text = prompt.new({ { role = "user", content = "plain" } }):add_user("more")
return { #p.messages, p.messages[1].content[1].text, #copy.messages,
    copy.messages[1].content[1].text,
    stored:build().messages[2].content[1].text, text.messages[1].content[1].text }
"""
    assert app.run(body) == [1, "a", 1, "a\n\nb", "c", "plain\n\nmore"]


@pytest.mark.requirement("003/lua/prompt-input")
def test_a_model_takes_texts_lists_builders_and_nothing_else(app):
    body = """
local options = { model = "gpt-4o" }
local outcomes = {}
for n, input in ipairs({
    "hi", prompt.new():add_user("hi"), prompt.new():add_user("hi"):build(),
    { { role = "user", content = "hi" } }, {}, "", { { role = "robot", content = "hi" } },
    { { role = "user", content = { { type = "video" } } } },
    { { role = "function_result", name = "f", content = "x" } },
    { { role = "function_call", function_call = {} } },
}) do
    local response, err = llm.generate(input, options)
    outcomes[n] = response and response.result or err:kind() .. ": " .. err:message()
end
return outcomes
"""
    assert app.run(body, *["ok"] * 4) == [
        *["ok"] * 4,
        *["Invalid: Invalid prompt input format"] * 2,
        "Invalid: `robot` is no role",
        "Invalid: a part of type `video` cannot be sent",
        "Invalid: the result of `f` belongs to no call",
        "Invalid: a function call names no function",
    ]


@pytest.mark.requirement("003/lua/prompt-calls")
def test_what_a_model_said_goes_back_word_for_word(app):
    """Lua knows neither the order of keys nor the difference of empty lists and maps."""
    body = """
local p = prompt.new():add_user("go")
local tools = { { name = "f", description = "F", schema = { type = "object" } } }
local response = llm.generate(p, { model = "gpt-4o", tools = tools })
for _, call in ipairs(response.tool_calls) do
    p:add_function_call(call.name, call.arguments, call.id)
    p:add_function_result(call.name, { ok = true }, call.id)
end
p:add_function_call("f", { z = 1 }, "mine")
p:add_function_result("f", "x", "mine")
return llm.generate(p, { model = "gpt-4o", tools = tools }).result
"""

    text = '{"z": [], "a": {}, "n": 1.0}'
    assert app.run(body, [Call("f", text)], "done") == "done"
    first, second = app.model.requests
    assert second.messages[0] is first.messages[0]
    said = [m.tool_calls[0] for m in second.messages if m.tool_calls]
    assert [c.arguments for c in said] == [text, '{"z":1}']


def test_a_conversation_that_was_changed_is_read_again(app):
    body = """
local p = prompt.new():add_user("one"):add_assistant("two")
llm.generate(p, { model = "gpt-4o" })
p.messages[1].content[1].text = "changed"
llm.generate(p, { model = "gpt-4o" })
return llm.generate(prompt.new():add_user("changed"), { model = "gpt-4o" }).result
"""
    app.run(body, "a", "b", "c")
    texts = [[m.text for m in r.messages] for r in app.model.requests]
    assert texts == [["one", "two"], ["changed", "two"], ["changed"]]
