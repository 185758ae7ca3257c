"""What the gate reads in a Python tool's source without running it."""

import pytest

from micro_agi.errors import EntryInvalid
from micro_agi.tools.python_schema import schema_of
from micro_agi.tools.python_source import findings, function_of, parse


def schema(source, name="f"):
    tree = parse(source)
    return schema_of(tree, function_of(tree, name))


def of(hint, before=""):
    """The schema of one parameter's hint."""
    return schema(f'{before}\ndef f(x: {hint}):\n    """Do."""')["properties"]["x"]


NULL = {"type": "null"}
TEXT, WHOLE = {"type": "string"}, {"type": "integer"}


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("str", TEXT),
        ("int", WHOLE),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("None", NULL),
        ("list", {"type": "array"}),
        ("dict", {"type": "object"}),
        ("Any", {}),
        ("typing.Any", {}),
        ("list[str]", {"type": "array", "items": TEXT}),
        ("typing.List[int]", {"type": "array", "items": WHOLE}),
        ("'list[int]'", {"type": "array", "items": WHOLE}),
        ("list[list[int]]", {"type": "array", "items": {"type": "array", "items": WHOLE}}),
        ("set[int]", {"type": "array", "items": WHOLE, "uniqueItems": True}),
        ("dict[str, int]", {"type": "object", "additionalProperties": WHOLE}),
        (
            "Dict[str, list[str]]",
            {"type": "object", "additionalProperties": {"type": "array", "items": TEXT}},
        ),
        ("Optional[int]", {"anyOf": [WHOLE, NULL]}),
        ("int | None", {"anyOf": [WHOLE, NULL]}),
        ("Union[int, str, None]", {"anyOf": [WHOLE, TEXT, NULL]}),
        ("int | str | int", {"anyOf": [WHOLE, TEXT]}),
        ("Any | None", {}),
        ("Literal['a', 2, None]", {"enum": ["a", 2, None]}),
        ("tuple[int, ...]", {"type": "array", "items": WHOLE}),
        (
            "tuple[int, str]",
            {
                "type": "array",
                "prefixItems": [WHOLE, TEXT],
                "items": False,
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        ("Annotated[int, 'how many']", {"type": "integer", "description": "how many"}),
    ],
)
def test_a_hint_becomes_the_schema_it_means(hint, expected):
    assert of(hint) == expected


def test_classes_and_aliases_of_the_source_become_what_they_stand_for():
    dataclass = "@dataclasses.dataclass\nclass P:\n    x: int\n    y: 'int | None' = None\n"
    point = {
        "type": "object",
        "properties": {"x": WHOLE, "y": {"anyOf": [WHOLE, NULL]}},
        "additionalProperties": False,
        "required": ["x"],
    }
    assert of("P", dataclass) == point
    assert of("Points", dataclass + "Points = list[P]\n") == {"type": "array", "items": point}
    typed = "class R(TypedDict):\n    a: str\n    b: NotRequired[int]\n"
    assert of("R", typed)["required"] == ["a"]
    partial = "class R(TypedDict, total=False):\n    a: str\n    b: Required[int]\n"
    assert of("R", partial)["required"] == ["b"]


WHOLE_FUNCTION = '''
async def f(city: str, days: int = 3, *, units: Literal["c", "f"] = "c", tags: list[str] = []):
    """Tell the weather.

    Args:
        city: Name of the city,
            in any language.
        days (int): How many days: at most 7.

    Returns:
        units: not a parameter's text
    """
'''


def test_defaults_and_docstring_texts_are_kept():
    assert schema(WHOLE_FUNCTION) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city, in any language."},
            "days": {"type": "integer", "description": "How many days: at most 7.", "default": 3},
            "units": {"enum": ["c", "f"], "default": "c"},
            "tags": {"type": "array", "items": {"type": "string"}, "default": []},
        },
        "additionalProperties": False,
        "required": ["city"],
    }


def test_sphinx_docstrings_are_read_too():
    texts = ":param a: the one\n    :param b: other"
    source = f'def f(a: int, b: int = -1):\n    """Add.\n\n    {texts}\n    """'
    properties = schema(source)["properties"]
    assert properties["a"]["description"] == "the one"
    assert properties["b"] == {"type": "integer", "description": "other", "default": -1}


@pytest.mark.parametrize(
    ("source", "rule", "line"),
    [
        ("def f(:", "syntax", 1),
        ("x = 1\n\0", "syntax", 1),
        ("-" * 15_000 + "1", "syntax", 1),
        ("x = 1", "not-found", 1),
        ("if True:\n    def f(): pass", "not-found", 1),
        ("\ndef f(a: int): pass", "docstring", 2),
        ('def f(a):\n    """D."""', "unannotated", 1),
        ('def f(*a: int):\n    """D."""', "varargs", 1),
        ('def f(\n    **a: int):\n    """D."""', "varargs", 2),
        ('def f(a: int, /):\n    """D."""', "positional-only", 1),
        ('def f(a: datetime.date):\n    """D."""', "annotation", 1),
        ('class C: pass\ndef f(a: C):\n    """D."""', "annotation", 2),
        ('def f(a: dict[int, str]):\n    """D."""', "annotation", 1),
        ('def f(a: list[int, int]):\n    """D."""', "annotation", 1),
        ('def f(a: "not a type"):\n    """D."""', "annotation", 1),
        ('A = list[A]\ndef f(a: A):\n    """D."""', "annotation", 1),
        ('def f(a: int = open("x")):\n    """D."""', "default", 1),
        ('def f(a: float = 1e999):\n    """D."""', "default", 1),
        ('def f(a: set[int] = {1}):\n    """D."""', "default", 1),
    ],
)
def test_what_is_not_accepted_names_the_rule_and_the_line(source, rule, line):
    with pytest.raises(EntryInvalid) as refused:
        schema(source)
    assert f"line {line}: " in refused.value.what
    assert f"(rule `{rule}`)" in refused.value.what
    assert refused.value.fix


@pytest.mark.parametrize(
    ("source", "part", "fix"),
    [
        ("import os", "line 1: tools may not import `os`", "pathlib"),
        ("x = 1\nfrom sys import path", "line 2: tools may not import `sys`", "no access"),
        ("def f():\n    import subprocess", "line 2: tools may not import", "cannot start"),
        ("import socket as s", "may not import `socket`", "http_client"),
        ("import ctypes", "may not import `ctypes`", "do without"),
        ("import os.path", "may not import `os`", "pathlib"),
        ("import urllib.request", "may not import `urllib.request`", "http_client"),
        ("from urllib import request", "may not import `urllib.request`", "http_client"),
        ("import http_client", "module `http_client` is not granted", 'add "http_client"'),
        ("import numpy as np", "module `numpy` is not granted", 'add "numpy"'),
        ("import requests", "`requests` is not available", "http_client.get"),
        ("import jsn", "there is no module `jsn`", "did you mean: json"),
        ("x = input('?')", "nobody can answer", "argument"),
    ],
)
def test_what_cannot_work_is_said_early(source, part, fix):
    (finding,) = findings(source, modules=(), imports={})
    assert part in f"line {finding.line}: {finding.what}"
    assert fix in finding.fix


@pytest.mark.parametrize(
    "source",
    [
        "import json, re, math, datetime\nfrom urllib.parse import quote",
        "text = 'import os'  # import sys",
        "import http_client as h\nh.get('u')\nh.HostError",
        "from http_client import get, HostError",
        "import helper\nhelper.anything()",
        "from __future__ import annotations",
        "x = '\\d'",
    ],
)
def test_what_works_is_not_in_the_way(source):
    assert findings(source, modules=("http_client",), imports={"helper": "a:b"}) == []


@pytest.mark.parametrize(
    "source",
    [
        "import http_client as h\nh.gte('u')",
        "import http_client\nx = 1 if 1 else http_client.gte",
        "\nfrom http_client import gte",
    ],
)
def test_a_misspelt_function_names_the_right_one(source):
    (finding,) = findings(source, modules=("http_client",), imports={})
    assert finding.line == 2
    assert finding.what == "`http_client.gte` does not exist"
    assert "http_client.get" in finding.fix
