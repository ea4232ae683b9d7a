"""What the training loop asks of every task in `TASKS`: a new one is tested by being there."""

import itertools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracles import assert_equal
from small import CONFIGS, DATA, task

from seqmodels.analysis.strands import strands
from seqmodels.commands.training import DRAWN
from seqmodels.engines import unroll
from seqmodels.tasks import TASKS
from seqmodels.training.evaluation import evaluate, means, measure
from seqmodels.training.run_folder import RunFolder
from seqmodels.training.step import add_sums, make_step, zero_sums
from seqmodels.training.tables import Averaging, Devices, Run, Training

UNITS = ("_nats", "_per_char", "_per_byte", "_percent", "perplexity", "accuracy", "macro_f1", "confusion", "_seconds")
UNITS += ("mse", "mae", "mase", "forecasts", "piano_roll")


def test_every_task_has_a_small_config():
    assert set(TASKS) == set(CONFIGS), "tests/small.py has no config for a task: add one to CONFIGS"


@pytest.fixture(scope="module", params=list(TASKS))
def made(request, tmp_path_factory):
    return task(tmp_path_factory.mktemp("task"), toml=CONFIGS[request.param])


def first(made, number, start=0):
    return list(itertools.islice(made.batches(start), number))


def test_the_name_is_that_in_the_table(made):
    assert type(made) is TASKS[made.name]
    assert made.config.task.name == made.name


def test_the_config_has_what_all_have_in_common(made):
    config = made.config
    assert isinstance(config, made.schema)
    assert (type(config.run), type(config.training), type(config.devices)) == (Run, Training, Devices)
    rows = {leaf.shape[0] for leaf in jax.tree.leaves(first(made, 1)) if leaf.ndim}
    assert rows == {config.data.batch_size}


def test_batches_are_a_function_of_seed_and_step(made, tmp_path):
    number = 7
    expected = first(made, number)
    assert_equal(first(made, number), expected)
    again = task(tmp_path, toml=CONFIGS[made.name])
    assert_equal(first(again, number), expected)
    for start in (1, 5):
        assert_equal(first(made, number - start, start), expected[start:])


def test_the_place_after_many_steps_is_exact(made):
    """Far beyond the first epoch, and without reading what comes before."""
    start = 12345
    assert_equal(first(made, 2, start)[1:], first(made, 1, start + 1))


def test_where_a_batch_comes_from_is_json_and_its_own(made):
    origins = [made.origin(number) for number in range(4)]
    assert json.loads(json.dumps(origins)) == origins
    assert len({json.dumps(origin) for origin in origins}) == 4
    assert made.origin(2) == origins[2]


def shapes(batches):
    return {str(jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), batch)) for batch in batches}


def test_batches_have_few_shapes(made):
    assert 1 <= len(shapes(first(made, 200))) <= 8


def test_batches_of_one_step_have_one_shape(made, tmp_path):
    several = task(tmp_path, "training.accumulate=3", toml=CONFIGS[made.name])
    batches = first(several, 60)
    for start in range(0, 60, 3):
        assert len(shapes(batches[start : start + 3])) == 1
    assert_equal(first(several, 6, 30), batches[30:36])


def test_the_seed_decides_parameters(made):
    one, other = (made.init(jax.random.key(seed)) for seed in (0, 1))
    assert_equal(made.init(jax.random.key(0)), one)
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True))


def test_loss_and_gradient_are_finite_and_the_carry_keeps_its_kind(made):
    params = made.init(jax.random.key(0))
    carry = made.initial_carry(params)
    (loss, (after, sums)), gradient = jax.value_and_grad(made.loss, has_aux=True)(
        params, carry, first(made, 1)[0], jax.random.key(0)
    )
    assert loss.shape == ()
    assert {name: total.shape for name, (total, _) in sums.items()} == dict(made.measures)
    assert all(weight.shape == () for _, weight in sums.values())
    nothing = {name: zero for name, zero in zero_sums(made).items() if name != "grad_norm"}
    assert_equal(add_sums(nothing, sums), dict(sums))
    for leaf in jax.tree.leaves((loss, gradient, sums)):
        assert np.all(np.isfinite(leaf))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient)), "a parameter that nothing depends on"
    kinds = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (carry, after)]
    assert kinds[0] == kinds[1]


def test_two_steps_lower_the_loss_of_a_batch(made):
    step = make_step(made, optax.sgd(0.1), seed=0, averaging=Averaging())
    update = jax.jit(step.update)
    state = step.init(jax.random.key(0))
    carry, (batch,) = state.carry, first(made, 1)
    losses = []
    for _ in range(2):
        state = update(state.replace(carry=carry), batch)
        losses.append(float(made.loss(state.params, carry, batch, None)[0]))
    before = float(made.loss(made.init(jax.random.key(0)), carry, batch, None)[0])
    assert int(state.step) == 2
    assert before > losses[0] > losses[1]


def squares(made):
    """The mean square of what is asked for in the test: of sums of two numbers, or of scaled series."""
    total, weight = 0.0, 0
    for batch in made.evaluation(None, "test")[1]:
        if made.name == "forecasting":
            values = batch.future[batch.observed]
        else:
            examples = made.problem.examples(batch)
            values = np.asarray(examples.targets)[np.asarray(examples.counted) & batch.mask[:, None]]
        total, weight = total + np.sum(np.square(values, dtype=np.float64)), weight + values.size
    return total / weight


KNOWS_NOTHING = {
    "language_modelling": ("bits_per_char", lambda made: math.log2(len(made.vocabulary))),
    "classification": ("loss_nats", lambda made: math.log(3)),
    "tagging": ("loss_nats", lambda made: math.log(3)),
    "music": ("frame_nats", lambda made: 88 * math.log(2)),
    "forecasting": ("mse", squares),
    "long_term": ("mse", squares),
}
"""What a model without knowledge costs: all classes alike, each key as likely as not, or 0 for every number."""


def test_a_model_that_knows_nothing_costs_what_theory_says(made):
    zero = jax.tree.map(jnp.zeros_like, made.init(jax.random.key(0)))
    metric, cost = KNOWS_NOTHING[made.name]
    assert evaluate(made, zero, "test")[metric] == pytest.approx(cost(made), rel=1e-5)


def test_metrics_carry_their_unit_and_hold_the_objective(made):
    params = made.init(jax.random.key(0))
    for split in ("valid", "test"):
        metrics = evaluate(made, params, split)
        assert made.objective in metrics
        assert all(name.endswith(UNITS) for name in metrics), metrics
        assert all(np.isfinite(value) for value in metrics.values())
    assert all(name.endswith(UNITS) for name in made.measures)


def test_baselines_are_of_metrics_that_there_are(made):
    names = evaluate(made, made.init(jax.random.key(0)), "valid")
    for key, numbers in made.baselines().items():
        split, _, metric = key.partition("/")
        assert split in ("valid", "test")
        assert metric in names
        assert numbers
        assert all(np.isfinite(value) for value in numbers.values())
    assert f"valid/{made.objective}" in made.baselines()


def test_every_example_of_a_split_is_measured_once_whatever_the_batch(made, tmp_path):
    params = made.init(jax.random.key(0))
    for split in ("valid", "test"):
        weights = set()
        for rows in (1, 3, 1000):
            other = task(tmp_path, f"data.eval_batch_size={rows}", toml=CONFIGS[made.name])
            weights.add(tuple(float(weight) for _, weight in measure(other, params, split).values()))
        assert len(weights) == 1


def test_a_model_comes_back_without_data_from_what_a_checkpoint_keeps(made):
    extra = json.loads(json.dumps(made.extra()))
    assert len(bytes.fromhex(extra["data_sha256"])) == 32
    restored = type(made).restore(made.config, extra)
    assert not hasattr(restored, "batches")
    assert dict(restored.measures) == dict(made.measures)
    assert_equal(restored.init(jax.random.key(1)), made.init(jax.random.key(1)))


def test_other_data_have_another_sha256(made, tmp_path, monkeypatch):
    if made.name not in DATA:
        pytest.skip("its data are made up: the config says all of them")
    name, content = DATA[made.name]
    monkeypatch.setitem(DATA, made.name, (name, lambda: content(seed=1)))
    other = task(tmp_path, toml=CONFIGS[made.name])
    assert other.data_name == made.data_name
    assert name in made.data_name
    assert other.extra()["data_sha256"] != made.extra()["data_sha256"]


def test_pictures_can_be_drawn_and_go_with_the_run_that_is_overwritten(made, tmp_path):
    pictures = made.pictures(measure(made, made.init(jax.random.key(0)), "test"))
    with RunFolder.create(tmp_path, "", resume=False, overwrite=False):
        for name, picture in pictures.items():
            DRAWN[type(picture)](picture, tmp_path / f"{name}.png", title="a run")
            assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    with RunFolder.create(tmp_path, "", resume=False, overwrite=True):
        assert not list(tmp_path.glob("*.png"))


def test_metrics_of_nothing_are_numbers(made):
    """As in the first row of a run that goes on right after a row was written."""
    found = made.metrics(means(zero_sums(made)))
    assert all(np.isfinite(value) for value in found.values())


def test_a_sequence_of_validation_can_be_looked_at(made):
    params = made.init(jax.random.key(0))
    reading = made.reading(params, 10)
    assert reading.xs.dtype == np.float32
    assert 2 <= len(reading.xs) <= max(10, made.config.data.length if made.name == "long_term" else 0)
    assert reading.names is None or len(reading.names) == len(reading.xs)
    assert reading.asked
    assert not reading.unit.endswith("s")
    for strand in strands(reading):
        assert np.all(strand.flow().total > 0.0)


WHOLE = ("classification", "forecasting", "long_term")
"""Those whose one cost is that of the whole sequence; of the others the tests stand beside those of the task."""


def test_its_cost_is_that_of_an_example_of_validation(made, tmp_path):
    if made.name not in WHOLE:
        pytest.skip("the cost of one step, which the loss does not give alone")
    params = made.init(jax.random.key(0))
    reading = made.reading(params, 10)
    cost = reading.cost(*unroll(reading.cell, reading.params, reading.xs))
    alone = task(tmp_path, "data.eval_batch_size=1", toml=CONFIGS[made.name])
    loss = jax.jit(lambda batch: alone.loss(params, None, batch, None)[0])
    assert any(np.isclose(loss(batch), cost, rtol=1e-5) for batch in alone.evaluation(params, "valid")[1])


def test_what_it_says_of_itself_is_lines(made):
    lines = made.describe()
    assert lines
    assert all(line and "\n" not in line for line in lines)
