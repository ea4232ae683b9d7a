import tomllib
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmodels.config.toml import Document, key_lines, read_value, spell_path, spell_value, write

SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)
TABLES = st.dictionaries(st.text(), VALUES, max_size=4)


@given(TABLES)
def test_what_is_written_is_read_back(table):
    assert tomllib.loads(write(table)) == table


@given(TABLES)
def test_a_key_is_on_the_line_that_is_told(table):
    text = write(table)
    lines = text.split("\n")
    for path, number in key_lines(text).items():
        name = next(step for step in reversed(path) if isinstance(step, str))
        assert spell_path((name,)) in lines[number - 1]
    assert {path for path in key_lines(text) if len(path) == 1} == {(key,) for key in table}


def test_lines_of_all_forms():
    text = '''# a comment with [brackets] and a = sign
title = "x"  # steps = 3

[run] # the run
steps = 3
text = """
steps = 4
[not.a.header]
"""
"odd key".'x.y' = 1
mesh = {data = 1, model = {a = 2}}
sizes = [
  1,
  {inner = 2},
]
late = {list = [
  1], after = 2}
[model.cell]
name = "lstm"
[[cells]]
name = "a"
[cells.inner]
deep = 1
[[cells]]
name = "b"
[cells.inner]
deep = 2
[[cells.parts]]
size = 1
[model]
width = 1
'''
    tomllib.loads(text)
    assert key_lines(text) == {
        ("title",): 2,
        ("run",): 4,
        ("run", "steps"): 5,
        ("run", "text"): 6,
        ("run", "odd key"): 10,
        ("run", "odd key", "x.y"): 10,
        ("run", "mesh"): 11,
        ("run", "mesh", "data"): 11,
        ("run", "mesh", "model"): 11,
        ("run", "mesh", "model", "a"): 11,
        ("run", "sizes"): 12,
        ("run", "late"): 16,
        ("model",): 18,
        ("model", "cell"): 18,
        ("model", "cell", "name"): 19,
        ("cells",): 20,
        ("cells", 0): 20,
        ("cells", 0, "name"): 21,
        ("cells", 0, "inner"): 22,
        ("cells", 0, "inner", "deep"): 23,
        ("cells", 1): 24,
        ("cells", 1, "name"): 25,
        ("cells", 1, "inner"): 26,
        ("cells", 1, "inner", "deep"): 27,
        ("cells", 1, "parts"): 28,
        ("cells", 1, "parts", 0): 28,
        ("cells", 1, "parts", 0, "size"): 29,
        ("model", "width"): 31,
    }


def test_the_command_line_covers_what_lies_below_it():
    document = Document({}, "[a]\nb = 1\n", {("a",): "command line (a={b=2})"})
    assert document.where(("a", "b"), "f.toml") == "command line (a={b=2})"
    assert document.where(("c",), "f.toml") == "f.toml"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1.5e-3", -0.0015),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ("{data=-1}", {"data": -1}),
        ('"3"', "3"),
        (" a b ", "a b"),
        ("my.txt", "my.txt"),
        ("True", "True"),
        ("", ""),
        ("#1", "#1"),
        ("{data=-1", "{data=-1"),
        ("1\nother = 2", "1\nother = 2"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_value_is_toml_or_else_the_string(text, value):
    assert read_value(text) == value
    assert type(read_value(text)) is type(value)


@pytest.mark.parametrize("value", [None, {1, 2}, b"bytes", PurePath("a"), [None]])
def test_what_toml_cannot_hold_is_refused(value):
    with pytest.raises(TypeError, match="TOML cannot hold"):
        spell_value(value)


def test_sections_are_written_where_they_are_needed():
    table = {"outer": {"inner": {"x": 1}}, "empty": {}, "first": 0.5}
    assert write(table) == "first = 0.5\n\n[outer.inner]\nx = 1\n\n[empty]\n"
