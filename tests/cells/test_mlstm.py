"""The LSTM with a matrix memory: one unit by hand, the attention that it is, extreme gates, and what it keeps."""

import jax
import numpy as np
import pytest
from cases import BATCH, HIDDEN, INPUTS, STEPS, cast, problem, run
from oracles import assert_close, gradients, sigmoid, unroll

import seqmodels as sm

LN2, LN3 = np.log([2.0, 3.0])
HEADS = 2
LENGTHS = np.array([STEPS, 4, 0])
RESETS = np.arange(BATCH * STEPS).reshape(BATCH, STEPS) % 5 == 2


def test_two_steps_by_hand(x64):
    # Step 1, x = 1, nothing stored: i = 2, o = σ(ln 3) = 3/4, q = 1/4, k = 3, v = 1/2: C = 2 · 1/2 · 3 = 3, n = 6,
    #   h = 3/4 · (3 · 1/4) / max(6 · 1/4, 1) = 3/8.
    # Step 2, x = -1: i = 1/2, f = σ(ln 3) = 3/4, o = 1/4, q = -1/4, k = -3, v = -1/2: C = 9/4 + 1/2 · 3/2 = 3,
    #   n = 9/2 - 3/2 = 3, and the bound of 1 acts: h = 1/4 · (3 · -1/4) / max(3/4, 1) = -3/16.
    #   m = log f + ln 2 = ln 3/2, so C and n are divided by 3/2.
    params = sm.MLSTMParams(w_ih=np.array([[LN2, -LN3, LN3, 0.25, 3.0, 0.5]]), b=np.zeros(6))
    state, ys = sm.unroll(sm.MLSTM(1), params, np.array([[1.0], [-1.0]]))
    assert_close(ys, np.array([[3 / 8], [-3 / 16]]), np.float64)
    c, n, m = np.array([[[2.0]]]), np.array([[2.0]]), np.array([LN3 - LN2])
    assert_close(state, sm.MLSTMState(np.array([-3 / 16]), c, n, m), np.float64)


def parallel(cell, params, xs):
    """The paper's form for a whole sequence xs [T, D] at once, with a [T, T] matrix of weights for each head."""
    n, size, steps = cell.heads, cell.hidden_size // cell.heads, len(xs)
    z = xs @ params.w_ih + params.b
    i, log_f, (o, q, k, v) = z[:, :n], -np.logaddexp(0.0, -z[:, n : 2 * n]), np.split(z[:, 2 * n :], 4, axis=1)
    outputs = []
    for head in range(n):
        units = slice(head * size, (head + 1) * size)
        sums = np.cumsum(log_f[:, head])
        log_d = np.where(np.tri(steps, dtype=bool), sums[:, None] - sums[None] + i[None, :, head], -np.inf)
        m = np.max(log_d, axis=1, keepdims=True)
        scores = q[:, units] @ k[:, units].T / np.sqrt(size) * np.exp(log_d - m)
        outputs.append(scores @ v[:, units] / np.maximum(np.abs(scores.sum(1, keepdims=True)), np.exp(-m)))
    return sigmoid(o) * np.concatenate(outputs, axis=1)


@pytest.mark.parametrize("spread", [1.0, 30.0])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_the_parallel_form_of_the_paper(heads, spread, x64):
    cell = sm.MLSTM(HIDDEN, heads=heads)
    params, xs, *_ = problem(cell)
    params = params._replace(
        w_ih=np.concatenate([params.w_ih[:, : 2 * heads] * spread, params.w_ih[:, 2 * heads :]], 1)
    )
    _, ys = sm.unroll(cell, params, xs)
    for row, x in zip(ys, xs, strict=True):
        assert_close(row, parallel(cell, params, x), np.float64)


@pytest.mark.parametrize("method", ["scan", "fused"])
def test_gates_of_100_lose_nothing(method):
    # In row 0 i and f are -100 at first, so that m falls to -100, where e⁻ᵐ is infinite in float32. Row 2 keeps what
    # it has. No two are alike: were log f + m and ĩ equal, the gradient for the stabilised state would be undecided.
    cell, random = sm.MLSTM(HIDDEN, heads=HEADS), np.random.default_rng(0)
    given = problem(cell)
    w_ih, xs = given.params.w_ih.copy(), given.xs.copy()
    w_ih[:, : 2 * HEADS] = 0.0
    w_ih[0, :HEADS] = w_ih[1, HEADS : 2 * HEADS] = 1.0
    xs[..., :2] = random.choice([-1.0, 1.0], (BATCH, STEPS, 2)) * random.uniform(95.0, 105.0, (BATCH, STEPS, 2))
    xs[0, :3, :2] = -np.abs(xs[0, :3, :2])
    xs[2, :, :2] = np.abs(xs[2, :, :2]) * np.array([-1.0, 1.0])
    hard = given._replace(params=given.params._replace(w_ih=w_ih), xs=xs)
    values, slopes = run(cell, cast(hard, np.float32), method=method, reverse=False)
    assert_close(values, unroll(cell, *hard[:3]), np.float32)
    assert_close(slopes, gradients(cell, *hard), np.float32)


def test_nested_with_noise_and_heads(x64):
    # Masks, resets and learned states of leaves [*batch, N, d, d], [*batch, N, d] and [*batch, N].
    cell = sm.LearnedState(sm.Zoneout(sm.MLSTM(HIDDEN, heads=HEADS), rate=0.2))
    given = problem(cell)
    quiet = run(cell, given, LENGTHS, RESETS, method="fused", reverse=True)
    ragged = {"lengths": LENGTHS, "resets": RESETS, "reverse": True}
    assert_close(quiet, (unroll(cell, *given[:3], **ragged), gradients(cell, *given, **ragged)), np.float64)
    noisy = [run(cell, given, LENGTHS, RESETS, jax.random.key(0), method=m, reverse=True) for m in ("fused", "scan")]
    assert_close(*noisy, np.float64)
    assert np.all(noisy[0][0][1][0] != quiet[0][1][0])


def test_no_gate_sees_h():
    cell = sm.MLSTM(HIDDEN)
    given = cast(problem(cell), np.float32)
    assert cell.recur(given.params, given.state.h) == ()
    assert not np.any(run(cell, given, method="fused", reverse=False)[1][2].h)


def test_long_sequences_are_for_chunks():
    cell, steps = sm.MLSTM(32, heads=2), 1024
    params = jax.eval_shape(lambda key: cell.init(key, INPUTS), jax.random.key(0))
    xs = jax.ShapeDtypeStruct((BATCH, steps, INPUTS), np.float32)
    memories = BATCH * steps * 32 * 16 * 4  # bytes of C at every step

    def temporary(method):
        loss = jax.grad(lambda params, xs: sm.unroll(cell, params, xs, method=method)[1].sum())
        return jax.jit(loss).lower(params, xs).compile().memory_analysis().temp_size_in_bytes

    assert memories < temporary("fused") < 3 * memories
    assert temporary("chunked") < 0.3 * memories


def test_weights_at_the_start():
    cell = sm.MLSTM(48, heads=3)
    w_ih, b = (np.asarray(leaf) for leaf in cell.init(jax.random.key(0), 32))
    assert w_ih.shape == (32, 6 + 4 * 48)
    for weights, units in ((w_ih[:, :6], 3), (w_ih[:, 6:], 48)):
        bound = np.sqrt(6 / (32 + units))
        assert 0.95 * bound < np.abs(weights).max() <= bound
        assert abs(np.mean(weights**2) / (bound**2 / 3) - 1) < 4 * np.sqrt(0.8 / weights.size)
    np.testing.assert_array_equal(b, np.repeat([0.0, 3.0, 0.0], [3, 3, 4 * 48]))
    b = sm.MLSTM(4, forget_bias=1.5).init(jax.random.key(0), 5).b
    np.testing.assert_array_equal(b, np.repeat([0.0, 1.5, 0.0], [1, 1, 16]))


@pytest.mark.parametrize(
    ("heads", "fault"), [(3, r"divide hidden_size \(got 3 and 8\)"), (-1, r"at least 1 \(got -1\)")]
)
def test_wrong_heads_are_refused(heads, fault):
    with pytest.raises(ValueError, match=f"heads must .*{fault}"):
        sm.MLSTM(8, heads=heads)
