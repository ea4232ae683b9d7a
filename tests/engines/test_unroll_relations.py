"""Relations between runs that every engine keeps: padding, length 0, chunks, directions, separate sequences.

All are checked in float64 with the one call that gives lengths, resets and a state, so nothing compiles anew.
"""

import functools

import hypothesis
import jax
import numpy as np
import pytest
from cases import BATCH, FEW, RELATED, STEPS, TURNED, Problem, lengths_and_resets, name, problem, run
from oracles import assert_close, assert_equal

import seqmodels as sm

pytestmark = pytest.mark.usefixtures("x64")

NONE = np.zeros((BATCH, STEPS), bool)
FULL = np.full(BATCH, STEPS)
CHUNKED = [(cell, method) for cell, method in RELATED if not isinstance(cell, sm.Bidirectional)]


def directed(pairs):
    """Runs a test forwards over all pairs, and backwards over some: no cell and no engine knows of directions."""
    both = [*((*pair, False) for pair in pairs), *((*pair, True) for pair in pairs if pair in TURNED)]
    return pytest.mark.parametrize(("cell", "method", "reverse"), both, ids=name)


def at_padding(lengths):
    """[BATCH, STEPS]: True beyond the row's length."""
    return np.arange(STEPS) >= lengths[:, None]


def turned(array, lengths):
    """Each row's valid part from its end to its start."""
    rows = [np.concatenate([row[:length][::-1], row[length:]]) for row, length in zip(array, lengths, strict=True)]
    return np.stack(rows)


def shifted(array, start):
    """Each row from `start` on, filled up at the end with what was before."""
    return np.roll(array, -start, axis=1)


@directed(RELATED)
def test_nothing_leaks_from_padding(cell, method, reverse):
    given, lengths = problem(cell), np.array([STEPS, 3, 0])
    padding = at_padding(lengths)
    resets = np.array(NONE)
    resets[:, 2] = True

    def filled(value, resets):
        xs = np.where(padding[..., None], value, given.xs)
        # What the objective makes of the outputs on padding must not matter either: they are constants.
        weights = np.where(padding[..., None], value, given.ys_weights)
        return run(cell, given._replace(xs=xs, ys_weights=weights), lengths, resets, method=method, reverse=reverse)

    zeros = filled(0.0, resets)
    assert_equal(filled(np.nan, resets | padding), zeros)
    (_, ys), (_, slopes, _) = zeros
    assert not np.any(ys[padding])
    assert not np.any(slopes[padding])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(zeros))


@directed(RELATED)
def test_full_rows_do_not_see_that_others_are_short(cell, method, reverse):
    given, lengths = problem(cell), np.array([STEPS, 3, 0])
    (state, ys), (_, slopes, state_slopes) = run(cell, given, lengths, NONE, method=method, reverse=reverse)
    (full_state, full_ys), (_, full_slopes, full_state_slopes) = run(
        cell, given, FULL, NONE, method=method, reverse=reverse
    )

    def first(tree):
        return jax.tree.map(lambda leaf: leaf[0], tree)

    assert_equal(first((state, ys, slopes, state_slopes)), first((full_state, full_ys, full_slopes, full_state_slopes)))


@directed(RELATED)
def test_length_0_returns_the_state_passed_in(cell, method, reverse):
    given = problem(cell)
    (state, ys), (params_slopes, xs_slopes, state_slopes) = run(
        cell, given, np.zeros_like(FULL), ~NONE, method=method, reverse=reverse
    )
    assert_equal(state, given.state)
    assert_equal(state_slopes, given.state_weights)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves((ys, params_slopes, xs_slopes)))


@pytest.mark.parametrize("seed", [0, 1])
@directed(CHUNKED)
def test_two_chunks_are_the_whole(cell, method, reverse, seed):
    random = np.random.default_rng(seed)
    given, lengths = problem(cell), random.integers(0, STEPS + 1, BATCH)
    cut = int(random.integers(1, STEPS))
    resets = random.random((BATCH, STEPS)) < 0.25
    # Read backwards, a start on the cut would lie after the last step of the later chunk: it is in neither.
    resets[:, cut] &= not reverse
    parts = [
        (given.xs, np.minimum(lengths, cut), resets, given.ys_weights),
        (
            shifted(given.xs, cut),
            np.maximum(lengths - cut, 0),
            shifted(resets, cut),
            shifted(given.ys_weights, cut),
        ),
    ]

    def run_part(part, state, state_weights):
        xs, lengths, resets, ys_weights = part
        inputs = given._replace(xs=xs, ys_weights=ys_weights, state=state, state_weights=state_weights)
        return run(cell, inputs, lengths, resets, method=method, reverse=reverse)

    early, late = parts[::-1] if reverse else parts
    (middle, ys_early), _ = run_part(early, given.state, given.state_weights)
    (state, ys_late), (slopes_late, xs_late, middle_slopes) = run_part(late, middle, given.state_weights)
    _, (slopes_early, xs_early, state_slopes) = run_part(early, given.state, middle_slopes)

    def joined(early, late):
        first, second = (late, early) if reverse else (early, late)
        return np.concatenate([first[:, :cut], second[:, : STEPS - cut]], axis=1)

    (whole_state, whole_ys), whole_slopes = run(cell, given, lengths, resets, method=method, reverse=reverse)
    assert_close((state, joined(ys_early, ys_late)), (whole_state, whole_ys), np.float64)
    sums = jax.tree.map(np.add, slopes_early, slopes_late)
    assert_close((sums, joined(xs_early, xs_late), state_slopes), whole_slopes, np.float64)


@pytest.mark.parametrize(("cell", "method"), RELATED, ids=name)
def test_reverse_is_forward_on_the_flipped_valid_part(cell, method):
    given = problem(cell)

    @FEW
    @hypothesis.given(lengths_and_resets())
    def holds(drawn):
        lengths, resets = drawn
        # The border before step t is, from the other end, the one before step length - t; that before 0 has no image.
        resets[:, 0] = False
        borders = np.concatenate([NONE[:, :1], turned(resets[:, 1:], np.maximum(lengths - 1, 0))], axis=1)
        flipped = given._replace(xs=turned(given.xs, lengths), ys_weights=turned(given.ys_weights, lengths))
        (state, ys), slopes = run(cell, flipped, lengths, borders, method=method, reverse=False)
        expected = (state, turned(ys, lengths)), (slopes[0], turned(slopes[1], lengths), slopes[2])
        assert_close(run(cell, given, lengths, resets, method=method, reverse=True), expected, np.float64)

    holds()


def pick(cell, reverse, forward_tree, backward_tree):
    """The parts of a state's tree that belong to cells read forwards from one tree, the others from the other."""
    if isinstance(cell, sm.Bidirectional):
        pairs = list(zip(forward_tree, backward_tree, strict=True))
        return pick(cell.fwd, reverse, *pairs[0]), pick(cell.bwd, not reverse, *pairs[1])
    return backward_tree if reverse else forward_tree


@pytest.mark.parametrize("start", [1, 4])
@directed(RELATED)
def test_resets_make_separate_sequences(cell, method, reverse, start):
    given = problem(cell)
    fresh, to_params = jax.vjp(lambda params: cell.initial_state(params, (BATCH,)), given.params)
    none = jax.tree.map(np.zeros_like, given.state_weights)
    resets = NONE | (np.arange(STEPS) == start)
    choose = functools.partial(pick, cell, reverse)

    early = given._replace(state=choose(given.state, fresh), state_weights=choose(none, given.state_weights))
    late = Problem(
        params=given.params,
        xs=shifted(given.xs, start),
        state=choose(fresh, given.state),
        state_weights=choose(given.state_weights, none),
        ys_weights=shifted(given.ys_weights, start),
    )
    early_values, early_slopes = run(cell, early, FULL * 0 + start, NONE, method=method, reverse=reverse)
    late_values, late_slopes = run(cell, late, FULL - start, NONE, method=method, reverse=reverse)

    def joined(early, late):
        return np.concatenate([early[:, :start], late[:, : STEPS - start]], axis=1)

    sums = jax.tree.map(
        lambda *slopes: sum(slopes),
        early_slopes[0],
        late_slopes[0],
        to_params(choose(late_slopes[2], early_slopes[2]))[0],
    )
    expected = (
        (choose(late_values[0], early_values[0]), joined(early_values[1], late_values[1])),
        (sums, joined(early_slopes[1], late_slopes[1]), choose(early_slopes[2], late_slopes[2])),
    )
    assert_close(run(cell, given, FULL, resets, method=method, reverse=reverse), expected, np.float64)


@pytest.mark.parametrize(("cell", "method"), CHUNKED, ids=name)
def test_a_start_at_0_forgets_the_state_passed_in(cell, method):
    resets = NONE | (np.arange(STEPS) == 0)
    given = problem(cell)
    other = given._replace(state=jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), given.state))
    result = run(cell, given, FULL, resets, method=method, reverse=False)
    assert_equal(run(cell, other, FULL, resets, method=method, reverse=False), result)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(result[1][2]))
