"""Beam search against all texts that there are."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close

import seqmodels as sm
from seqmodels.models import LanguageModel, Sampling, beam_search, generate, log_probabilities

VOCABULARY, PROMPT = 3, np.array([1, 2], np.int32)
MODEL = LanguageModel(VOCABULARY, 4, sm.Stack((sm.LSTM(5),)))
# Larger weights make the choices clear.
PARAMS = jax.tree.map(lambda leaf: 3.0 * leaf, MODEL.init(jax.random.key(3)))


def every_text(length, end=None):
    """Each possible continuation with its log-probability, found without a search."""
    texts = set()
    for symbols in itertools.product(range(VOCABULARY), repeat=length):
        stop = symbols.index(end) + 1 if end in symbols else length
        texts.add(symbols[:stop])
    texts = [np.array(text, np.int32) for text in sorted(texts)]
    found = log_probabilities(MODEL, PARAMS, texts, start=PROMPT, rows=32, window=8)
    return [(tuple(text.tolist()), float(log_p.sum())) for text, log_p in zip(texts, found, strict=True)]


@pytest.mark.parametrize(("end", "length_penalty"), [(None, 0.6), (0, 0.0), (0, 2.0)])
def test_enough_beams_find_everything_in_order(end, length_penalty):
    length = 4
    expected = [(text, log_p, log_p / ((5 + len(text)) / 6) ** length_penalty) for text, log_p in every_text(4, end)]
    expected.sort(key=lambda found: -found[2])
    width = VOCABULARY**length
    found = beam_search(MODEL, PARAMS, PROMPT, length=length, width=width, end=end, length_penalty=length_penalty)
    assert {tuple(beam.tokens.tolist()) for beam in found} == {text for text, _, _ in expected}
    assert_close(jnp.array([beam.score for beam in found]), np.array([score for _, _, score in expected]), np.float32)
    log_p = {text: log_p for text, log_p, _ in expected}
    for beam in found:
        assert beam.log_p == pytest.approx(log_p[tuple(beam.tokens.tolist())], rel=1e-4)


def test_one_beam_is_greedy():
    (beam,) = beam_search(MODEL, PARAMS, PROMPT, length=9, width=1)
    likeliest = generate(MODEL, PARAMS, PROMPT[None], jax.random.key(0), length=9, sampling=Sampling(temperature=0.0))
    np.testing.assert_array_equal(beam.tokens, np.concatenate(list(likeliest), axis=1)[0])


def test_beams_take_the_states_of_those_they_come_from():
    """The log-probabilities are those of the texts read anew."""
    found = beam_search(MODEL, PARAMS, PROMPT, length=12, width=4)
    assert len({beam.tokens.tobytes() for beam in found}) == 4
    anew = log_probabilities(MODEL, PARAMS, [beam.tokens for beam in found], start=PROMPT, rows=4, window=16)
    for beam, log_p in zip(found, anew, strict=True):
        assert beam.log_p == pytest.approx(float(log_p.sum()), rel=1e-4)
    assert [beam.score for beam in found] == sorted((beam.score for beam in found), reverse=True)


def test_a_beam_with_an_end_is_kept():
    """0 is likely at first, and all that follows is unlikely: a text that only begins better does not drive it out."""
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    params = zero._replace(output=zero.output._replace(b=jnp.array([0.0, 1.0, 1.0])))
    found = beam_search(MODEL, params, PROMPT, length=6, width=2, end=0, length_penalty=0.0)
    assert found[0].tokens.tolist() == [0]
    assert [beam.tokens[-1] for beam in found] == [0, 0]


def test_no_length_is_no_text():
    (beam,) = beam_search(MODEL, PARAMS, PROMPT, length=0, width=3)
    assert (beam.tokens.size, beam.log_p) == (0, 0.0)


@pytest.mark.parametrize("wrong", [{"length": -1}, {"width": 0}, {"length_penalty": -0.1}, {"length_penalty": np.nan}])
def test_what_cannot_be_sought(wrong):
    with pytest.raises(ValueError, match="must be at least"):
        beam_search(MODEL, PARAMS, PROMPT, **{"length": 2, "width": 2, **wrong})


@pytest.mark.parametrize("end", [-1, 3])
def test_an_end_is_a_symbol(end):
    with pytest.raises(ValueError, match=r"end must be a symbol, from 0 to 2 \(got"):
        beam_search(MODEL, PARAMS, PROMPT, length=2, width=2, end=end)
