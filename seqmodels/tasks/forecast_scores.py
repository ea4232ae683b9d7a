"""How good forecasts are: sums over windows, and what is reported of them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from seqmodels.cells.base import Array
from seqmodels.data.windows import WindowBatch
from seqmodels.models.forecast_heads import pinball
from seqmodels.training.task import Sums


@dataclasses.dataclass(frozen=True)
class Scores:
    """Measures of forecasts, each over all observed values of all windows.

    On the scaled data, as the literature has it of ETT:

        mse, mae               the mean of e², of |e|                           e = y - ŷ
        scaled_quantile_loss   2 · the mean pinball loss over windows and levels
        crps                   the mean of ∫ (F(x) - 1{y ≤ x})² dx              F: what a distribution says of P(y ≤ x)

    In the unit of the series:

        smape_percent   200 · the mean of |e| / (|y| + |ŷ|), 0 where both are 0
        mase            the mean of |e| / the mean error of the seasonal naive forecast, before the split
        owa             half of smape / that of Naive2 + half of mase / that of Naive2
        quantile_loss   2 · the sum of pinball losses, averaged over the levels / the sum of |y|
        coverage_…      the share of values between the lowest and the highest quantile, in percent

    CRPS is that of the whole distribution, or the unbiased one of paths that were drawn; a head of a few quantiles,
    which says nothing of what lies between and beyond, has none. The mean loss of quantiles is no estimate of it: at
    levels 0.1 … 0.9 a normal distribution that is right has 0.617 of its deviation, where its CRPS is 0.564. Of a
    forecast that is one number CRPS is the mean absolute error, and so is the loss of quantiles at levels that lie
    evenly about 0.5. Series whose seasonal naive error is 0 do not count in MASE.

    Args:
      horizon: H.
      levels: of the quantiles; none if there are none.
      crps: whether forecasts are distributions.
      shown: windows whose forecasts are kept for pictures.
      owa: whether batches of an evaluation bring the forecasts of Naive2.

    References:
      Hyndman & Koehler (2006), Another look at measures of forecast accuracy (MASE); Makridakis, Spiliotis &
      Assimakopoulos (2020), The M4 competition (sMAPE, OWA); Gneiting & Raftery (2007), Strictly proper scoring rules,
      prediction, and estimation (CRPS); Salinas et al. (2020), DeepAR (quantile loss).
    """

    horizon: int
    levels: tuple[float, ...] = ()
    crps: bool = False
    shown: int = 0
    owa: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each total."""
        shapes: dict[str, tuple[int, ...]] = {"mse": (), "mae": (), "smape_percent": (), "mase": ()}
        if self.owa:
            shapes |= {"naive2_smape_percent": (), "naive2_mase": ()}
        if self.levels:
            number = (len(self.levels),)
            shapes |= {"scaled_pinball": number, "pinball": number, "magnitude": (), self.coverage: ()}
        if self.crps:
            shapes["crps"] = ()
        return shapes | {"forecasts": (self.shown, self.horizon, 1 + len(self.levels))}

    @property
    def coverage(self) -> str:
        """The name of the coverage, with the share that lies between the outermost levels."""
        return f"coverage_{100.0 * (self.levels[-1] - self.levels[0]):.3g}_percent".replace(".", "_")

    def sums(
        self, batch: WindowBatch, point: Array, quantiles: Array | None, crps: Array | None = None
    ) -> dict[str, tuple[Array, Array]]:
        """The sums of `shapes` over one batch.

        Args:
          batch: the windows.
          point: [B, H, C], scaled.
          quantiles: [B, H, C, Q], scaled; None if there are no levels.
          crps: [B, H, C], of the scaled values; needed if forecasts are distributions.
        """
        y, observed, unit = jnp.asarray(batch.future), jnp.asarray(batch.observed), jnp.asarray(batch.scale)[:, None]
        found = {"mse": _total((y - point) ** 2, observed), "mae": _total(jnp.abs(y - point), observed)}
        found |= _scale_free(batch, point, "")
        if self.owa:
            found |= _scale_free(batch, jnp.asarray(batch.reference) if batch.reference.shape[1] else None, "naive2_")
        if quantiles is not None:
            loss = pinball(quantiles, y, self.levels)
            inside = (y >= quantiles[..., 0]) & (y <= quantiles[..., -1])
            found["scaled_pinball"] = _total(loss, observed)
            found["pinball"] = _total(loss * unit[..., None], observed)
            found["magnitude"] = _total(jnp.abs(_in_unit(batch, y)), observed)
            found[self.coverage] = _total(100.0 * inside.astype(y.dtype), observed)
        if self.crps:
            assert crps is not None
            found["crps"] = _total(crps, observed)
        found["forecasts"] = self._kept(batch, point, quantiles), found["mse"][1]
        return found

    def metrics(self, means: Mapping[str, Any]) -> dict[str, float]:
        """What is reported, from the means of `shapes`."""
        found = {name: means[name] for name in ("mse", "mae", "smape_percent", "mase")}
        if self.owa and means["naive2_smape_percent"] and means["naive2_mase"]:
            ratios = [means[name] / means[f"naive2_{name}"] for name in ("smape_percent", "mase")]
            found["owa"] = sum(ratios) / 2.0
        if self.levels:
            found["scaled_quantile_loss"] = 2.0 * float(np.mean(means["scaled_pinball"]))
            found["quantile_loss"] = 2.0 * float(np.mean(means["pinball"])) / (means["magnitude"] or 1.0)
            found[self.coverage] = means[self.coverage]
        return found | ({"crps": means["crps"]} if self.crps else {})

    def certain(self, point: Array) -> Array | None:
        """The quantiles of a forecast that is one number: all are that number."""
        return jnp.repeat(point[..., None], len(self.levels), axis=-1) if self.levels else None

    def _kept(self, batch: WindowBatch, point: Array, quantiles: Array | None) -> Array:
        """The forecasts of the windows that are shown, of one target each, in the unit of the series."""
        parts = point[..., None] if quantiles is None else jnp.concatenate([point[..., None], quantiles], axis=-1)
        slot = jnp.asarray(batch.slot)
        column = target_shown(slot, point.shape[-1])[:, None, None]
        unit, zero = (jnp.asarray(part)[:, None, :, None] for part in (batch.scale, batch.location))
        parts = jnp.take_along_axis(parts * unit + zero, column[..., None], axis=2)[:, :, 0]
        nowhere = jnp.where(slot < 0, self.shown, slot)
        return jnp.zeros(self.shapes["forecasts"], parts.dtype).at[nowhere].add(parts, mode="drop")


def target_shown(slot: Any, targets: int) -> Any:
    """Which of the targets is shown of the window in a slot: each in its turn."""
    return abs(slot) % targets


def _scale_free(batch: WindowBatch, point: Array | None, prefix: str) -> Sums:
    """Symmetric MAPE and MASE of a forecast, all 0 without one."""
    y, observed = jnp.asarray(batch.future), jnp.asarray(batch.observed)
    if point is None:
        nothing = jnp.zeros((), y.dtype), observed.sum().astype(y.dtype)
        return {f"{prefix}smape_percent": nothing, f"{prefix}mase": nothing}
    # Of the scaled values: in the unit float32 loses the error where the level is much higher than the changes.
    error = jnp.abs(y - point) * jnp.asarray(batch.scale)[:, None]
    size = jnp.abs(_in_unit(batch, y)) + jnp.abs(_in_unit(batch, point))
    season = jnp.asarray(batch.season_error)[:, None]
    smape = 200.0 * error / jnp.where(size > 0, size, 1.0)
    mase = error / jnp.where(season > 0, season, 1.0)
    return {
        f"{prefix}smape_percent": _total(smape, observed),
        f"{prefix}mase": _total(mase, observed & (season > 0)),
    }


def _in_unit(batch: WindowBatch, values: Array) -> Array:
    """Scaled values [B, H, C] in the unit of the series."""
    return values * jnp.asarray(batch.scale)[:, None] + jnp.asarray(batch.location)[:, None]


def _total(values: Array, counted: Array) -> tuple[Array, Array]:
    """The sum of the values [B, H, C] or [B, H, C, Q] that count, and their number."""
    mask = counted.reshape(*counted.shape, *[1] * (values.ndim - counted.ndim))
    return jnp.where(mask, values, 0.0).sum(axis=(0, 1, 2)), counted.sum().astype(values.dtype)
