"""Measures over a whole split against plain NumPy."""

import itertools
import math

import jax
import numpy as np
import oracles
import pytest
from small import task

from seqmodels.training.evaluation import evaluate

SMALL = ("model.cell.hidden_size=4", "model.embedding_size=3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluation")


def plain_nats(made, params, text):
    """The cross-entropy of each symbol of an unbroken text after the first, in float64."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    (cell,), (weights,) = made.model.cell.cells, params.cell
    ids = made.vocabulary.encode(text)
    state, nats = oracles.initial_state(cell, weights), []
    for symbol, target in itertools.pairwise(ids):
        state = oracles.advance(cell, weights, state, params.embedding[symbol])
        scores = state.h @ params.output.w + params.output.b
        nats.append(np.log(np.exp(scores).sum()) - scores[target])
    return np.array(nats)


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize("window", [1, 7, 50, 1000])
def test_one_row_is_one_unbroken_text_whatever_the_window(window, split, folder):
    made = task(folder, *SMALL, "data.eval_batch_size=1", f"data.eval_window={window}")
    params = made.init(jax.random.key(0))
    nats = plain_nats(made, params, getattr(made.corpus, split))
    found = evaluate(made, params, split)
    assert found["loss_nats"] == pytest.approx(nats.mean(), rel=1e-5)
    assert found["bits_per_char"] == pytest.approx(nats.mean() / math.log(2), rel=1e-5)


def test_rows_begin_anew_and_lose_no_prediction(folder):
    made = task(folder, *SMALL, "data.eval_batch_size=3", "data.eval_window=20")
    params = made.init(jax.random.key(0))
    text = made.corpus.valid
    row = math.ceil((len(text) - 1) / 3)
    nats = [plain_nats(made, params, text[start : start + row + 1]) for start in range(0, len(text) - 1, row)]
    assert sum(map(len, nats)) == len(text) - 1
    assert evaluate(made, params, "valid")["loss_nats"] == pytest.approx(np.concatenate(nats).mean(), rel=1e-5)


@pytest.mark.parametrize("rows", [1, 16])
def test_a_model_that_knows_nothing_costs_the_logarithm_of_the_vocabulary(rows, folder):
    made = task(folder, *SMALL, f"data.eval_batch_size={rows}", "data.eval_window=64")
    zero = jax.tree.map(np.zeros_like, made.init(jax.random.key(0)))
    found = evaluate(made, zero, "test")
    nats = math.log(len(made.vocabulary))
    assert found["loss_nats"] == pytest.approx(nats, rel=1e-5)
    assert found["bits_per_char"] == pytest.approx(nats / math.log(2), rel=1e-5)


def test_the_perplexity_of_words(folder):
    made = task(folder, *SMALL, "data.unit=word", "data.eval_window=64")
    zero = jax.tree.map(np.zeros_like, made.init(jax.random.key(0)))
    found = evaluate(made, zero, "valid")
    assert set(found) == {"loss_nats", "perplexity"}
    assert found["perplexity"] == pytest.approx(len(made.vocabulary), rel=1e-5)


def test_dropout_is_not_applied(folder):
    quiet = task(folder, *SMALL)
    noisy = task(folder, *SMALL, "model.output_dropout=0.5", "model.input_dropout=0.5", "model.cell.weight_drop=0.5")
    params = quiet.init(jax.random.key(0))
    assert evaluate(noisy, params, "valid") == evaluate(quiet, params, "valid")


def test_the_same_parameters_measure_the_same(folder):
    made = task(folder, *SMALL)
    params = made.init(jax.random.key(0))
    assert evaluate(made, params, "valid") == evaluate(made, params, "valid")
