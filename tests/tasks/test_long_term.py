"""The task of long-term dependencies: measures, baselines, and the commands on it."""

import dataclasses
import functools
import itertools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_equal
from small import MARKED, config, result, rows, task, write

from seqmodels.cli import main
from seqmodels.data.mnist import Images
from seqmodels.data.problems import Adding, Examples, Parity
from seqmodels.tasks.long_term import LongTerm, Solver, measure_outputs
from seqmodels.training.evaluation import evaluate
from seqmodels.training.step import make_step
from seqmodels.training.tables import Averaging

PARITY = MARKED.replace(
    'name = "adding"\nlength = 12', 'name = "parity"\nmax_length = 6\ntest_min_length = 6\ntest_max_length = 9'
)
EVERY_STEP = PARITY.replace('"parity"', '"parity"\nevery_step = true')
COPY = MARKED.replace('"adding"\nlength = 12', '"copy_memory"\nlength = 7\nsymbols = 3')
LISTS = MARKED.replace('"adding"\nlength = 12', '"listops"\nlength = 12')
ORDER = MARKED.replace('"adding"\nlength = 12', '"temporal_order"\nlength = 30')
SERIES = MARKED.replace('"adding"', '"mackey_glass"')
DIGITS = MARKED.replace('name = "adding"\nlength = 12', 'name = "mnist"').replace(
    "valid_examples = 20\ntest_examples = 20\n", ""
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("long_term")


@functools.cache
def made(folder, *assignments, toml=MARKED):
    """A task; equal ones are one, so that less is compiled."""
    return task(folder, *assignments, toml=toml)


def outputs_of(made, params, split):
    """Examples and outputs of a split, all in one batch, in float64."""
    whole = made.config.data
    whole = dataclasses.replace(whole, eval_batch_size=1000).open()
    (batch,) = whole.evaluation(split)
    examples = jax.jit(made.problem.examples)(batch)
    outputs = jax.jit(made.model.apply)(jax.tree.map(lambda leaf: leaf[0], params), examples.inputs)[1]
    return jax.tree.map(np.asarray, examples), np.asarray(outputs, np.float64)


def numbers_measured(errors):
    return {
        "mse": pytest.approx(np.mean(errors**2), rel=1e-5),
        "solved_percent": pytest.approx(100 * np.mean(np.abs(errors) < 0.08)),
    }


def test_measures_of_numbers_are_those_of_numpy(folder):
    task = made(folder, "data.eval_batch_size=7", "data.test_examples=13")
    params = task.init(jax.random.key(1))
    examples, outputs = outputs_of(task, params, "test")
    targets = examples.targets[:, -1]
    assert len(targets) == 13
    assert evaluate(task, params, "test") == numbers_measured(outputs[:, -1, 0] - targets)
    found = task.baselines()
    for metric, value in numbers_measured(1.0 - targets).items():
        assert found[f"test/{metric}"]["constant"] == value


def test_measures_of_classes_are_those_of_numpy(folder):
    task = made(folder, "data.eval_batch_size=7", toml=EVERY_STEP)
    params = jax.tree.map(lambda leaf: 3.0 * leaf, task.init(jax.random.key(1)))
    examples, outputs = outputs_of(task, params, "test")
    nats, right, solved = [], [], []
    for output, target, counted in zip(outputs, examples.targets, examples.counted, strict=True):
        shares = np.exp(output) / np.exp(output).sum(axis=-1, keepdims=True)
        near = []
        for step in np.nonzero(counted)[0]:
            nats.append(-np.log(shares[step, target[step]]))
            right.append(shares[step].argmax() == target[step])
            near.append(np.abs(shares[step] - np.eye(task.problem.classes)[target[step]]).max() < 0.3)
        solved.append(all(near))
    assert evaluate(task, params, "test") == {
        "loss_nats": pytest.approx(np.mean(nats), rel=1e-5),
        "solved_percent": pytest.approx(100 * np.mean(solved)),
        "accuracy": pytest.approx(np.mean(right)),
        "error_percent": pytest.approx(100 * (1 - np.mean(right))),
    }


def one_row(problem, outputs, targets, counted=None):
    targets = jnp.asarray([targets])
    counted = jnp.ones(targets.shape, bool) if counted is None else jnp.asarray([counted])
    sums = measure_outputs(problem, jnp.asarray([outputs]), Examples(None, targets, counted), jnp.ones(1, bool))
    return {name: float(total / weight) for name, (total, weight) in sums.items()}


@pytest.mark.parametrize(("error", "solved"), [(0.0, 100), (0.0799, 100), (-0.0799, 100), (0.0801, 0), (-0.0801, 0)])
def test_a_sum_is_solved_within_eight_hundredths(error, solved):
    assert one_row(Adding(), [[9.0], [1.0 + error]], [0.0, 1.0], [False, True])["solved_percent"] == solved


@pytest.mark.parametrize(("share", "solved"), [(0.999, 100), (0.701, 100), (0.699, 0), (0.2, 0)])
def test_a_class_is_solved_within_three_tenths(share, solved):
    scores = [math.log(1 - share), math.log(share)]
    found = one_row(Parity(), [scores, scores], [1, 0], [True, False])
    assert found["solved_percent"] == solved
    assert found["accuracy"] == (share > 0.5)
    assert found["loss_nats"] == pytest.approx(-math.log(share), rel=1e-5)


def test_a_sequence_is_solved_when_all_its_outputs_are():
    scores = [[9.0, 0.0], [0.0, 9.0], [9.0, 0.0]]
    assert one_row(Parity(), scores, [0, 1, 0])["solved_percent"] == 100
    assert one_row(Parity(), scores, [0, 1, 1])["solved_percent"] == 0


def test_steps_and_rows_that_are_not_asked_for_count_for_nothing(folder):
    task = made(folder, toml=PARITY)
    params = task.init(jax.random.key(0))
    batch = next(task.batches(0)).replace(mask=np.array([True, False, True, False]))
    loss = jax.jit(lambda batch: task.loss(params, None, batch, None))
    found, (_, sums) = loss(batch)
    other = batch.replace(numbers=np.array([0, 91, 2, 93], np.uint32))
    assert_equal(loss(other)[0], found)
    assert np.any(loss(other.replace(numbers=other.numbers + np.uint32(1)))[0] != found)
    assert {name: float(weight) for name, (_, weight) in sums.items()} == dict.fromkeys(sums, 2.0)


@pytest.mark.parametrize(
    "toml", [MARKED, PARITY, COPY, ORDER, LISTS, SERIES], ids=["adding", "parity", "copy", "order", "lists", "series"]
)
def test_every_problem_can_be_measured_and_has_its_baselines(toml, folder):
    task = made(folder, toml=toml)
    params = jax.eval_shape(task.init, jax.random.key(0))
    loss, (_, sums) = jax.eval_shape(task.loss, params, None, next(task.batches(0)), None)
    assert loss.shape == ()
    assert set(sums) == set(task.measures)
    found = task.baselines()
    metrics = task.metrics(dict.fromkeys(task.measures, 0.0))
    assert set(found) == {f"{split}/{name}" for split in ("valid", "test") for name in metrics}
    for split in ("valid", "test"):
        assert found[f"{split}/{task.objective}"].get("theory") == task.problem.chance


def test_a_model_that_knows_nothing_costs_what_theory_says(folder):
    task = made(folder, "data.eval_batch_size=7", toml=EVERY_STEP)
    zero = jax.tree.map(jnp.zeros_like, task.init(jax.random.key(0)))
    assert evaluate(task, zero, "test")["loss_nats"] == pytest.approx(math.log(2), rel=1e-6)


def test_validation_has_the_same_examples_for_every_seed_and_training_others(folder):
    one, other = (made(folder, f"run.seed={seed}") for seed in (0, 1))
    assert_equal(list(one.evaluation(None, "test")[1]), list(other.evaluation(None, "test")[1]))
    assert [int(next(task.batches(0)).seed) for task in (one, other)] == [0, 1]


def test_digits_are_trained_alike(folder, monkeypatch):
    random = np.random.default_rng(0)
    splits = {
        split: Images(random.integers(0, 256, (size, 28, 28), np.uint8), random.integers(0, 10, size).astype(np.int32))
        for split, size in (("train", 20), ("valid", 5), ("test", 9))
    }
    monkeypatch.setattr("seqmodels.data.problems.digits.mnist", lambda folder: splits)
    task = made(folder, toml=DIGITS)
    found = evaluate(task, task.init(jax.random.key(0)), "test")
    labels = splits["test"].labels
    assert found["accuracy"] in [pytest.approx(right / 9) for right in range(10)]
    assert task.baselines()["test/accuracy"]["majority"] == pytest.approx(np.mean(labels == 1))
    assert "20 train, 5 valid, 9 test images" in task.describe()[0]


def trained(task, params):
    """Parameters and sums after two steps."""
    step = make_step(task, task.config.optimizer.build(2), seed=0, averaging=Averaging())
    state, update = step.init(jax.random.key(0)).replace(params=params), jax.jit(step.update)
    for batch in itertools.islice(task.batches(0), 2):
        state = update(state, batch)
    return state.params, state.sums


def test_trials_side_by_side_are_what_each_is_alone(folder):
    """Neither examples, capped gradients nor measures of one have to do with the others'."""
    settings = ['optimizer.name="sgd"', "optimizer.learning_rate=3", "optimizer.clip_norm=0.01"]
    task = made(folder, *settings, "run.seed=5", "task.trials=3", toml=PARITY)
    alone = made(folder, *settings, "run.seed=7", toml=PARITY)
    begun = task.init(jax.random.key(1))
    assert np.any(begun.output.w[2] != begun.output.w[1])
    (params, sums), (found, expected) = (
        trained(task, begun),
        trained(alone, jax.tree.map(lambda leaf: leaf[2:], begun)),
    )
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
        found,
        jax.tree.map(lambda leaf: leaf[2:], params),
    )
    assert np.any(np.abs(found.output.w - begun.output.w[2]) > 1e-3)
    for name in task.measures:
        np.testing.assert_allclose(sums[name][0][2:], expected[name][0], rtol=1e-5)
        assert sums[name][1] == expected[name][1]
    assert sums["grad_norm"][1] == 2.0


def differ(one, other):
    """Whether every array differs, but for those that are the same by their nature, such as biases of 0."""
    return all(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True) if np.ptp(a) > 0)


def test_trials_share_neither_parameters_nor_examples_nor_noise(folder, monkeypatch):
    task = made(folder, "task.trials=3", "model.output_dropout=0.5", "run.seed=5", toml=PARITY)
    params, batch = task.init(jax.random.key(0)), next(task.batches(0))
    read = jax.vmap(lambda trial: task.problem.examples(task.problem.of_trial(batch, trial)))
    examples = read(jnp.arange(3, dtype=jnp.uint32))
    for one, other in itertools.combinations(range(3), 2):
        assert differ(*(jax.tree.map(lambda leaf, t=trial: leaf[t], params) for trial in (one, other)))
        assert np.any(examples.inputs[one] != examples.inputs[other])
    # With the same parameters and examples, only noise tells the trials apart.
    monkeypatch.setattr(type(task.problem), "of_trial", lambda self, batch, trial: batch)
    alike = jax.tree.map(lambda leaf: jnp.stack([leaf[0]] * 3), params)
    noisy, quiet = (task.loss(alike, None, batch, key)[1][1]["loss_nats"][0] for key in (jax.random.key(1), None))
    assert len(set(noisy.tolist())) == 3
    np.testing.assert_allclose(quiet, quiet[0], rtol=1e-6)


def test_a_trial_is_solved_when_every_sequence_is(folder):
    task = made(folder, "task.trials=3", toml=PARITY)
    means = {"solved_percent": np.array([100.0, 99.95, 100.0]), "loss_nats": np.full(3, 0.5), "accuracy": np.ones(3)}
    assert task.metrics(means)["trials_solved_percent"] == pytest.approx(200 / 3)
    assert task.metrics(means)["solved_percent"] == pytest.approx(99.98333)
    assert "trials_solved_percent" not in made(folder, toml=PARITY).metrics(means)


def test_a_solver_comes_back_without_data(folder):
    task = made(folder)
    restored = Solver.restore(task.config, json.loads(json.dumps(task.extra())))
    assert restored.model == task.model
    assert not isinstance(restored, LongTerm)


def test_a_run_and_its_evaluation(folder, capsys):
    assert main(["train", *write(folder, PARITY)]) == 0
    run = folder / "runs" / "small"
    assert {"train/solved_percent", "train/accuracy"} <= set(rows(run)[-1])
    assert result(run)["baselines"]["test/loss_nats"]["theory"] == math.log(2)
    capsys.readouterr()
    assert main(["evaluate", str(run)]) == 0
    assert f"accuracy {result(run)['metrics']['test/accuracy']:.4g}" in capsys.readouterr().out
    assert main(["generate", str(run)]) == 2
    assert "its task, long_term, writes no text" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("assignment", "fault"),
    [
        ("data.name=addition", "did you mean 'adding'?"),
        ("data.length=1", "data.length: must be a whole number of at least 2"),
        ("data.symbols=3", "data.symbols: unknown key"),
        ("data.batch_size=0", "data.batch_size: must be a whole number of at least 1"),
        ("model.embedding_size=8", "model.embedding_size: unknown key"),
    ],
)
def test_faults_are_told(assignment, fault, tmp_path, capsys):
    assert main(["train", *write(tmp_path, MARKED), assignment]) == 2
    assert fault in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_lengths_that_cannot_be_are_told(tmp_path, capsys):
    assert main(["train", *write(tmp_path, PARITY), "data.min_length=7"]) == 2
    assert "min_length must be max_length at most (got 7)" in capsys.readouterr().err


def test_digits_that_are_missing_are_told_before_anything_is_written(tmp_path, capsys):
    assert main(["train", *write(tmp_path, DIGITS), f"data.dir={tmp_path}"]) == 2
    assert "files of mnist are missing" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_the_path_of_the_digits_means_the_same_from_anywhere(tmp_path):
    assert config(tmp_path, "data.dir=here", toml=DIGITS).data.dir.startswith("/")


@pytest.mark.slow
def test_an_lstm_adds_what_a_plain_network_forgets(tmp_path):
    plain = 'model.cell={name="rnn", hidden_size=64}'
    for name, changes in (("lstm", []), ("rnn", [plain])):
        assert main(["train", "configs/adding_100.toml", f"run.dir={tmp_path}", f"run.name={name}", *changes]) == 0
    lstm, rnn = (result(tmp_path / name)["metrics"]["test/mse"] for name in ("lstm", "rnn"))
    assert lstm < 0.001
    assert rnn > 0.1
