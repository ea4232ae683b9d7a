"""A forecaster with its scaler: all of the task of forecasting that needs no data."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.cells.base import Array, PyTree
from seqmodels.data.frequencies import ANY
from seqmodels.data.inputs import Input
from seqmodels.data.origins import Origin, Scaling, origins_of
from seqmodels.data.scaler import Scaler
from seqmodels.data.windows import WindowBatch
from seqmodels.errors import UserError
from seqmodels.models.distribution_heads import Distribution
from seqmodels.models.forecast_heads import drawn_crps
from seqmodels.tasks.forecast_scores import Scores
from seqmodels.tasks.forecast_tables import Config
from seqmodels.training.groups import batched
from seqmodels.training.task import Sums

SHOWN = 4
"""So many forecasts of the test are kept for the picture."""


class SeriesForecaster:
    """A recurrent forecaster and the scaler of its series.

    Args:
      config: the run's.
      targets: the names of the columns that are forecast.
      covariates: the names of those that are known beforehand.
      series: the names of the series of training.
      scaler: fitted on their training steps.
      frequency: the time between two steps, if dates say it.
    """

    weight_unit = "values"

    def __init__(
        self,
        config: Config,
        targets: tuple[str, ...],
        covariates: tuple[str, ...],
        series: tuple[str, ...],
        scaler: Scaler,
        frequency: str | None,
    ) -> None:
        self.config = config
        self.targets = targets
        self.covariates = covariates
        self.series = series
        self.scaler = scaler
        self.frequency = frequency
        self.model = config.model.build(
            config.data,
            targets=len(targets),
            covariates=len(covariates) + len(config.data.past_covariates),
            compute_dtype=config.training.compute_dtype,
        )
        self.head = self.model.head
        self._next = jax.jit(self._ahead)
        self._draw = jax.jit(self._paths, static_argnames=("paths",))
        drawn = isinstance(self.head, Distribution)
        self.scores = Scores(config.data.horizon, self.head.levels, crps=drawn, shown=SHOWN, owa=config.data.owa)
        choices = {"mse": "mse", "mae": "mae", "quantiles": "scaled_quantile_loss"}
        self.objective = choices.get(config.model.head, "crps")

    @staticmethod
    def restore(config: Config, extra: Mapping[str, Any]) -> "SeriesForecaster":
        """From what `extra` put into a checkpoint."""
        scaler = Scaler.from_json(extra["scaler"])
        targets, covariates, series = (tuple(extra[key]) for key in ("targets", "covariates", "series"))
        return SeriesForecaster(config, targets, covariates, series, scaler, extra.get("frequency"))

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
        crps = self.head.crps(forecast, future)
        if key is None and self.model.decoding == "recursive":
            paths = self._paths(params, past, covariates, jnp.asarray(batch.number))
            point, quantiles = self._of_paths(paths)
            crps = None if crps is None else drawn_crps(paths, future)
        sums = self.scores.sums(batch, point, quantiles, crps)
        total, weight = losses.sum(), sums["mse"][1]
        if self.head.measure is not None:
            sums[self.head.measure] = total, weight
        return total / jnp.maximum(weight, 1.0), (carry, sums)

    def predict(self, params: PyTree, given: Input, *, rows: int) -> Iterator[dict[str, Any]]:
        """The steps after the last value of each series; see `seqmodels.tasks.predictor.Predictor`.

        Series stand in a .csv file with the columns of training. With covariates known beforehand there must be rows
        for the steps to come, whose targets are empty; their own cells may be empty only if `data.missing` was
        "forward" in training. Dates go on where they do in training; then each step has its own.
        """
        for group, known in self._asked(given, rows):
            for origin, forecast in zip(group, np.asarray(self._next(params, *known)), strict=False):
                yield from self._rows(origin, forecast)

    def draw(self, params: PyTree, given: Input, *, rows: int, paths: int) -> Iterator[dict[str, Any]]:
        """What may come after each series, drawn; see `seqmodels.tasks.predictor.Drawer`.

        With as many paths as `model.paths` they are those of which `predict` gives mean and quantiles.
        """
        head, decoding = self.config.model.head, self.model.decoding
        if decoding != "recursive" or not self.head.levels:
            raise UserError(
                "--paths: paths are drawn from a distribution that is decoded step after step, and this model has "
                f'model.head = "{head}", model.decoding = "{decoding}"; train with "recursive" and a head such as '
                '"gaussian", or leave --paths out'
            )
        return self._drawn_rows(params, given, rows, paths)

    def _drawn_rows(self, params: PyTree, given: Input, rows: int, paths: int) -> Iterator[dict[str, Any]]:
        """A row for each path and step."""
        for group, known in self._asked(given, rows):
            drawn = np.moveaxis(np.asarray(self._draw(params, *known, paths=paths)), 1, 0)
            for origin, values in zip(group, drawn, strict=False):
                for path, steps in enumerate(values * origin.scale + origin.location, start=1):
                    for step, at_step in enumerate(steps.tolist(), start=1):
                        place = _place(origin, step)
                        yield {**place, "path": path, **dict(zip(self.targets, at_step, strict=True))}

    def _asked(self, given: Input, rows: int) -> Iterator[tuple[tuple[Origin, ...], tuple[np.ndarray, ...]]]:
        """The ends of the series in groups, and the arrays of so many rows that the model reads of each group."""
        data = self.config.data
        columns = data.columns._replace(
            targets=self.targets, covariates=self.covariates, frequency=self.frequency or ANY
        )
        scaling = Scaling(data.scaler, {name: row for row, name in enumerate(self.series)}, self.scaler)
        origins = origins_of(given, columns, scaling, context=data.context, horizon=data.horizon)
        for place, group in enumerate(batched(origins, rows)):
            full = group + group[:1] * (rows - len(group))  # one shape, so that it is compiled once
            past, covariates = (np.stack(part) for part in zip(*(origin[1:3] for origin in full), strict=True))
            yield group, (past, covariates, np.arange(rows) + place * rows)

    def _rows(self, origin: Origin, forecast: np.ndarray) -> Iterator[dict[str, Any]]:
        """A row for each step, from a forecast [H, C, 1 + Q]."""
        names = ("point", *(f"q{level:g}" for level in self.head.levels))
        values = forecast * origin.scale[:, None] + origin.location[:, None]
        for step, at_step in enumerate(values, start=1):
            of_targets = (dict(zip(names, map(float, numbers), strict=True)) for numbers in at_step)
            yield {**_place(origin, step), **dict(zip(self.targets, of_targets, strict=True))}

    def _ahead(self, params: PyTree, past: Array, covariates: Array, numbers: Array) -> Array:
        """Point and quantiles, scaled, [B, H, C, 1 + Q]."""
        if self.model.decoding == "recursive":
            point, quantiles = self._of_paths(self._paths(params, past, covariates, numbers))
        else:
            forecast = self.model.apply(params, past, covariates)
            point, quantiles = self.head.point(forecast), self.head.quantiles(forecast)
        return point[..., None] if quantiles is None else jnp.concatenate([point[..., None], quantiles], axis=-1)

    def _paths(
        self, params: PyTree, past: Array, covariates: Array, numbers: Array, *, paths: int | None = None
    ) -> Array:
        """What recursive decoding draws, for the window of a number always the same, [N, B, H, C]; N = 1 of points."""
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), numbers)
        own = self.config.model.paths if self.head.levels else 1
        return self.model.sample(params, past, covariates, keys, paths=paths or own)

    def _of_paths(self, paths: Array) -> tuple[Array, Array | None]:
        """Their mean [B, H, C] and quantiles [B, H, C, Q]."""
        if not self.head.levels:
            return paths[0], None
        quantiles = jnp.quantile(paths, jnp.asarray(self.head.levels, paths.dtype), axis=0)
        return paths.mean(axis=0), jnp.moveaxis(quantiles, 0, -1)

    def metrics(self, means: Mapping[str, Any]) -> dict[str, float]:
        """The scores, and the loss of a distribution, in nats of the scaled values."""
        own = {} if self.head.measure is None else {self.head.measure: means[self.head.measure]}
        return self.scores.metrics(means) | own


def _place(origin: Origin, step: int) -> dict[str, Any]:
    """Of which series and step a row is, and its date if there is one."""
    dates = {"date": origin.dates[step - 1]} if step <= len(origin.dates) else {}
    return {"series": origin.name, "step": step, **dates}
