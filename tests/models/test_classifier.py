"""The classifier against a plain NumPy one, and against itself read in other ways."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from oracles import assert_close, assert_equal

import seqmodels as sm
from seqmodels.models import Classifier

VOCABULARY, CLASSES = 7, 3
LENGTHS = np.array([6, 4, 1, 0])
IDS = np.random.default_rng(0).integers(0, VOCABULARY, (4, 6))
STACK = sm.Stack((sm.LSTM(5), sm.GRU(4)))
POOLINGS = ("last", "mean", "max", "attention")


def model(pooling="last", cell=STACK, **settings):
    return Classifier(VOCABULARY, 4, cell, CLASSES, pooling, **settings)


def plain_outputs(cell, params, xs):
    """The outputs of a stack for one row, one step after another, in float64."""
    states = [oracles.initial_state(layer, p) for layer, p in zip(cell.cells, params, strict=True)]
    found = []
    for x in xs:
        y = x
        for place, (layer, p) in enumerate(zip(cell.cells, params, strict=True)):
            states[place] = oracles.advance(layer, p, states[place], y)
            y = states[place].h
        found.append(y)
    return np.array(found).reshape(len(xs), cell.output_size)


def plain_logits(made, params, ids):
    """One row in float64."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    xs = params.embedding[ids]
    if isinstance(made.cell, sm.Bidirectional):
        ys = plain_outputs(made.cell.fwd, params.cell.fwd, xs)
        backwards = plain_outputs(made.cell.bwd, params.cell.bwd, xs[::-1])[::-1]
    else:
        ys, backwards = plain_outputs(made.cell, params.cell, xs), np.zeros((len(xs), 0))
    both = np.concatenate([ys, backwards], axis=-1)
    if not len(ids):
        pooled = np.zeros(both.shape[-1])
    elif made.pooling == "last":
        pooled = np.concatenate([ys[-1], backwards[0]])
    elif made.pooling == "attention":
        scores = np.exp(np.tanh(both @ params.pooling.hidden.w + params.pooling.hidden.b) @ params.pooling.query)
        pooled = scores @ both / scores.sum()
    else:
        pooled = {"mean": both.mean, "max": both.max}[made.pooling](axis=0)
    return pooled @ params.output.w + params.output.b


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cell", [STACK, sm.Bidirectional(STACK, sm.Stack((sm.RNN(3),)))], ids=["one", "two"])
def test_the_scores_are_those_of_a_plain_model(pooling, cell):
    made = model(pooling, cell)
    params = made.init(jax.random.key(1))
    expected = [plain_logits(made, params, row[:length]) for row, length in zip(IDS, LENGTHS, strict=True)]
    _, logits = made.apply(params, jnp.asarray(IDS), lengths=jnp.asarray(LENGTHS))
    assert logits.dtype == jnp.float32
    assert_close(logits, np.array(expected), np.float32)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_is_in_the_padding_and_how_long_it_is_do_not_matter(pooling):
    made = model(pooling, sm.Bidirectional(STACK, STACK))
    params = made.init(jax.random.key(1))
    lengths = jnp.array([4, 3, 1, 0])
    other = np.where(np.arange(6) < np.asarray(lengths)[:, None], IDS, 0)
    expected = made.apply(params, jnp.asarray(IDS), lengths=lengths)
    assert_equal(made.apply(params, jnp.asarray(other), lengths=lengths), expected)
    assert_close(made.apply(params, jnp.asarray(IDS[:, :4]), lengths=lengths)[1], expected[1], np.float32)


def test_the_last_output_of_a_stack_that_ends_in_two_directions_is_the_first_one_read_backwards():
    both = sm.Bidirectional(STACK, sm.RNN(3))
    plain, stacked = model("last", both), model("last", sm.Stack([both]))
    params = plain.init(jax.random.key(1))
    expected = plain.apply(params, jnp.asarray(IDS), lengths=jnp.asarray(LENGTHS))[1]
    params = params._replace(cell=(params.cell,))
    assert_equal(stacked.apply(params, jnp.asarray(IDS), lengths=jnp.asarray(LENGTHS))[1], expected)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_gradient_reaches_every_parameter(pooling):
    made = model(pooling, sm.Bidirectional(STACK, STACK))

    def loss(params):
        return -jax.nn.log_softmax(made.apply(params, jnp.asarray(IDS), lengths=jnp.asarray(LENGTHS))[1])[:, 0].sum()

    for leaf in jax.tree.leaves(jax.grad(loss)(made.init(jax.random.key(1)))):
        assert np.all(np.isfinite(leaf))
        assert np.any(leaf != 0)


def test_a_state_may_be_given():
    """Two halves in a row are the whole, as long as only the end counts."""
    made = model()
    params = made.init(jax.random.key(1))
    state, _ = made.apply(params, jnp.asarray(IDS[:, :3]))
    assert_close(
        made.apply(params, jnp.asarray(IDS[:, 3:]), state)[1], made.apply(params, jnp.asarray(IDS))[1], np.float32
    )
    assert_equal(made.apply(params, IDS, made.initial_state(params, (4,))), made.apply(params, IDS))


@pytest.mark.parametrize("rate", ["embedding_dropout", "input_dropout", "output_dropout"])
def test_dropout_needs_a_key(rate):
    made = model("max", **{rate: 0.5})
    params = made.init(jax.random.key(1))
    quiet = made.apply(params, IDS)[1]
    assert_equal(quiet, dataclasses.replace(made, **{rate: 0.0}).apply(params, IDS)[1])
    one, again, other = (made.apply(params, IDS, key=jax.random.key(seed))[1] for seed in (0, 0, 1))
    assert_equal(one, again)
    assert np.any(one != other)
    assert np.any(one != quiet)


def test_bfloat16_is_computed_in_and_scores_are_float32():
    made = model("attention", compute_dtype="bfloat16")
    params = made.init(jax.random.key(1))
    _, logits = made.apply(params, IDS)
    assert logits.dtype == jnp.float32
    exact = dataclasses.replace(made, compute_dtype="float32").apply(params, IDS)[1]
    assert_close(logits, exact, jnp.bfloat16)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"pooling": "median"}, "pooling must be one of"),
        ({"output_dropout": 1.0}, "output_dropout must be at least 0"),
        ({"embedding_dropout": -0.1}, "embedding_dropout must be at least 0"),
        ({"input_dropout": 2.0}, "input_dropout must be at least 0"),
    ],
)
def test_settings_have_ranges(settings, fault):
    with pytest.raises(ValueError, match=fault):
        model(**settings)


def test_one_class_is_none():
    with pytest.raises(ValueError, match="two classes at least"):
        Classifier(VOCABULARY, 4, STACK, 1)
