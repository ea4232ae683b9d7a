"""Simple forecasts, on series of which the answer is known."""

import numpy as np
import pytest
from panels import panel

from seqmodels.data.m4 import HORIZON, PERIOD, m4_hourly
from seqmodels.data.scaler import Scaler
from seqmodels.data.series import Panel, Series
from seqmodels.data.windows import Windows
from seqmodels.tasks import naive_forecasts as naive
from seqmodels.tasks.forecast_scores import Scores
from seqmodels.training.evaluation import means


def columns(*functions, steps=20):
    t = np.arange(steps, dtype=np.float32)
    return np.stack([function(t) for function in functions], axis=-1)[None].astype(np.float32)


def test_drift_forecasts_a_straight_line_exactly():
    whole = columns(lambda t: 3.0 * t - 7.0, lambda t: 5.0 - t)
    np.testing.assert_allclose(naive.drift(whole[:, :12], 8), whole[:, 12:], rtol=1e-6)
    np.testing.assert_array_equal(naive.drift(whole[:, :1], 3), naive.persistence(whole[:, :1], 3))


def test_the_seasonal_naive_forecasts_a_season_exactly():
    whole = columns(lambda t: t % 6, lambda t: (t % 3) ** 2)
    np.testing.assert_array_equal(naive.seasonal_naive(whole[:, :8], 12, 6), whole[:, 8:])
    np.testing.assert_array_equal(naive.seasonal_naive(whole[:, :6], 14, 6), whole[:, 6:])


def test_persistence_forecasts_what_stands_still_exactly():
    whole = columns(lambda t: 0.0 * t + 4.0)
    np.testing.assert_array_equal(naive.persistence(whole[:, :5], 15), whole[:, 5:])


def windows_of(values, observed=None, context=8, horizon=4):
    observed = np.ones_like(values, bool) if observed is None else observed
    series = Series("s", values, observed, np.zeros((len(values), 0)), (len(values) - 8, len(values) - 4, len(values)))
    made = Panel("p", tuple("abc"[: values.shape[1]]), (), (series,))
    return Windows(made, Scaler.fit(made, "standard"), "train", context=context, horizon=horizon)


def test_the_linear_map_learns_what_is_linear():
    """A sum of a line and two waves follows a linear recurrence."""
    t = np.arange(300.0)
    values = np.stack([0.01 * t + np.sin(t / 3.0) + np.cos(t / 5.0), np.sin(t / 3.0 + 1.0)], axis=1)
    windows = windows_of(values)
    batch = windows.batch(np.arange(len(windows)), len(windows))
    error = np.abs(naive.Linear.fit(windows).forecast(batch.past) - batch.future).mean()
    assert error < 0.2 * np.abs(naive.persistence(batch.past, 4) - batch.future).mean()


def test_the_linear_map_is_ridge_regression():
    windows = windows_of(np.random.default_rng(0).standard_normal((60, 1)))
    batch = windows.batch(np.arange(len(windows)), len(windows))
    past, future = batch.past[..., 0].astype(float), batch.future[..., 0].astype(float)
    x = np.concatenate([past[:, :-1] - past[:, -1:], np.ones((len(past), 1))], axis=1)
    ridge = np.sqrt(1e-3 * (x**2).sum() / 8) * np.eye(8)
    stacked = np.concatenate([x, ridge]), np.concatenate([future - past[:, -1:], np.zeros((8, 4))])
    np.testing.assert_allclose(naive.Linear.fit(windows).w, np.linalg.lstsq(*stacked)[0], rtol=1e-4, atol=1e-5)


def test_the_linear_map_leaves_out_targets_of_which_some_are_missing():
    """The last training steps are in the past of no training window."""
    values = np.random.default_rng(0).standard_normal((60, 2))
    there = np.ones((60, 2), bool)
    there[48:52, 1] = False
    other = np.where(there, values, 50.0)
    fitted, moved = (naive.Linear.fit(windows_of(given, there)).w for given in (values, other))
    np.testing.assert_array_equal(fitted, moved)
    assert np.any(naive.Linear.fit(windows_of(other)).w != moved)
    assert not naive.Linear.fit(windows_of(values, ~np.ones((60, 2), bool))).w.any()


def decomposed(y, period):
    """Factors of the season, one place after the other."""
    n, half = len(y), period // 2
    trend = np.full(n, np.nan)
    for t in range(half, n - half):
        window = y[t - half : t + half + 1].copy()
        if period % 2 == 0:
            window[[0, -1]] *= 0.5
        trend[t] = window.sum() / period
    factors = np.array([np.nanmean((y / trend)[place::period]) for place in range(period)])
    return factors / factors.mean()


@pytest.mark.parametrize("period", [4, 5, 24])
def test_the_season_is_that_of_the_classical_decomposition(period):
    y = 10.0 + np.random.default_rng(period).random(10 * period + 3)
    np.testing.assert_allclose(naive.season_figure(y, period), decomposed(y, period), rtol=1e-9)


def test_naive2_takes_the_season_out_where_there_is_one():
    random = np.random.default_rng(0)
    factors = np.array([0.5, 1.0, 1.5, 1.0])
    for steps in (40, 41, 43):
        seasonal = 10.0 * factors[np.arange(steps) % 4]
        np.testing.assert_allclose(naive.naive2(seasonal, 6, 4), 10.0 * factors[(steps + np.arange(6)) % 4], rtol=1e-9)
    noise = 10.0 + random.standard_normal(40)
    np.testing.assert_array_equal(naive.naive2(noise, 6, 4), np.full(6, noise[-1]))


@pytest.mark.parametrize("values", [np.ones(40), np.arange(40.0) % 4, np.arange(11.0) % 4 + 1.0])
def test_naive2_is_the_last_value_where_no_season_can_be_told(values):
    """Of what stands still, what has zeros, and what is shorter than three seasons."""
    np.testing.assert_array_equal(naive.naive2(values, 3, 4), np.full(3, values[-1]))
    np.testing.assert_array_equal(
        naive.naive2(panel().series[0].values[:, 0], 2, 1), [panel().series[0].values[-1, 0]] * 2
    )


@pytest.mark.data
def test_the_competition_has_these_measures_of_its_hourly_series(data_folder):
    """As published: Makridakis, Spiliotis & Assimakopoulos (2020), of Naive2 and of the seasonal naive forecast."""
    made = m4_hourly(data_folder / "m4")
    windows = Windows(made, Scaler.fit(made, "none"), "test", context=168, horizon=HORIZON, period=PERIOD)
    known = [series.values[: series.ends[1], 0] for series in made.series]
    naive2 = np.stack([naive.naive2(values, HORIZON, PERIOD) for values in known])[..., None].astype(np.float32)
    batch = windows.batch(np.arange(len(windows)), len(windows), naive2)
    scores = Scores(HORIZON, owa=True)
    found, seasonal = (
        scores.metrics(means(scores.sums(batch, point, None)))
        for point in (naive2, naive.seasonal_naive(batch.past, HORIZON, PERIOD))
    )
    assert found["smape_percent"] == pytest.approx(18.383, abs=5e-4)
    assert found["mase"] == pytest.approx(2.395, abs=5e-4)
    assert seasonal["smape_percent"] == pytest.approx(13.912, abs=5e-4)
    assert seasonal["mase"] == pytest.approx(1.193, abs=5e-4)
    assert seasonal["owa"] == pytest.approx((13.912 / 18.383 + 1.193 / 2.395) / 2.0, abs=3e-4)  # 0.627 there
