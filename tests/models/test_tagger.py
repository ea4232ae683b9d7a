"""The tagger against a plain NumPy one, and against itself read in other ways."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from oracles import assert_close, assert_equal

import seqmodels as sm
from seqmodels.models import Speller, Tagger

VOCABULARY, CLASSES = 7, 3
LENGTHS = np.array([6, 4, 1, 0])
DRAW = np.random.default_rng(0)
IDS = DRAW.integers(0, VOCABULARY, (4, 6))
CHARACTERS = DRAW.integers(0, 5, (4, 6, 4))
WORD_LENGTHS = DRAW.integers(1, 5, (4, 6)) * (np.arange(6) < LENGTHS[:, None])
SPELT = (jnp.asarray(CHARACTERS), jnp.asarray(WORD_LENGTHS))
SPELLER = Speller(alphabet_size=5, embedding_size=2, hidden_size=3)
LAYERS = {
    "one": sm.Stack((sm.LSTM(5), sm.GRU(4))),
    "two": sm.Bidirectional(sm.Stack((sm.LSTM(5),)), sm.Stack((sm.RNN(3),))),
}


def model(cell="two", **settings):
    return Tagger(VOCABULARY, 4, LAYERS[cell], CLASSES, **settings)


def plain_outputs(cell, params, xs):
    """The outputs of cells upon each other for one row, one step after another, in float64."""
    states = [oracles.initial_state(layer, p) for layer, p in zip(cell, params, strict=True)]
    found = []
    for x in xs:
        y = x
        for place, (layer, p) in enumerate(zip(cell, params, strict=True)):
            states[place] = oracles.advance(layer, p, states[place], y)
            y = states[place].h
        found.append(y)
    return found


def plain_word(speller, params, characters):
    """The last outputs of both directions over the characters of a word."""
    xs = params.embedding[characters]
    cells = [sm.LSTM(speller.hidden_size)]
    fwd, bwd = (plain_outputs(cells, [p], x) for p, x in ((params.cell.fwd, xs), (params.cell.bwd, xs[::-1])))
    return np.concatenate([fwd[-1], bwd[-1]])


def plain_logits(made, params, row, length):
    """One sentence in float64."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    xs = params.embedding[IDS[row, :length]]
    if made.speller is not None:
        words = zip(CHARACTERS[row, :length], WORD_LENGTHS[row, :length], strict=True)
        spelt = [plain_word(made.speller, params.speller, word[:end]) for word, end in words]
        xs = np.concatenate([xs, np.array(spelt)], axis=-1)
    if isinstance(made.cell, sm.Bidirectional):
        ys = plain_outputs(made.cell.fwd.cells, params.cell.fwd, xs)
        backwards = plain_outputs(made.cell.bwd.cells, params.cell.bwd, xs[::-1])[::-1]
        ys = [np.concatenate(pair) for pair in zip(ys, backwards, strict=True)]
    else:
        ys = plain_outputs(made.cell.cells, params.cell, xs)
    return np.array(ys) @ params.output.w + params.output.b


@pytest.mark.parametrize("speller", [None, SPELLER], ids=["words", "characters"])
@pytest.mark.parametrize("cell", LAYERS)
def test_the_scores_are_those_of_a_plain_model(cell, speller):
    made = model(cell, speller=speller)
    params = made.init(jax.random.key(1))
    characters = None if speller is None else SPELT
    _, logits = made.apply(params, jnp.asarray(IDS), characters=characters, lengths=jnp.asarray(LENGTHS))
    assert logits.shape == (4, 6, CLASSES)
    assert logits.dtype == jnp.float32
    for row, length in enumerate(LENGTHS.tolist()):
        if length:
            assert_close(logits[row, :length], plain_logits(made, params, row, length), np.float32)


def test_what_is_in_the_padding_does_not_matter():
    made = model(speller=SPELLER)
    params = made.init(jax.random.key(1))
    inside = np.arange(6) < LENGTHS[:, None]
    written = np.arange(4) < WORD_LENGTHS[..., None]
    other = jnp.asarray(np.where(inside, IDS, 0))
    characters = jnp.asarray(np.where(written, CHARACTERS, 1)), SPELT[1]
    lengths = jnp.asarray(LENGTHS)
    apply = jax.jit(made.apply)
    found = apply(params, other, characters=characters, lengths=lengths)[1]
    expected = apply(params, jnp.asarray(IDS), characters=SPELT, lengths=lengths)[1]
    assert_equal(found[inside], expected[inside])


def test_the_gradient_reaches_every_parameter():
    made = model(speller=SPELLER)

    def loss(params):
        logits = made.apply(params, jnp.asarray(IDS), characters=SPELT, lengths=jnp.asarray(LENGTHS))[1]
        return -jax.nn.log_softmax(logits)[..., 0].sum()

    for leaf in jax.tree.leaves(jax.jit(jax.grad(loss))(made.init(jax.random.key(1)))):
        assert np.all(np.isfinite(leaf))
        assert np.any(leaf != 0)


def test_a_state_may_be_given():
    made = model("one")
    params = made.init(jax.random.key(1))
    state, first = made.apply(params, jnp.asarray(IDS[:, :3]))
    _, second = made.apply(params, jnp.asarray(IDS[:, 3:]), state)
    whole = made.apply(params, jnp.asarray(IDS))[1]
    assert_close(jnp.concatenate([first, second], axis=1), whole, np.float32)
    assert_equal(made.apply(params, IDS, made.initial_state(params, (4,)))[1], whole)


RATES = ["embedding_dropout", "input_dropout", "output_dropout", "unknown_rate"]


@pytest.mark.parametrize("rate", RATES)
def test_noise_needs_a_key(rate):
    made = model(**{rate: 0.5})
    params = made.init(jax.random.key(1))
    quiet = made.apply(params, IDS)[1]
    assert_equal(quiet, model().apply(params, IDS)[1])
    one, again, other = (made.apply(params, IDS, key=jax.random.key(seed))[1] for seed in (0, 0, 1))
    assert_equal(one, again)
    assert np.any(one != other)
    assert np.any(one != quiet)


def test_dropout_of_characters_is_for_characters():
    made = model(speller=dataclasses.replace(SPELLER, dropout=0.5))
    params = made.init(jax.random.key(1))
    one, other = (made.apply(params, IDS, characters=SPELT, key=key)[1] for key in (None, jax.random.key(0)))
    assert np.any(one != other)


def test_words_become_unknown_at_the_rate_that_is_asked_for():
    """Sentences of one word, which is known or not."""
    made = model(unknown_rate=0.25)
    params = made.init(jax.random.key(1))
    noisy = made.apply(params, jnp.ones((4000, 1), int), key=jax.random.key(0))[1]
    known, unknown = (made.apply(params, jnp.array([[symbol]]))[1] for symbol in (1, 0))
    taken = np.all(np.isclose(noisy, unknown), axis=(1, 2))
    assert np.all(np.isclose(noisy[~taken], known))
    assert 0.22 < taken.mean() < 0.28


def test_bfloat16_is_computed_in_and_scores_are_float32():
    made = model(speller=SPELLER, compute_dtype="bfloat16")
    params = made.init(jax.random.key(1))
    _, logits = made.apply(params, IDS, characters=SPELT)
    assert logits.dtype == jnp.float32
    exact = dataclasses.replace(made, compute_dtype="float32").apply(params, IDS, characters=SPELT)[1]
    assert_close(logits, exact, jnp.bfloat16)


@pytest.mark.parametrize("rate", RATES)
def test_rates_have_a_range(rate):
    with pytest.raises(ValueError, match=f"{rate} must be at least 0 and below 1"):
        model(**{rate: 1.0})


def test_characters_and_a_speller_go_together():
    for made, characters in ((model(), SPELT), (model(speller=SPELLER), None)):
        with pytest.raises(ValueError, match="characters are for a tagger with a speller"):
            made.apply(made.init(jax.random.key(0)), IDS, characters=characters)


def test_other_faults():
    with pytest.raises(ValueError, match="two classes at least"):
        Tagger(VOCABULARY, 4, LAYERS["one"], 1)
    with pytest.raises(ValueError, match="the dropout of Speller must be"):
        Speller(5, 2, 3, dropout=1.5)
