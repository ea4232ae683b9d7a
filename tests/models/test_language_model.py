"""The language model against a plain NumPy one, and against itself read in other ways."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from oracles import assert_close, assert_equal

import seqmodels as sm
from seqmodels.models import LanguageModel

VOCABULARY, BATCH, STEPS = 7, 2, 6
IDS = np.random.default_rng(0).integers(0, VOCABULARY, (BATCH, STEPS))
MODEL = LanguageModel(VOCABULARY, 4, sm.Stack((sm.LSTM(5), sm.GRU(3))))
PARAMS = MODEL.init(jax.random.key(1))


def plain_logits(model, params, ids):
    """One row after another, one symbol after another, in float64."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    w = params.embedding.T if model.tied else params.output.w
    rows = []
    for row in ids:
        states = [oracles.initial_state(cell, p) for cell, p in zip(model.cell.cells, params.cell, strict=True)]
        scores = []
        for symbol in row:
            x = params.embedding[symbol]
            for layer, (cell, p) in enumerate(zip(model.cell.cells, params.cell, strict=True)):
                states[layer] = oracles.advance(cell, p, states[layer], x)
                x = states[layer].h
            scores.append(x @ w + params.output.b)
        rows.append(scores)
    return np.array(rows)


def test_the_scores_are_those_of_a_plain_model():
    assert_close(MODEL.apply(PARAMS, IDS)[1], plain_logits(MODEL, PARAMS, IDS), np.float32)


def test_the_gradient_is_that_of_a_plain_model(x64):
    """An RNN written out as its equations and differentiated by finite differences of order four."""
    model = LanguageModel(3, 2, sm.Stack((sm.RNN(2),)), tied=True)
    ids = np.array([[0, 2, 1, 2]])
    targets = np.array([[2, 1, 2, 0]])
    params = jax.tree.map(
        lambda leaf: jnp.asarray(np.random.default_rng(leaf.size).normal(size=leaf.shape)),
        model.init(jax.random.key(0)),
    )
    leaves, structure = jax.tree.flatten(params)

    def plain_loss(flat):
        cuts = np.cumsum([leaf.size for leaf in leaves])[:-1]
        parts = [part.reshape(leaf.shape) for part, leaf in zip(np.split(flat, cuts), leaves, strict=True)]
        logits = plain_logits(model, jax.tree.unflatten(structure, parts), ids)
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        return -np.take_along_axis(log_p, targets[..., None], -1).mean()

    def loss(params):
        log_p = jax.nn.log_softmax(model.apply(params, ids)[1])
        return -jnp.take_along_axis(log_p, targets[..., None], -1).mean()

    flat = np.concatenate([np.ravel(leaf) for leaf in leaves])
    plain = np.zeros_like(flat)
    for place in range(flat.size):
        e = np.zeros_like(flat)
        e[place] = 1e-3
        near, far = (plain_loss(flat + k * e) - plain_loss(flat - k * e) for k in (1, 2))
        plain[place] = (8 * near - far) / (12 * 1e-3)
    found = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(jax.grad(loss)(params))])
    np.testing.assert_allclose(loss(params), plain_loss(flat), rtol=1e-6)
    # The embeddings are cast to the compute type, float32, so that float64's tolerance does not apply.
    assert oracles.relative_difference(found, plain) < oracles.RTOL["float32"]


@pytest.mark.parametrize("tied", [False, True])
def test_a_sequence_is_its_steps(tied):
    model = LanguageModel(VOCABULARY, 3, MODEL.cell, tied=tied)
    params = model.init(jax.random.key(2))
    state, logits = model.apply(params, IDS)
    stepped, seen = model.initial_state(params, (BATCH,)), []
    for t in range(STEPS):
        stepped, scores = model.step(params, stepped, IDS[:, t])
        seen.append(scores)
    assert_close(jnp.stack(seen, 1), logits, np.float32)
    assert_close(stepped, state, np.float32)


def test_a_carried_state_goes_on_where_it_was():
    state, whole = MODEL.apply(PARAMS, IDS)
    middle, first = MODEL.apply(PARAMS, IDS[:, :4])
    last, second = MODEL.apply(PARAMS, IDS[:, 4:], middle)
    assert_close(jnp.concatenate([first, second], 1), whole, np.float32)
    assert_close(last, state, np.float32)
    _, cold = MODEL.apply(PARAMS, IDS[:, 4:])
    assert oracles.relative_difference(cold, second) > 1e-3


def test_lengths_and_resets_reach_the_cell():
    lengths = np.array([6, 3])
    resets = np.zeros((BATCH, STEPS), bool)
    resets[0, 4] = True
    state, logits = MODEL.apply(PARAMS, IDS, lengths=lengths, resets=resets)
    short, cut = MODEL.apply(PARAMS, IDS[1:, :3])
    assert_close(jax.tree.map(lambda leaf: leaf[1:], state), short, np.float32)
    assert_close(logits[1:, :3], cut, np.float32)
    _, anew = MODEL.apply(PARAMS, IDS[:1, 4:])
    assert_close(logits[:1, 4:], anew, np.float32)


def test_tied_weights_are_one_array():
    model = LanguageModel(VOCABULARY, 3, MODEL.cell, tied=True)
    params = model.init(jax.random.key(2))
    assert params.output.w is None
    assert_close(model.apply(params, IDS)[1], plain_logits(model, params, IDS), np.float32)
    # A symbol that is never read has no gradient through the input: what it has came through the output.
    ids = np.zeros((1, 3), int)
    gradient = jax.grad(lambda p: model.apply(p, ids)[1][..., 6].sum())(params).embedding
    assert np.abs(gradient[6]).max() > 0.0
    assert np.abs(gradient[5]).max() == 0.0


def test_a_cell_that_reads_backwards_is_refused():
    cell = sm.Bidirectional(sm.RNN(hidden_size=4), sm.RNN(hidden_size=4))
    for reads in (cell, sm.Stack([sm.RNN(hidden_size=4), cell])):
        with pytest.raises(ValueError, match="must read forwards, and Bidirectional does not"):
            LanguageModel(vocabulary_size=5, embedding_size=4, cell=reads)


def test_tied_weights_need_equal_sizes():
    with pytest.raises(ValueError, match=r"embedding_size equal to the cell's output size \(got 4 and 3\)"):
        LanguageModel(VOCABULARY, 4, MODEL.cell, tied=True)


def test_reading_is_features_then_dropout_then_scores():
    model, key = dataclasses.replace(MODEL, output_dropout=0.5, input_dropout=0.2), jax.random.key(0)
    state, logits = model.apply(PARAMS, IDS, key=key)
    last, ys = model.features(PARAMS, IDS, key=key)
    assert ys.shape == (BATCH, STEPS, 3)
    assert_close(last, state, np.float32)
    dropped = model.drop(ys, key=key)
    assert_close(model.scores(PARAMS, dropped), logits, np.float32)
    kept = np.asarray(dropped) != 0
    assert 0.2 < kept.mean() < 0.8
    assert_close(dropped[kept], 2 * ys[kept], np.float32)
    assert_equal(model.drop(ys, key=None), ys)


@pytest.mark.parametrize("rate", ["embedding_dropout", "input_dropout", "output_dropout"])
def test_each_dropout_acts_with_a_key_only(rate):
    model = dataclasses.replace(MODEL, **{rate: 0.5})
    _, quiet = MODEL.apply(PARAMS, IDS)
    assert_equal(model.apply(PARAMS, IDS)[1], quiet)
    noisy = [model.apply(PARAMS, IDS, key=jax.random.key(seed))[1] for seed in (0, 0, 1)]
    assert_equal(noisy[0], noisy[1])
    assert oracles.relative_difference(noisy[0], quiet) > 1e-2
    assert oracles.relative_difference(noisy[0], noisy[2]) > 1e-2
    assert_equal(MODEL.apply(PARAMS, IDS, key=jax.random.key(0))[1], quiet)


def test_variational_dropout_has_one_mask_for_all_steps():
    """Inputs that are all alike differ over time only by their mask, if the cell forgets."""
    forgetful = sm.Stack((sm.RNN(20),))
    model = LanguageModel(VOCABULARY, 20, forgetful, input_dropout=0.5, output_dropout=0.5)
    params = model.init(jax.random.key(0))
    params = params._replace(cell=(params.cell[0]._replace(w_hh=jnp.zeros((20, 20))),))
    for variational in (False, True):
        made = dataclasses.replace(model, variational=variational)
        _, logits = made.apply(params, np.zeros((1, 5), int), key=jax.random.key(0))
        assert bool(np.allclose(logits, logits[:, :1], rtol=1e-6)) == variational


@pytest.mark.parametrize("rate", ["embedding_dropout", "input_dropout", "output_dropout"])
def test_a_rate_of_one_is_refused(rate):
    with pytest.raises(ValueError, match="must be at least 0 and below 1"):
        dataclasses.replace(MODEL, **{rate: 1.0}).init(jax.random.key(0))


def test_bfloat16_computes_in_it_and_keeps_float32():
    model = dataclasses.replace(MODEL, compute_dtype="bfloat16")
    params = model.init(jax.random.key(1))
    assert_equal(params, PARAMS)
    state, logits = model.apply(params, IDS)
    gradient = jax.grad(lambda p: model.apply(p, IDS)[1].sum())(params)
    for leaf in jax.tree.leaves((params, state, logits, gradient)):
        assert leaf.dtype == jnp.float32
    exact = MODEL.apply(PARAMS, IDS)[1]
    assert 1e-4 < oracles.relative_difference(logits, exact) < oracles.RTOL["bfloat16"]
    assert_close(model.step(params, model.initial_state(params, (BATCH,)), IDS[:, 0])[1], logits[:, 0], "float32")


def test_init_range_draws_every_parameter_within_it():
    params = jax.jit(LanguageModel(200, 30, sm.Stack((sm.RNN(30),)), init_range=0.1).init)(jax.random.key(0))
    for leaf in jax.tree.leaves(params):
        assert float(jnp.abs(leaf).max()) <= 0.1
        assert len(np.unique(leaf)) > 0.9 * leaf.size
    weights = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])
    assert abs(weights.std() - 0.1 / np.sqrt(3)) < 1e-3
    assert abs(weights.mean()) < 2e-3


def test_the_number_of_parameters():
    lstm, gru = 4 * 5 * (4 + 5 + 1), 3 * 3 * (5 + 3 + 1) + 3
    expected = VOCABULARY * 4 + lstm + gru + VOCABULARY * (3 + 1)
    assert sum(leaf.size for leaf in jax.tree.leaves(PARAMS)) == expected


def test_the_seed_decides_the_parameters():
    assert_equal(MODEL.init(jax.random.key(1)), PARAMS)
    other = MODEL.init(jax.random.key(2))
    for a, b in ((other.embedding, PARAMS.embedding), (other.cell[0].w_hh, PARAMS.cell[0].w_hh)):
        assert np.any(a != b)


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="there is no engine 'warp'"):
        dataclasses.replace(MODEL, method="warp").apply(PARAMS, IDS)
