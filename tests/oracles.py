"""The cells in NumPy float64, one sequence and one time step after another: what every engine is held to.

Nothing here is fast or clever. A batch is taken apart into its rows, a row is cut to its valid steps, and the
equations are applied step by step. Gradients are complex-step derivatives, exact to rounding, so that no gradient
formula has to be trusted: f(x + i·ε) = f(x) + i·ε·f'(x) with ε = 1e-30.

All functions take any leading dimensions before those they name, so one call differentiates with respect to every
element of an array at once.
"""

import functools
from typing import Any

import jax
import numpy as np

import seqmodels as sm

RTOL = {"bfloat16": 2e-2, "float32": 1e-5, "float64": 1e-10}
"""The largest relative difference allowed for each compute type; no test relaxes them."""


def relative_difference(a: Any, b: Any) -> float:
    """max|a - b| / max|b|; infinite where b is all zeros and a is not, NaN where either holds a NaN."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape, f"shapes differ: {a.shape} and {b.shape}"
    difference, scale = np.max(np.abs(a - b), initial=0.0), np.max(np.abs(b), initial=0.0)
    if scale == 0.0:
        return 0.0 if difference == 0.0 else float("inf")
    return float(difference / scale)


def assert_close(actual: Any, desired: Any, dtype: Any) -> None:
    """Holds every array of one pytree to that of another, within the tolerance of the compute type."""
    _compare(actual, desired, RTOL[np.dtype(dtype).name])


def assert_equal(actual: Any, desired: Any) -> None:
    """Holds every array of one pytree to be bitwise that of another; NaN is never equal."""
    _compare(actual, desired, 0.0)


def _compare(actual: Any, desired: Any, rtol: float) -> None:
    actual_leaves, desired_leaves = (jax.tree_util.tree_leaves_with_path(tree) for tree in (actual, desired))
    paths = [[jax.tree_util.keystr(path) for path, _ in leaves] for leaves in (actual_leaves, desired_leaves)]
    assert paths[0] == paths[1], f"structures differ: {paths[0]} and {paths[1]}"
    differences = {
        path: relative_difference(a, b)
        for path, (_, a), (_, b) in zip(paths[0], actual_leaves, desired_leaves, strict=True)
    }
    wrong = {path: difference for path, difference in differences.items() if not difference <= rtol}
    assert not wrong, f"relative differences above {rtol:g}: {wrong}"


# --------------------------------------------------------------------------------------------------- elementwise
def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ᶻ)."""
    return 1.0 / (1.0 + np.exp(-z))


def relu(z: np.ndarray) -> np.ndarray:
    """z where its real part is positive, else 0."""
    return np.where(z.real > 0.0, z, 0.0)


def maximum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The one whose real part is larger."""
    return np.where((a - b).real > 0.0, a, b)


def log_sigmoid(z: np.ndarray) -> np.ndarray:
    """log(1 / (1 + e⁻ᶻ))."""
    return -np.log(1.0 + np.exp(-z))


def times(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x [..., D] times w [..., D, F]."""
    return (x[..., None, :] @ w)[..., 0, :]


# ------------------------------------------------------------------------------------------- the state at the start
@functools.singledispatch
def initial_state(cell: Any, params: Any) -> Any:
    """The state of one row before its first step, leaves [H]."""
    raise NotImplementedError(f"tests/oracles.py has no initial_state for {type(cell).__name__}: register one")


@initial_state.register
def _(cell: sm.RNN, params):
    return sm.RNNState(h=np.zeros(cell.hidden_size))


@initial_state.register
def _(cell: sm.LSTM, params):
    return sm.LSTMState(h=np.zeros(cell.hidden_size), c=np.zeros(cell.hidden_size))


@initial_state.register
def _(cell: sm.GRU, params):
    return sm.GRUState(h=np.zeros(cell.hidden_size))


@initial_state.register
def _(cell: sm.MinGRU, params):
    return sm.MinGRUState(h=np.zeros(cell.hidden_size))


@initial_state.register
def _(cell: sm.MinLSTM, params):
    return sm.MinLSTMState(h=np.zeros(cell.hidden_size))


@initial_state.register
def _(cell: sm.LRU, params):
    return sm.LRUState(re=np.zeros(cell.hidden_size), im=np.zeros(cell.hidden_size))


@initial_state.register
def _(cell: sm.RGLRU, params):
    return sm.RGLRUState(h=np.zeros(cell.hidden_size))


@initial_state.register
def _(cell: sm.LayerNormLSTM, params):
    return sm.LayerNormLSTMState(h=np.zeros(cell.hidden_size), c=np.zeros(cell.hidden_size))


@initial_state.register
def _(cell: sm.LSTMP, params):
    return sm.LSTMPState(m=np.zeros(cell.hidden_size), c=np.zeros(cell.hidden_size))


@initial_state.register
def _(cell: sm.IndRNN, params):
    return sm.IndRNNState(h=np.zeros(cell.hidden_size))


@initial_state.register
def _(cell: sm.SLSTM, params):
    return sm.SLSTMState(*(np.zeros(cell.hidden_size) for _ in "hcnm"))


@initial_state.register
def _(cell: sm.MLSTM, params):
    heads, size = cell.heads, cell.hidden_size // cell.heads
    c, n, m = np.zeros((heads, size, size)), np.zeros((heads, size)), np.zeros(heads)
    return sm.MLSTMState(h=np.zeros(cell.hidden_size), c=c, n=n, m=m)


@initial_state.register(sm.Zoneout)
@initial_state.register(sm.VariationalDropout)
@initial_state.register(sm.WeightDrop)
@initial_state.register(sm.Residual)
def _(cell, params):
    return initial_state(cell.cell, params)


@initial_state.register
def _(cell: sm.LearnedState, params):
    return params.state


@initial_state.register
def _(cell: sm.Stack, params):
    return tuple(initial_state(layer, p) for layer, p in zip(cell.cells, params, strict=True))


@initial_state.register
def _(cell: sm.Bidirectional, params):
    return initial_state(cell.fwd, params.fwd), initial_state(cell.bwd, params.bwd)


# ---------------------------------------------------------------------------------------------------- one time step
@functools.singledispatch
def advance(cell: Any, params: Any, state: Any, x: np.ndarray) -> Any:
    """The state of one row after a step with input x [D], without noise."""
    raise NotImplementedError(f"tests/oracles.py has no float64 oracle for {type(cell).__name__}: register one")


@advance.register
def _(cell: sm.RNN, params, state, x):
    z = times(x, params.w_ih) + times(state.h, params.w_hh) + params.b
    return sm.RNNState(h=relu(z) if cell.activation == "relu" else np.tanh(z))


@advance.register
def _(cell: sm.LSTM, params, state, x):
    z = times(x, params.w_ih) + times(state.h, params.w_hh) + params.b
    gates = np.split(z, 3 if cell.coupled else 4, axis=-1)
    peepholes = [0.0] * 3 if params.peephole is None else [params.peephole[..., n, :] for n in range(len(gates) - 1)]
    z_f, z_g, z_o = gates[-3:]
    p_f, p_o = peepholes[-2:]
    f = sigmoid(z_f + p_f * state.c)
    i = 1.0 - f if cell.coupled else sigmoid(gates[0] + peepholes[0] * state.c)
    c = f * state.c + i * np.tanh(z_g)
    o = sigmoid(z_o + p_o * c)
    return sm.LSTMState(h=o * np.tanh(c), c=c)


@advance.register
def _(cell: sm.GRU, params, state, x):
    x_r, x_z, x_n = np.split(times(x, params.w_ih) + params.b, 3, axis=-1)
    h_r, h_z, h_n = np.split(times(state.h, params.w_hh), 3, axis=-1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = np.tanh(x_n + r * (h_n + params.b_hn))
    return sm.GRUState(h=(1.0 - z) * n + z * state.h)


@advance.register
def _(cell: sm.MinGRU, params, state, x):
    k, v = np.split(times(x, params.w_ih) + params.b, 2, axis=-1)
    z, new = sigmoid(k), np.where(v.real >= 0.0, v + 0.5, sigmoid(v))
    return sm.MinGRUState(h=(1.0 - z) * state.h + z * new)


@advance.register
def _(cell: sm.MinLSTM, params, state, x):
    z_f, z_i, v = np.split(times(x, params.w_ih) + params.b, 3, axis=-1)
    f, i, new = sigmoid(z_f), sigmoid(z_i), np.where(v.real >= 0.0, v + 0.5, sigmoid(v))
    return sm.MinLSTMState(h=(f * state.h + i * new) / (f + i))


@advance.register
def _(cell: sm.LRU, params, state, x):
    radius, phase, gamma = np.exp(-np.exp(params.nu)), np.exp(params.theta), np.exp(params.log_gamma)
    cos, sin = radius * np.cos(phase), radius * np.sin(phase)
    return sm.LRUState(  # real and imaginary part apart: each is complex when a derivative is taken
        re=cos * state.re - sin * state.im + gamma * times(x, params.b_re),
        im=cos * state.im + sin * state.re + gamma * times(x, params.b_im),
    )


@advance.register
def _(cell: sm.RGLRU, params, state, x):
    z_r, z_i = np.split(times(x, params.w_ih) + params.b, 2, axis=-1)
    a = np.exp(-8.0 * np.log(1.0 + np.exp(params.decay)) * sigmoid(z_r))
    return sm.RGLRUState(h=a * state.h + np.sqrt(1.0 - a * a) * sigmoid(z_i) * times(x, params.w_v))


@advance.register
def _(cell: sm.LayerNormLSTM, params, state, x):
    def norm(z):
        centred = z - z.mean(axis=-1, keepdims=True)
        return centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + cell.epsilon)

    z = params.scale_ih * norm(times(x, params.w_ih)) + params.scale_hh * norm(times(state.h, params.w_hh)) + params.b
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=-1)
    c = sigmoid(z_f) * state.c + sigmoid(z_i) * np.tanh(z_g)
    return sm.LayerNormLSTMState(h=sigmoid(z_o) * np.tanh(params.scale_c * norm(c) + params.shift_c), c=c)


@advance.register
def _(cell: sm.LSTMP, params, state, x):
    y = times(state.m, params.w_hr)
    z_i, z_f, z_g, z_o = np.split(times(x, params.w_ih) + times(y, params.w_hh) + params.b, 4, axis=-1)
    c = sigmoid(z_f) * state.c + sigmoid(z_i) * np.tanh(z_g)
    return sm.LSTMPState(m=sigmoid(z_o) * np.tanh(c), c=c)


@advance.register
def _(cell: sm.IndRNN, params, state, x):
    z = times(x, params.w_ih) + params.w_hh * state.h + params.b
    return sm.IndRNNState(h=relu(z) if cell.activation == "relu" else np.tanh(z))


@advance.register
def _(cell: sm.SLSTM, params, state, x):
    heads = [times(h, params.w_hh[..., n, :, :]) for n, h in enumerate(np.split(state.h, cell.heads, axis=-1))]
    recurrent = [np.concatenate(gate, axis=-1) for gate in zip(*(np.split(r, 4, axis=-1) for r in heads), strict=True)]
    inputs = np.split(times(x, params.w_ih) + params.b, 4, axis=-1)
    z_i, z_f, z_z, z_o = (u + r for u, r in zip(inputs, recurrent, strict=True))
    kept = state.m + (log_sigmoid(z_f) if cell.forget_gate == "sigmoid" else z_f)
    m = np.where(state.n.real == 0.0, z_i, maximum(kept, z_i))
    i, f = np.exp(z_i - m), np.exp(kept - m)
    c, n = f * state.c + i * np.tanh(z_z), f * state.n + i
    return sm.SLSTMState(h=sigmoid(z_o) * c / n, c=c, n=n, m=m)


@advance.register
def _(cell: sm.MLSTM, params, state, x):
    ends = np.cumsum([cell.heads] * 2 + [cell.hidden_size] * 3)
    z_i, z_f, z_o, *units = np.split(times(x, params.w_ih) + params.b, ends, axis=-1)
    q, k, v = (z.reshape(*z.shape[:-1], cell.heads, -1) for z in units)
    k = k / np.sqrt(k.shape[-1])
    kept = state.m + log_sigmoid(z_f)
    m = maximum(kept, z_i)
    i, f = np.exp(z_i - m)[..., None], np.exp(kept - m)[..., None]
    c = f[..., None] * state.c + i[..., None] * v[..., :, None] * k[..., None, :]
    n = f * state.n + i * k
    read, overlap = (c @ q[..., None])[..., 0], np.sum(n * q, axis=-1)
    h = read / maximum(overlap * np.sign(overlap.real), np.exp(-m))[..., None]
    return sm.MLSTMState(h=sigmoid(z_o) * h.reshape(*h.shape[:-2], -1), c=c, n=n, m=m)


@advance.register
def _(cell: sm.Zoneout, params, state, x):
    new = advance(cell.cell, params, state, x)
    rates = cell.rate if isinstance(cell.rate, tuple) else (cell.rate,) * len(state)
    return type(new)(*(rate * a + (1.0 - rate) * b for rate, a, b in zip(rates, state, new, strict=True)))


@advance.register(sm.VariationalDropout)
@advance.register(sm.WeightDrop)
@advance.register(sm.Residual)
def _(cell, params, state, x):
    return advance(cell.cell, params, state, x)


@advance.register
def _(cell: sm.LearnedState, params, state, x):
    return advance(cell.cell, params.cell, state, x)


@advance.register
def _(cell: sm.Stack, params, state, x):
    states = []
    for layer, p, s in zip(cell.cells, params, state, strict=True):
        states.append(advance(layer, p, s, x))
        x = output(layer, p, states[-1], x)
    return tuple(states)


@functools.singledispatch
def output(cell: Any, params: Any, state: Any, x: np.ndarray) -> np.ndarray:
    """The output of one row at the step that ended in `state`; by default h."""
    return state.h


@output.register
def _(cell: sm.LSTMP, params, state, x):
    return times(state.m, params.w_hr)


@output.register
def _(cell: sm.LRU, params, state, x):
    return times(state.re, params.c_re) - times(state.im, params.c_im) + times(x, params.d)


@output.register(sm.Zoneout)
@output.register(sm.VariationalDropout)
@output.register(sm.WeightDrop)
def _(cell, params, state, x):
    return output(cell.cell, params, state, x)


@output.register
def _(cell: sm.Residual, params, state, x):
    return output(cell.cell, params, state, x) + x


@output.register
def _(cell: sm.LearnedState, params, state, x):
    return output(cell.cell, params.cell, state, x)


@output.register
def _(cell: sm.Stack, params, state, x):
    for layer, p, s in zip(cell.cells, params, state, strict=True):
        x = output(layer, p, s, x)
    return x


# ---------------------------------------------------------------------------------------------------------- a sequence
def run_row(cell, params, xs, state, resets=None, reverse=False):
    """One sequence xs [..., T, D]: `(last state, ys, states)`, lists in input order."""
    if isinstance(cell, sm.Bidirectional):
        fwd, ys_fwd, states_fwd = run_row(cell.fwd, params.fwd, xs, state[0], resets, reverse)
        bwd, ys_bwd, states_bwd = run_row(cell.bwd, params.bwd, xs, state[1], resets, not reverse)
        ys = [_join([f, b], np.concatenate) for f, b in zip(ys_fwd, ys_bwd, strict=True)]
        return (fwd, bwd), ys, list(zip(states_fwd, states_bwd, strict=True))
    steps = xs.shape[-2]
    ys, states = {}, {}
    for t in reversed(range(steps)) if reverse else range(steps):
        # A start at t lies between t-1 and t, whichever of the two is run first.
        boundary = t + 1 if reverse else t
        if resets is not None and boundary < steps and resets[boundary]:
            state = initial_state(cell, params)
        state = states[t] = advance(cell, params, state, xs[..., t, :])
        ys[t] = output(cell, params, state, xs[..., t, :])
    return state, [ys[t] for t in range(steps)], [states[t] for t in range(steps)]


def unroll(cell, params, xs, state=None, lengths=None, resets=None, reverse=False):
    """A batch xs [..., B, T, D], row by row: `(last states [..., B, H], ys [..., B, T, F])`."""
    rows = _row_axes(cell, xs.shape[-1])
    last, outputs = [], []
    for b in range(xs.shape[-3]):
        length = xs.shape[-2] if lengths is None else int(lengths[b])
        if state is None:
            start = initial_state(cell, params)
        else:
            start = jax.tree.map(lambda leaf, axis: np.take(leaf, b, axis), state, rows)  # noqa: B023 (called at once)
        row_resets = None if resets is None else resets[b, :length]
        end, ys, _ = run_row(cell, params, xs[..., b, :length, :], start, row_resets, reverse)
        padding = [np.zeros(cell.output_size)] * (xs.shape[-2] - length)
        last.append(end)
        outputs.append(_join(ys + padding, np.stack, axis=-2))
    states = jax.tree.map(lambda axis, *leaves: _join(leaves, np.stack, axis=axis), rows, *last)
    return states, _join(outputs, np.stack, axis=-3)


@functools.cache
def _row_axes(cell, inputs):
    """Which axis of each leaf of a state counts the rows, from its end: -2 for leaves [..., B, H]."""
    state = jax.eval_shape(lambda key: cell.initial_state(cell.init(key, inputs)), jax.random.key(0))
    return jax.tree.map(lambda leaf: -1 - leaf.ndim, state)


def _join(arrays, join, axis=-1):
    """Joins arrays of which some lack the leading dimension of a perturbation."""
    leading = np.broadcast_shapes(*(a.shape[:-1] if join is np.concatenate else a.shape for a in arrays))
    shapes = [(*leading, a.shape[-1]) if join is np.concatenate else leading for a in arrays]
    return join([np.broadcast_to(a, shape) for a, shape in zip(arrays, shapes, strict=True)], axis=axis)


def gradients(cell, params, xs, state, state_weights, ys_weights, **options):
    """Gradients of Σ ys·ys_weights + Σ state·state_weights, for `(params, xs, state)`.

    `state` may be None (no gradient for it then); `options` are those of `unroll`.
    """

    def objective(params, xs, state):
        end, ys = unroll(cell, params, xs, state, **options)
        total = np.sum(ys * ys_weights, axis=(-3, -2, -1))
        for leaf, weights in zip(jax.tree.leaves(end), jax.tree.leaves(state_weights), strict=True):
            total = total + np.sum(leaf * weights, axis=tuple(range(-weights.ndim, 0)))
        return total

    leaves, structure = jax.tree.flatten((params, xs, state))

    def derivative(n):
        leaf, epsilon = leaves[n], 1e-30
        perturbed = leaf + 1j * epsilon * np.eye(leaf.size).reshape(leaf.size, *leaf.shape)
        value = objective(*jax.tree.unflatten(structure, [*leaves[:n], perturbed, *leaves[n + 1 :]]))
        return np.broadcast_to(value.imag, (leaf.size,)).reshape(leaf.shape) / epsilon

    return jax.tree.unflatten(structure, [derivative(n) for n in range(len(leaves))])
