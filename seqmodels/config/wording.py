"""How the keys of a configuration are put into words, for errors and for help."""

import dataclasses
import difflib
import json
import os
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic.fields import FieldInfo

from seqmodels.config import toml
from seqmodels.config.schema import Entry, entries, is_composed, kind, literal_values

_SCALARS = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
_WIDE = 48  # characters; a longer text in the help does not widen its column


def describe(annotation: Any) -> str:
    """Says in words what a value must be.

    Example:
      >>> from typing import Annotated
      >>> from pydantic import Field
      >>> describe(Annotated[int, Field(ge=1)])
      'a whole number of at least 1'
      >>> describe(tuple[float, ...] | None)
      "an array (each item: a number) or 'none'"
    """
    parts = kind(annotation)
    values = [value for member in parts.members for value in literal_values(member)]
    words = [choices(values)] if values else []
    words += [_describe_member(member, parts.rules) for member in parts.members if not literal_values(member)]
    if parts.reads_none:
        words.append("'none'")
    return " or ".join(dict.fromkeys(words))


def choices(values: Sequence[Any]) -> str:
    """Says which values there are to choose from.

    Example:
      >>> choices(["lstm", "gru"])
      "one of 'lstm', 'gru'"
    """
    texts = [str(value).lower() if isinstance(value, bool) else repr(value) for value in values]
    return texts[0] if len(texts) == 1 else f"one of {', '.join(texts)}"


def _describe_member(member: Any, rules: tuple[Any, ...]) -> str:
    if is_composed(member):
        return describe(member)
    arguments = typing.get_args(member)
    if member in _SCALARS:
        words, unit = _SCALARS[member], "character"
    elif dataclasses.is_dataclass(member):
        words, unit = "a table", "key"
    elif typing.get_origin(member) is dict:
        words, unit = f"a table (each value: {describe(arguments[1])})", "key"
    elif typing.get_origin(member) is tuple and Ellipsis not in arguments:
        words, unit = f"an array of {len(arguments)} ({', '.join(map(describe, arguments))})", "item"
    elif typing.get_origin(member) in (tuple, list):
        words, unit = f"an array (each item: {describe(arguments[0])})", "item"
    elif isinstance(member, type) and issubclass(member, os.PathLike):
        words, unit = "a path", "character"
    elif member is Any:
        words, unit = "anything", "item"
    else:
        words, unit = "of type " + getattr(member, "__name__", str(member)), "item"
    bounds = list(_bounds(rules, unit))
    return f"{words} {' and '.join(bounds)}" if bounds else words


def _bounds(rules: tuple[Any, ...], unit: str) -> Iterator[str]:
    forms: dict[str, Callable[[Any], str]] = {
        "ge": "of at least {}".format,
        "gt": "above {}".format,
        "le": "at most {}".format,
        "lt": "below {}".format,
        "multiple_of": "that is a multiple of {}".format,
        "min_length": lambda n: f"with at least {n} {unit}{'s' * (n != 1)}",
        "max_length": lambda n: f"with at most {n} {unit}{'s' * (n != 1)}",
    }
    for rule in rules:
        if not isinstance(rule, FieldInfo):
            limits = {name: getattr(rule, name, None) for name in forms}
            yield from (forms[name](limit) for name, limit in limits.items() if limit is not None)


def named(value: Any) -> str:
    """Says what a value is, in TOML's words.

    Example:
      >>> named("3"), named(3), named([1, 2])
      ("the string '3'", 'the whole number 3', 'the array [1, 2]')
    """
    words = repr(value)
    match value:
        case None:
            words = "'none'"
        case bool():
            words = "true" if value else "false"
        case int():
            words = f"the whole number {value}"
        case float():
            words = f"the number {value}"
        case str():
            words = f"the string {value!r}"
        case list():
            words = f"the array {json.dumps(value, ensure_ascii=False)}"
        case dict():
            words = f"a table with {', '.join(map(repr, value))}" if value else "an empty table"
    return words


def requirement(annotation: Any, value: Any) -> str:
    """Says what a value must be, what it is instead, and what was probably meant.

    Example:
      >>> from typing import Literal
      >>> requirement(int, "3")
      "must be a whole number (got the string '3')"
      >>> requirement(Literal["lstm", "gru"], "lstmm")
      "must be one of 'lstm', 'gru' (got 'lstmm'); did you mean 'lstm'?"
    """
    leaves = kind(annotation).leaves
    values = [choice for leaf in leaves for choice in literal_values(leaf)]
    expected = {leaf for leaf in leaves if leaf in _SCALARS} | {type(choice) for choice in values}
    fits = type(value) in expected or (float in expected and type(value) is int)
    got = repr(value) if fits and isinstance(value, str) else str(value) if fits else named(value)
    hint = meant(value, [choice for choice in values if isinstance(choice, str)])
    if str in leaves and not expected & {int, float} and type(value) in (int, float):
        hint = f'; to mean the string, put quotes around it: "{value}"'
    return f"must be {describe(annotation)} (got {got if got not in ('True', 'False') else got.lower()}){hint}"


def meant(given: Any, names: Sequence[str]) -> str:
    """Proposes the name that is most like what was given; empty when none is."""
    close = difflib.get_close_matches(given, names, 1) if isinstance(given, str) else []
    return f"; did you mean {close[0]!r}?" if close else ""


def help_text(schema: type) -> str:
    """Lists every key of a configuration: what it must be, its default, what it is for.

    Keys that only one choice of a table has stand below a line that names the choice.

    Example:
      >>> from typing import Annotated
      >>> from pydantic import Field
      >>> from seqmodels.config import config
      >>> @config
      ... class Run:
      ...     steps: int
      ...     cap: Annotated[float | None, Field(gt=0, description="largest norm")] = 1.0
      >>> print(help_text(Run))
      key    must be                     default
      steps  a whole number              required
      cap    a number above 0 or 'none'  1.0       largest norm
    """
    rows: list[tuple[str, ...]] = [("key", "must be", "default", "")]
    settings: tuple[tuple[toml.KeyPath, Any], ...] = ()
    for entry in entries(schema):
        if entry.settings != settings:
            settings = entry.settings
            rows.append((_heading(settings),))
        rows.append(_row(entry))
    columns = list(zip(*(row[:3] for row in rows if len(row) > 1), strict=True))
    widths = [max(len(text) for text in column if len(text) <= _WIDE) for column in columns]
    return "\n".join(_aligned(row, widths) for row in rows)


def _heading(settings: tuple[tuple[toml.KeyPath, Any], ...]) -> str:
    chosen = (f"{toml.spell_path(path)} = {value!r}" for path, value in settings)
    return f"with {', '.join(chosen)}:" if settings else "for all:"


def _row(entry: Entry) -> tuple[str, ...]:
    default = entry.key.default
    if default is dataclasses.MISSING:
        shown = "required"
    elif default is None:
        shown = "none"
    else:
        shown = toml.spell_value(str(default) if isinstance(default, os.PathLike) else default)
    return toml.spell_path(entry.path), describe(entry.key.annotation), shown, kind(entry.key.annotation).description


def _aligned(row: tuple[str, ...], widths: Sequence[int]) -> str:
    padded = [*(text.ljust(width) for text, width in zip(row, widths, strict=False)), *row[len(widths) :]]
    return "  ".join(padded).rstrip() if len(row) > 1 else row[0]
