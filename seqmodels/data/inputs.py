"""New data for a model that was trained: a file, or what comes in by the standard input."""

import contextlib
import csv
import difflib
import io
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from seqmodels.data.sources import DataError
from seqmodels.data.text_files import read_text


@dataclass(frozen=True)
class Input:
    """Lines, and what they are.

    Attributes:
      place: where they come from, for errors.
      kind: the end of the file's name, such as ".csv"; ".txt" where none is given.
      lines: without their line ends; read once, as they come.

    Example:
      >>> given = Input("new.jsonl", ".jsonl", ['{"text": "a fine film"}', ""])
      >>> list(texts_of(given, "text"))
      ['a fine film']
    """

    place: str
    kind: str
    lines: Iterable[str]

    def text(self) -> str:
        """All lines as one text."""
        return "".join(line + "\n" for line in self.lines)

    def refuse(self, kinds: Iterable[str]) -> None:
        """Refuses lines of another kind.

        Raises:
          DataError: if `kind` is none of these.
        """
        if self.kind not in kinds:
            raise DataError(f"{self.place}: must be one of {', '.join(kinds)} (got {self.kind}); say which with --kind")


def open_input(name: str, kind: str | None) -> Input:
    """The file of a name; "-" is the standard input.

    Args:
      name: of a file in UTF-8, with or without a byte order mark; so is the standard input, whatever the locale. A file
        may be compressed, with `.gz` behind its name.
      kind: what the lines are, such as "csv" or ".csv"; None: what the file's name says.

    Raises:
      DataError: if the file is missing, binary or not UTF-8.
    """
    given = f".{kind.removeprefix('.')}" if kind else ""
    if name == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8-sig", errors="strict")
        return Input("standard input", given or ".txt", _lines(sys.stdin))
    lines = read_text(Path(name)).split("\n")
    suffix = Path(name.removesuffix(".gz")).suffix
    return Input(name, given or suffix or ".txt", lines[: len(lines) - (lines[-1] == "")])


def _lines(file: TextIO) -> Iterator[str]:
    """Line by line, as they come."""
    try:
        for line in file:
            yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"standard input: not UTF-8 ({error.reason} at byte {error.start:,} of a block)") from error


def records_of(given: Input) -> Iterator[dict[str, Any]]:
    """The objects of lines of JSON, or the rows of a table whose first line names the columns.

    Args:
      given: of kind ".jsonl", ".csv" or ".tsv".

    Raises:
      DataError: if a line is not that.
    """
    given.refuse((".jsonl", ".csv", ".tsv"))
    if given.kind == ".jsonl":
        yield from _objects(given)
        return
    tabs = given.kind == ".tsv"
    csv.field_size_limit(sys.maxsize)  # a text may be longer than the 131,072 characters that are allowed otherwise
    form: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {"strict": True}
    rows = csv.reader((line + "\n" for line in given.lines), **form)
    try:
        header = next(rows, None)
        if header is None:
            raise DataError(f"{given.place}: it is empty; its first line must name the columns")
        for row in rows:
            if len(row) not in (0, len(header)):
                raise DataError(
                    f"{given.place}:{rows.line_num}: {len(row)} fields, but the first line has {len(header)}"
                )
            if row:
                yield dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise DataError(
            f"{given.place}:{rows.line_num}: cannot be read ({error}); is a double quote missing?"
        ) from error


def _objects(given: Input) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(given.lines, start=1):
        if not line.strip():
            continue
        found: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(line)
        if not isinstance(found, dict):
            raise DataError(f"{given.place}:{number}: not an object of JSON; each line must be one (got {line[:40]!r})")
        yield found


def texts_of(given: Input, column: str) -> Iterator[str]:
    """The texts: the lines themselves, or what stands in a column of a table or under a key of objects.

    Raises:
      DataError: if there is no such column, or a text is none.
    """
    given.refuse((".txt", ".jsonl", ".csv", ".tsv"))
    if given.kind == ".txt":
        yield from given.lines
        return
    for number, record in enumerate(records_of(given), start=1):
        if column not in record:
            close = difflib.get_close_matches(column, record, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            there = ", ".join(map(repr, record))
            raise DataError(f"{given.place}: there is no {column!r} in record {number}{meant} (there: {there})")
        if not isinstance(record[column], str):
            raise DataError(f"{given.place}: {column!r} must be a text (got {record[column]!r} in record {number})")
        yield record[column]


def sequences_of(given: Input, size: int) -> Iterator[npt.NDArray[np.float32]]:
    """Sequences of vectors, each under the key "inputs" of a line of JSON: float32 [T, size], T at least 1.

    Raises:
      DataError: if one is not that.
    """
    given.refuse((".jsonl",))
    for number, record in enumerate(records_of(given), start=1):
        try:
            found = np.array(record.get("inputs"), np.float32)
        except (TypeError, ValueError):  # not numbers, or rows of different lengths
            found = np.zeros(0, np.float32)
        if found.ndim != 2 or found.shape[1] != size or not len(found) or not np.isfinite(found).all():
            raise DataError(
                f'{given.place}: record {number}: "inputs" must be a list of steps, each a list of {size} numbers'
            )
        yield found
