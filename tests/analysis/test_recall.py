"""The task of remembering the first symbol, training on the spot, and a model that reads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close

import seqmodels as sm
from seqmodels.analysis.reader import learn
from seqmodels.analysis.recall import Recall
from seqmodels.analysis.strands import strands


def test_the_first_symbol_is_the_target():
    task = Recall(sm.GRU(4), lag=9, symbols=3)
    xs, targets = task.batch(jax.random.key(0), 200)
    assert xs.shape == (200, 9, 3)
    np.testing.assert_array_equal(jnp.argmax(xs[:, 0], axis=-1), targets)
    np.testing.assert_array_equal(xs.sum(axis=-1), 1.0)
    assert set(targets.tolist()) == {0, 1, 2}


def test_accuracy_and_loss_of_a_model_that_copies():
    task = Recall(sm.RNN(4), lag=1)
    params = task.init(jax.random.key(0))
    params = params._replace(cell=params.cell._replace(w_ih=10.0 * jnp.eye(4)))
    params = params._replace(output=params.output._replace(w=jnp.eye(4), b=jnp.zeros(4)))
    xs, targets = task.batch(jax.random.key(1), 50)
    assert task.accuracy(params, xs, targets) == 1.0
    assert_close(task.loss(params, xs, targets), np.log(1.0 + 3.0 * np.exp(-1.0)), np.float32)
    assert task.accuracy(params, xs, (targets + 1) % 4) == 0.0


def test_it_is_learnt_where_the_lag_is_short():
    task = Recall(sm.LSTM(16), lag=5)
    fitted = task.train(jax.random.key(0), steps=300)
    assert fitted.losses.shape == (300,)
    assert abs(float(fitted.losses[:20].mean()) - np.log(4.0)) < 0.2
    assert task.accuracy(fitted.after, *task.batch(jax.random.key(1), 200)) == 1.0


def test_the_flow_is_that_of_the_right_score():
    task = Recall(sm.LSTM(6), lag=7)
    params = task.init(jax.random.key(0))
    xs, targets = task.batch(jax.random.key(1), 3)

    def score(c):
        state = task.cell.initial_state(params.cell, (3,))._replace(c=c)
        ys = sm.unroll(task.cell, params.cell, xs, state)[1]
        scores = ys[:, -1] @ params.output.w + params.output.b
        return jnp.sum(scores[jnp.arange(3), targets])

    expected = jnp.linalg.norm(jax.grad(score)(jnp.zeros((3, 6))), axis=1)
    assert_close(task.flow(params, xs, targets).leaves.c[:, 0], expected, np.float32)


@pytest.fixture(scope="module")
def reader():
    text = "the cat sat on the mat and then it ran off\n" * 20
    made, losses = learn(text, jax.random.key(0), steps=60, hidden_size=8)
    assert losses[-1] < losses[0]
    return made


def test_a_reader_shows_its_gates_and_states(reader):
    text = "the mat\n"
    assert reader.symbols(text) == list(text)
    activity, states = reader.activity(text), reader.states(text)
    assert activity.f.shape == states.c.shape == (8, 8)
    assert_close(states.h, activity.o * jnp.tanh(states.c), np.float32)


def test_a_reader_tells_how_far_gradients_reach(reader):
    text = "the cat sat on"
    (strand,) = strands(reader.reading(text))
    norms = strand.flow().total
    assert norms.shape == (13,)
    assert np.all(norms > 0.0)
    ids = reader.vocabulary.encode(text)

    def cost(c):
        state = reader.model.initial_state(reader.params)
        logits = reader.model.apply(reader.params, ids[:-1], state._replace(c=c))[1]
        return -jax.nn.log_softmax(logits[-1])[ids[-1]]

    # At the start h is 0 and does count; the memory's share is a part of the whole.
    assert jnp.linalg.norm(jax.grad(cost)(jnp.zeros(8))) <= norms[0]
    assert np.isfinite(strand.exponent())
