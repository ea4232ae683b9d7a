"""Ways of calling `unroll`: step by step, under jit and vmap, unbatched, for all states, again and again."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import BATCH, FEW_PAIRS, INPUTS, STEPPED, STEPS, cast, name, problem
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from oracles import assert_close, assert_equal, run_row, unroll

import seqmodels as sm

LENGTHS = np.array([STEPS, 3, 0], np.int32)
RESETS = np.arange(BATCH * STEPS).reshape(BATCH, STEPS) % 5 == 2


@pytest.mark.parametrize("cell", STEPPED, ids=name)
def test_step_is_the_body_of_a_scan(cell, x64):
    given = problem(cell)

    @jax.jit
    def scanned(params, xs, state):
        state, ys = jax.lax.scan(functools.partial(cell.step, params), state, jnp.moveaxis(xs, 1, 0))
        return state, jnp.moveaxis(ys, 0, 1)

    expected = unroll(cell, given.params, given.xs, given.state)
    assert_close(scanned(given.params, given.xs, given.state), expected, np.float64)


@pytest.mark.parametrize("cell", STEPPED, ids=name)
def test_step_keeps_types(cell):
    given = cast(problem(cell), np.float32)
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        state, y_t = jax.eval_shape(cell.step, given.params, given.state, jnp.zeros((BATCH, INPUTS), dtype))
        assert y_t.dtype == dtype
        assert jax.tree.map(lambda leaf: leaf.dtype, state) == jax.tree.map(lambda leaf: leaf.dtype, given.state)


@pytest.mark.parametrize("cell", [sm.GRU(8), sm.MinGRU(8)], ids=name)
def test_a_step_refuses_integers(cell):
    given = cast(problem(cell), np.float32)
    with pytest.raises(AssertionError, match=r"x_t must be of a float type \(got int32\[3, 5\]\)"):
        cell.step(given.params, given.state, np.ones((BATCH, INPUTS), np.int32))


@pytest.mark.parametrize(("cell", "method"), FEW_PAIRS, ids=name)
def test_one_sequence_is_a_row_of_a_batch(cell, method):
    given = cast(problem(cell), np.float32)
    state, ys = sm.unroll(
        cell, given.params, given.xs, given.state, lengths=LENGTHS, resets=RESETS, reverse=True, method=method
    )
    for row in range(BATCH):
        one = sm.unroll(
            cell,
            given.params,
            given.xs[row],
            jax.tree.map(lambda leaf: leaf[row], given.state),  # noqa: B023 (called at once)
            lengths=LENGTHS[row],
            resets=RESETS[row],
            reverse=True,
            method=method,
        )
        assert_close(one, (jax.tree.map(lambda leaf: leaf[row], state), ys[row]), np.float32)  # noqa: B023 (called at once)


@pytest.mark.parametrize(("cell", "method"), FEW_PAIRS, ids=name)
def test_vmap_jit_and_eager_agree(cell, method):
    given = cast(problem(cell), np.float32)

    def one(xs, state, length, resets):
        return sm.unroll(cell, given.params, xs, state, lengths=length, resets=resets, method=method)

    arguments = (given.xs, given.state, LENGTHS, RESETS)
    eager = one(*arguments)
    assert_close(jax.jit(one)(*arguments), eager, np.float32)
    assert_close(jax.vmap(one)(*arguments), eager, np.float32)


@pytest.mark.parametrize(("cell", "method"), FEW_PAIRS, ids=name)
def test_all_lengths_full_is_no_lengths(cell, method):
    given = cast(problem(cell), np.float32)
    arguments = cell, given.params, given.xs, given.state
    full = sm.unroll(*arguments, lengths=np.full(BATCH, STEPS), resets=np.zeros_like(RESETS), method=method)
    # Not bitwise: the program without selections is another one, which the compiler may round otherwise.
    assert_close(full, sm.unroll(*arguments, method=method), np.float32)


def test_more_batch_dimensions():
    cell = sm.LSTM(8)
    given = cast(problem(cell), np.float32)

    def twice(tree):
        return jax.tree.map(lambda leaf: np.stack([leaf, leaf]), tree)

    doubled = sm.unroll(cell, given.params, twice(given.xs), twice(given.state), lengths=twice(LENGTHS))
    assert_close(doubled, twice(sm.unroll(cell, given.params, given.xs, given.state, lengths=LENGTHS)), np.float32)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize(("cell", "method"), FEW_PAIRS, ids=name)
def test_trajectory_holds_every_state_at_its_input(cell, method, reverse):
    given = problem(cell)
    params, xs, state = cast(given[:3], np.float32)
    options = {"lengths": LENGTHS, "resets": RESETS, "reverse": reverse}
    states = sm.trajectory(cell, params, xs, state, **options, method=method)
    for row, length in enumerate(LENGTHS):
        start = jax.tree.map(lambda leaf: leaf[row], given.state)  # noqa: B023 (called at once)
        _, _, expected = run_row(cell, given.params, given.xs[row, :length], start, RESETS[row, :length], reverse)
        for t in range(length):
            assert_close(jax.tree.map(lambda leaf: leaf[row, t], states), expected[t], np.float32)  # noqa: B023 (called at once)
    assert all(leaf.shape[:2] == (BATCH, STEPS) for leaf in jax.tree.leaves(states))


class CountingRNN(sm.RNN):
    """Counts how often it is traced."""

    traces = 0

    def gates(self, *arguments):
        CountingRNN.traces += 1
        return super().gates(*arguments)


def test_equal_cells_share_one_trace():
    given = cast(problem(sm.RNN(8)), np.float32)

    def call(cell, lengths, reverse=False):
        return sm.unroll(cell, given.params, given.xs, given.state, lengths=np.array(lengths), reverse=reverse)

    call(CountingRNN(8), [7, 3, 0])
    traces = CountingRNN.traces
    assert traces > 0
    call(CountingRNN(hidden_size=8), [1, 2, 3])
    call(CountingRNN(8, "tanh"), [7, 7, 7])
    assert CountingRNN.traces == traces
    call(CountingRNN(8), [7, 3, 0], reverse=True)
    assert CountingRNN.traces > traces


def test_it_is_exported_for_any_batch_and_length():
    cell = sm.GRU(8)
    params, xs = cast(problem(cell)[:2], np.float32)
    anything = jax.ShapeDtypeStruct(jax.export.symbolic_shape(f"b, t, {INPUTS}"), np.float32)
    call = jax.jit(lambda params, xs: sm.unroll(cell, params, xs)[1])
    assert_close(jax.export.export(call)(params, anything).call(params, xs), call(params, xs), np.float32)


class OtherScan(sm.engines.Scan):
    """An engine of the user's own, which no table knows."""

    name = "other"
    kinds = (sm.GatedCell,)


def test_an_engine_is_a_value_of_whatever_origin():
    cell = sm.Stack([sm.RNN(8)])
    given = cast(problem(cell), np.float32)
    found = jax.jit(lambda cell, engine: sm.unroll(cell, *given[:3], method=engine))(cell, OtherScan())
    assert_close(found, sm.unroll(cell, *given[:3], method="scan"), np.float32)
    with pytest.raises(ValueError, match="'other' cannot run a MinGRU"):
        sm.unroll(sm.MinGRU(8), given.params, given.xs, method=OtherScan())


class CountingMinGRU(sm.MinGRU):
    """Counts how often it is traced."""

    traces = 0

    def coefficients(self, *arguments):
        CountingMinGRU.traces += 1
        return super().coefficients(*arguments)


COUNTED = [(cell, method) for cell in (CountingRNN(8), CountingMinGRU(8)) for method in sm.engines.names_for(cell)]


@pytest.mark.parametrize(("cell", "method"), COUNTED, ids=name)
def test_no_engine_traces_twice(cell, method):
    given = cast(problem(cell), np.float32)
    sm.unroll(cell, given.params, given.xs, method=method)
    traces = type(cell).traces
    assert traces > 0
    sm.unroll(type(cell)(hidden_size=8), given.params, given.xs + 1.0, method=method)
    assert type(cell).traces == traces


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_arrays_may_be_shared_along_auto_axes(kind):
    cell = sm.RNN(hidden_size=3)
    params = cell.init(jax.random.key(0), INPUTS)
    sharding = NamedSharding(jax.make_mesh((1,), ("data",), axis_types=(kind,)), PartitionSpec("data"))
    xs = jax.device_put(np.ones((BATCH, STEPS, INPUTS), np.float32), sharding)
    if kind is AxisType.Auto:
        assert_equal(sm.unroll(cell, params, xs), sm.unroll(cell, params, np.asarray(xs)))
    else:
        with pytest.raises(ValueError, match="Explicit axis 'data'; make the mesh with Auto axes"):
            jax.jit(lambda xs: sm.unroll(cell, params, xs))(xs)


def test_lists_and_tuples_of_cells_are_one():
    assert sm.Stack([sm.LSTM(8), sm.GRU(8)]) == sm.Stack((sm.LSTM(8), sm.GRU(8)))
    assert hash(sm.Stack([sm.LSTM(8), sm.GRU(8)])) == hash(sm.Stack((sm.LSTM(8), sm.GRU(8))))
    given = cast(problem(sm.RNN(8)), np.float32)

    def call(cells):
        return sm.unroll(sm.Stack(cells), (given.params,), given.xs)

    call([CountingRNN(8)])
    traces = CountingRNN.traces
    call((CountingRNN(8),))
    assert CountingRNN.traces == traces
