"""Strands and layers: their gradients against those through `unroll`, and that layers read one another."""

import cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close, assert_equal

import seqmodels as sm
from seqmodels.analysis.gate_activity import gate_activity
from seqmodels.analysis.jacobians import jacobian_spectrum
from seqmodels.analysis.strands import by_cell, cells, strands
from seqmodels.training.reading import Reading

STEPS = 9
BOTH = sm.Bidirectional(sm.Stack([sm.LSTM(4), sm.GRU(3)]), sm.LSTM(2))


def reading(cell, cost=None):
    params = cell.init(jax.random.key(0), cases.INPUTS)
    xs = jax.random.normal(jax.random.key(1), (STEPS, cases.INPUTS))

    def weighed(last, ys):
        return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(last)) + jnp.sum(jnp.sin(ys[2:5]) * ys[3:6])

    return Reading(cell, params, xs, cost or weighed, "the end", "step")


def test_the_gradient_for_the_first_states_is_that_through_the_whole(x64):
    given = reading(BOTH)

    @jax.jit
    @jax.grad
    def expected(state):
        return given.cost(*sm.unroll(BOTH, given.params, given.xs, state, method="scan"))

    found = [strand.flow() for strand in strands(given)]
    gradients = expected(BOTH.initial_state(given.params))
    leaves = jax.tree.map(np.linalg.norm, gradients)
    assert_close(tuple(jax.tree.map(lambda leaf: leaf[0], flow.leaves) for flow in found), leaves, np.float64)
    whole = [np.linalg.norm(jax.tree.leaves(leaf)) for leaf in leaves]
    assert_close([flow.total[0] for flow in found], whole, np.float64)
    assert [flow.total.shape for flow in found] == [(STEPS,)] * 2


def test_each_direction_ends_where_the_cost_looks(x64):
    """At the outputs of steps 3 and 4, of which one has read 5 steps forwards, and one 6 backwards."""
    forwards, backwards = strands(reading(BOTH, lambda last, ys: jnp.sum(ys[3:5])))
    assert forwards.flow().total.shape == (5,)
    assert backwards.flow().total.shape == (6,)


def test_what_depends_on_no_state_has_a_gradient_of_one_zero():
    (strand,) = strands(reading(sm.RNN(3), lambda last, ys: jnp.float32(0.0) * jnp.sum(ys)))
    assert strand.flow().total.tolist() == [0.0]


def test_layers_read_one_another_and_show_their_steps_as_the_sequence_goes(x64):
    given = reading(BOTH)
    states = sm.trajectory(BOTH, given.params, given.xs)
    activities = gate_activity(BOTH, given.params, given.xs)
    layers = [layer for strand in strands(given) for layer in strand.layers()]
    assert [layer.name for layer in layers] == ["forwards, layer 1", "forwards, layer 2", "backwards, layer 1"]
    for layer, state, gates in zip(layers, (*states[0], states[1]), (*activities[0], activities[1]), strict=True):
        name, memory = layer.memory()
        assert_close(layer.activity(), gates, np.float64)
        assert name == ("tanh c" if hasattr(state, "c") else "h")
        assert_close(memory, jnp.tanh(state.c) if hasattr(state, "c") else state.h, np.float64)


@pytest.mark.parametrize("cell", [sm.LRU(3), sm.MLSTM(4, heads=2)], ids=cases.name)
def test_every_kind_of_state_has_a_memory_to_be_drawn(cell):
    ((layer,),) = (strand.layers() for strand in strands(reading(cell)))
    name, memory = layer.memory()
    assert name == {"LRU": "re", "MLSTM": "h"}[type(cell).__name__]
    assert memory.shape[0] == STEPS
    assert memory.ndim == 2


def test_a_spectrum_of_the_last_steps_begins_in_the_state_there(x64):
    ((layer,),) = (strand.layers() for strand in strands(reading(sm.GRU(3))))
    whole = jacobian_spectrum(layer.cell, layer.params, layer.xs, spans=(1, 4))
    assert_close(layer.spectrum((1, 4)).log_values, whole.log_values, np.float64)
    assert layer.size() == 3


def test_what_belongs_to_the_cells_is_found_in_stacks_within_stacks():
    stack = sm.Stack([sm.RNN(1), sm.Stack([sm.GRU(2), sm.RNN(3)])])
    assert cells(stack) == [sm.RNN(1), sm.GRU(2), sm.RNN(3)]
    assert_equal(by_cell(stack, (1, (2, 3))), [1, 2, 3])
