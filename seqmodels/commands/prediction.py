"""Writes what a trained model says of new data."""

import argparse
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from rich.console import Console

from seqmodels.analysis import tagged_sentences
from seqmodels.commands.trained_run import TrainedRun
from seqmodels.data.inputs import open_input
from seqmodels.errors import UserError
from seqmodels.tasks.predictor import Drawer, Predictor
from seqmodels.tasks.tagged_view import TaggedView
from seqmodels.tasks.tagging import WordTagger

Rows = Iterable[dict[str, Any]]
_TITLE = "Words and their labels"


def predict(options: argparse.Namespace) -> int:
    """Writes what a trained model says of new data; see `seqmodels predict --help`."""
    run = TrainedRun.of(options)
    model = run.model()
    if not isinstance(model, Predictor):
        raise run.lacking("reads no data but its own", "use evaluate")
    form = _form(options)
    given = open_input(options.input, options.kind)
    if options.paths is None:
        rows = model.predict(run.params(model), given, rows=options.rows)
    elif isinstance(model, Drawer):
        rows = model.draw(run.params(model), given, rows=options.rows, paths=options.paths)
    else:
        raise run.lacking("draws no paths", "leave --paths out")
    if form in VIEWS:
        if not isinstance(model, WordTagger):
            raise run.lacking("gives no words with labels to be coloured", "use --format jsonl or csv")
        VIEWS[form](_Sentences.of(rows, model.classes), options.output)
        return 0
    with _output(options.output) as file:
        FORMATS[form](rows, file)
    return 0


def _form(options: argparse.Namespace) -> str:
    """What is asked for, or what the name of the output says."""
    named = str(options.format or Path(options.output).suffix.removeprefix("."))
    if named == "png" and options.output == "-":
        raise UserError("--format png: a picture needs a file; name one with --output FILE")
    return named if named in (*FORMATS, *VIEWS) else "jsonl"


@contextmanager
def _output(name: str) -> Iterator[TextIO]:
    """A file to write to, in UTF-8; "-" is the standard output, which is so too, whatever the locale."""
    if name == "-":
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        return
    try:
        with Path(name).open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise UserError(f"--output {name}: cannot be written ({error.strerror})") from error


def _write_jsonl(rows: Rows, file: TextIO) -> None:
    for row in rows:
        file.write(_printable(json.dumps(row, ensure_ascii=False)) + "\n")
        file.flush()


def _write_csv(rows: Rows, file: TextIO) -> None:
    """A column for each key, also for those of objects within; lists are written as JSON."""
    for number, row in enumerate(rows):
        flat = dict(_flat(row))
        if number == 0:
            file.write(_table_line(flat))
        file.write(_table_line(flat.values()))
        file.flush()


def _table_line(cells: Iterable[Any]) -> str:
    """One line; before Python 3.13 a carriage return in a cell is quoted only where lines end with one too."""
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return _printable(line.getvalue().removesuffix("\r\n")) + "\n"


def _printable(text: str) -> str:
    """The text with halves of surrogate pairs, which JSON may bring and UTF-8 has not, as the escapes of JSON."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _flat(row: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


FORMATS: dict[str, Callable[[Rows, TextIO], None]] = {"jsonl": _write_jsonl, "csv": _write_csv}
"""How rows are written, by name."""


class _Sentences(NamedTuple):
    """Tagged sentences, all labels, and the one that most words have, if there is one: it gets no colour."""

    views: list[TaggedView]
    labels: tuple[str, ...]
    plain: str | None

    @classmethod
    def of(cls, rows: Rows, labels: tuple[str, ...]) -> "_Sentences":
        views = [TaggedView(row["words"], row["labels"]) for row in rows]
        counts = Counter(label for view in views for label in view.found)
        return cls(views, labels, next((label for label, n in counts.items() if 2 * n > counts.total()), None))


def _show(sentences: _Sentences, output: str) -> None:
    with _output(output) as file:
        text = tagged_sentences.terminal(sentences.views, sentences.labels, plain=sentences.plain)
        Console(file=file, soft_wrap=True).print(text)


def _write_page(sentences: _Sentences, output: str) -> None:
    with _output(output) as file:
        file.write(tagged_sentences.page(*sentences[:2], plain=sentences.plain, title=_TITLE))


def _draw(sentences: _Sentences, output: str) -> None:
    try:
        tagged_sentences.draw(*sentences[:2], Path(output), plain=sentences.plain, title=_TITLE)
    except OSError as error:
        raise UserError(f"--output {output}: cannot be written ({error.strerror})") from error


VIEWS: dict[str, Callable[[_Sentences, str], None]] = {"terminal": _show, "html": _write_page, "png": _draw}
"""How tagged sentences are shown in colour, by name."""
