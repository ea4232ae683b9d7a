"""What a trained forecaster needs of new series: the steps up to the last one that is known."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqmodels.data.frequencies import following, read_date, written
from seqmodels.data.inputs import Input
from seqmodels.data.scaler import Scaler
from seqmodels.data.series import Numbers, Series, hide_ahead
from seqmodels.data.series_files import Columns, read_panel
from seqmodels.data.sources import DataError

Floats = npt.NDArray[np.float32]
_SERIES = "series"


class Origin(NamedTuple):
    """The end of one series, from which the next steps are forecast.

    Attributes:
      name: of the series.
      past: float32 [L, C], the last values, scaled.
      covariates: float32 [L + H, K], scaled; in the H steps to come 0 for those not known beforehand.
      location: float64 [C]; values in their own unit are z · scale + location.
      scale: float64 [C].
      dates: [H] of the steps to come, in the form of the table; fewer where the calendar ends, none if not known.
    """

    name: str
    past: Floats
    covariates: Floats
    location: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    dates: tuple[str, ...]


class Scaling(NamedTuple):
    """How series were scaled in training.

    Attributes:
      kind: see `Scaler.fit`, for series that training had not.
      rows: the row of the scaler for each series by name.
      scaler: fitted in training.
    """

    kind: str
    rows: Mapping[str, int]
    scaler: Scaler


def origins_of(given: Input, columns: Columns, scaling: Scaling, *, context: int, horizon: int) -> Iterator[Origin]:
    """The end of each series of a table.

    Rows behind the last value of all targets are steps to come: there must be `horizon` of them if there are
    covariates known beforehand, with empty cells for the targets. For missing targets and past covariates before it the
    last one stands. Other missing covariates are what they were in training: refused, or with `columns.missing`
    "forward" the last one stands for them too.

    Args:
      given: of kind ".csv".
      columns: as in training, all targets and covariates named, and the frequency; without a column that tells series
        apart one that is called "series" does.
      scaling: of training; a series that training had not is scaled by its own values up to the last target.
      context: L.
      horizon: H.

    Raises:
      DataError: if the table cannot be read, a series is too short, or a covariate is missing.
    """
    given.refuse((".csv",))
    text = given.text()
    header = next(filter(None, csv.reader(io.StringIO(text))), [])
    if columns.series is None and _SERIES in map(str.strip, header):
        columns = columns._replace(series=_SERIES)
    panel = read_panel(text, given.place, given.place, columns)
    own = Scaler.fit(panel, scaling.kind)
    for number, series in enumerate(panel.series):
        row = scaling.rows.get(series.name)
        scaler = [part[number] for part in own] if row is None else [part[row] for part in scaling.scaler]
        origin = _origin(given.place, series, scaler, columns, context, horizon)
        yield origin._replace(dates=_to_come(series.dates, series.ends[0], panel.frequency, horizon))


def _to_come(dates: tuple[str, ...], end: int, frequency: str | None, horizon: int) -> tuple[str, ...]:
    """The dates of the steps after the end: those that the table has, and those that follow."""
    if not dates or frequency is None:
        return ()
    known = dates[: end + horizon]
    after = following([read_date(text) for text in known], frequency, end + horizon - len(known))
    return known[end:] + tuple(written(date, known[-1]) for date in after)


def _origin(place: str, series: Series, scaler: list[Numbers], columns: Columns, context: int, horizon: int) -> Origin:
    """The end of one series, without its dates; `scaler` holds the numbers of that series."""
    end = series.ends[0]
    to_come = len(series.values) - end
    if end < context:
        raise DataError(f"{place}: series {series.name!r} has {end:,} steps; the model looks back on {context:,}")
    if columns.covariates and to_come < horizon:
        raise DataError(
            f"{place}: series {series.name!r}: the covariates of {horizon:,} steps to come are needed, and there are "
            f"{to_come:,} rows behind the last value; add rows with empty cells for the targets"
        )
    location, scale, covariate_location, covariate_scale = scaler
    covariates = (series.covariates[end - context : end + horizon] - covariate_location) / covariate_scale
    whole = np.pad(covariates.astype(np.float32), ((0, context + horizon - len(covariates)), (0, 0)))
    return Origin(
        name=series.name,
        past=((series.values[end - context : end] - location) / scale).astype(np.float32),
        covariates=hide_ahead(whole, context, len(columns.past_covariates)),
        location=location,
        scale=scale,
        dates=(),
    )
