"""Time-series forecasting: the next steps of one series, of several at once, or of many alike."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.cells.base import Array, PyTree
from seqmodels.data.scaler import Scaler
from seqmodels.data.series import SPLITS, Panel
from seqmodels.data.series_files import from_csv
from seqmodels.data.series_sets import SERIES_SETS
from seqmodels.data.sources import DataError
from seqmodels.data.streams import batches
from seqmodels.data.windows import Backtest, Floats, WindowBatch, Windows, WindowStream, shown_windows
from seqmodels.engines import unroll
from seqmodels.models.distribution_heads import NegativeBinomial
from seqmodels.tasks import naive_forecasts as naive
from seqmodels.tasks.forecast_scores import Scores, target_shown
from seqmodels.tasks.forecast_tables import Config, DataTable
from seqmodels.tasks.forecasts import Forecasts, Shown
from seqmodels.tasks.series_forecaster import SHOWN, SeriesForecaster
from seqmodels.training.evaluation import means
from seqmodels.training.reading import Reading
from seqmodels.training.task import Sums


class Forecasting(SeriesForecaster):
    """The task: series, a recurrent forecaster, its loss.

    Each split is measured by a backtest: a forecast from every origin (or every `stride`-th one), all H steps of each
    counted. Validation chooses by the loss of the head, or of distributions by CRPS, which baselines have too.

    Args:
      config: a valid one.

    Raises:
      DataError: if the data cannot be had or used.
    """

    name: ClassVar[str] = "forecasting"
    schema: ClassVar[type[Any]] = Config

    def __init__(self, config: Config) -> None:
        data = config.data
        self.panel = load_panel(data)
        self.data_name = f"the series of {self.panel.name}"
        scaler = Scaler.fit(self.panel, data.scaler)
        names = tuple(series.name for series in self.panel.series)
        super().__init__(config, self.panel.targets, self.panel.covariates, names, scaler, self.panel.frequency)
        if isinstance(self.head, NegativeBinomial):
            check_counts(self.panel)
        self.windows = {split: self._windows(split) for split in SPLITS}
        self.stream = WindowStream(self.windows["train"], data.batch_size)
        self._references = {split: self._reference(split) for split in SPLITS[1:]} if data.owa else {}

    def _windows(self, split: str) -> Windows:
        data = self.config.data
        return Windows(
            self.panel,
            self.scaler,
            split,
            context=data.context,
            horizon=data.horizon,
            stride=1 if split == "train" else data.stride,
            period=data.period,
        )

    def _reference(self, split: str) -> Floats:
        """What Naive2 makes of all that is known at each origin, scaled, [n, H, C]."""
        data, windows = self.config.data, self.windows[split]
        found = np.empty((len(windows), data.horizon, len(self.targets)), np.float32)
        for row, (number, start) in enumerate(zip(windows.series.tolist(), windows.starts.tolist(), strict=True)):
            values = self.panel.series[number].values[:start]
            forecasts = [naive.naive2(column, data.horizon, data.period) for column in values.T]
            found[row] = (np.stack(forecasts, axis=1) - self.scaler.location[number]) / self.scaler.scale[number]
        return found

    def batches(self, start: int) -> Iterator[WindowBatch]:
        """Training windows from step `start` on."""
        return batches(self.stream, seed=self.config.run.seed, start=start)

    def origin(self, number: int) -> dict[str, Any]:
        """What the stream says of a batch."""
        return self.stream.origin(number, self.config.run.seed)

    def evaluation(self, params: PyTree, split: str) -> tuple[None, Iterable[WindowBatch]]:
        """Every window of a split once; a few of the test are kept for the picture."""
        del params
        return None, self._backtest(split)

    def _backtest(self, split: str) -> Backtest:
        shown = SHOWN if split == "test" else 0
        rows = self.config.data.eval_batch_size
        return Backtest(self.windows[split], rows, reference=self._references.get(split), shown=shown)

    def sample(self, params: PyTree) -> None:
        """None: it writes no text."""

    def pictures(self, sums: Mapping[str, Any]) -> Mapping[str, Any]:
        """The forecasts of a few windows of the test."""
        windows = self.windows["test"]
        places = shown_windows(len(windows), SHOWN)
        kept = np.asarray(sums["forecasts"][0], np.float64)
        shown = tuple(self._shown(windows, row, slot, kept[slot]) for slot, row in enumerate(places.tolist()))
        return {"forecasts": Forecasts(shown, self.head.levels)}

    def _shown(self, windows: Windows, row: int, slot: int, forecast: np.ndarray) -> Shown:
        """One window beside its forecast [H, 1 + Q]."""
        data, start, column = self.config.data, int(windows.starts[row]), target_shown(slot, len(self.targets))
        series = self.panel.series[windows.series[row]]
        values, future = series.values[:, column], slice(start, start + data.horizon)
        names = dict.fromkeys((series.name, self.targets[column]))  # a single series may have its target's name
        return Shown(
            name=f"{', '.join(names)}, from step {start:,} on",
            past=values[start - data.context : start],
            future=np.where(series.observed[future, column], values[future], np.nan),
            point=forecast[:, 0],
            quantiles=forecast[:, 1:],
        )

    def reading(self, params: PyTree, most: int) -> Reading:
        """The first window of validation, and the mean cost of its forecast; of targets read apart the first one.

        Windows are all of one length, so that `most` leaves no choice.
        """
        del most
        data, windows, model = self.config.data, self.windows["valid"], self.model
        batch = windows.batch(np.arange(1), 1)
        past, covariates, future = (jnp.asarray(part) for part in (batch.past, batch.covariates, batch.future))
        xs = model.inputs(params, past, covariates, future)
        states, outputs = unroll(model.cell, params.cell, xs)

        def cost(last: PyTree, ys: Array) -> Array:
            state = jax.tree.map(lambda of_all, own: of_all.at[0].set(own), states, last)
            forecast = model.forecast(params, state, outputs.at[0].set(ys.astype(outputs.dtype)), past, covariates)
            losses = jnp.where(jnp.asarray(batch.observed), self.head.loss(forecast, future), 0.0)
            return losses.sum() / max(float(batch.observed.sum()), 1.0)

        series = self.panel.series[windows.series[0]].name
        return Reading(
            cell=model.cell,
            params=params.cell,
            xs=xs[0].astype(jnp.float32),
            cost=cost,
            asked=f"steps {windows.starts[0] + 1:,} to {windows.starts[0] + data.horizon:,} of {series}",
            unit="segment" if model.segment > 1 else "step",
            names=[f"{place * model.segment - data.context:+d}" for place in range(xs.shape[1])],
        )

    def baselines(self) -> dict[str, dict[str, float]]:
        """Persistence, seasonal naive, drift, and a linear map of the window; with `owa` Naive2 too."""
        linear = naive.Linear.fit(self.windows["train"])
        found: dict[str, dict[str, float]] = {}
        for split in ("valid", "test"):
            sums: dict[str, Any] = {}
            for batch in self._backtest(split):
                for method, point in self._simple(batch, linear).items():
                    added = jax.device_get(_sums(self.scores, batch, point))
                    before = sums.get(method)
                    sums[method] = added if before is None else jax.tree.map(np.add, before, added)
            for method, total in sums.items():
                for metric, value in self.scores.metrics(means(total)).items():
                    if not metric.startswith("coverage"):  # a number covers nothing
                        found.setdefault(f"{split}/{metric}", {})[method] = value
        return found

    def _simple(self, batch: WindowBatch, linear: naive.Linear) -> dict[str, Floats]:
        """The forecasts of the simple methods."""
        data = self.config.data
        found = {"persistence": naive.persistence(batch.past, data.horizon)}
        if data.period > 1:
            found["seasonal naive"] = naive.seasonal_naive(batch.past, data.horizon, data.period)
        found |= {"drift": naive.drift(batch.past, data.horizon), "linear": linear.forecast(batch.past)}
        return found | ({"naive2": batch.reference} if data.owa else {})

    def extra(self) -> dict[str, Any]:
        """The columns, the scaler, the time between two steps and the fingerprint of the data."""
        return {
            "targets": list(self.targets),
            "covariates": list(self.covariates),
            "series": list(self.series),
            "scaler": self.scaler.to_json(),
            "frequency": self.frequency,
            "data_sha256": self.panel.fingerprint,
        }

    def describe(self) -> list[str]:
        """What is trained on what, a line each."""
        data, series = self.config.data, self.panel.series
        steps = ", ".join(f"{self.panel.steps(split):,} {split}" for split in SPLITS)
        counts = ", ".join(f"{len(self.windows[split]):,} {split}" for split in SPLITS)
        lines = [
            f"{self.panel.name}: {len(series):,} series of {len(self.targets)} targets; {steps} steps",
            f"{counts} windows: {data.horizon} steps from the {data.context} before; {len(self.stream):,} batches an "
            "epoch",
        ]
        if missing := sum(int((~one.observed).sum()) for one in series):
            lines.append(f"{missing:,} values are missing; the last one before stands for each, and none is a target")
        if self.panel.frequency is not None:
            lines.append(f"a step is {self.panel.frequency}")
        elif series[0].dates and data.frequency is None:
            lines.append("the dates have no usual step: every row is a step, whatever its date; gaps are not seen")
        if short := len(series) - len(np.unique(self.windows["train"].series)):
            lines.append(f"{short:,} series are too short for a training window and are measured only")
        return lines


def load_panel(data: DataTable) -> Panel:
    """The series that the table asks for."""
    if data.path is not None:
        return from_csv(Path(data.path), data.columns, valid_share=data.valid_share, test_share=data.test_share)
    named = ("date_column", "series_column", "targets", "covariates", "past_covariates")
    if given := [key for key in named if getattr(data, key)]:
        raise DataError(f"data.{given[0]}: only a file of your own has columns to name; give data.path or leave it out")
    return SERIES_SETS[data.name](None if data.dir is None else Path(data.dir))


def check_counts(panel: Panel) -> None:
    """Raises DataError if a value is no count."""
    for series in panel.series:
        wrong = np.argwhere((series.values < 0) | (series.values != np.round(series.values)))
        for step, column in wrong[:1]:
            raise DataError(
                f"{panel.name}: series {series.name!r}, {panel.targets[column]!r}, step {step + 1:,}: "
                f"{series.values[step, column]:g} is no count, which model.head=negative_binomial needs; take another "
                "head, such as student_t"
            )


@functools.partial(jax.jit, static_argnames=("scores",))
def _sums(scores: Scores, batch: WindowBatch, point: Array) -> Sums:
    """The sums of forecasts that are one number each."""
    return scores.sums(batch, point, scores.certain(point), jnp.abs(batch.future - point))
