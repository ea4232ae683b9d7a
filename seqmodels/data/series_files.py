"""The user's own series: a table with a step a row."""

import csv
import datetime
import difflib
import io
import itertools
import math
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from seqmodels.data.frequencies import ANY, following, follows, read_date, usual_frequency, written
from seqmodels.data.series import Numbers, Panel, Series, ends_of, filled
from seqmodels.data.sources import DataError
from seqmodels.data.text_files import read_text

MISSING: Final = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_LARGEST: Final = 1e30  # sums of many of them still fit float32


class Columns(NamedTuple):
    """Which columns hold what, and how they are read.

    Attributes:
      date: the name of the column of dates, or None: the rows follow each other in time.
      series: the name of the column that says to which series a row belongs, or None: there is one series.
      targets: what is forecast; none named: all columns that are not named otherwise.
      covariates: what is known beforehand for every step.
      past_covariates: what is known of a step only once it has passed, and not forecast.
      frequency: the time between two rows, such as "15min", "1h", "1d", "1w", "1mo"; None: that of most of them, if
        there is one; "any": it is not checked.
      missing: "error" refuses missing values, "forward" lets the last one before stand for them.
    """

    date: str | None = None
    series: str | None = None
    targets: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    past_covariates: tuple[str, ...] = ()
    frequency: str | None = None
    missing: str = "error"

    @property
    def read_beside(self) -> tuple[str, ...]:
        """All covariates, those of the past last."""
        return self.covariates + self.past_covariates


class _Row(NamedTuple):
    """A row of the table: the place for errors, and the numbers, NaN where one is missing."""

    where: str
    date: str
    numbers: list[float]


def from_csv(path: Path, columns: Columns, *, valid_share: float, test_share: float) -> Panel:
    """The user's own series; the last part of each is the test, the part before it validation.

    Args:
      path: a .csv file whose first line names the columns.
      columns: see there.
      valid_share: of the steps of each series.
      test_share: of the steps of each series.

    Raises:
      DataError: if something is missing, empty, wrong or not UTF-8: file, line, column, and what to do.
    """
    if path.suffix != ".csv":
        raise DataError(f"{path}: its name must end in .csv; save the series as a table with commas between the cells")
    return read_panel(
        read_text(path), str(path), path.name, columns, lambda steps: ends_of(steps, valid_share, test_share)
    )


def read_panel(
    text: str, where: str, name: str, columns: Columns, ends: Callable[[int], tuple[int, int, int]] | None = None
) -> Panel:
    """Makes a panel of the text of a table.

    Args:
      text: what stands in the file.
      where: the file, for errors.
      name: of the panel.
      columns: which hold what.
      ends: where the splits of a series of so many steps end; what is beyond the last end is left out. None: all is
        training up to the last step with a target, and test are the steps to come, behind it. Then missing targets and
        past covariates are filled, whatever `columns.missing` says, and past covariates of steps to come not looked at.

    Raises:
      DataError: as for `from_csv`.
    """
    if not text.strip():
        raise DataError(f"{where}: the file is empty; its first line must name the columns")
    lines = _lines(text, where)
    _, header = next(lines)
    targets = _check_header(where, header, columns)
    groups = _groups(lines, header, columns, targets, (*targets, *columns.past_covariates) if ends is None else ())
    if not groups:
        raise DataError(f"{where}: there are no rows below the names of the columns")
    frequency = None if columns.date is None else _checked_frequency(groups.values(), columns.date, columns.frequency)
    series = tuple(_series(where, key, rows, columns, targets, ends) for key, rows in groups.items())
    return Panel(name, targets, columns.covariates, series, frequency, columns.past_covariates)


def _lines(text: str, where: str) -> Iterator[tuple[str, list[str]]]:
    """The rows that are not empty, each with its place; all as long as the first one."""
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text), strict=True)
    width = 0
    try:
        for row in reader:
            place = f"{where}:{reader.line_num}"
            if not row:
                continue
            width = width or len(row)
            if len(row) != width:
                raise DataError(
                    f"{place}: {len(row)} cells, but the first line has {width}; a number must have a decimal point, "
                    "not a comma, and a missing value is an empty cell"
                )
            yield place, [cell.strip() for cell in row]
    except csv.Error as error:
        raise DataError(f"{where}:{reader.line_num}: cannot be read ({error}); is a double quote missing?") from error


def _check_header(where: str, header: Sequence[str], columns: Columns) -> tuple[str, ...]:
    """The names of the targets; raises DataError if a column is not there, or there twice."""
    keys = {"data.date_column": columns.date, "data.series_column": columns.series}
    wanted = [(key, name) for key, name in keys.items() if name is not None]
    wanted += [("data.targets", name) for name in columns.targets]
    wanted += [("data.covariates", name) for name in columns.covariates]
    wanted += [("data.past_covariates", name) for name in columns.past_covariates]
    for key, name in wanted:
        if name not in header:
            close = difflib.get_close_matches(name, header, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise DataError(
                f"{where}:1: there is no column {name!r}{meant} (there: {', '.join(map(repr, header))}); the first "
                f"line must name the columns; say which is meant with {key}=NAME"
            )
    for names in (header, [name for _, name in wanted]):
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise DataError(f"{where}:1: the column {twice!r} is named twice; give each column one name and one use")
    used = {name for _, name in wanted}
    targets = columns.targets or tuple(name for name in header if name not in used)
    if not targets:
        raise DataError(f"{where}:1: no column is left to forecast; name one with data.targets")
    return targets


def _groups(
    lines: Iterator[tuple[str, list[str]]],
    header: Sequence[str],
    columns: Columns,
    targets: tuple[str, ...],
    may_lack: tuple[str, ...],
) -> dict[str, list[_Row]]:
    """The rows of each series, in the order of the file; columns that may lack values are not asked for them."""
    places = [(name, header.index(name)) for name in (*targets, *columns.read_beside)]
    date = None if columns.date is None else header.index(columns.date)
    key = None if columns.series is None else header.index(columns.series)
    groups: dict[str, list[_Row]] = {}
    for where, cells in lines:
        if key is not None and not cells[key]:
            raise DataError(f"{where}: column {columns.series!r} is empty; say to which series the row belongs")
        numbers = [
            _number(cells[place], where, name, "forward" if name in may_lack else columns.missing)
            for name, place in places
        ]
        row = _Row(where, "" if date is None else cells[date], numbers)
        groups.setdefault("" if key is None else cells[key], []).append(row)
    return groups


def _number(cell: str, where: str, name: str, missing: str) -> float:
    """What stands in a cell, NaN where it is missing."""
    if cell.lower() in MISSING:
        if missing == "error":
            raise DataError(
                f"{where}: column {name!r}: a value is missing (got {cell!r}); put it in, or train with "
                "data.missing=forward, which lets the last one before stand for it"
            )
        return math.nan
    try:
        number = float(cell)
    except ValueError as error:
        raise DataError(
            f"{where}: column {name!r}: not a number (got {cell!r}); correct it, or name the columns to read with "
            "data.targets, data.covariates and data.past_covariates, and one of dates with data.date_column"
        ) from error
    if not math.isfinite(number):
        raise DataError(f"{where}: column {name!r}: not a finite number (got {cell!r}); correct it")
    if abs(number) > _LARGEST:
        raise DataError(
            f"{where}: column {name!r}: too large, beyond {_LARGEST:g} (got {cell!r}); correct it, or write the column "
            "in a larger unit"
        )
    return number


def _series(
    where: str,
    key: str,
    rows: list[_Row],
    columns: Columns,
    targets: tuple[str, ...],
    ends: Callable[[int], tuple[int, int, int]] | None,
) -> Series:
    """One series, its missing values filled."""
    name = key or (targets[0] if len(targets) == 1 else "all rows")
    number = len(targets)
    numbers: Numbers = np.array([row.numbers for row in rows], np.float64)
    if ends is None:
        known = len(rows) - int(np.argmax((~np.isnan(numbers[::-1, :number])).any(axis=1)))
        numbers[known:, number + len(columns.covariates) :] = np.nan
        borders = known, known, len(rows)
    else:
        borders = ends(len(rows))
    there = ~np.isnan(numbers)
    for column, seen in zip((*targets, *columns.read_beside), there.T, strict=True):
        of = f" of series {key!r}" if key else ""
        if not seen.any():
            raise DataError(f"{where}: column {column!r}{of} has no value at all; leave it out")
        if borders[0] > 0 and not seen[: borders[0]].any():
            steps = "steps up to the last target" if ends is None else "steps to learn from"
            remedy = "put one in" if ends is None else "leave it out, or lower data.valid_share and data.test_share"
            raise DataError(
                f"{rows[int(seen.argmax())].where}: the first value of column {column!r}{of} comes after the "
                f"{borders[0]:,} {steps}; {remedy}"
            )
    if len(rows) < borders[-1]:
        raise DataError(f"{where}: {len(rows):,} rows, but {borders[-1]:,} are needed; restore the original file")
    numbers, there = filled(numbers)[: borders[-1]], there[: borders[-1]]
    dates = () if columns.date is None else tuple(row.date for row in rows[: borders[-1]])
    return Series(name, numbers[:, :number], there[:, :number], numbers[:, number:], borders, dates)


def _checked_frequency(groups: Collection[list[_Row]], column: str, frequency: str | None) -> str | None:
    """The time between two steps, None if there is none; the dates of each series are checked.

    Raises:
      DataError: if dates cannot be read, do not rise, or leave gaps.
    """
    dates = [[_date(row, column) for row in rows] for rows in groups]
    for rows, own in zip(groups, dates, strict=True):
        for row, (before, date) in zip(rows[1:], itertools.pairwise(own), strict=True):
            _check_order(row, column, before, date)
    usual = frequency or usual_frequency(pair for own in dates for pair in itertools.pairwise(own))
    if usual is None or usual == ANY:
        return None
    said = f"data.frequency={usual}" if frequency else f"{usual}, the usual step,"
    for rows, own in zip(groups, dates, strict=True):
        _check_steps(rows, own, column, usual, said)
    return usual


def _check_steps(rows: list[_Row], dates: list[datetime.datetime], column: str, frequency: str, said: str) -> None:
    """Raises DataError if a date is not the one that is next."""
    for place, (before, date) in enumerate(itertools.pairwise(dates), start=1):
        if not follows(before, date, frequency):
            row, next_date = rows[place], following(dates[:place], frequency, 1)
            steps = "".join(f"; {written(when, row.date)} is missing" for when in next_date if when < date)
            raise DataError(
                f"{row.where}: column {column!r}: {row.date} is not {said} after {rows[place - 1].date}{steps}; put in "
                f"rows for the steps between, with empty cells and data.missing=forward, or train with "
                f"data.frequency={ANY} if every row is a step, whatever its date"
            )


def _check_order(row: _Row, column: str, before: datetime.datetime, date: datetime.datetime) -> None:
    try:
        rises = date > before
    except TypeError as error:
        raise DataError(f"{row.where}: column {column!r}: {row.date} has a time zone, or others have none") from error
    if not rises:
        raise DataError(
            f"{row.where}: column {column!r}: {row.date} comes after {before}; sort the rows by date, and if there are "
            "several series name the column that tells them apart with data.series_column"
        )


def _date(row: _Row, column: str) -> datetime.datetime:
    """A date; of a month its first day."""
    try:
        return read_date(row.date)
    except ValueError as error:
        raise DataError(
            f"{row.where}: column {column!r}: not a date (got {row.date!r}); write it as 2024-12-31 or 2024-12-31 "
            "23:00:00, or name the column as no date and the others with data.targets"
        ) from error
