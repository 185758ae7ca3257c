"""A turn in which a model makes a tool, loads it and uses it twice."""

from micro_agi.llm.providers.scripted import Call

ID = "app.generated:half"
HALF = {
    "name": "half",
    "description": "Halve a number",
    "source": "return { handler = function(a) return { half = a.n / 2 } end }",
    "input_schema": {"type": "object", "properties": {"n": {"type": "number"}}},
    "tests": [{"args": {"n": 4}, "expect": {"half": 2}}],
}
TURN = [
    Call("create_tool", HALF),
    Call("load_tool", {"id": ID}),
    [Call("half", {"n": 3}), Call("half", {"n": 8})],
    "1.5 and 4",
]
