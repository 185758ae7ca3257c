"""`Prompt`: the conversation builder of embedding programs."""

import pytest

from micro_agi.agent.prompt import Prompt
from micro_agi.messages import CACHE_MARKER, Document, Image, Text


@pytest.mark.requirement("003/python/prompt")
def test_parts_and_messages_are_built_with_the_documents_words():
    parts = [
        Prompt.text("What is this?"),
        Prompt.image("https://example.com/a.png", "image/png"),
        Prompt.image_base64("image/png", "QUJD"),
        Prompt.document_base64("application/pdf", "UERG"),
    ]
    prompt = Prompt.with_system("Look.").add_message("user", parts).add_user("Well?")
    system, user = prompt.messages
    assert (system.role, system.text) == ("system", "Look.")
    assert user.parts == (
        Text("What is this?"),
        Image(url="https://example.com/a.png", mime="image/png"),
        Image(data="QUJD", mime="image/png"),
        Document(data="UERG", mime="application/pdf"),
        Text("Well?"),
    )


@pytest.mark.requirement("003/python/prompt")
def test_messages_join_but_across_markers_calls_and_other_metadata():
    prompt = Prompt().add_user("a").add_user("b").add_cache_marker("m").add_user("c")
    assert [m.text for m in prompt.messages] == ["a\n\nb", "c"]
    assert prompt.messages[0].metadata == {CACHE_MARKER: "m"}
    prompt.add_developer("x", {"memory_ids": [1]}).add_developer("y", {"memory_ids": [2]})
    prompt.add_assistant("z").add_function_call("f", {}, "c1").add_function_result("f", [], "c1")
    copy = prompt.clone().add_system("").add_assistant("w")
    assert [m.text for m in prompt.messages[2:]] == ["x", "y", "z", "[]"]
    assert [m.text for m in copy.messages[2:]] == ["x", "y", "z", "[]", "w"]
    prompt.clear()
    assert prompt.messages == []
