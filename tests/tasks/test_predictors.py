"""What models say of new data: the same as `evaluate` measures and `apply` gives, whatever the number of rows."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import CONFIGS, DATA, task

from seqmodels.data.frequencies import following, read_date, written
from seqmodels.data.inputs import Input
from seqmodels.data.piano_rolls import LOWEST
from seqmodels.data.sources import DataError
from seqmodels.errors import UserError
from seqmodels.tasks import TASKS
from seqmodels.tasks.predictor import Predictor, Tabular
from seqmodels.training.evaluation import evaluate


def ready(name, folder, *assignments):
    """A task, its parameters at the start, and the model that a checkpoint would give."""
    made = task(folder, *assignments, toml=CONFIGS[name])
    model = TASKS[name].restore(made.config, json.loads(json.dumps(made.extra())))
    assert isinstance(model, Predictor)
    return made, made.init(jax.random.key(1)), model


def jsonl(records, kind=".jsonl"):
    return Input("new.jsonl", kind, [json.dumps(record) for record in records])


def answers(model, params, given, rows=4):
    found = list(model.predict(params, given, rows=rows))
    if isinstance(model, Tabular):
        assert all(tuple(columns(row)) == model.columns for row in found)
    return found


def columns(row):
    for key, value in row.items():
        yield from (f"{key}.{inner}" for inner in value) if isinstance(value, dict) else [key]


def test_every_task_says_something_of_new_data():
    assert all(hasattr(kind, "predict") for kind in TASKS.values())
    assert {name for name, kind in TASKS.items() if not hasattr(kind, "columns")} == {"forecasting"}  # an empty table


def test_classes(tmp_path):
    made, params, model = ready("classification", tmp_path)
    examples = made.data.split("test")
    found = answers(model, params, jsonl([{"text": example.text} for example in examples]))
    right = [row["label"] == example.label for row, example in zip(found, examples, strict=True)]
    assert np.mean(right) == pytest.approx(evaluate(made, params, "test")["accuracy"], rel=1e-6)
    assert [row["text"] for row in found] == [example.text for example in examples]
    for row in found:
        assert sum(row["probabilities"].values()) == pytest.approx(1.0, rel=1e-5)
        assert max(row["probabilities"], key=row["probabilities"].get) == row["label"]


@pytest.mark.parametrize("rows", [1, 3])
def test_the_number_of_rows_and_the_kind_of_file_do_not_matter(tmp_path, rows):
    _, params, model = ready("classification", tmp_path)
    texts = ["the cat sat on the mat", "", "what was there and then it ran off to see a cat on a mat", "dog"]
    expected = answers(model, params, Input("new.txt", ".txt", texts))
    table = Input("new.csv", ".csv", ["label,text", *(f"a,{text}" for text in texts)])
    for row, other in zip(answers(model, params, table, rows), expected, strict=True):
        assert row["label"] == other["label"]
        assert row["probabilities"] == pytest.approx(other["probabilities"], rel=1e-5)


def test_tags(tmp_path):
    made, params, model = ready("tagging", tmp_path)
    sentences = made.data.split("test")
    lines = [line for s in sentences for line in (*map("\t".join, zip(s.words, s.labels, strict=True)), "")]
    found = answers(model, params, Input("new.tsv", ".tsv", lines))
    right = [
        a == b for row, s in zip(found, sentences, strict=True) for a, b in zip(row["labels"], s.labels, strict=True)
    ]
    assert np.mean(right) == pytest.approx(evaluate(made, params, "test")["accuracy"], rel=1e-6)
    assert [tuple(row["words"]) for row in found] == [s.words for s in sentences]


def test_plain_sentences_are_taken_apart(tmp_path):
    _, params, model = ready("tagging", tmp_path)
    blank, row = answers(model, params, Input("new.txt", ".txt", ["", "It isn't THERE."]), rows=1)
    assert blank == {"words": [], "labels": []}  # a row for each line
    assert row["words"] == ["It", "is", "n't", "THERE", "."]
    assert len(row["labels"]) == 5


def test_texts_are_scored(tmp_path):
    made, params, model = ready("language_modelling", tmp_path)
    texts = ["the cat sat.", "", "a mat and then it ran off"]
    found = answers(model, params, Input("new.txt", ".txt", texts), rows=2)
    for row, text in zip(found, texts, strict=True):
        ids = jnp.asarray(model.vocabulary.encode("\n" + text))[None]
        log_p = jax.nn.log_softmax(model.model.apply(params, ids[:, :-1])[1]) if text else jnp.zeros((1, 0, 1))
        expected = jnp.take_along_axis(log_p, ids[:, 1:, None], axis=-1)[0, :, 0]
        np.testing.assert_allclose(row["log_p_of_symbols"], expected, rtol=1e-5)
        assert row["log_p"] == pytest.approx(float(expected.sum()), rel=1e-5)
        assert "".join(row["symbols"]) == text
    assert made.name == "language_modelling"


def test_a_text_costs_what_evaluate_says(tmp_path, monkeypatch):
    """Read in one row and from a line end on, as `predict` does; its cuts lie behind the first of two line ends."""
    name, lines = DATA["language_modelling"]
    monkeypatch.setitem(DATA, "language_modelling", (name, lambda: lines().replace("\n", "\n\n")))
    made, params, model = ready("language_modelling", tmp_path, "data.eval_batch_size=1")
    start, read = made.corpus.test[0], made.corpus.test[1:]
    (row,) = answers(model, params, jsonl([{"text": read}]))
    assert start == "\n"
    assert -row["log_p"] / len(read) == pytest.approx(evaluate(made, params, "test")["loss_nats"], rel=1e-5)


@pytest.mark.parametrize(
    "assignments", [(), ("model.head=gaussian", "model.decoding=recursive")], ids=["direct", "drawn"]
)
def test_the_next_steps_of_a_series(tmp_path, assignments):
    made, params, model = ready("forecasting", tmp_path, *assignments)
    windows = made.windows["test"]
    batch = windows.batch(np.array([len(windows) - 1]), 4)
    start, series = int(windows.starts[-1]), made.panel.series[0]
    lines = [",".join(made.targets), *(",".join(map(repr, map(float, row))) for row in series.values[:start])]
    found = answers(model, params, Input("new.csv", ".csv", lines))
    past, covariates = jnp.asarray(batch.past), jnp.asarray(batch.covariates)
    expected = np.asarray(model._ahead(params, past, covariates, jnp.arange(4)))[0]
    expected = expected * made.scaler.scale[0][:, None] + made.scaler.location[0][:, None]
    assert [row["step"] for row in found] == [1, 2, 3, 4]
    numbers = [[list(row[target].values()) for target in made.targets] for row in found]
    np.testing.assert_allclose(numbers, expected, rtol=1e-4)
    names = ["point", *(f"q{level:g}" for level in model.head.levels)]
    assert list(found[0]["load"]) == names


def test_forecasts_do_not_depend_on_the_series_beside_them(tmp_path):
    made, params, model = ready("forecasting", tmp_path, "model.head=gaussian", "model.decoding=recursive")
    values = made.panel.series[0].values
    lines = ["series,load,heat"]
    lines += [f"{name},{load},{heat}" for name in "abc" for load, heat in values[: 20 + ord(name) % 7].tolist()]
    one, three = (answers(model, params, Input("new.csv", ".csv", lines), rows) for rows in (1, 3))
    assert len(one) == 12
    for row, other in zip(one, three, strict=True):
        assert row["load"] == pytest.approx(other["load"], rel=1e-4)


def errors_of(made, found, windows):
    """MSE and MAE on the scaled data, of the points that `predict` gave for windows one after the other."""
    point = np.array([[row[target]["point"] for target in made.targets] for row in found]).reshape(len(windows), 4, -1)
    series, scale = made.panel.series[0], made.scaler.scale[0]
    error = (point - np.stack([series.values[start : start + 4] for start in windows])) / scale
    return {"mse": pytest.approx((error**2).mean(), rel=1e-4), "mae": pytest.approx(np.abs(error).mean(), rel=1e-4)}


def test_forecasts_have_the_errors_that_evaluate_measures(tmp_path):
    made, params, model = ready("forecasting", tmp_path, "data.stride=4", "model.normalise=last")
    values, windows = made.panel.series[0].values, made.windows["test"].starts.tolist()
    lines = ["load,heat", *(f"{load},{heat}" for load, heat in values.tolist())]
    found = [row for start in windows for row in answers(model, params, Input("a.csv", ".csv", lines[: start + 1]))]
    measured = evaluate(made, params, "test")
    assert len(windows) == 6
    assert {name: measured[name] for name in ("mse", "mae")} == errors_of(made, found, windows)


def test_drawn_forecasts_have_the_errors_that_evaluate_measures(tmp_path):
    """A series for each window, so that both draw the same for it; and paths are those of which it gives the mean."""
    settings = "model.head=gaussian", "model.decoding=recursive", "model.paths=6", "data.scaler=none", "data.stride=4"
    made, params, model = ready("forecasting", tmp_path, *settings)
    values, windows = made.panel.series[0].values, made.windows["test"].starts.tolist()
    lines = ["series,load,heat"]
    lines += [f"{start},{load},{heat}" for start in windows for load, heat in values[:start].tolist()]
    given = Input("a.csv", ".csv", lines)
    found, measured = answers(model, params, given), evaluate(made, params, "test")
    assert {name: measured[name] for name in ("mse", "mae")} == errors_of(made, found, windows)
    drawn = list(model.draw(params, given, rows=4, paths=6))
    assert [list(drawn[0]), len(drawn)] == [["series", "step", "path", "load", "heat"], 6 * len(found)]
    for row in found:
        paths = [one for one in drawn if (one["series"], one["step"]) == (row["series"], row["step"])]
        assert [one["path"] for one in paths] == [1, 2, 3, 4, 5, 6]
        assert np.mean([one["heat"] for one in paths]) == pytest.approx(row["heat"]["point"], rel=1e-4)
        assert np.median([one["heat"] for one in paths]) == pytest.approx(row["heat"]["q0.5"], rel=1e-4)


def test_paths_are_drawn_of_distributions_alone(tmp_path):
    _, params, model = ready("forecasting", tmp_path)
    with pytest.raises(
        UserError, match=r'--paths: .* this model has model.head = "mse", model.decoding = "direct"; tr'
    ):
        model.draw(params, Input("a.csv", ".csv", []), rows=4, paths=3)


@pytest.mark.parametrize(
    ("frequency", "first", "to_come"),
    [
        ("1mo", "2015-01-31", ["2016-09-30", "2016-10-31", "2016-11-30", "2016-12-31"]),
        ("1h", "2024-02-28 05:00:00", [f"2024-02-29 0{hour}:00:00" for hour in (1, 2, 3, 4)]),
        ("any", "2015-01-31", None),
    ],
)
def test_steps_to_come_have_their_dates(tmp_path, monkeypatch, frequency, first, to_come):
    name, content = DATA["forecasting"]
    rows = content().splitlines()
    dates = following([read_date(first)], "1mo" if frequency == "any" else frequency, len(rows) - 2)
    texts = [first, *(written(date, first) for date in dates)]
    dated = ["date," + rows[0], *(f"{text},{row}" for text, row in zip(texts, rows[1:], strict=True))]
    monkeypatch.setitem(DATA, "forecasting", (name, lambda: "\n".join(dated)))
    given = [f"data.frequency={frequency}"] * (frequency == "any")
    made, params, model = ready("forecasting", tmp_path, "data.date_column=date", *given)
    assert (f"a step is {frequency}" in made.describe()) == (to_come is not None)
    short = Input("new.csv", ".csv", dated[:21])
    assert [row.get("date") for row in answers(model, params, short)] == (to_come or [None] * 4)
    empty = Input("new.csv", ".csv", [*dated[:21], *(f"{text},," for text in texts[20:22])])
    assert [row.get("date") for row in answers(model, params, empty)] == (to_come or [None] * 4)
    if to_come:
        fault = (
            rf"new.csv:21: column 'date': {texts[20]} is not data.frequency={frequency} after {texts[18]}; {texts[19]}"
        )
        with pytest.raises(DataError, match=fault):
            answers(model, params, Input("new.csv", ".csv", [*dated[:20], dated[21]]))


def test_a_series_that_training_had_not_is_scaled_by_itself(tmp_path):
    made, params, model = ready("forecasting", tmp_path)
    values = made.panel.series[0].values
    one, ten = (
        [[column, *made.targets], *(["new", *map(repr, map(float, row))] for row in scale * values)]
        for scale, column in ((1, "series"), (10, " series "))
    )
    first, second = (
        answers(model, params, Input("new.csv", ".csv", [",".join(row) for row in lines])) for lines in (one, ten)
    )
    for row, other in zip(first, second, strict=True):
        assert (row["series"], 10 * row["heat"]["point"]) == ("new", pytest.approx(other["heat"]["point"], rel=1e-4))


def test_series_that_are_too_short_are_refused(tmp_path):
    _, params, model = ready("forecasting", tmp_path)
    with pytest.raises(DataError, match=r"has 2 steps; the model looks back on 8"):
        answers(model, params, Input("new.csv", ".csv", ["load,heat", "1,2", "3,4"]))


def test_covariates_of_the_steps_to_come_are_asked_for(tmp_path):
    _, params, model = ready("forecasting", tmp_path, 'data.targets=["load"]', 'data.covariates=["heat"]')
    known, to_come = [f"{n},{n % 3}" for n in range(9)], [f",{n % 3}" for n in range(4)]
    assert len(answers(model, params, Input("new.csv", ".csv", ["load,heat", *known, *to_come]))) == 4
    with pytest.raises(DataError, match=r"covariates of 4 steps to come are needed, and there are 3 rows"):
        answers(model, params, Input("new.csv", ".csv", ["load,heat", *known, *to_come[1:]]))


def test_missing_covariates_are_refused_unless_they_were_filled_in_training(tmp_path):
    columns = ['data.targets=["load"]', 'data.covariates=["heat"]']
    lines = ["load,heat", *(f"{n},{n % 3}" for n in range(9)), ",0", ",1", ",", ",2"]
    given = Input("new.csv", ".csv", lines)
    _, params, model = ready("forecasting", tmp_path, *columns)
    with pytest.raises(DataError, match=r"new\.csv:13: column 'heat': a value is missing .*put it in, or train with"):
        answers(model, params, given)
    _, params, filling = ready("forecasting", tmp_path, *columns, "data.missing=forward")
    lines[12] = ",1"
    assert answers(filling, params, given) == answers(model, params, Input("new.csv", ".csv", lines))


def test_past_covariates_are_read_up_to_the_last_value_and_not_beyond_it(tmp_path):
    columns = ['data.targets=["load"]', 'data.past_covariates=["heat"]']
    for decoding in ("direct", "recursive"):
        _, params, model = ready("forecasting", tmp_path, *columns, f"model.decoding={decoding}")
        known = [f"{n},{n % 3}" for n in range(9)]
        asked = answers(model, params, Input("new.csv", ".csv", ["load,heat", *known]))
        assert len(asked) == 4
        later = answers(model, params, Input("new.csv", ".csv", ["load,heat", *known, ",5", ",", ",7"]))
        assert later == asked
        lacking = answers(model, params, Input("new.csv", ".csv", ["load,heat", *known[:-1], "8,"]))
        assert lacking == answers(model, params, Input("new.csv", ".csv", ["load,heat", *known[:-1], "8,1"]))
        assert lacking != asked


def test_a_new_series_is_scaled_without_what_comes_after_its_last_value(tmp_path):
    _, params, model = ready("forecasting", tmp_path, 'data.targets=["load"]', 'data.past_covariates=["heat"]')
    known = [f"other,{n},{n % 3}" for n in range(9)]

    def asked(*to_come):
        return answers(model, params, Input("new.csv", ".csv", ["series,load,heat", *known, *to_come]))

    assert asked("other,,90", "other,,99") == asked("other,,") == asked()
    with pytest.raises(DataError, match=r"column 'heat' of series 'bare' has no value at all"):
        asked(*(f"bare,{n}," for n in range(9)), "bare,,5")


def test_missing_targets_are_filled_by_the_last_one(tmp_path):
    _, params, model = ready("forecasting", tmp_path)
    gap = ["load,heat", *(f"{n},{n % 3}" for n in range(6)), ",1", "7,2", "8,0"]
    full = [*gap[:7], "5,1", *gap[8:]]
    assert answers(model, params, Input("a.csv", ".csv", gap)) == answers(model, params, Input("a.csv", ".csv", full))


def test_pieces_of_music(tmp_path):
    made, params, model = ready("music", tmp_path)
    pieces = made.music.splits["test"]
    frames = [[(np.flatnonzero(frame) + LOWEST).tolist() for frame in piece] for piece in pieces]
    found = answers(model, params, jsonl([{"frames": piece} for piece in frames]))
    nats = np.average([row["frame_nats"] for row in found], weights=[len(piece) for piece in pieces])
    assert nats == pytest.approx(evaluate(made, params, "test")["frame_nats"], rel=1e-5)
    roll = jnp.asarray(pieces[0], jnp.float32)
    _, scores = model.model.apply(params, jnp.concatenate([jnp.zeros((1, 88)), roll])[None])
    shares = np.asarray(jax.nn.sigmoid(scores[0, -1]))
    expected = {LOWEST + key: share for key, share in enumerate(shares.tolist()) if share > 0.01}
    assert {row["key"]: row["probability"] for row in found[0]["next"]} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("settings", [(), ("data.name=temporal_order", "data.length=30")], ids=["numbers", "classes"])
def test_problems_are_solved_as_evaluate_says(tmp_path, settings):
    made, params, model = ready("long_term", tmp_path, "data.test_examples=50", "data.eval_batch_size=50", *settings)
    (batch,) = made.stream.evaluation("test")
    inputs, targets, counted = map(np.asarray, jax.jit(made.problem.examples)(batch))
    found = answers(model, params, jsonl([{"inputs": xs.tolist()} for xs in inputs]))
    measured = evaluate(made, params, "test")
    if made.problem.classes:
        right = np.array([row["classes"] for row in found]) == targets
        assert right[counted].mean() == pytest.approx(measured["accuracy"], rel=1e-6)
    else:
        errors = np.array([row["outputs"] for row in found]) - targets
        assert np.square(errors[counted]).mean() == pytest.approx(measured["mse"], rel=1e-5)


def test_problems_of_long_lags(tmp_path):
    _, params, model = ready("long_term", tmp_path)
    sequences = [np.random.default_rng(n).normal(size=(n, 2)) for n in (3, 11)]
    found = answers(model, params, jsonl([{"inputs": xs.tolist()} for xs in sequences]))
    first = jax.tree.map(lambda leaf: leaf[0], params)
    for row, xs in zip(found, sequences, strict=True):
        expected = model.model.apply(first, jnp.asarray(xs, jnp.float32)[None])[1][0, :, 0]
        np.testing.assert_allclose(row["outputs"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("classification", jsonl([{"txt": "a"}]), r"no 'text' in record 1; did you mean 'txt'"),
        ("classification", jsonl([{"text": 3}]), r"'text' must be a text \(got 3 in record 1\)"),
        ("classification", Input("a.jsonl", ".jsonl", ["[1]"]), r"a.jsonl:1: not an object"),
        ("classification", Input("a.csv", ".csv", []), "it is empty"),
        ("classification", Input("a.csv", ".csv", ["text", "a,b"]), "a.csv:2: 2 fields, but the first line has 1"),
        ("classification", Input("a.pdf", ".pdf", []), r"must be one of .txt, .jsonl, .csv, .tsv \(got .pdf\)"),
        ("tagging", Input("a.csv", ".csv", []), r"must be one of .txt, .conllu, .tsv"),
        ("music", jsonl([{"frames": [[3]]}]), "3 is no key of a piano"),
        ("music", jsonl([{}]), r'record 1, "frames": must be a list'),
        ("long_term", jsonl([{"inputs": [[1.0], [2.0]]}]), "each a list of 2 numbers"),
        ("long_term", jsonl([{"inputs": [[1.0, 2.0], [2.0]]}]), "each a list of 2 numbers"),
        ("forecasting", Input("a.csv", ".csv", ["load", "1"]), "there is no column 'heat'"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, name, given, message):
    _, params, model = ready(name, tmp_path)
    with pytest.raises(DataError, match=message):
        answers(model, params, given)
