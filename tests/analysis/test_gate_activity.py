"""What gates do: against the cells' own equations, and that states follow from the activations."""

import cases
import jax
import numpy as np
import oracles
import pytest
from oracles import assert_close

import seqmodels as sm
from seqmodels.analysis.gate_activity import CANDIDATES, Gated, gate_activity, saturation
from seqmodels.cells.gru import GRUActivations
from seqmodels.cells.lstm import LSTMActivations

LSTMS = [
    sm.LSTM(cases.HIDDEN),
    sm.LSTM(cases.HIDDEN, peepholes=True),
    sm.LSTM(cases.HIDDEN, coupled=True),
    sm.LSTM(cases.HIDDEN, coupled=True, peepholes=True),
]
PROJECTED, NORMED = sm.LSTMP(cases.HIDDEN), sm.LayerNormLSTM(cases.HIDDEN)
SCALAR = [sm.SLSTM(cases.HIDDEN, heads=2), sm.SLSTM(cases.HIDDEN, forget_gate="exp")]

UNGATED = (sm.RNN, sm.IndRNN)
GATED = [cell for cell in cases.BASE if isinstance(cell, sm.GatedCell) and type(cell) not in UNGATED]


@pytest.mark.parametrize("cell", GATED, ids=cases.name)
def test_every_cell_with_gates_shows_them(cell, x64):
    given = cases.problem(cell)
    activity = gate_activity(cell, given.params, given.xs * np.array([[[1.0]], [[30.0]], [[300.0]]]))
    for name, values in activity._asdict().items():
        first = int(isinstance(cell, sm.SLSTM) and name == "f")  # at step 0 it multiplies 0, and may be anything
        low = -1.0 if name in CANDIDATES else 0.0
        assert np.all((values[:, first:] >= low) & (values[:, first:] <= 1.0)), name
        assert np.all(np.ptp(values, axis=(1, 2)) > 0.3), name
    assert isinstance(cell, Gated)
    assert sorted(saturation(activity)) == sorted(set(activity._fields) - CANDIDATES)


def states(cell, given):
    """The states before and after each step."""
    after = sm.trajectory(cell, given.params, given.xs, given.state)
    before = jax.tree.map(lambda first, all: np.concatenate([first[:, None], all[:, :-1]], axis=1), given.state, after)
    return before, after


@pytest.mark.parametrize("cell", [*LSTMS, PROJECTED, NORMED, *SCALAR], ids=cases.name)
def test_the_memory_follows_from_the_gates(cell, x64):
    given = cases.problem(cell)
    before, after = states(cell, given)
    i, f, g, _ = gate_activity(cell, given.params, given.xs, given.state)
    assert_close(after.c, f * before.c + i * g, np.float64)


@pytest.mark.parametrize("cell", [*LSTMS, PROJECTED, NORMED], ids=cases.name)
def test_the_output_is_what_the_read_gate_lets_through(cell, x64):
    given = cases.problem(cell)
    _, after = states(cell, given)
    o = gate_activity(cell, given.params, given.xs, given.state).o
    read = after.c
    if cell == NORMED:
        centred = read - np.mean(read, axis=-1, keepdims=True)
        deviation = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + cell.epsilon)
        read = given.params.scale_c * centred / deviation + given.params.shift_c
    assert_close(cell.hidden(after), o * np.tanh(read), np.float64)


@pytest.mark.parametrize("cell", SCALAR, ids=cases.name)
def test_what_is_normalised_follows_from_the_gates(cell, x64):
    given = cases.problem(cell)
    before, after = states(cell, given)
    i, f, _, o = gate_activity(cell, given.params, given.xs, given.state)
    assert_close(after.n, f * before.n + i, np.float64)
    assert_close(after.h, o * after.c / after.n, np.float64)
    assert_close(np.maximum(i, f), np.ones_like(i), np.float64)


def test_a_matrix_of_memories_follows_from_the_gates_of_its_head(x64):
    cell = sm.MLSTM(cases.HIDDEN, heads=2)
    given = cases.problem(cell)
    before, after = states(cell, given)
    i, f, o = gate_activity(cell, given.params, given.xs, given.state)
    assert i.shape == f.shape == (cases.BATCH, cases.STEPS, 2)
    seen = cell.project(given.params, given.xs)
    i, f = i[..., None], f[..., None]
    assert_close(after.n, f * before.n + i * seen.k, np.float64)
    written = i[..., None] * seen.v[..., None] * seen.k[..., None, :]
    assert_close(after.c, f[..., None] * before.c + written, np.float64)
    read = np.einsum("btnvk,btnk->btnv", after.c, seen.q)
    overlap = np.maximum(np.abs(np.sum(after.n * seen.q, axis=-1)), np.exp(-after.m))
    assert_close(after.h, o * (read / overlap[..., None]).reshape(o.shape), np.float64)


def test_the_state_of_a_gru_follows_from_its_gates(x64):
    cell = sm.GRU(cases.HIDDEN)
    given = cases.problem(cell)
    before, after = states(cell, given)
    r, z, n = gate_activity(cell, given.params, given.xs, given.state)
    assert_close(after.h, (1.0 - z) * n + z * before.h, np.float64)
    assert np.all((r > 0.0) & (r < 1.0))


def test_the_gates_of_an_lstm_by_its_equations(x64):
    cell = sm.LSTM(cases.HIDDEN)
    given = cases.problem(cell)
    before, _ = states(cell, given)
    z = given.xs @ given.params.w_ih + before.h @ given.params.w_hh + given.params.b
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=-1)
    expected = LSTMActivations(oracles.sigmoid(z_i), oracles.sigmoid(z_f), np.tanh(z_g), oracles.sigmoid(z_o))
    assert_close(gate_activity(cell, given.params, given.xs, given.state), expected, np.float64)


def test_what_is_around_a_cell_has_its_gates(x64):
    cell = sm.Zoneout(sm.LearnedState(sm.LSTM(cases.HIDDEN)), rate=0.5)
    given = cases.problem(cell)
    before, after = states(cell, given)
    i, f, g, _ = gate_activity(cell, given.params, given.xs, given.state)
    assert_close(after.c, 0.5 * before.c + 0.5 * (f * before.c + i * g), np.float64)


def test_parts_have_their_gates_each_in_its_direction(x64):
    pair = sm.Bidirectional(sm.LSTM(cases.HIDDEN), sm.GRU(6))
    stack = sm.Stack([pair, sm.GRU(4)])
    given = cases.problem(stack)
    (fwd, bwd), top = gate_activity(stack, given.params, given.xs)
    params_pair, params_top = given.params
    _, ys = sm.unroll(pair, params_pair, given.xs)
    flipped = gate_activity(pair.bwd, params_pair.bwd, given.xs[:, ::-1])
    assert_close(fwd, gate_activity(pair.fwd, params_pair.fwd, given.xs), np.float64)
    assert_close(bwd, jax.tree.map(lambda x: x[:, ::-1], flipped), np.float64)
    assert_close(top, gate_activity(stack.cells[1], params_top, ys), np.float64)


@pytest.mark.parametrize("cell", [sm.RNN(4), sm.MinGRU(4), sm.Stack([sm.LSTM(4), sm.Zoneout(sm.RNN(4))])])
def test_a_cell_without_gates_says_so(cell):
    params = cell.init(jax.random.key(0), 3)
    with pytest.raises(ValueError, match=r"(RNN|MinGRU) shows no gates"):
        gate_activity(cell, params, np.zeros((5, 3), np.float32))


def test_narrow_inputs_have_wide_gates():
    cell = sm.LSTM(4)
    activity = gate_activity(cell, cell.init(jax.random.key(0), 3), jax.numpy.ones((5, 3), jax.numpy.bfloat16))
    assert {leaf.dtype.name for leaf in activity} == {"float32"}


def test_saturation_counts_steps_and_rows_unit_by_unit():
    r = np.array([[[0.05, 0.5], [0.05, 0.95]], [[0.95, 0.95], [0.09, 0.95]]], np.float32)
    shares = saturation(GRUActivations(r=r, z=1.0 - r, n=r))
    assert sorted(shares) == ["r", "z"]
    np.testing.assert_array_equal(shares["r"].closed, [0.75, 0.0])
    np.testing.assert_array_equal(shares["r"].open, [0.25, 0.75])
    np.testing.assert_array_equal(shares["z"].closed, shares["r"].open)
