"""The user's own labelled texts: tables, lines of JSON, or folders a class each."""

import csv
import difflib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from seqmodels.data.labelled_text import Example, LabelledText, hold_out, labels_of
from seqmodels.data.sources import DataError
from seqmodels.data.text_files import check_exists, places_of_splits, read_text

SUFFIXES: Final = (".csv", ".tsv", ".jsonl")
_HELD_OUT: Final = 0.1


class Columns(NamedTuple):
    """The names of the columns, or of the keys of JSON objects.

    Attributes:
      text: of the text.
      label: of its class.
    """

    text: str = "text"
    label: str = "label"


def from_path(path: Path, columns: Columns, *, seed: int = 0) -> LabelledText:
    """The user's own data.

    `path` is a `.csv`, `.tsv` or `.jsonl` file; a folder with a folder of `.txt` files for each class; or a folder with
    `train`, `valid` (or `validation`, `dev`) and `test`, each of which is one of these. A split that is not there is
    held out of the training examples: a tenth of every class.

    Args:
      path: see above.
      columns: of tables and of JSON objects.
      seed: decides what is held out.

    Raises:
      DataError: if something is missing, empty, wrong or not UTF-8: file, line, and what to do.
    """
    check_exists(path)
    places = places_of_splits(path, ("", *SUFFIXES)) if path.is_dir() else {}
    splits = {split: _read(place, columns) for split, place in (places or {"train": path}).items()}
    for split in ("test", "valid"):
        if split not in splits:
            splits["train"], splits[split] = hold_out(splits["train"], _HELD_OUT, seed=seed, name=str(path))
    return LabelledText(path.name, labels_of(splits["train"]), splits["train"], splits["valid"], splits["test"])


def _read(path: Path, columns: Columns) -> tuple[Example, ...]:
    """All examples of one file or of a folder of classes."""
    if path.is_dir():
        examples = tuple(_from_folder(path))
    elif path.suffix in (".csv", ".tsv"):
        examples = tuple(_from_table(path, columns))
    elif path.suffix == ".jsonl":
        examples = tuple(_from_json(path, columns))
    else:
        raise DataError(f"{path}: its name must end in {', '.join(SUFFIXES)}; or name a folder with a folder a class")
    if not examples:
        raise DataError(f"{path}: there are no examples in it")
    return examples


def _from_folder(folder: Path) -> Iterator[Example]:
    """A class for each folder in it, an example for each text file in that."""
    classes = sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))
    if not classes:
        raise DataError(
            f"{folder}: there must be a folder of .txt files for each class in it, or train, valid and test, or name a "
            f"file that ends in {', '.join(SUFFIXES)}"
        )
    for place in classes:
        files = sorted(place.glob("*.txt"))
        if not files:
            raise DataError(f"{place}: there are no .txt files of this class; add some or remove the folder")
        for file in files:
            yield Example(read_text(file), place.name, str(file))


def _from_table(path: Path, columns: Columns) -> Iterator[Example]:
    """An example for each row below the names of the columns; quotes have a meaning in .csv files only."""
    csv.field_size_limit(sys.maxsize)  # a text may be longer than the 131,072 characters that are allowed otherwise
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path}: the file is empty; its first line must name the columns")
    tabs = path.suffix == ".tsv"
    form: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {"strict": True}
    reader = csv.reader(io.StringIO(text), **form)
    try:
        header = next(reader)
        places = [_column(path, header, name, key) for name, key in zip(columns, ("text", "label"), strict=True)]
        for row in reader:
            where = f"{path}:{reader.line_num}"
            if not row:
                continue
            if len(row) != len(header):
                remedy = (
                    "a text in it can hold no tab; make it a .csv or .jsonl file"
                    if tabs
                    else "put a text that holds a comma or a line end into double quotes"
                )
                raise DataError(f"{where}: {len(row)} fields, but the first line has {len(header)}; {remedy}")
            yield _example(row[places[0]], row[places[1]], where, columns)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: cannot be read ({error}); is a double quote missing?") from error


def _column(path: Path, header: Sequence[str], name: str, key: str) -> int:
    """Where a column stands."""
    if name in header:
        return header.index(name)
    close = difflib.get_close_matches(name, header, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    raise DataError(
        f"{path}:1: there is no column {name!r}{meant} (there: {', '.join(map(repr, header))}); the first line must "
        f"name the columns; say which holds the {key} with data.{key}_column=NAME"
    )


def _from_json(path: Path, columns: Columns) -> Iterator[Example]:
    """An example for each line."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON ({error}); each line must be one object") from error
        if not isinstance(found, dict):
            raise DataError(f"{where}: not an object; each line must be one with the keys {' and '.join(columns)}")
        for name, key in zip(columns, ("text", "label"), strict=True):
            if name not in found:
                raise DataError(
                    f"{where}: there is no key {name!r} (there: {', '.join(map(repr, found))}); say which holds the "
                    f"{key} with data.{key}_column=NAME"
                )
        text, label = found[columns.text], found[columns.label]
        if not isinstance(text, str):
            raise DataError(f"{where}: {columns.text!r} must be a string (got {json.dumps(text)})")
        if not isinstance(label, str | int):
            raise DataError(f"{where}: {columns.label!r} must be a string or a whole number (got {json.dumps(label)})")
        yield _example(text, json.dumps(label) if isinstance(label, bool) else str(label), where, columns)


def _example(text: str, label: str, where: str, columns: Columns) -> Example:
    if not label.strip():
        raise DataError(f"{where}: the {columns.label!r} is empty; give every text a label, or remove the line")
    return Example(text, label.strip(), where)
