"""Panels of series, their scalers, and what stands for missing values."""

import json

import numpy as np
import pytest
from oracles import assert_equal
from panels import panel

from seqmodels.data.scaler import Scaler
from seqmodels.data.series import Panel, ends_of, filled, season_error
from seqmodels.data.sources import DataError


def changed(panel, **changes):
    """The panel with the first series changed."""
    first, *rest = panel.series
    return Panel(panel.name, panel.targets, panel.covariates, (first._replace(**changes), *rest))


def test_splits_follow_each_other():
    series = panel().series[1]
    assert [series.span(split) for split in ("train", "valid", "test")] == [(0, 12), (12, 14), (14, 20)]
    assert [panel().steps(split) for split in ("train", "valid", "test")] == [32, 7, 11]


@pytest.mark.parametrize(("steps", "valid", "test"), [(10, 0.1, 0.2), (100, 0.29, 0.57), (7, 0.1, 0.1)])
def test_the_last_parts_are_held_out(steps, valid, test):
    first, second, third = ends_of(steps, valid, test)
    assert third == steps
    assert second == steps - int(round(test * steps, 6))
    assert first == second - int(round(valid * steps, 6))


def test_the_fingerprint_tells_every_change():
    made = panel()
    first = made.series[0]
    others = [
        panel(seed=1),
        changed(made, values=first.values + np.eye(30, 2)),
        changed(made, observed=~first.observed),
        changed(made, covariates=first.covariates + np.eye(30, 1)),
        changed(made, ends=(19, 25, 30)),
        changed(made, name="other"),
        Panel("panel", ("a", "c"), ("x",), made.series),
        Panel("panel", ("a",), ("b", "x"), made.series),
        Panel("panel", ("a", "b"), (), made.series, past_covariates=("x",)),
    ]
    prints = {made.fingerprint, *(other.fingerprint for other in others)}
    assert len(prints) == 1 + len(others)
    assert panel().fingerprint == made.fingerprint


def test_a_panel_needs_something_to_learn_from():
    with pytest.raises(DataError, match=r"panel: there is no series"):
        Panel("panel", ("a",), (), ())
    with pytest.raises(DataError, match=r"series 's0' has no steps to learn from"):
        panel(ends=((0, 5, 10),))


def test_scalers_are_moments_of_the_observed_training_values():
    made = panel()
    scaler = Scaler.fit(made, "standard")
    for number, series in enumerate(made.series):
        for column in range(2):
            seen = series.values[: series.ends[0], column][series.observed[: series.ends[0], column]]
            assert scaler.location[number, column] == pytest.approx(seen.mean())
            assert scaler.scale[number, column] == pytest.approx(seen.std())
        assert scaler.covariate_scale[number, 0] == pytest.approx(series.covariates[: series.ends[0], 0].std())


def test_scalers_know_nothing_of_validation_and_test():
    made = panel()
    later = np.arange(30)[:, None] >= 20
    first = made.series[0]
    other = changed(
        made,
        values=np.where(later, 1e6, first.values),
        covariates=np.where(later, -1e6, first.covariates),
        observed=first.observed | later,
    )
    assert_equal(Scaler.fit(other, "standard"), Scaler.fit(made, "standard"))
    moved = changed(made, values=first.values + np.eye(30, 2))
    assert np.any(Scaler.fit(moved, "standard").location != Scaler.fit(made, "standard").location)


def test_what_never_changes_is_divided_by_one():
    still = changed(panel(missing=0.0), values=np.full((30, 2), 0.1))
    scaler = Scaler.fit(still, "standard")
    assert scaler.scale[0].tolist() == [1.0, 1.0]
    assert scaler.location[0] == pytest.approx([0.1, 0.1])


def test_without_a_scaler_numbers_stay_as_they_are():
    scaler = Scaler.fit(panel(), "none")
    assert not scaler.location.any()
    assert not scaler.covariate_location.any()
    assert np.all(scaler.scale == 1.0)
    assert np.all(scaler.covariate_scale == 1.0)


def test_a_scaler_comes_back_exactly():
    for covariates in (0, 1):
        scaler = Scaler.fit(panel(covariates=covariates), "standard")
        assert_equal(Scaler.from_json(json.loads(json.dumps(scaler.to_json()))), scaler)


@pytest.mark.parametrize("seed", range(3))
def test_the_last_value_stands_for_those_that_are_missing(seed):
    random = np.random.default_rng(seed)
    values = random.standard_normal((15, 3))
    values[random.random((15, 3)) < 0.5] = np.nan
    values[7] = 1.0
    found = filled(values)
    for column in range(3):
        known = [value for value in values[:, column] if not np.isnan(value)]
        last = known[0]
        for step in range(15):
            last = last if np.isnan(values[step, column]) else values[step, column]
            assert found[step, column] == last


@pytest.mark.parametrize("period", [1, 3])
def test_the_error_of_the_seasonal_naive_forecast(period):
    series = panel().series[0]
    found = season_error(series.values, series.observed, period)
    for column in range(2):
        y, seen = series.values[:, column], series.observed[:, column]
        errors = [abs(y[t] - y[t - period]) for t in range(period, 30) if seen[t] and seen[t - period]]
        assert found[column] == pytest.approx(np.mean(errors))


def test_a_series_shorter_than_its_season_has_no_such_error():
    assert season_error(np.ones((3, 1)), np.ones((3, 1), bool), 5).tolist() == [0.0]
