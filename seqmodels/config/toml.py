"""TOML as text: where each key is written, how one value is read, and how a table is written.

The standard library reads TOML (`tomllib`) but does not write it and does not say where a key stands.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way to a value: keys of tables (str) and positions in arrays (int)."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Document(dict[str, Any]):
    r"""The content of a TOML file, with what is needed to say where a key was written.

    Args:
      content: the tables, as `tomllib` gives them.
      text: the file's text; empty when there is none.
      assigned: for a key path that was set afterwards, what did, such as `command line (run.steps=3)`.

    Example:
      >>> text = "[run]\nsteps = 3\n"
      >>> document = Document(tomllib.loads(text), text, {("run", "name"): "command line (run.name=a)"})
      >>> document.where(("run", "steps"), "a.toml")
      'a.toml:2'
      >>> document.where(("run", "name"), "a.toml")
      'command line (run.name=a)'
    """

    def __init__(self, content: Mapping[str, Any], text: str = "", assigned: Mapping[KeyPath, str] | None = None):
        super().__init__(content)
        self.text = text
        self.assigned = dict(assigned or {})

    def where(self, path: KeyPath, origin: str) -> str:
        """Says where `path` was written: `origin` with its line, or what set it afterwards.

        The line is left out where it is not certain, as inside an array of several lines.
        """
        for length in range(len(path), 0, -1):
            if path[:length] in self.assigned:
                return self.assigned[path[:length]]
        line = key_lines(self.text).get(path)
        return origin if line is None else f"{origin}:{line}"


def key_lines(text: str) -> dict[KeyPath, int]:
    r"""Finds the lines on which the keys of a valid TOML text are written.

    Each statement is read by `tomllib` itself, a line at a time until it is complete, so that strings,
    comments and brackets need no second grammar here.

    Args:
      text: TOML that `tomllib` reads, lines ended by a line feed.

    Returns:
      line numbers, counted from 1; only of keys whose line is certain.

    Example:
      >>> key_lines("[run]\nsteps = 3\nmesh = {data = 2}\n")
      {('run',): 1, ('run', 'steps'): 2, ('run', 'mesh'): 3, ('run', 'mesh', 'data'): 3}
    """
    found: dict[KeyPath, int] = {}
    last_items: dict[KeyPath, int] = {}  # the position of the newest item of each [[array]]
    header: KeyPath = ()
    pending: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        pending.append(line)
        statement = _complete("\n".join(pending))
        if statement is None:
            continue
        start = number - len(pending) + 1
        if pending[0].lstrip().startswith("["):
            header = _enter(list(_chain(statement))[-1], pending[0].lstrip().startswith("[["), last_items)
            paths = [header[:length] for length in range(1, len(header) + 1)]
        else:
            # Inside a statement of several lines only the statement's own key is sure to be on the first.
            paths = [header + path for path in (_chain(statement) if len(pending) > 1 else _all_paths(statement))]
        for path in paths:
            found.setdefault(path, start)
        pending = []
    return found


def _complete(statement: str) -> dict[str, Any] | None:
    """Reads one statement; None while its closing bracket or quotes are still to come."""
    try:
        return tomllib.loads(statement)
    except ValueError:
        return None


def _enter(names: KeyPath, repeated: bool, last_items: dict[KeyPath, int]) -> KeyPath:
    """Turns the names of a `[header]` (or a repeated `[[header]]`) into a path that holds array positions."""
    path: KeyPath = ()
    for depth, name in enumerate(names, start=1):
        path = (*path, name)
        if repeated and depth == len(names):
            last_items[path] = last_items.get(path, -1) + 1
        if path in last_items:
            path = (*path, last_items[path])
    return path


def _chain(node: Any) -> Iterator[KeyPath]:
    """Yields a, a.b, a.b.c for the statement `a.b.c = ...`."""
    path: KeyPath = ()
    while isinstance(node, dict) and len(node) == 1:
        ((key, node),) = node.items()
        path = (*path, key)
        yield path


def _all_paths(node: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yields the path of every value below `node`, tables and arrays included."""
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in below:
        yield (*path, key)
        yield from _all_paths(value, (*path, key))


def read_value(text: str) -> Any:
    """Reads one TOML value; text that is none is the string itself.

    Example:
      >>> read_value("1e-3"), read_value("{data = -1}"), read_value("my.txt")
      (0.001, {'data': -1}, 'my.txt')
    """
    text = text.strip()
    try:
        statement = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return statement["value"] if list(statement) == ["value"] else text


def spell_path(path: KeyPath) -> str:
    """Writes a key path as TOML does, with array positions in brackets.

    Example:
      >>> spell_path(("model", "cells", 0, "hidden size"))
      'model.cells[0]."hidden size"'
    """
    steps = (f"[{step}]" if isinstance(step, int) else f".{_spell_key(step)}" for step in path)
    return "".join(steps).removeprefix(".")


def _spell_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _spell_string(key)


def _spell_string(text: str) -> str:
    # A JSON string is a TOML basic string but for the one control character that JSON lets through.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def spell_value(value: Any) -> str:
    r"""Writes one value on one line; tables inline.

    Args:
      value: bool, int, float, str, a list or tuple, or a mapping with string keys.

    Raises:
      TypeError: for anything else; TOML has no null.

    Example:
      >>> print(spell_value({"betas": (0.9, 1e-05), "nesterov": True, "note": 'say "hi"'}))
      {betas = [0.9, 1e-05], nesterov = true, note = "say \"hi\""}
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return int.__repr__(value)
        case float():
            return float.__repr__(value)
        case str():
            return _spell_string(value)
        case list() | tuple():
            return f"[{', '.join(map(spell_value, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{_spell_key(key)} = {spell_value(item)}' for key, item in value.items())}}}"
    raise TypeError(f"TOML cannot hold {value!r} (a {type(value).__name__})")


def write(table: Mapping[str, Any]) -> str:
    """Writes a table as a TOML text: plain values first, then a section for each table in it.

    Args:
      table: values that `spell_value` takes; tables in it become sections, tables in arrays stay inline.

    Returns:
      a text that `tomllib.loads` reads back to an equal table.

    Example:
      >>> print(write({"seed": 1, "model": {"cell": {"name": "lstm", "sizes": (1, 2)}}}), end="")
      seed = 1
      <BLANKLINE>
      [model.cell]
      name = "lstm"
      sizes = [1, 2]
    """
    return "\n\n".join(_sections(table, ())) + "\n"


def _sections(table: Mapping[str, Any], path: KeyPath) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    lines = [f"{_spell_key(key)} = {spell_value(value)}" for key, value in table.items() if key not in inner]
    if path and (lines or not inner):  # a table that holds tables only is implied by their headers
        lines.insert(0, f"[{spell_path(path)}]")
    if lines:
        yield "\n".join(lines)
    for key, value in inner.items():
        yield from _sections(value, (*path, key))
