"""The task of forecasting: its loss, measures, baselines, and the commands on it."""

import dataclasses
import functools
import itertools
import json
import math

import jax
import numpy as np
import pytest
from oracles import assert_equal
from scipy import stats
from small import DATA, SERIES, config, result, rows, task, write

from seqmodels.cli import main
from seqmodels.data.sources import DataError
from seqmodels.tasks.forecasting import load_panel
from seqmodels.tasks.series_forecaster import SeriesForecaster
from seqmodels.training.evaluation import evaluate, means, measure


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("forecasting")


def made(folder, *assignments):
    return task(folder, *assignments, toml=SERIES)


def first(made):
    (batch,) = itertools.islice(made.batches(0), 1)
    return batch


@pytest.mark.parametrize("head", ["mae", "quantiles", "gaussian"])
def test_measures_are_those_of_every_forecast_by_itself(head, folder):
    task = made(folder, f"model.head={head}", "data.eval_batch_size=5", "model.normalise=last")
    params = task.init(jax.random.key(1))
    (series,), (location,), (scale,) = task.panel.series, task.scaler.location, task.scaler.scale
    begin, end = series.span("test")
    scaled = ((series.values - location) / scale).astype(np.float32)
    starts = np.arange(begin, end - 4 + 1)
    past = np.stack([scaled[start - 8 : start] for start in starts])
    future = np.stack([scaled[start : start + 4] for start in starts])
    forecast = jax.jit(task.model.apply)(params, past, np.zeros((len(past), 12, 0), np.float32))
    found, point = evaluate(task, params, "test"), np.asarray(task.head.point(forecast))
    assert found["mse"] == pytest.approx(((point - future) ** 2).mean(), rel=1e-4)
    assert found["mae"] == pytest.approx(np.abs(point - future).mean(), rel=1e-4)
    if task.head.levels:
        quantiles = np.asarray(task.head.quantiles(forecast))
        error = future[..., None] - quantiles
        losses = np.where(error > 0, np.array(task.head.levels) * error, (np.array(task.head.levels) - 1.0) * error)
        assert found["scaled_quantile_loss"] == pytest.approx(2.0 * losses.mean(), rel=1e-4)
        inside = (error[..., 0] >= 0) & (error[..., -1] <= 0)
        assert found["coverage_80_percent"] == pytest.approx(100.0 * inside.mean())
    assert ("crps" in found) == (head == "gaussian")
    if task.head.measure is not None:
        z = (future - forecast.loc) / forecast.scale
        crps = z * (2.0 * stats.norm.cdf(z) - 1.0) + 2.0 * stats.norm.pdf(z) - 1.0 / math.sqrt(math.pi)
        assert found["crps"] == pytest.approx(float((forecast.scale * crps).mean()), rel=1e-4)
        assert found["loss_nats"] == pytest.approx(float(task.head.loss(forecast, future).mean()), rel=1e-4)
    assert task.objective in found


@pytest.mark.parametrize(("head", "number"), [("mse", 1), ("gaussian", 20)])
def test_recursive_forecasts_know_no_more_than_the_window(head, number, folder):
    task = made(folder, f"model.head={head}", "model.decoding=recursive", "model.paths=20")
    params, batch = task.init(jax.random.key(0)), first(task)
    draw = jax.jit(functools.partial(task.model.sample, paths=number))
    keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(0)))(batch.number)
    paths = np.asarray(draw(params, batch.past, batch.covariates, keys))
    _, (_, sums) = jax.jit(task.loss)(params, None, batch, None)
    found = means(sums)
    assert found["mse"] == pytest.approx(((paths.mean(axis=0) - batch.future) ** 2).mean(), rel=1e-4)
    if number > 1:
        between = np.abs(paths[:, None] - paths).mean(axis=(0, 1)) * number / (number - 1)  # of different ones
        crps = np.abs(paths - batch.future).mean(axis=0) - between / 2.0
        assert found["crps"] == pytest.approx(crps.mean(), rel=1e-4)
        low, high = np.quantile(paths, (0.1, 0.9), axis=0)
        inside = (low <= batch.future) & (batch.future <= high)
        assert found["coverage_80_percent"] == pytest.approx(100.0 * inside.mean())
        _, (_, sums) = jax.jit(task.loss)(params, None, batch, jax.random.key(0))
        training = means(sums)
        assert training["loss_nats"] == pytest.approx(found["loss_nats"])  # of each value after those that came
        assert training["coverage_80_percent"] != found["coverage_80_percent"]


def test_drawn_forecasts_do_not_depend_on_the_batch(folder):
    settings = "model.head=gaussian", "model.decoding=recursive", "model.paths=5"
    found = []
    for size in (1, 7):
        task = made(folder, *settings, f"data.eval_batch_size={size}")
        found.append(evaluate(task, task.init(jax.random.key(0)), "test"))
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_counts_are_forecast_in_their_own_unit(tmp_path, monkeypatch):
    content = "calls\n" + "".join(f"{(7 * row) % 11}\n" for row in range(120))
    monkeypatch.setitem(DATA, "forecasting", ("calls.csv", lambda: content))
    task = made(tmp_path, "model.head=negative_binomial", "data.scaler=none", "model.normalise=mean")
    batch = first(task)
    assert set(np.unique(batch.future)) <= set(range(11))
    loss, (_, sums) = jax.jit(task.loss)(task.init(jax.random.key(0)), None, batch, None)
    assert means(sums)["loss_nats"] == pytest.approx(float(loss))
    assert "test/crps" in task.baselines()


def test_missing_values_are_no_targets(tmp_path, monkeypatch):
    lines = DATA["forecasting"][1]().splitlines()
    lines[40] = "," + lines[40].partition(",")[2]
    monkeypatch.setitem(DATA, "forecasting", ("gaps.csv", lambda: "\n".join(lines)))
    task = made(tmp_path, "data.missing=forward", "data.batch_size=73")
    assert "1 values are missing" in task.describe()[2]
    params, batch = task.init(jax.random.key(0)), first(task)
    assert int((~batch.observed).sum()) == 4
    evaluated = jax.jit(task.loss)
    loss, (_, sums) = evaluated(params, None, batch, None)
    other = batch._replace(future=np.where(batch.observed, batch.future, 99.0).astype(np.float32))
    assert_equal(evaluated(params, None, other, None), (loss, (None, sums)))
    assert float(sums["mse"][1]) == batch.observed.sum()
    assert evaluated(params, None, batch._replace(observed=np.zeros_like(batch.observed)), None)[0] == 0.0


def test_dates_without_a_usual_step_are_told(tmp_path, monkeypatch):
    name, content = DATA["forecasting"]
    first, *rest = content().splitlines()
    lines = [
        f"date,{first}",
        *(f"{1900 + row * row // 50}-01-{1 + row % 28:02},{line}" for row, line in enumerate(rest)),
    ]
    monkeypatch.setitem(DATA, "forecasting", (name, lambda: "\n".join(lines)))
    task = made(tmp_path, "data.date_column=date")
    assert task.describe()[2].startswith("the dates have no usual step: every row is a step")
    assert len(made(tmp_path, "data.date_column=date", "data.frequency=any").describe()) == 2


def test_baselines_are_right(folder):
    task = made(folder, "data.horizon=2")
    found = task.baselines()
    (series,) = task.panel.series
    begin, end = series.span("valid")
    y = (series.values - task.scaler.location) / task.scaler.scale
    starts = range(begin, end - 1)
    errors = {
        "persistence": [y[start + h] - y[start - 1] for start in starts for h in range(2)],
        "seasonal naive": [y[start + h] - y[start + h - 6] for start in starts for h in range(2)],
        "drift": [
            y[start + h] - y[start - 1] - (h + 1) * (y[start - 1] - y[start - 8]) / 7
            for start in starts
            for h in range(2)
        ],
    }
    for name, values in errors.items():
        assert found["valid/mae"][name] == pytest.approx(np.abs(values).mean(), rel=1e-4)
    assert set(found["valid/mae"]) == {*errors, "linear"}
    assert found["valid/mae"]["linear"] < found["valid/mae"]["persistence"]


def test_baselines_have_what_validation_compares(folder):
    task = made(folder, "model.head=gaussian")
    assert task.objective == "crps"
    found = task.baselines()
    assert found["valid/crps"] == pytest.approx(found["valid/mae"])
    assert not any("coverage" in name for name in found)


def test_naive2_is_a_baseline_where_it_is_asked_for(folder):
    found = made(folder, "data.owa=true").baselines()
    assert found["test/owa"]["naive2"] == pytest.approx(1.0)
    assert {"persistence", "seasonal naive", "drift", "linear", "naive2"} == set(found["test/smape_percent"])
    assert "seasonal naive" not in made(folder, "data.period=1").baselines()["test/mae"]


def test_the_scaler_comes_back_from_what_a_checkpoint_keeps(folder):
    task = made(folder, "model.independent=true", "model.head=student_t")
    restored = SeriesForecaster.restore(task.config, json.loads(json.dumps(task.extra())))
    assert restored.model == task.model
    assert (restored.targets, restored.covariates) == (("load", "heat"), ())
    assert_equal(restored.scaler, task.scaler)


def test_covariates_are_read_and_not_forecast(folder):
    task = made(folder, 'data.targets=["load"]', 'data.covariates=["heat"]')
    batch = first(task)
    assert batch.covariates.shape == (4, 12, 1)
    assert batch.future.shape == (4, 4, 1)
    restored = SeriesForecaster.restore(task.config, json.loads(json.dumps(task.extra())))
    assert (restored.targets, restored.covariates) == (("load",), ("heat",))
    assert math.isfinite(evaluate(task, task.init(jax.random.key(0)), "test")["mse"])


@pytest.mark.parametrize("decoding", ["direct", "recursive"])
def test_no_forecast_depends_on_a_past_covariate_of_the_steps_to_come(folder, decoding):
    task = made(folder, 'data.targets=["load"]', 'data.past_covariates=["heat"]', f"model.decoding={decoding}")
    assert task.panel.past_covariates == ("heat",)
    batch = first(task)
    assert batch.covariates.shape == (4, 12, 1)
    assert batch.covariates[:, :8].any(axis=1).all()
    assert not batch.covariates[:, 8:].any()
    restored = SeriesForecaster.restore(task.config, json.loads(json.dumps(task.extra())))
    assert restored.model == task.model


def test_a_stride_leaves_forecasts_out(folder):
    whole, some = made(folder), made(folder, "data.stride=4")
    assert len(some.windows["test"]) == math.ceil(len(whole.windows["test"]) / 4)
    assert len(some.windows["train"]) == len(whole.windows["train"])


def test_the_picture_shows_what_was_forecast(folder):
    task = made(folder, "model.head=quantiles")
    params, apply = task.init(jax.random.key(0)), jax.jit(task.model.apply)
    picture = task.pictures(measure(task, params, "test"))["forecasts"]
    windows = task.windows["test"]
    (series,) = task.panel.series
    assert len(picture.windows) == 4
    places = np.linspace(0, len(windows) - 1, 4).astype(int)
    for number, (row, shown) in enumerate(zip(places, picture.windows, strict=True)):
        start, column = windows.starts[row], number % 2
        batch = windows.batch(np.array([row]), 1)
        point = np.asarray(task.head.point(apply(params, batch.past, batch.covariates)))[0, :, column]
        expected = point * task.scaler.scale[0, column] + task.scaler.location[0, column]
        np.testing.assert_allclose(shown.point, expected, rtol=1e-4)
        np.testing.assert_array_equal(shown.past, series.values[start - 8 : start, column])
        np.testing.assert_array_equal(shown.future, series.values[start : start + 4, column])
        assert shown.name == f"all rows, {'load' if column == 0 else 'heat'}, from step {start} on"
        assert shown.quantiles.shape == (4, 9)


def test_a_single_series_is_named_once(folder):
    task = made(folder, 'data.targets=["load"]')
    shown = task.pictures(measure(task, task.init(jax.random.key(0)), "test"))["forecasts"].windows[0]
    assert shown.name.startswith("load, from step ")


@pytest.fixture(scope="module")
def run(folder):
    settings = ["run.steps=6", "run.log_every=2", "run.validate_every=3", "model.head=quantiles"]
    assert main(["train", *write(folder, SERIES), *settings]) == 0
    return folder / "runs" / "small"


def test_what_a_run_leaves(run):
    names = {path.name for path in run.iterdir()}
    assert {"config.toml", "metrics.jsonl", "result.json", "curves.png", "forecasts.png", "checkpoints"} <= names
    assert "train/coverage_80_percent" in rows(run)[0]
    best = min(row["valid/scaled_quantile_loss"] for row in rows(run) if "valid/scaled_quantile_loss" in row)
    assert result(run)["metrics"]["valid/scaled_quantile_loss"] == best


def test_evaluate_gives_the_numbers_of_the_result(run, capsys):
    assert main(["evaluate", str(run)]) == 0
    output = capsys.readouterr().out
    assert f"mase {result(run)['metrics']['test/mase']:.4g}" in output
    assert "seasonal naive" in output


def test_other_data_are_refused(run, folder, capsys):
    name, content = DATA["forecasting"]
    (folder / name).write_text(content(seed=5))
    try:
        assert main(["evaluate", str(run)]) == 2
    finally:
        (folder / name).write_text(content())
    assert "the series of series.csv is not the one this run was trained on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("assignment", "fault"),
    [
        (
            "model.head=normal",
            "model.head: must be one of 'mse', 'mae', 'quantiles', 'gaussian', 'student_t', 'negative_binomial'",
        ),
        ("model.quantiles=[0.1,0.9]", "with 0.5 among them"),
        ("model.segment=3", "the context must be a multiple of the segment (got context 8, segment 3)"),
        ("model.head=negative_binomial", 'it needs data.scaler = "none"'),
        ("data.period=9", "period must be at most context (got period 9, context 8)"),
        ("data.test_share=0.95", "valid_share and test_share must leave something to learn from"),
        ("data.frequency=hourly", "a frequency is a number and one of"),
        ("data.name=etth2", "did you mean 'etth1'?"),
        ("data.date_column=date", "series.csv:1: there is no column 'date'"),
        ("data.horizon=30", "series 'all rows' has 12 steps for validation"),
        ("data.batch_size=500", "there are 73 training windows"),
    ],
)
def test_faults_are_told(assignment, fault, tmp_path, capsys):
    assert main(["train", *write(tmp_path, SERIES), assignment]) == 2
    assert fault in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_what_is_no_count_is_told(folder):
    with pytest.raises(DataError, match=r"series.csv: series 'all rows', 'load', step 1: 10\.\d+ is no count, which"):
        made(folder, "model.head=negative_binomial", "data.scaler=none")


def test_only_a_file_has_columns_to_name(folder):
    data = dataclasses.replace(config(folder, toml=SERIES).data, path=None, targets=("load",))
    with pytest.raises(DataError, match=r"data.targets: only a file of your own has columns to name"):
        load_panel(data)


@pytest.mark.slow
def test_it_learns_more_than_a_linear_map(tmp_path):
    assert main(["train", "configs/forecast_synthetic.toml", f"run.dir={tmp_path}"]) == 0
    found = result(tmp_path / "forecast_synthetic")
    name = "test/scaled_quantile_loss"
    assert found["metrics"][name] < 0.8 * found["baselines"][name]["linear"]
    assert found["metrics"]["test/mse"] < found["baselines"]["test/mse"]["linear"]
