"""Watchers against tables worked by hand."""

import json
import math

import numpy as np
import pytest

from seqmodels.config import ConfigError, validate
from seqmodels.training.schedules import Constant, Cosine, Plateau
from seqmodels.training.watchers import (
    AveragingState,
    AveragingWatcher,
    EarlyStopping,
    PlateauState,
    PlateauWatcher,
    StoppingState,
)

NAN, INF = math.nan, math.inf


def states(watcher, scores):
    state, seen = watcher.start(), []
    for score in scores:
        state = watcher.update(state, score)
        seen.append(state)
    return seen


@pytest.mark.parametrize(
    ("stopping", "scores", "waited", "stop"),
    [
        (EarlyStopping(), [3, 4, 5, 6, 7], [0, 1, 2, 3, 4], [0, 0, 0, 0, 0]),
        (EarlyStopping(patience=1), [3, 2, 2, 1], [0, 0, 1, 0], [0, 0, 1, 1]),
        (EarlyStopping(patience=2), [3, 4, 2, 4, 4], [0, 1, 0, 1, 2], [0, 0, 0, 0, 1]),
        (EarlyStopping(patience=2), [3, NAN, 2, NAN, NAN], [0, 1, 0, 1, 2], [0, 0, 0, 0, 1]),
        (EarlyStopping(patience=2), [NAN, NAN], [1, 2], [0, 1]),
        (EarlyStopping(patience=2), [3, 4, 4, 2, 3], [0, 1, 2, 0, 1], [0, 0, 1, 1, 1]),
        (EarlyStopping(patience=2), [INF, 3, INF], [1, 0, 1], [0, 0, 0]),
        # Against the best, so small gains add up: 2.75 is none, 2.25 is one; 1.75 is not *more* than 0.5 lower.
        (EarlyStopping(patience=2, least_gain=0.5), [3, 2.75, 2.25, 1.75, 2], [0, 1, 0, 1, 2], [0, 0, 0, 0, 1]),
    ],
    ids=str,
)
def test_early_stopping_by_hand(stopping, scores, waited, stop):
    seen = states(stopping, scores)
    assert [state.waited for state in seen] == waited
    assert [state.stop for state in seen] == [bool(flag) for flag in stop]


def test_the_best_score_is_kept():
    best = [state.best for state in states(EarlyStopping(), [NAN, 3.0, 4.0, 2.0, NAN])]
    assert best == [None, 3.0, 3.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("plateau", "scores", "scale"),
    [
        (Plateau(), [3, 2, 2, 1, 1, 1], [1, 1, 0.5, 0.5, 0.25, 0.125]),
        (Plateau(patience=2), [3, 4, 4, 4, 4, 2, 4, 4], [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]),
        (Plateau(factor=0.25, least=0.125), [3, 3, 3, 3], [1, 0.25, 0.125, 0.125]),
        (Plateau(least_gain=0.5), [3, 2.75, 2.25, 2], [1, 0.5, 0.5, 0.25]),
        (Plateau(), [NAN, 3, NAN, 2], [0.5, 0.5, 0.25, 0.25]),
    ],
    ids=str,
)
def test_plateau_by_hand(plateau, scores, scale):
    assert [state.scale for state in states(PlateauWatcher(plateau), scores)] == scale


def test_waiting_starts_again_after_a_multiplication():
    waited = [state.waited for state in states(PlateauWatcher(Plateau(patience=2)), [3, 4, 4, 4, 2])]
    assert waited == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("schedule", [Constant(), Cosine()], ids=str)
def test_other_schedules_are_never_scaled(schedule):
    assert states(PlateauWatcher(schedule), [3, 3, NAN, 3]) == [PlateauState()] * 4


@pytest.mark.parametrize("watcher", [EarlyStopping(patience=2), PlateauWatcher(Plateau(patience=2))], ids=str)
def test_json_keeps_the_state_exactly_and_goes_on_from_there(watcher):
    scores = [np.float32(0.1), 0.1 + 0.2, NAN, 1 / 3, 0.05, 0.07, 0.08]
    whole = states(watcher, scores)
    for cut in range(len(scores)):
        state = whole[cut - 1] if cut else watcher.start()
        text = json.dumps(state.to_json(), allow_nan=False)
        state = type(state).from_json(json.loads(text))
        for score in scores[cut:]:
            state = watcher.update(state, score)
        assert state == whole[-1]


def test_update_changes_nothing():
    state = StoppingState(best=2.0, waited=1)
    EarlyStopping(patience=2).update(state, 3.0)
    assert state == StoppingState(best=2.0, waited=1)


@pytest.mark.parametrize("kind", [StoppingState, PlateauState])
def test_a_foreign_state_is_refused(kind):
    with pytest.raises(ValueError, match="waited"):
        kind.from_json({"best": 1.0})
    with pytest.raises(ValueError, match="extra"):
        kind.from_json({**kind().to_json(), "extra": 1})


@pytest.mark.parametrize("table", [{"patience": 0}, {"patience": 1.5}, {"least_gain": -1.0}, {"patient": 2}], ids=str)
def test_bad_tables_fail_by_name(table):
    (key,) = table
    with pytest.raises(ConfigError, match=key):
        validate(EarlyStopping, table, "test.toml")


@pytest.mark.parametrize(
    ("patience", "scores", "start"),
    [
        (None, [1, 2, 3], None),
        (0, [3, 2, 2, 2.5], 4),
        (1, [3, 2, 2.5, 1.9], None),
        (1, [3, 2, 2.5, 2.1], 4),
        # Those among the last two before it are not looked at, however good they were.
        (2, [3, 1, 2.5, 2.9], None),
        (2, [3, 1, 2.5, 3.1], 4),
        (2, [3, 2, 2.5, 2.9, 2.1], 5),
        (5, [1, 2, 2, 2, 2, 2], None),
        (5, [1, 2, 2, 2, 2, 2, 2], 7),
        (1, [1, 2, 3, 0.5, 4], 3),
    ],
    ids=str,
)
def test_the_beginning_of_averaging_by_hand(patience, scores, start):
    watcher = AveragingWatcher(patience)
    state = watcher.start()
    for step, score in enumerate(scores, start=1):
        state = watcher.update(state, score, step)
        assert AveragingState.from_json(json.loads(json.dumps(state.to_json()))) == state
    assert state.start == start


@pytest.mark.parametrize("patience", [0, 1, 3, 5])
def test_the_beginning_of_averaging_is_that_of_the_paper(patience):
    """Over all scores in a list: min over those more than n before the one at hand."""
    for seed in range(20):
        scores = np.random.default_rng(seed).normal(size=12).tolist()
        expected = next((t for t, v in enumerate(scores) if t > patience and v > min(scores[: t - patience])), None)
        watcher, state = AveragingWatcher(patience), AveragingState()
        for step, score in enumerate(scores):
            state = watcher.update(state, score, step)
        assert state.start == expected


def test_a_state_of_averaging_with_other_keys_is_refused():
    with pytest.raises(ValueError, match="must have the keys"):
        AveragingState.from_json({"recent": []})
