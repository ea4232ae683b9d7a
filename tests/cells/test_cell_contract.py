"""What every cell is: a value without arrays, and functions of stated shapes and types."""

import copy
import dataclasses
import pickle

import jax
import numpy as np
import pytest
from cases import BATCH, CELLS, INPUTS, STEPPED, cast, name, problem

import seqmodels as sm

ALL = [*CELLS, sm.LSTM(8, chrono=20), sm.LSTM(8, forget_bias=0.5)]
BASE = [sm.RNN(48), sm.LSTM(48), sm.LSTM(48, coupled=True, peepholes=True), sm.GRU(48)]


@pytest.mark.parametrize("cell", ALL, ids=name)
def test_a_cell_is_a_value(cell):
    same = copy.deepcopy(cell)
    assert cell == same
    assert hash(cell) == hash(same)
    assert pickle.loads(pickle.dumps(cell)) == cell
    assert eval(repr(cell), vars(sm)) == cell
    assert jax.tree.leaves(cell) == []
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(cell, dataclasses.fields(cell)[0].name, None)


def test_cells_differ_where_a_field_differs():
    assert len(set(ALL)) == len(ALL)


@pytest.mark.parametrize("cell", ALL, ids=name)
@pytest.mark.parametrize("double", [False, True], ids=["x32", "x64"])
def test_parameters_and_state_have_the_default_type(cell, double):
    with jax.enable_x64(double):
        dtype = np.dtype(np.float64 if double else np.float32)
        params = jax.eval_shape(lambda key: cell.init(key, INPUTS), jax.random.key(0))
        state = jax.eval_shape(lambda params: cell.initial_state(params, (BATCH, 2)), params)
        alone = jax.eval_shape(cell.initial_state, params)
        leaves = jax.tree.leaves((params, state, alone))
        assert {leaf.dtype for leaf in leaves} == {dtype}
        assert all(leaf.shape[:2] == (BATCH, 2) for leaf in jax.tree.leaves(state))
        shapes = [leaf.shape for leaf in jax.tree.leaves(alone)]
        assert shapes == [leaf.shape[2:] for leaf in jax.tree.leaves(state)]


@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_every_array_of_a_state_may_be_given_away(cell):
    params = jax.device_put(cast(problem(cell).params, np.float32))
    leaves = jax.tree.leaves((params, cell.initial_state(params), cell.initial_state(params, (2,))))
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


@pytest.mark.parametrize("cell", STEPPED, ids=name)
def test_a_step_has_the_shapes_it_is_given(cell):
    params = jax.eval_shape(lambda key: cell.init(key, INPUTS), jax.random.key(0))
    for batch_shape in ((), (BATCH,), (2, BATCH)):
        state = jax.eval_shape(lambda params: cell.initial_state(params, batch_shape), params)  # noqa: B023 (called at once)
        new, y_t = jax.eval_shape(cell.step, params, state, jax.ShapeDtypeStruct((*batch_shape, INPUTS), np.float32))
        assert y_t.shape == (*batch_shape, cell.output_size)
        assert new == state


@pytest.mark.parametrize(
    "wrapper",
    [sm.Zoneout, sm.VariationalDropout, sm.WeightDrop, sm.Residual, sm.LearnedState],
    ids=lambda w: w.__name__,
)
@pytest.mark.parametrize("cell", [sm.MinGRU(8), sm.Stack([sm.LSTM(8)])], ids=name)
def test_only_gated_cells_can_be_wrapped(wrapper, cell):
    with pytest.raises(TypeError, match=rf"{wrapper.__name__} goes around a gated cell.*got {type(cell).__name__}\)"):
        wrapper(cell)


@pytest.mark.parametrize(("cell_name", "cell"), sm.cells.CELLS.items())
def test_registered_cells_have_defaults_for_all_but_their_size(cell_name, cell):
    assert cell_name == cell_name.lower()
    assert cell(hidden_size=8).output_size > 0
    assert issubclass(cell, sm.Cell)


@pytest.mark.parametrize("cell", BASE, ids=name)
def test_recurrent_weights_are_orthogonal_gate_by_gate(cell):
    w_hh = np.asarray(cell.init(jax.random.key(1), 32).w_hh)
    blocks = np.split(w_hh, w_hh.shape[1] // 48, axis=1)
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(48), atol=1e-5)
    distances = [np.abs(a - b).max() for n, a in enumerate(blocks) for b in blocks[:n]]
    assert min(distances, default=1.0) > 0.01


@pytest.mark.parametrize("cell", BASE, ids=name)
def test_input_weights_are_uniform_within_the_bound_of_one_gate(cell):
    w_ih = np.asarray(cell.init(jax.random.key(2), 32).w_ih)
    bound = np.sqrt(6 / (32 + 48))  # Glorot: D = 32 in, H = 48 out
    assert np.abs(w_ih).max() <= bound
    assert np.abs(w_ih).max() > 0.98 * bound
    for block in np.split(w_ih, w_ih.shape[1] // 48, axis=1):
        # The mean square of a uniform variable is bound² / 3, with a relative deviation of √(4/5) / √(D·H).
        assert abs(np.mean(block**2) / (bound**2 / 3) - 1) < 4 * np.sqrt(0.8 / block.size)
        assert abs(np.mean(block)) < 4 * bound / np.sqrt(3 * block.size)


@pytest.mark.parametrize("cell", BASE, ids=name)
def test_the_key_decides_the_weights(cell):
    first, same, other = (cell.init(jax.random.key(seed), 5) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.w_ih, same.w_ih)
    np.testing.assert_array_equal(first.w_hh, same.w_hh)
    assert not np.any(np.asarray(first.w_ih) == np.asarray(other.w_ih))
    assert np.mean(np.asarray(first.w_hh) == np.asarray(other.w_hh)) < 0.1


@pytest.mark.parametrize("cell", sm.cells.CELLS.values(), ids=sm.cells.CELLS)
def test_sizes_below_1_are_refused(cell):
    with pytest.raises(ValueError, match=r"hidden_size.*-3"):
        cell(hidden_size=-3)
