"""Drawing: which symbols may be drawn, with what probability, and what decides the draws."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import FEW
from hypothesis import strategies as st
from scipy.stats import chisquare

import seqmodels as sm
from seqmodels.models import LanguageModel, Sampling, generate
from seqmodels.models.sampling import _draw_chunk, _Text, read_prompt

MODEL = LanguageModel(8, 4, sm.Stack((sm.RNN(6),)))
PARAMS = MODEL.init(jax.random.key(0))
POSITIVE = PARAMS._replace(output=PARAMS.output._replace(b=jnp.full(8, 30.0)))
"""Scores far above zero, so that a penalty brings them down to it."""
SIZES = st.sampled_from([1, 2, 7])  # few shapes, since each is compiled
SCORES = SIZES.flatmap(
    # Quarters make ties frequent.
    lambda size: st.lists(st.integers(-12, 12).map(lambda n: n / 4), min_size=size, max_size=size)
)


def probabilities(logits):
    p = np.exp(np.asarray(logits, np.float64) - np.max(logits))
    return p / p.sum()


def restricted(sampling, logits):
    return np.asarray(sampling.restrict(jnp.asarray(logits, jnp.float32)))


@hypothesis.settings(FEW, max_examples=60)
@hypothesis.given(logits=SCORES, k=st.integers(1, 8))
def test_top_k_leaves_the_k_likeliest_and_their_equals(logits, k):
    logits = np.array(logits)
    kth = np.sort(logits)[::-1][min(k, logits.size) - 1]
    found = restricted(Sampling(top_k=k), logits)
    np.testing.assert_array_equal(found, np.where(logits >= kth, logits, -np.inf).astype(np.float32))


@hypothesis.settings(FEW, max_examples=60)
@hypothesis.given(logits=SCORES, p=st.floats(0.01, 1.0))
def test_top_p_leaves_the_fewest_likeliest_that_reach_p(logits, p):
    logits = np.array(logits)
    found = restricted(Sampling(top_p=p), logits)
    kept = np.isfinite(found)
    np.testing.assert_array_equal(found[kept], logits[kept].astype(np.float32))
    assert kept.any()
    least = logits[kept].min()
    np.testing.assert_array_equal(kept, logits >= least)  # the likeliest, equals together
    mass = probabilities(logits)
    assert mass[kept].sum() >= p - 1e-5
    assert mass[logits > least].sum() < p + 1e-5  # with fewer, p would not be reached


@pytest.mark.parametrize("p", [1e-3, 1e-30, 1e-50])
def test_however_small_top_p_is_the_likeliest_symbol_remains(p):
    np.testing.assert_array_equal(np.isfinite(restricted(Sampling(top_p=p), [0.0, 2.0, 1.0])), [False, True, False])


def test_a_top_p_of_1_leaves_every_symbol():
    logits = 3.0 * np.random.default_rng(0).normal(size=20_000)
    assert np.isfinite(restricted(Sampling(top_p=1.0), logits)).all()


def test_both_restrictions_together():
    found = restricted(Sampling(top_k=3, top_p=0.6), np.log([0.4, 0.3, 0.2, 0.1]))
    # Of the three likeliest, 4/9 and 3/9 are more than 0.6 together.
    np.testing.assert_array_equal(np.isfinite(found), [True, True, False, False])


def test_rows_are_restricted_by_themselves():
    logits = np.random.default_rng(0).normal(size=(2, 3, 5))
    sampling = Sampling(top_k=3, top_p=0.8)
    found = restricted(sampling, logits)
    for place in np.ndindex(2, 3):
        np.testing.assert_array_equal(found[place], restricted(sampling, logits[place]))


@hypothesis.settings(FEW, max_examples=30)
@hypothesis.given(logits=SCORES)
def test_temperature_zero_takes_the_likeliest(logits):
    drawn = Sampling(temperature=0.0).draw(jax.random.key(0), jnp.asarray(logits, jnp.float32))
    assert int(drawn) == int(np.argmax(logits))


def draws(sampling, logits, number=4000):
    rows = jnp.broadcast_to(jnp.asarray(logits, jnp.float32), (number, len(logits)))
    return np.bincount(sampling.draw(jax.random.key(7), rows), minlength=len(logits))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_scores_over_the_temperature(temperature):
    logits = np.array([0.0, 1.0, -0.5, 0.3])
    counts = draws(Sampling(temperature), logits)
    assert chisquare(counts, probabilities(logits / temperature) * counts.sum()).pvalue > 1e-3


def test_draws_follow_the_scores_that_are_left():
    logits = np.array([0.0, 1.0, -0.5, 0.3])
    counts = draws(Sampling(top_k=2), logits)
    assert counts[0] == counts[2] == 0
    assert chisquare(counts[[1, 3]], probabilities(logits[[1, 3]]) * counts.sum()).pvalue > 1e-3


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"temperature": -0.1}, "temperature must be a number of at least 0"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1"),
        ({"top_p": 1.1}, "top_p must be above 0 and at most 1"),
        ({"top_p": float("nan")}, "top_p must be above 0 and at most 1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be a number above 0"),
        ({"repetition_penalty": float("nan")}, "repetition_penalty must be a number above 0"),
    ],
)
def test_bad_ranges_are_refused(arguments, fault):
    with pytest.raises(ValueError, match=fault):
        Sampling(**arguments)


def written(seed=0, *, prompt=((1, 2, 3),), length=20, sampling=Sampling(), params=PARAMS, **more):  # noqa: B008 (frozen)
    key = more.pop("key", jax.random.key(seed))
    pieces = list(generate(MODEL, params, np.array(prompt), key, length=length, sampling=sampling, **more))
    return np.concatenate(pieces, axis=1) if pieces else np.zeros((len(prompt), 0), int)


def test_the_key_decides_the_text_whatever_the_chunk():
    whole = written(chunk=32)
    assert whole.shape == (1, 20)
    for chunk in (1, 7, 20):
        np.testing.assert_array_equal(written(chunk=chunk), whole)
    assert np.any(written(seed=1) != whole)


def test_a_longer_text_begins_as_the_shorter_one():
    np.testing.assert_array_equal(written(length=40)[:, :20], written())


def test_rows_of_one_prompt_differ():
    rows = written(prompt=((1, 2),) * 3)
    assert len({tuple(row) for row in rows}) == 3


def test_a_row_with_a_key_of_its_own_is_as_if_it_were_alone():
    prompts, keys = ((1, 2), (1, 2), (3, 4)), jax.random.split(jax.random.key(5), 3)
    sampling = Sampling(top_k=5, repetition_penalty=1.3)
    together = written(prompt=prompts, key=keys, sampling=sampling)
    for row, prompt in enumerate(prompts):
        np.testing.assert_array_equal(together[row], written(prompt=(prompt,), key=keys[row], sampling=sampling)[0])
    assert np.any(together[0] != together[1])


@pytest.mark.parametrize("chunk", [1, 4, 32])
def test_a_row_that_has_ended_stays_ended_and_the_last_one_ends_it_all(chunk):
    rows = {"prompt": ((1, 2),) * 3, "length": 60}
    plain, end = written(**rows), 7
    sizes = [row.tolist().index(end) + 1 for row in plain]
    assert len(set(sizes)) == 3
    found = written(**rows, end=end, chunk=chunk)
    assert found.shape == (3, max(sizes))
    for row, whole, size in zip(found, plain, sizes, strict=True):
        np.testing.assert_array_equal(row[:size], whole[:size])
        assert set(row[size:].tolist()) <= {end}


def test_the_length_ends_rows_too():
    found = written(length=3, end=7)
    np.testing.assert_array_equal(found, written(length=3))
    assert 7 not in found


@pytest.mark.parametrize("end", [-1, 8])
def test_an_end_that_is_no_symbol(end):
    with pytest.raises(ValueError, match=f"end must be a symbol, from 0 to 7 .got {end}"):
        written(end=end)


def test_a_chunk_takes_the_buffers_of_the_one_before():
    state, logits = read_prompt(MODEL, PARAMS, jnp.array([[1, 2]]))
    given = _Text(state, logits, jnp.zeros((1, 8), bool), jnp.zeros(1, bool))
    start = jnp.asarray(0)
    _draw_chunk(MODEL, PARAMS, given, jax.random.key(0), start, sampling=Sampling(), steps=2, end=3)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(given))


def test_likeliest_text_is_that_of_the_model_read_anew_each_time():
    found = written(sampling=Sampling(temperature=0.0), length=6)
    ids = np.array([[1, 2, 3]])
    for _ in range(6):
        ids = np.append(ids, np.argmax(MODEL.apply(PARAMS, ids)[1][:, -1], axis=-1)[:, None], axis=1)
    np.testing.assert_array_equal(found, ids[:, 3:])


def test_the_penalty_divides_what_is_above_zero_and_multiplies_what_is_below():
    seen = jnp.array([[True, True, True, False, False]])
    found = Sampling(repetition_penalty=2.0).penalize(jnp.array([[3.0, -3.0, 0.0, 3.0, -3.0]]), seen)
    np.testing.assert_array_equal(found, [[1.5, -6.0, 0.0, 3.0, -3.0]])


def test_with_a_penalty_the_text_is_that_of_the_model_read_anew_each_time():
    """The prompt's symbols are among those that are there already, and each row has its own."""
    prompt, penalty = ((1, 2, 3), (4, 4, 4)), 1.3
    found = written(prompt=prompt, sampling=Sampling(temperature=0.0, repetition_penalty=penalty), length=9, chunk=4)
    ids = np.array(prompt)
    for _ in range(9):
        padded = np.pad(ids, ((0, 0), (0, 12 - ids.shape[1])))  # one shape for all, which is compiled once
        scores = np.array(MODEL.apply(PARAMS, padded)[1][:, ids.shape[1] - 1])
        for row, symbols in enumerate(ids):
            for symbol in set(symbols.tolist()):
                scores[row, symbol] *= penalty if scores[row, symbol] < 0 else 1 / penalty
        ids = np.append(ids, np.argmax(scores, axis=-1)[:, None], axis=1)
    np.testing.assert_array_equal(found, ids[:, 3:])
    assert np.any(found != written(prompt=prompt, sampling=Sampling(temperature=0.0), length=9))


def test_a_great_penalty_takes_every_symbol_once():
    (row,) = written(sampling=Sampling(repetition_penalty=1e9), params=POSITIVE, prompt=((0,),), length=7)
    assert sorted(row.tolist()) == list(range(1, 8))


def test_pieces_hold_no_more_than_a_chunk():
    pieces = generate(MODEL, PARAMS, np.array([[1]]), jax.random.key(0), length=10, sampling=Sampling(), chunk=4)
    assert [piece.shape for piece in pieces] == [(1, 4), (1, 4), (1, 2)]


@pytest.mark.parametrize("prompt", [(1, 2), ((),)], ids=["one axis", "no symbol"])
def test_a_prompt_has_rows_of_symbols(prompt):
    with pytest.raises(ValueError, match=r"the prompt must be \[rows, time\] with at least one symbol"):
        written(prompt=prompt)


def test_no_length_is_no_text():
    assert written(length=0).shape == (1, 0)


def test_a_model_that_knows_nothing_draws_evenly():
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    tokens = written(prompt=((0,),) * 50, length=40, params=zero)
    assert chisquare(np.bincount(tokens.ravel(), minlength=8)).pvalue > 1e-3
    pairs = np.bincount((tokens[:, 1:] * 8 + tokens[:, :-1]).ravel(), minlength=64)
    assert chisquare(pairs).pvalue > 1e-3  # nor does a symbol depend on the one before
