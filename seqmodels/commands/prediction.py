"""Writes what a trained model says of new data."""

import argparse
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from rich.console import Console

from seqmodels.analysis import tagged_sentences
from seqmodels.commands.trained_run import TrainedRun
from seqmodels.data.inputs import open_input
from seqmodels.errors import UserError
from seqmodels.tasks.predictor import Drawer, Predictor, Tabular
from seqmodels.tasks.tagged_view import TaggedView
from seqmodels.tasks.tagging import WordTagger

Rows = Iterable[dict[str, Any]]
_TITLE = "Words and their labels"
_ROWS = 32


def predict(options: argparse.Namespace) -> int:
    """Writes what a trained model says of new data; see `seqmodels predict --help`."""
    run = TrainedRun.of(options)
    model = run.model()
    if not isinstance(model, Predictor):
        raise run.lacking("reads no data but its own", "use evaluate")
    form = _form(options)
    given = open_input(options.input, options.kind)
    at_once = options.rows or (1 if options.input == "-" else _ROWS)
    if options.paths is None:
        found = model.predict(run.params(model), given, rows=at_once)
    elif isinstance(model, Drawer):
        found = model.draw(run.params(model), given, rows=at_once, paths=options.paths)
    else:
        raise run.lacking("draws no paths", "leave --paths out")
    rows = _told(found, given.place)
    if form in VIEWS:
        if not isinstance(model, WordTagger):
            raise run.lacking("gives no words with labels to be coloured", "use --format jsonl or csv")
        VIEWS[form](_Sentences.of(rows, model.classes), options.output)
        return 0
    columns = model.columns if isinstance(model, Tabular) else ()
    with _output(options.output) as file:
        FORMATS[form](rows, columns, file)
    return 0


def _told(rows: Rows, place: str) -> Rows:
    """The rows; that there are none is said, and no fault: a pipe may have nothing to say."""
    number = 0
    for number, row in enumerate(rows, start=1):  # noqa: B007 (it is looked at afterwards)
        yield row
    if number == 0:
        print(f"{place}: there is nothing in it to predict from", file=sys.stderr)


def _form(options: argparse.Namespace) -> str:
    """What is asked for, or what the name of the output says."""
    named = str(options.format or Path(options.output).suffix.removeprefix("."))
    if named == "png" and options.output == "-":
        raise UserError("--format png: a picture needs a file; name one with --output FILE")
    return named if named in (*FORMATS, *VIEWS) else "jsonl"


@contextmanager
def _output(name: str) -> Iterator[TextIO]:
    """A file to write to, in UTF-8; "-" is the standard output, which is so too, whatever the locale.

    A file gets its name when it is whole, so that an older one stays until then. A device or a pipe is written to as it
    is.
    """
    if name == "-":
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        return
    try:
        path = Path(name)
        with _whole(path.resolve()) if path.is_file() or not path.exists() else _opened(path) as file:
            yield file
    except OSError as error:
        raise UserError(f"--output {name}: cannot be written ({error.strerror})") from error


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    """A file beside its place until all is written; what a fault or Ctrl-C leaves stays there, and that is said."""
    partial = path.with_name(path.name + ".partial")
    with _opened(partial) as file:
        try:
            yield file
            file.flush()
        except BaseException:
            if partial.stat().st_size:
                print(f"{partial}: what was written before it broke off", file=sys.stderr)
            else:
                partial.unlink()
            raise
    partial.replace(path)


def _opened(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="")


def _write_jsonl(rows: Rows, columns: Sequence[str], file: TextIO) -> None:
    del columns
    for row in rows:
        file.write(_printable(json.dumps(row, ensure_ascii=False)) + "\n")
        file.flush()


def _write_csv(rows: Rows, columns: Sequence[str], file: TextIO) -> None:
    """A column for each key, also for those of objects within; lists are written as JSON. Without rows, their names."""
    header: Sequence[str] = ()
    for row in rows:
        flat = dict(_flat(row))
        if not header:
            header = tuple(flat)
            file.write(_table_line(header))
        file.write(_table_line(flat.values()))
        file.flush()
    if columns and not header:
        file.write(_table_line(columns))


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


FORMATS: dict[str, Callable[[Rows, Sequence[str], TextIO], None]] = {"jsonl": _write_jsonl, "csv": _write_csv}
"""How rows are written, by name; the columns are those of a table without any."""


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
