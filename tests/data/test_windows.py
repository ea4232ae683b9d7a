"""Windows of series: where they may lie, and what stands in them."""

import numpy as np
import pytest
from oracles import assert_equal
from panels import panel

from seqmodels.data.scaler import Scaler
from seqmodels.data.series import season_error
from seqmodels.data.sources import DataError
from seqmodels.data.windows import Backtest, Windows, WindowStream

CONTEXT, HORIZON = 4, 2


def windows(split, made=None, **changes):
    made = panel() if made is None else made
    options = {"context": CONTEXT, "horizon": HORIZON, **changes}
    return Windows(made, Scaler.fit(made, "standard"), split, **options)


def expected(made, split, stride=1):
    """(series, start) of every window that lies right: its targets in the split, its past in the series."""
    found = []
    for number, series in enumerate(made.series):
        begin, end = series.span(split)
        allowed = [s for s in range(len(series.values)) if s >= CONTEXT and begin <= s and s + HORIZON <= end]
        found += [(number, start) for start in allowed[::stride]]
    return found


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("stride", [1, 3])
def test_targets_lie_wholly_in_their_split(split, stride):
    made = windows(split, stride=stride)
    assert list(zip(made.series.tolist(), made.starts.tolist(), strict=True)) == expected(panel(), split, stride)


@pytest.mark.parametrize("past", [0, 1])
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_window_is_a_piece_of_its_series(split, past):
    source = panel(past=past)
    made = windows(split, source, period=3)
    scaler = Scaler.fit(source, "standard")
    batch = made.batch(np.arange(len(made)), len(made))
    for row, (number, start) in enumerate(expected(source, split)):
        series = source.series[number]
        values = (series.values - scaler.location[number]) / scaler.scale[number]
        covariates = (series.covariates - scaler.covariate_location[number]) / scaler.covariate_scale[number]
        covariates[start:, 1:] = 0.0
        span = slice(start - CONTEXT, start + HORIZON)
        np.testing.assert_allclose(batch.past[row], values[start - CONTEXT : start], rtol=1e-6)
        np.testing.assert_allclose(batch.future[row], values[start : start + HORIZON], rtol=1e-6)
        np.testing.assert_allclose(batch.covariates[row], covariates[span], rtol=1e-6)
        assert_equal(batch.observed[row], series.observed[start : start + HORIZON])
        known = series.span(split)[1 if split == "train" else 0]
        error = season_error(series.values[:known], series.observed[:known], 3)
        np.testing.assert_allclose(batch.season_error[row], error, rtol=1e-6)
        np.testing.assert_allclose(
            batch.future[row] * batch.scale[row] + batch.location[row],
            series.values[start : start + HORIZON],
            rtol=1e-5,
        )
    assert batch.reference.shape == (len(made), 0, 2)


def test_nothing_of_validation_and_test_is_in_training():
    made = panel()
    hidden = tuple(
        series._replace(values=np.where(np.arange(len(series.values))[:, None] < series.ends[0], series.values, np.nan))
        for series in made.series
    )
    scaler = Scaler.fit(made, "standard")
    train = Windows(type(made)("panel", made.targets, made.covariates, hidden), scaler, "train", context=4, horizon=2)
    batch = train.batch(np.arange(len(train)), len(train))
    assert np.isfinite(batch.past).all()
    assert np.isfinite(batch.future).all()


@pytest.mark.parametrize("rows", [1, 3, 4, 100])
def test_a_backtest_has_every_window_once(rows):
    made = windows("test")
    reference = np.arange(len(made) * HORIZON * 2, dtype=np.float32).reshape(-1, HORIZON, 2)
    batches = list(Backtest(made, rows, reference=reference, shown=3))
    assert {batch.past.shape for batch in batches} == {(rows, CONTEXT, 2)}
    whole = made.batch(np.arange(len(made)), len(made))
    joined = [np.concatenate(parts)[: len(made)] for parts in zip(*batches, strict=True)]
    for name, part in zip(whole._fields, joined, strict=True):
        if name == "reference":
            assert_equal(part, reference)
        elif name != "slot":
            assert_equal(part, getattr(whole, name))
    slots = joined[whole._fields.index("slot")]
    assert sorted(slots[slots >= 0].tolist()) == [0, 1, 2]
    filling = np.concatenate([batch.observed for batch in batches])[len(made) :]
    assert not filling.any()
    assert all((batch.slot == -1).all() for batch in Backtest(made, rows))


def test_an_epoch_has_every_window_once():
    made = windows("train")
    stream = WindowStream(made, 4)
    for epoch in range(2):
        batches = [stream.at(epoch * len(stream) + step, seed=1) for step in range(len(stream))]
        seen = {row.tobytes() for batch in batches for row in batch.past}
        assert len(seen) == 4 * len(stream) > len(made) - 4
    assert_equal(stream.at(1, 1), WindowStream(made, 4).at(1, 1))
    assert np.any(stream.at(1, 1).past != stream.at(1, 2).past)
    assert np.any(stream.at(0, 1).past != stream.at(len(stream), 1).past)


def test_series_that_are_too_short():
    for split, part in (("train", "for training"), ("valid", "for validation"), ("test", "for the test")):
        with pytest.raises(DataError, match=rf"panel: series 's\d' has \d+ steps {part}.*data.horizon=40"):
            windows(split, horizon=40)
    assert windows("train", made=panel(ends=((20, 25, 30), (4, 6, 8)))).series.max() == 0
    with pytest.raises(DataError, match=r"'s1' has 2 steps for validation and 4 before .*data.context=10"):
        windows("valid", made=panel(ends=((20, 25, 30), (4, 6, 8))), context=10)
    with pytest.raises(DataError, match=r"there are 22 training windows, but a batch has data.batch_size=100"):
        WindowStream(windows("train"), 100)
