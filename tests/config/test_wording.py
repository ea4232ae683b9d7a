import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from seqmodels.config import config
from seqmodels.config.wording import describe, help_text, named, requirement


@config
class Lstm:
    name: Literal["lstm"] = "lstm"
    hidden_size: Annotated[int, Field(ge=1, description="units")]
    peepholes: bool = False
    bias: bool = True


@config
class Gru:
    name: Literal["gru"] = "gru"
    hidden_size: Annotated[int, Field(ge=1)] = 8
    bias: bool = True


Cell = Annotated[Lstm | Gru, Field(discriminator="name")]
Size = Annotated[int, Field(ge=1, description="a size")]


@config
class Model:
    cell: Cell = Gru()
    spare: Cell | None = None
    size: Annotated[Size | None, Field(description="how wide")] = 3
    path: Path | None = None
    folder: Path = Path("runs")
    kind: Literal["one long name", "another long name", "a third long name"] = "one long name"
    mesh: dict[str, int] = dataclasses.field(default_factory=lambda: {"data": -1})


@config
class Whole:
    model: Model = Model()
    after: tuple[float, ...] = (0.5,)


@config
class Nested:
    inner: "Nested | None" = None
    size: int = 1


def test_the_help_lists_every_key():
    assert (
        help_text(Whole)
        == """\
key                      must be                                 default
model.cell.name          one of 'lstm', 'gru'                    "gru"
model.cell.bias          true or false                           true
with model.cell.name = 'lstm':
model.cell.hidden_size   a whole number of at least 1            required         units
model.cell.peepholes     true or false                           false
with model.cell.name = 'gru':
model.cell.hidden_size   a whole number of at least 1            8
for all:
model.spare              a table or 'none'                       none
model.spare.name         one of 'lstm', 'gru'                    required
model.spare.bias         true or false                           true
with model.spare.name = 'lstm':
model.spare.hidden_size  a whole number of at least 1            required         units
model.spare.peepholes    true or false                           false
with model.spare.name = 'gru':
model.spare.hidden_size  a whole number of at least 1            8
for all:
model.size               a whole number of at least 1 or 'none'  3                how wide
model.path               a path                                  none
model.folder             a path                                  "runs"
model.kind               one of 'one long name', 'another long name', 'a third long name'  "one long name"
model.mesh               a table (each value: a whole number)    {data = -1}
after                    an array (each item: a number)          [0.5]"""
    )


def test_a_table_within_itself_is_listed_once():
    assert [line.split()[0] for line in help_text(Nested).splitlines()] == ["key", "inner", "size"]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (bool, "true or false"),
        (float | None, "a number or 'none'"),
        (str | None, "a string"),
        (Annotated[str, Field(min_length=1)] | int | None, "a string with at least 1 character or a whole number"),
        (Literal["a"] | None, "'a' or 'none'"),
        (Literal["none", "a"] | None, "one of 'none', 'a'"),
        (Literal[True, 3], "one of true, 3"),
        (Annotated[float, Field(gt=0, le=1)], "a number above 0 and at most 1"),
        (Annotated[int, Field(multiple_of=8)], "a whole number that is a multiple of 8"),
        (Annotated[float | None, Field(gt=0)], "a number above 0 or 'none'"),
        (Annotated[float, Field(gt=0)] | Literal["auto"], "'auto' or a number above 0"),
        (tuple[int, str], "an array of 2 (a whole number, a string)"),
        (list[Annotated[int, Field(ge=0)]], "an array (each item: a whole number of at least 0)"),
        (Annotated[tuple[int, ...], Field(min_length=2, max_length=3)],
         "an array (each item: a whole number) with at least 2 items and with at most 3 items"),
        (dict[str, float], "a table (each value: a number)"),
        (Cell, "a table"),
        (Path, "a path"),
        (bytes, "of type bytes"),
        (Any, "anything"),
        (dict[str, Any], "a table (each value: anything)"),
    ],
)  # fmt: skip  # a case reads best as its type and its words
def test_types_are_put_into_words(annotation, words):
    assert describe(annotation) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "'none'"),
        (True, "true"),
        (1.5, "the number 1.5"),
        ("a\nb", r"the string 'a\nb'"),
        ([1, None, "ü"], 'the array [1, null, "ü"]'),
        ({"a": 1, "b": {}}, "a table with 'a', 'b'"),
        ({}, "an empty table"),
        ({1}, "{1}"),
    ],
)
def test_values_are_put_into_words(value, words):
    assert named(value) == words


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (int | str, 2.5, "must be a whole number or a string (got the number 2.5)"),
        (str, 2.5, 'must be a string (got the number 2.5); to mean the string, put quotes around it: "2.5"'),
        (str, True, "must be a string (got true)"),
        (Annotated[float, Field(gt=0)], 0, "must be a number above 0 (got 0)"),
        (Literal[False], True, "must be false (got true)"),
        (Literal["a", "b"], "c", "must be one of 'a', 'b' (got 'c')"),
    ],
)
def test_what_is_required_and_what_was_got(annotation, value, words):
    assert requirement(annotation, value) == words
