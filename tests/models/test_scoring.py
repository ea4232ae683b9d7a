"""Log-probabilities of given texts against a model read step by step."""

import jax
import numpy as np
import oracles
import pytest

import seqmodels as sm
from seqmodels.models import LanguageModel, log_probabilities
from seqmodels.models.scoring import _window

VOCABULARY = 6
MODEL = LanguageModel(VOCABULARY, 4, sm.Stack((sm.LSTM(5), sm.GRU(3))))
PARAMS = MODEL.init(jax.random.key(1))
START = np.array([2], np.int32)


def texts(*lengths):
    random = np.random.default_rng(0)
    return [random.integers(0, VOCABULARY, length).astype(np.int32) for length in lengths]


def stepped(text, start):
    """One symbol after another."""
    state, found = MODEL.initial_state(PARAMS), []
    for symbol, following in zip([*start, *text[:-1]], [*start[1:], *text], strict=True):
        state, logits = MODEL.step(PARAMS, state, np.int32(symbol))
        scores = np.asarray(logits, np.float64)
        found.append(scores[following] - np.log(np.exp(scores).sum()))
    return np.array(found[len(start) - 1 :])


@pytest.mark.parametrize(("rows", "window"), [(1, 4), (3, 16), (8, 8)])
@pytest.mark.parametrize("start", [START, np.array([2, 0, 5], np.int32)], ids=["one", "three"])
def test_each_symbol_is_as_likely_as_step_by_step(rows, window, start):
    """Whatever lies beside a text and however it is cut."""
    given = texts(5, 1, 21, 16, 4)
    found = log_probabilities(MODEL, PARAMS, given, start=start, rows=rows, window=window)
    assert [len(log_p) for log_p in found] == [len(text) for text in given]
    for text, log_p in zip(given, found, strict=True):
        oracles.assert_close(log_p, stepped(text, start), np.float32)


def test_no_text_and_empty_texts():
    assert log_probabilities(MODEL, PARAMS, [], start=START, rows=2, window=8) == []
    empty, some = log_probabilities(MODEL, PARAMS, texts(0, 3), start=START, rows=2, window=8)
    assert (empty.size, some.size) == (0, 3)
    (alone,) = log_probabilities(MODEL, PARAMS, texts(0), start=START, rows=2, window=8)
    assert alone.size == 0


def test_few_shapes_are_compiled():
    model = LanguageModel(VOCABULARY, 3, sm.RNN(2))
    before = _window._cache_size()
    log_probabilities(model, model.init(jax.random.key(0)), texts(*range(60)), start=START, rows=4, window=32)
    assert _window._cache_size() - before <= 3  # 8, 16 and 32 wide
