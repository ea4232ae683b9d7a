"""The LSTM with exponential gates: one unit by hand, the weighted mean that it is, its heads, and extreme gates."""

import jax
import numpy as np
import pytest
from cases import BATCH, HIDDEN, INPUTS, STEPS, cast, problem, run
from oracles import assert_close, gradients, sigmoid, unroll

import seqmodels as sm

LN2, LN3, LN6 = np.log([2.0, 3.0, 6.0])
# σ(ln k) = k / (k + 1) and tanh(ln 2) = 3/5.


def one_unit(w_ih, w_hh):
    return sm.SLSTMParams(w_ih=np.array([w_ih]), w_hh=np.array([[w_hh]]), b=np.zeros(4))


def state_of(h, c, n, m):
    return sm.SLSTMState(*(np.array([value]) for value in (h, c, n, m)))


def test_two_steps_by_hand(x64):
    # Step 1, x = 1, nothing stored: i = 2, z = 3/5, o = σ(ln 3) = 3/4: c = 6/5, n = 2, h = 3/4 · 3/5 = 9/20.
    # Step 2, x = 0: the recurrent products are ln 6, ln 3, -ln 2, 0: i = 6, f = 3/4, z = -3/5, o = 1/2:
    #   c = 3/4 · 6/5 - 6 · 3/5 = -27/10, n = 3/4 · 2 + 6 = 15/2, h = 1/2 · -9/25 = -9/50.
    #   log f + ln 2 = ln 3/2 is less than ln 6 = m, so c and n are divided by 6.
    params = one_unit(w_ih=[LN2, 0.0, LN2, LN3], w_hh=np.array([LN6, LN3, -LN2, 0.0]) * 20 / 9)
    state, ys = sm.unroll(sm.SLSTM(1), params, np.array([[1.0], [0.0]]))
    assert_close(ys, np.array([[9 / 20], [-9 / 50]]), np.float64)
    assert_close(state, state_of(h=-9 / 50, c=-9 / 20, n=5 / 4, m=LN6), np.float64)


def test_an_exponential_forget_gate_by_hand(x64):
    # f = 3 on the stabilised c = 1/2, n = 1 with m = ln 2; i = 2, z = 3/5, o = σ(ln 2) = 2/3:
    #   c = 3 · 1 + 2 · 3/5 = 21/5, n = 3 · 2 + 2 = 8, h = 2/3 · 21/40 = 7/20; m = ln 3 + ln 2, so divided by 6.
    params = one_unit(w_ih=[LN2, LN3, LN2, LN2], w_hh=np.zeros(4))
    state, _ = sm.unroll(sm.SLSTM(1, forget_gate="exp"), params, np.ones((1, 1)), state_of(h=0.0, c=0.5, n=1.0, m=LN2))
    assert_close(state, state_of(h=7 / 20, c=7 / 10, n=4 / 3, m=LN6), np.float64)


@pytest.mark.parametrize("forget_gate", ["sigmoid", "exp"])
def test_h_is_a_mean_weighted_by_the_gates(forget_gate, x64):
    # Without recurrent weights hₜ = oₜ Σₛ wₛ zₛ, w the softmax of ĩₛ + log fₛ₊₁ + ... + log fₜ, however large they are.
    i, f, z, o = np.random.default_rng(0).normal(size=(4, 40)) * np.array([100.0, 30.0, 1.0, 1.0])[:, None]
    params = sm.SLSTMParams(w_ih=np.eye(4), w_hh=np.zeros((1, 1, 4)), b=np.zeros(4))
    _, ys = sm.unroll(sm.SLSTM(1, forget_gate=forget_gate), params, np.stack([i, f, z, o], axis=-1))
    log_f = f if forget_gate == "exp" else -np.logaddexp(0.0, -f)
    for t in range(40):
        scores = i[: t + 1] + np.sum(log_f[: t + 1]) - np.cumsum(log_f[: t + 1])
        weights = np.exp(scores - np.max(scores))
        expected = sigmoid(o[t]) * np.sum(weights * np.tanh(z[: t + 1])) / np.sum(weights)
        assert_close(ys[t], np.array([expected]), np.float64)


@pytest.mark.parametrize("method", ["scan", "fused"])
@pytest.mark.parametrize("forget_gate", ["sigmoid", "exp"])
@pytest.mark.usefixtures("compiled_for_speed")
def test_gates_of_100_lose_nothing(forget_gate, method):
    # i and f see ±100, from an empty memory and from a full one; row 0 has -100 at first, where exp(ĩ) is 0 in float32.
    cell, random = sm.SLSTM(HIDDEN, forget_gate=forget_gate), np.random.default_rng(0)
    given = problem(cell)
    w_ih = given.params.w_ih.copy()
    w_ih[:, : 2 * HIDDEN] = 0.0
    w_ih[0, :HIDDEN] = w_ih[1, HIDDEN : 2 * HIDDEN] = 1.0
    xs = given.xs.copy()
    xs[..., :2] = random.choice([-100.0, 100.0], (BATCH, STEPS, 2))
    xs[0, :3, 0] = -100.0
    for state in (None, given.state._replace(n=np.abs(given.state.n) + 1.0)):
        hard = given._replace(params=given.params._replace(w_ih=w_ih), xs=xs, state=state)
        values, slopes = run(cell, cast(hard, np.float32), method=method, reverse=False)
        assert_close(values, unroll(cell, *hard[:3]), np.float32)
        assert_close(slopes, gradients(cell, *hard), np.float32)


def test_an_empty_memory_can_be_learned(x64):
    # Where n = 0 the stabiliser is another one, which must not show in the gradient for c and n.
    cell = sm.LearnedState(sm.SLSTM(HIDDEN))
    given = problem(cell)
    empty = jax.tree.map(np.zeros_like, given.params.state)
    given = given._replace(params=given.params._replace(state=empty), state=None)
    _, slopes = run(cell, given, method="fused", reverse=False)
    assert_close(slopes, gradients(cell, *given), np.float64)
    assert all(np.all(leaf != 0) for leaf in (slopes[0].state.c, slopes[0].state.n))


def test_heads_are_cells_side_by_side(x64):
    cell, half = sm.SLSTM(HIDDEN, heads=2), HIDDEN // 2
    given = problem(cell)
    state, ys = sm.unroll(cell, given.params, given.xs, given.state)
    for head in range(2):
        units = slice(head * half, (head + 1) * half)
        params = sm.SLSTMParams(
            w_ih=given.params.w_ih.reshape(INPUTS, 4, HIDDEN)[..., units].reshape(INPUTS, -1),
            w_hh=given.params.w_hh[head : head + 1],
            b=given.params.b.reshape(4, HIDDEN)[:, units].reshape(-1),
        )
        start = jax.tree.map(lambda leaf: leaf[:, units], given.state)  # noqa: B023 (called at once)
        expected = jax.tree.map(lambda leaf: leaf[:, units], state), ys[..., units]  # noqa: B023 (called at once)
        assert_close(sm.unroll(sm.SLSTM(half), params, given.xs, start), expected, np.float64)


def test_zoneout_of_all_leaves_stays_finite():
    # From an empty memory n may stay 0 beside a new c.
    cell = sm.Zoneout(sm.SLSTM(HIDDEN, heads=2), rate=0.5)
    given = cast(problem(cell), np.float32)._replace(state=None)
    noisy = run(cell, given, key=jax.random.key(0), method="fused", reverse=False)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(noisy))


def test_recurrent_weights_are_orthogonal_by_head_and_gate():
    w_hh = np.asarray(sm.SLSTM(48, heads=3).init(jax.random.key(1), 32).w_hh)
    assert w_hh.shape == (3, 16, 64)
    blocks = [block for head in w_hh for block in np.split(head, 4, axis=1)]
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(16), atol=1e-5)
    assert min(np.abs(a - b).max() for n, a in enumerate(blocks) for b in blocks[:n]) > 0.01


def test_input_weights_are_uniform_within_the_bound_of_one_gate():
    w_ih = np.asarray(sm.SLSTM(48, heads=3).init(jax.random.key(2), 32).w_ih)
    bound = np.sqrt(6 / (32 + 48))
    assert w_ih.shape == (32, 4 * 48)
    assert 0.98 * bound < np.abs(w_ih).max() <= bound
    assert abs(np.mean(w_ih**2) / (bound**2 / 3) - 1) < 4 * np.sqrt(0.8 / w_ih.size)


@pytest.mark.parametrize(
    ("options", "bias"),
    [({}, 3.0), ({"forget_gate": "exp"}, 0.0), ({"forget_bias": 1.5}, 1.5), ({"forget_bias": 0.0}, 0.0)],
)
def test_the_forget_bias_suits_the_gate(options, bias):
    b = sm.SLSTM(8, **options).init(jax.random.key(0), 5).b
    np.testing.assert_array_equal(b, np.repeat([0.0, bias, 0.0, 0.0], 8))


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"heads": 3}, r"heads must divide hidden_size \(got 3 and 8\)"),
        ({"heads": 0}, r"heads must be at least 1 \(got 0\)"),
        ({"forget_gate": "tanh"}, r"forget_gate must be one of sigmoid, exp \(got 'tanh'\)"),
    ],
)
def test_wrong_fields_are_refused(options, fault):
    with pytest.raises(ValueError, match=fault):
        sm.SLSTM(8, **options)
