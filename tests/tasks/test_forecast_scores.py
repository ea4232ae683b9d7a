"""Measures of forecasts against plain NumPy, and against a case worked by hand."""

import jax
import numpy as np
import pytest
from panels import panel

from seqmodels.data.scaler import Scaler
from seqmodels.data.series import Panel, Series
from seqmodels.data.windows import Windows
from seqmodels.tasks.forecast_scores import Scores
from seqmodels.training.evaluation import means

LEVELS = (0.1, 0.5, 0.9)
sums_of = jax.jit(Scores.sums, static_argnums=0)


def oracle(batch, point, quantiles):
    """Every measure, value by value."""
    found = {name: [] for name in ("mse", "mae", "smape", "mase", "scaled", "pinball", "size", "inside")}
    for place in np.argwhere(batch.observed):
        b, h, c = place
        unit, zero, season = (float(part[b, c]) for part in (batch.scale, batch.location, batch.season_error))
        z, f, q = float(batch.future[b, h, c]), float(point[b, h, c]), quantiles[b, h, c].astype(float)
        y, yhat = z * unit + zero, f * unit + zero
        found["mse"].append((z - f) ** 2)
        found["mae"].append(abs(z - f))
        found["smape"].append(200.0 * abs(y - yhat) / (abs(y) + abs(yhat)))
        if season > 0:
            found["mase"].append(abs(y - yhat) / season)
        losses = [(z - v) * level if z >= v else (v - z) * (1.0 - level) for v, level in zip(q, LEVELS, strict=True)]
        found["scaled"].append(2.0 * np.mean(losses))
        found["pinball"].append(2.0 * np.mean(losses) * unit)
        found["size"].append(abs(y))
        found["inside"].append(100.0 * (q[0] <= z <= q[-1]))
    mean = {name: np.mean(values) for name, values in found.items()}
    return {
        "mse": mean["mse"],
        "mae": mean["mae"],
        "smape_percent": mean["smape"],
        "mase": mean["mase"],
        "scaled_quantile_loss": mean["scaled"],
        "quantile_loss": np.sum(found["pinball"]) / np.sum(found["size"]),
        "coverage_80_percent": mean["inside"],
    }


@pytest.mark.parametrize("seed", range(3))
def test_measures_are_those_of_every_value_by_itself(seed):
    made = panel(seed)
    windows = Windows(made, Scaler.fit(made, "standard"), "test", context=4, horizon=3, period=2)
    batch = windows.batch(np.arange(len(windows) - 1), len(windows) + 2)
    season_error = batch.season_error.copy()
    season_error[0] = 0.0
    batch = batch._replace(season_error=season_error)
    random = np.random.default_rng(seed)
    quantiles = np.sort(random.standard_normal((*batch.future.shape, 3)), axis=-1).astype(np.float32)
    point = quantiles[..., 1]
    scores = Scores(3, LEVELS)
    sums = sums_of(scores, batch, point, quantiles)
    assert {name: total.shape for name, (total, _) in sums.items()} == scores.shapes
    assert scores.metrics(means(sums)) == pytest.approx(oracle(batch, point, quantiles), rel=1e-4)


def test_errors_are_exact_however_high_the_level_of_a_series():
    batch = hand()
    point = np.array([[[15.0], [20.0]]], np.float32)
    found, lifted = (
        Scores(2).metrics(
            means(sums_of(Scores(2), batch._replace(location=np.full((1, 1), level, np.float32)), point, None))
        )
        for level in (0.0, 1e9)
    )
    assert lifted["mase"] == found["mase"]
    assert lifted["smape_percent"] == pytest.approx(200.0 * 3.5 / 2e9)


def hand():
    """Known: 10, 20, 14, 22; asked: 12, 24. With a season of 2 the errors within are 4 and 2: 3 in the mean."""
    values = np.array([10.0, 20.0, 14.0, 22.0, 12.0, 24.0])[:, None]
    series = Series("H", values, np.ones((6, 1), bool), np.zeros((6, 0)), (3, 4, 6))
    made = Panel("hand", ("y",), (), (series,))
    scaler = Scaler.fit(made, "none")
    windows = Windows(made, scaler, "test", context=4, horizon=2, period=2)
    return windows.batch(np.array([0]), 1, reference=np.array([[[22.0], [22.0]]], np.float32))


def test_the_measures_of_the_competition_by_hand():
    scores = Scores(2, owa=True)
    found = scores.metrics(means(sums_of(scores, hand(), np.array([[[15.0], [20.0]]], np.float32), None)))
    assert found["smape_percent"] == pytest.approx(100.0 * (3 / 27 + 4 / 44))
    assert found["mase"] == pytest.approx(3.5 / 3.0)
    naive2 = 100.0 * (10 / 34 + 2 / 46), 6.0 / 3.0
    assert found["owa"] == pytest.approx((found["smape_percent"] / naive2[0] + found["mase"] / naive2[1]) / 2.0)
    assert found["owa"] == pytest.approx(0.590870, abs=1e-6)


def test_naive2_beside_itself_is_one():
    scores, batch = Scores(2, owa=True), hand()
    assert scores.metrics(means(sums_of(scores, batch, batch.reference, None)))["owa"] == pytest.approx(1.0)


def test_without_a_reference_there_is_no_such_average():
    scores = Scores(2, owa=True)
    batch = hand()._replace(reference=np.zeros((1, 0, 1), np.float32))
    sums = sums_of(scores, batch, np.zeros((1, 2, 1), np.float32), None)
    assert {name: total.shape for name, (total, _) in sums.items()} == scores.shapes
    assert "owa" not in scores.metrics(means(sums))


def test_the_quantile_loss_of_a_number_is_its_absolute_error():
    scores = Scores(2, LEVELS)
    point = np.array([[[15.0], [20.0]]], np.float32)
    found = scores.metrics(means(sums_of(scores, hand(), point, scores.certain(point))))
    assert found["scaled_quantile_loss"] == pytest.approx(found["mae"]) == pytest.approx(3.5)
    assert "crps" not in found


def test_crps_is_the_mean_over_observed_values():
    batch, point, crps = hand(), np.zeros((1, 2, 1), np.float32), np.array([[[0.5], [2.0]]], np.float32)
    scores = Scores(2, crps=True)
    assert scores.metrics(means(sums_of(scores, batch, point, None, crps)))["crps"] == pytest.approx(1.25)
    batch = batch._replace(observed=np.array([[[False], [True]]]))
    assert scores.metrics(means(sums_of(scores, batch, point, None, crps)))["crps"] == pytest.approx(2.0)


def test_zeros_that_are_forecast_as_zeros_cost_nothing():
    batch = hand()
    batch = batch._replace(future=np.zeros_like(batch.future))
    found = Scores(2).metrics(means(sums_of(Scores(2), batch, np.zeros((1, 2, 1), np.float32), None)))
    assert found == {"mse": 0.0, "mae": 0.0, "smape_percent": 0.0, "mase": 0.0}


def test_the_coverage_is_named_by_its_share():
    assert Scores(1, LEVELS).coverage == "coverage_80_percent"
    assert Scores(1, (0.025, 0.5, 0.975)).coverage == "coverage_95_percent"
    assert Scores(1, (0.0125, 0.5, 0.9875)).coverage == "coverage_97_5_percent"


def test_forecasts_that_are_shown_are_kept_in_the_unit_of_the_series():
    made = panel()
    windows = Windows(made, Scaler.fit(made, "standard"), "test", context=4, horizon=3)
    batch = windows.batch(np.arange(3), 4, slots=np.array([1, -1, 2], np.int32))
    quantiles = np.random.default_rng(0).standard_normal((4, 3, 2, 3)).astype(np.float32)
    kept, _ = sums_of(Scores(3, LEVELS, shown=4), batch, quantiles[..., 1], quantiles)["forecasts"]
    for slot, row, column in ((1, 0, 1), (2, 2, 0)):
        expected = quantiles[row, :, column] * batch.scale[row, column] + batch.location[row, column]
        np.testing.assert_allclose(kept[slot, :, 1:], expected, rtol=1e-5)
        np.testing.assert_allclose(kept[slot, :, 0], expected[:, 1], rtol=1e-5)
    assert not np.any(kept[::3])
