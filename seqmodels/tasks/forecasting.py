"""Time-series forecasting: the next steps of one series, of several at once, or of many alike."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.cells.base import Array, PyTree
from seqmodels.data.inputs import Input
from seqmodels.data.origins import Origin, Scaling, origins_of
from seqmodels.data.scaler import Scaler
from seqmodels.data.series import SPLITS, Panel
from seqmodels.data.series_files import from_csv
from seqmodels.data.series_sets import SERIES_SETS
from seqmodels.data.sources import DataError
from seqmodels.data.streams import batches
from seqmodels.data.windows import Backtest, Floats, WindowBatch, Windows, WindowStream, shown_windows
from seqmodels.models.distribution_heads import NegativeBinomial
from seqmodels.tasks import naive_forecasts as naive
from seqmodels.tasks.forecast_scores import Scores, target_shown
from seqmodels.tasks.forecast_tables import Config, DataTable
from seqmodels.tasks.forecasts import Forecasts, Shown
from seqmodels.training.evaluation import means
from seqmodels.training.groups import batched
from seqmodels.training.task import Sums

_SHOWN = 4


class SeriesForecaster:
    """A forecaster with its scaler: all of the task that needs no data.

    Args:
      config: the run's.
      targets: the names of the columns that are forecast.
      covariates: the names of those that are known beforehand.
      series: the names of the series of training.
      scaler: fitted on their training steps.
    """

    weight_unit = "values"

    def __init__(
        self,
        config: Config,
        targets: tuple[str, ...],
        covariates: tuple[str, ...],
        series: tuple[str, ...],
        scaler: Scaler,
    ) -> None:
        self.config = config
        self.targets = targets
        self.covariates = covariates
        self.series = series
        self.scaler = scaler
        self.model = config.model.build(
            config.data,
            targets=len(targets),
            covariates=len(covariates),
            compute_dtype=config.training.compute_dtype,
        )
        self.head = self.model.head
        self._next = jax.jit(self._ahead)
        self.scores = Scores(config.data.horizon, self.head.levels, shown=_SHOWN, owa=config.data.owa)
        self.objective = config.model.head if config.model.head in ("mse", "mae") else "crps"

    @staticmethod
    def restore(config: Config, extra: Mapping[str, Any]) -> "SeriesForecaster":
        """From what `extra` put into a checkpoint."""
        scaler = Scaler.from_json(extra["scaler"])
        targets, covariates, series = (tuple(extra[key]) for key in ("targets", "covariates", "series"))
        return SeriesForecaster(config, targets, covariates, series, scaler)

    @property
    def measures(self) -> dict[str, tuple[int, ...]]:
        """Those of the scores, and the loss of a distribution."""
        return self.scores.shapes | ({} if self.head.measure is None else {self.head.measure: ()})

    def init(self, key: Array) -> PyTree:
        """The model's parameters."""
        return self.model.init(key)

    def initial_carry(self, params: PyTree) -> None:
        """None: no window goes on from another one."""

    def loss(
        self, params: PyTree, carry: None, batch: WindowBatch, key: Array | None
    ) -> tuple[Array, tuple[None, Sums]]:
        """The head's loss over the values that are observed.

        With recursive decoding it is that of each segment after those that came. So are the measures of training, which
        has a key; without one they are those of forecasts that know no more than the window.
        """
        past, covariates, future = (jnp.asarray(part) for part in (batch.past, batch.covariates, batch.future))
        forecast = self.model.apply(params, past, covariates, future, key=key)
        losses = jnp.where(jnp.asarray(batch.observed), self.head.loss(forecast, future), 0.0)
        point, quantiles = self.head.point(forecast), self.head.quantiles(forecast)
        if key is None and self.model.decoding == "recursive":
            point, quantiles = self._drawn(params, past, covariates)
        sums = self.scores.sums(batch, point, quantiles)
        total, weight = losses.sum(), sums["mse"][1]
        if self.head.measure is not None:
            sums[self.head.measure] = total, weight
        return total / jnp.maximum(weight, 1.0), (carry, sums)

    def predict(self, params: PyTree, given: Input, *, rows: int) -> Iterator[dict[str, Any]]:
        """The steps after the last value of each series; see `seqmodels.tasks.predictor.Predictor`.

        Series stand in a .csv file with the columns of training. With covariates there must be rows for the steps to
        come, whose targets are empty.
        """
        data = self.config.data
        columns = data.columns._replace(targets=self.targets, covariates=self.covariates)
        scaling = Scaling(data.scaler, {name: row for row, name in enumerate(self.series)}, self.scaler)
        origins = origins_of(given, columns, scaling, context=data.context, horizon=data.horizon)
        for group in batched(origins, rows):
            full = group + group[:1] * (rows - len(group))  # one shape, so that it is compiled once
            known = (np.stack([origin.past for origin in full]), np.stack([origin.covariates for origin in full]))
            forecasts = np.asarray(self._next(params, *known))
            for origin, forecast in zip(group, forecasts, strict=False):
                yield from self._rows(origin, forecast)

    def _rows(self, origin: Origin, forecast: np.ndarray) -> Iterator[dict[str, Any]]:
        """A row for each step, from a forecast [H, C, 1 + Q]."""
        names = ("point", *(f"q{level:g}" for level in self.head.levels))
        values = forecast * origin.scale[:, None] + origin.location[:, None]
        for step, at_step in enumerate(values, start=1):
            of_targets = (dict(zip(names, map(float, numbers), strict=True)) for numbers in at_step)
            yield {"series": origin.name, "step": step, **dict(zip(self.targets, of_targets, strict=True))}

    def _ahead(self, params: PyTree, past: Array, covariates: Array) -> Array:
        """Point and quantiles, scaled, [B, H, C, 1 + Q]."""
        if self.model.decoding == "recursive":
            point, quantiles = self._drawn(params, past, covariates)
        else:
            forecast = self.model.apply(params, past, covariates)
            point, quantiles = self.head.point(forecast), self.head.quantiles(forecast)
        return point[..., None] if quantiles is None else jnp.concatenate([point[..., None], quantiles], axis=-1)

    def _drawn(self, params: PyTree, past: Array, covariates: Array) -> tuple[Array, Array | None]:
        """Mean and quantiles of the paths that recursive decoding draws, always with the same key."""
        key, levels = jax.random.key(0), self.head.levels
        paths = self.model.sample(params, past, covariates, key, paths=self.config.model.paths if levels else 1)
        if not levels:
            return paths[0], None
        quantiles = jnp.quantile(paths, jnp.asarray(levels, paths.dtype), axis=0)
        return paths.mean(axis=0), jnp.moveaxis(quantiles, 0, -1)

    def metrics(self, means: Mapping[str, Any]) -> dict[str, float]:
        """The scores, and the loss of a distribution, in nats of the scaled values."""
        own = {} if self.head.measure is None else {self.head.measure: means[self.head.measure]}
        return self.scores.metrics(means) | own


class Forecasting(SeriesForecaster):
    """The task: series, a recurrent forecaster, its loss.

    Each split is measured by a backtest: a forecast from every origin (or every `stride`-th one), all H steps of each
    counted. Validation chooses by the loss of the head, or of distributions and quantiles by CRPS, which baselines have
    too.

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
        super().__init__(config, self.panel.targets, self.panel.covariates, names, scaler)
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
        shown = _SHOWN if split == "test" else 0
        rows = self.config.data.eval_batch_size
        return Backtest(self.windows[split], rows, reference=self._references.get(split), shown=shown)

    def sample(self, params: PyTree) -> None:
        """None: it writes no text."""

    def pictures(self, sums: Mapping[str, Any]) -> Mapping[str, Any]:
        """The forecasts of a few windows of the test."""
        windows = self.windows["test"]
        places = shown_windows(len(windows), _SHOWN)
        kept = np.asarray(sums["forecasts"][0], np.float64)
        shown = tuple(self._shown(windows, row, slot, kept[slot]) for slot, row in enumerate(places.tolist()))
        return {"forecasts": Forecasts(shown, self.head.levels)}

    def _shown(self, windows: Windows, row: int, slot: int, forecast: np.ndarray) -> Shown:
        """One window beside its forecast [H, 1 + Q]."""
        data, start, column = self.config.data, int(windows.starts[row]), target_shown(slot, len(self.targets))
        series = self.panel.series[windows.series[row]]
        values, future = series.values[:, column], slice(start, start + data.horizon)
        return Shown(
            name=f"{series.name}, {self.targets[column]}, from step {start:,} on",
            past=values[start - data.context : start],
            future=np.where(series.observed[future, column], values[future], np.nan),
            point=forecast[:, 0],
            quantiles=forecast[:, 1:],
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
        """The columns, the scaler and the fingerprint of the data."""
        return {
            "targets": list(self.targets),
            "covariates": list(self.covariates),
            "series": list(self.series),
            "scaler": self.scaler.to_json(),
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
        if short := len(series) - len(np.unique(self.windows["train"].series)):
            lines.append(f"{short:,} series are too short for a training window and are measured only")
        return lines


def load_panel(data: DataTable) -> Panel:
    """The series that the table asks for."""
    if data.path is not None:
        return from_csv(Path(data.path), data.columns, valid_share=data.valid_share, test_share=data.test_share)
    if given := [key for key in ("date_column", "series_column", "targets", "covariates") if getattr(data, key)]:
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
    return scores.sums(batch, point, scores.certain(point))
