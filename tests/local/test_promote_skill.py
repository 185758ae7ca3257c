"""`promote_skill`: what becomes a tool, what does not, and that a refusal leaves nothing."""

import asyncio

import pytest

from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ApprovalAsked, ToolCallFinished, ToolLoaded
from micro_agi.testing.transcript import run_transcript, scripted_runtime
from micro_agi.tools.approve import YesOnce
from tests.local.person import Person

RSI = '''
from typing import Literal, TypedDict


class Options(TypedDict, total=False):
    digits: int


async def relative_strength(
    prices: list[float],
    period: int = 14,
    *,
    kind: Literal["plain", "percent"] = "plain",
    options: Options | None = None,
) -> float:
    """Tell how strong the ups were
    against the downs.

    Args:
        prices: Oldest first.
    """
    print("counting", len(prices))
    ups = [b - a for a, b in zip(prices, prices[1:]) if b > a][-period:]
    downs = [a - b for a, b in zip(prices, prices[1:]) if b < a][-period:]
    if not downs:
        raise ValueError("there are no downs")
    return round(sum(ups) / sum(downs), (options or {}).get("digits", 2))
'''
TESTS = [
    {"args": {"prices": [1, 3, 2]}, "expect": 2},
    {"args": {"prices": [1]}, "error": "no downs"},
]
PROMOTED = {
    "file_path": "rsi.py",
    "function_name": "relative_strength",
    "tool_name": "rsi",
    "tests": TESTS,
}


def play(tmp_path, *calls, approver=None):
    """Run calls of the assistant; return results, questions, what was loaded, what there is."""
    workspace = tmp_path / "ws"
    workspace.mkdir(exist_ok=True)

    async def scenario():
        async with scripted_runtime(
            [*calls, "done"],
            workspace=str(workspace),
            home=str(tmp_path / "home"),
            approver=approver,
        ) as played:
            [turn] = await run_transcript(played.runtime, "go", agent="local:assistant")
            registry = played.runtime.registry
            return (
                turn.of(ToolCallFinished),
                [e.question for e in turn.of(ApprovalAsked)],
                [e.name for e in turn.of(ToolLoaded)],
                [e.as_dict() for e in registry.snapshot().find({".ns": "app.generated"})],
            )

    return asyncio.run(scenario())


@pytest.mark.requirement("004/skills/promoted")
@pytest.mark.requirement("004/skills/schema")
@pytest.mark.requirement("004/skills/run")
def test_a_function_of_the_workspace_becomes_a_tool_of_the_same_turn(tmp_path):
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "rsi.py").write_text(RSI)
    person = Person("once")
    results, _, loaded, [entry] = play(
        tmp_path,
        Call("promote_skill", PROMOTED),
        Call("rsi", {"prices": [1, 3, 2], "options": {"digits": 1}}),
        Call("rsi", {"prices": [1, 2]}),
        Call("rsi", {"prices": "1", "b=__import__('os').system('touch F') or 1": 2}),
        Call("promote_skill", PROMOTED),
        approver=person,
    )
    assert [r.error is None for r in results] == [True, True, False, False, True], results
    assert {k: results[0].result[k] for k in ("id", "created", "loaded", "note")} == {
        "id": "app.generated:rsi",
        "created": True,
        "loaded": True,
        "note": "its tests passed",
    }
    assert loaded[:1] == ["rsi"]
    question = person.asked[0]
    assert question.resource.startswith("rsi.py#relative_strength (")
    assert question.reason == "as tool `rsi`, 2 tests"
    assert results[1].content == "2.0\n\nprinted:\ncounting 3\n"
    assert results[2].error["what"] == "ValueError: there are no downs"
    assert "relative_strength" in results[2].error["traceback"]
    assert results[3].error["code"] == "arguments.invalid"
    assert results[4].result["unchanged"] is True
    # The tool's name and the function that it runs are two things.
    assert (entry["id"], entry["data"]["method"]) == ("app.generated:rsi", "relative_strength")
    assert entry["meta"]["llm_description"] == "Tell how strong the ups were against the downs."
    assert entry["meta"]["input_schema"] == {
        "type": "object",
        "properties": {
            "prices": {
                "type": "array",
                "items": {"type": "number"},
                "description": "Oldest first.",
            },
            "period": {"type": "integer", "default": 14},
            "kind": {"enum": ["plain", "percent"], "default": "plain"},
            "options": {
                "anyOf": [
                    {
                        "type": "object",
                        "properties": {"digits": {"type": "integer"}},
                        "additionalProperties": False,
                    },
                    {"type": "null"},
                ],
                "default": None,
            },
        },
        "additionalProperties": False,
        "required": ["prices"],
    }
    assert list((tmp_path / "ws").iterdir()) == [tmp_path / "ws" / "rsi.py"]
    # It is a tool of the assistant at the next start, without being loaded.
    [again], _, loaded, _ = play(tmp_path, Call("rsi", {"prices": [1, 3, 2]}))
    assert (again.content.partition("\n")[0], loaded) == ("2.0", [])


GOOD = 'def f(a: int) -> int:\n    """Say."""\n    return a\n'
REFUSED = {
    "syntax": ("def f(a: int:\n    pass\n", {}, "line 1", "(rule `syntax`)"),
    "nested": ("if True:\n    def f(a: int):\n        pass\n", {}, "line 1", "(rule `not-found`)"),
    "other": (GOOD.replace("f(", "g("), {}, "line 1", "(rule `not-found`)"),
    "docstring": ("\ndef f(a: int):\n    return a\n", {}, "line 2", "(rule `docstring`)"),
    "untyped": ('def f(\n    a,\n):\n    "Say."\n', {}, "line 2", "(rule `unannotated`)"),
    "args": ('def f(*a: int):\n    "Say."\n', {}, "line 1", "(rule `varargs`)"),
    "kwargs": ('def f(**a: int):\n    "Say."\n', {}, "line 1", "(rule `varargs`)"),
    "slash": ('def f(a: int, /):\n    "Say."\n', {}, "line 1", "(rule `positional-only`)"),
    "type": ('def f(a: bytes):\n    "Say."\n', {}, "line 1", "(rule `annotation`)"),
    "default": ('def f(a: int = len("x")):\n    "Say."\n', {}, "line 1", "(rule `default`)"),
    "handler": (
        'def handler(a: int):\n    "Say."\n',
        {"function_name": "handler"},
        "line 1",
        "handler",
    ),
    "import": (GOOD + "open('data.csv')\n", {}, "line 4", "(rule `import`)"),
    "long": (GOOD + "#" * 16_000, {}, "shape", "16000 are allowed"),
    "name": (GOOD, {"tool_name": "Shell"}, "shape", "is no tool name"),
    "path name": (GOOD, {"tool_name": "../../core/owned"}, "shape", "is no tool name"),
    "empty name": (GOOD, {"tool_name": " "}, "shape", "is no tool name"),
    "long name": (GOOD, {"tool_name": "f" * 65}, "shape", "is no tool name"),
    "taken": (GOOD, {"tool_name": "shell"}, "policy", "belongs to `local:shell`"),
    "protected": (GOOD, {"tool_name": "load_tool"}, "policy", "belongs to `app.tools:load_tool`"),
    "system": (GOOD, {"tool_name": "read_result"}, "policy", "belongs to `system:read_result`"),
    "test": (GOOD, {"tests": [{"args": {"a": 1}, "expect": 2}]}, "trial", "expected 2, got 1"),
    "outside": (GOOD, {"file_path": "../f.py"}, "../f.py", "`..`"),
    "absolute": (GOOD, {"file_path": "/etc/passwd"}, "/etc/passwd", "absolute"),
    "missing": (GOOD, {"file_path": "g.py"}, "g.py", "there is no file"),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """All refusals, in one runtime: none of them may leave anything that helps the next."""
    root = tmp_path_factory.mktemp("refused")
    (root / "ws").mkdir()
    (root / "f.py").write_text(GOOD)
    calls = []
    for number, (source, changed, *_) in enumerate(REFUSED.values()):
        (root / "ws" / f"f{number}.py").write_text(source)
        given = {"file_path": f"f{number}.py", "function_name": "f", **changed}
        calls.append(Call("promote_skill", given))
    results, _, loaded, entries = play(root, *calls[:16], approver=Person("once"))
    more, _, also, others = play(root, *calls[16:], approver=Person("once"))
    assert (loaded, also, entries, others) == ([], [], [], [])
    assert len(list((root / "ws").iterdir())) == len(REFUSED)
    return dict(zip(REFUSED, [*results, *more], strict=True))


@pytest.mark.requirement("004/skills/refused")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_the_rule_and_the_line(refusals, name):
    _, _, where, what = REFUSED[name]
    error = refusals[name].error
    assert error is not None
    assert where in f"{error['where']} {error['what']}", error
    assert what in error["what"], error
    assert error["fix"]


@pytest.mark.requirement("004/skills/refused")
def test_what_does_not_come_to_an_end_while_it_is_imported_is_refused(tmp_path):
    async def scenario():
        (tmp_path / "ws").mkdir()
        (tmp_path / "ws" / "f.py").write_text(GOOD + "while True: pass\n")
        async with scripted_runtime(
            [Call("promote_skill", {"file_path": "f.py", "function_name": "f"}), "done"],
            workspace=str(tmp_path / "ws"),
            approver=Person("once"),
            call_timeout_s=0.2,
        ) as played:
            [turn] = await run_transcript(played.runtime, "go", agent="local:assistant")
            return turn.of(ToolCallFinished)[0].error

    error = asyncio.run(scenario())
    assert "(rule `import`)" in error["what"]


@pytest.mark.requirement("004/skills/asked")
@pytest.mark.parametrize("approver", [None, YesOnce(), Person("refuse")])
def test_without_a_persons_yes_nothing_is_promoted(tmp_path, approver):
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "f.py").write_text(GOOD)
    call = Call("promote_skill", {"file_path": "f.py", "function_name": "f"})
    [result], asked, loaded, entries = play(tmp_path, call, approver=approver)
    assert result.error["code"] == "policy.denied"
    assert (len(asked), loaded, entries) == (1, [], [])


@pytest.mark.requirement("004/skills/asked")
def test_a_lasting_yes_counts_for_exactly_that_content(tmp_path):
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "f.py").write_text(GOOD)
    call = Call("promote_skill", {"file_path": "f.py", "function_name": "f"})
    play(tmp_path, call, approver=Person("always"))
    [same], asked, *_ = play(tmp_path, call)
    assert (same.error, asked) == (None, [])
    assert "untested" in same.result["note"]
    (tmp_path / "ws" / "f.py").write_text(GOOD + "# more\n")
    [other], asked, *_ = play(tmp_path, call)
    assert (other.error["code"], len(asked)) == ("policy.denied", 1)
