"""What `unroll` takes: types of inputs, parameters and lengths; and what it refuses, by name."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import BATCH, FEW_CELLS, INPUTS, STEPS, cast, name, problem
from oracles import assert_close, unroll

import seqmodels as sm

LENGTHS = np.array([STEPS, 3, 0], np.int32)
RESETS = np.arange(BATCH * STEPS).reshape(BATCH, STEPS) % 5 == 2


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32, jnp.float64])
@pytest.mark.parametrize("params_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", FEW_CELLS, ids=name)
def test_the_type_of_the_inputs_is_the_type_of_the_outputs(cell, params_dtype, dtype, x64):
    params, _, state, *_ = cast(problem(cell), params_dtype)
    xs = jax.ShapeDtypeStruct((BATCH, STEPS, INPUTS), dtype)
    for given_state in (None, state):
        for options in ({}, {"lengths": LENGTHS, "resets": RESETS}):
            for reverse in (False, True):
                call = functools.partial(sm.unroll, cell, reverse=reverse, **options)
                new, ys = jax.eval_shape(call, params, xs, given_state)
                assert ys.dtype == dtype
                expected = np.float64 if dtype == jnp.float64 else np.float32
                assert {leaf.dtype for leaf in jax.tree.leaves(new)} == {np.dtype(expected)}


@dataclasses.dataclass(frozen=True)
class Sums(sm.Cell):
    """A cell that is only stepped, written without a thought for types: outputs as wide as its state."""

    output_size = INPUTS

    def init(self, key, input_size):
        return ()

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, INPUTS))

    def step(self, params, state, x_t):
        state = state + x_t.astype(state.dtype)
        return state, state


@pytest.mark.parametrize("method", ["scan", "chunked"])
def test_so_it_is_for_a_cell_that_is_only_stepped(method):
    xs = jnp.ones((BATCH, STEPS, INPUTS), jnp.bfloat16)
    state, ys = sm.unroll(Sums(), (), xs, lengths=LENGTHS, method=method)
    assert ys.dtype == jnp.bfloat16
    assert_close((state[:, 0], ys[0, :, 0].astype(np.float32)), (LENGTHS * 1.0, np.arange(1.0, STEPS + 1)), np.float32)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_lengths_of_any_integer_type(dtype, x64):
    cell = sm.GRU(8)
    params, xs, state, *_ = problem(cell)
    long = jax.ShapeDtypeStruct((BATCH, 300, INPUTS), np.float64)
    for reverse in (False, True):
        actual = sm.unroll(cell, params, xs, state, lengths=LENGTHS.astype(dtype), reverse=reverse)
        assert_close(actual, unroll(cell, params, xs, state, lengths=LENGTHS, reverse=reverse), np.float64)
        # More steps than the type can count.
        jax.eval_shape(functools.partial(sm.unroll, cell, lengths=LENGTHS.astype(dtype), reverse=reverse), params, long)


WRONG = {
    "features": ({"xs": np.zeros((BATCH, STEPS, INPUTS + 1), np.float32)}, "6"),
    "a step instead of a sequence": ({"xs": np.zeros(INPUTS, np.float32)}, "xs"),
    "integer inputs": ({"xs": np.zeros((BATCH, STEPS, INPUTS), np.int32)}, "int32"),
    "state": ({"state": sm.LSTMState(np.zeros((2, 8), np.float32), np.zeros((2, 8), np.float32))}, "2, 8"),
    "integer state": (
        {"state": sm.LSTMState(np.zeros((BATCH, 8), np.int32), np.zeros((BATCH, 8), int))},
        "state.*int32",
    ),
    "state of another cell": ({"state": sm.GRUState(np.zeros((BATCH, 8), np.float32))}, "State"),
    "number of lengths": ({"lengths": np.array([1, 2])}, r"lengths.*\[2\]"),
    "float lengths": ({"lengths": np.ones(BATCH, np.float32)}, "float32"),
    "boolean lengths": ({"lengths": np.ones(BATCH, bool)}, "bool"),
    "shape of resets": ({"resets": np.zeros(BATCH, bool)}, r"resets.*\[3\]"),
    "integer resets": ({"resets": np.zeros((BATCH, STEPS), np.int32)}, "int32"),
    "method": ({"method": "quantum"}, "quantum.*scan"),
}


@pytest.mark.parametrize("function", [sm.unroll, sm.trajectory])
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_arguments_are_named(wrong, function):
    cell = sm.LSTM(8)
    given = cast(problem(cell), np.float32)
    changes, message = WRONG[wrong]
    arguments = {"xs": given.xs, "state": given.state, **changes}
    with pytest.raises((AssertionError, ValueError), match=message):
        function(cell, given.params, **arguments)


@pytest.mark.parametrize("cell", FEW_CELLS, ids=name)
def test_an_unknown_method_is_refused_for_every_kind(cell):
    given = cast(problem(cell), np.float32)
    with pytest.raises(ValueError, match=r"quantum.*scan"):
        sm.unroll(cell, given.params, given.xs, method="quantum")


def test_numbers_in_the_wrong_place_are_refused():
    cell = sm.LSTM(8)
    given = cast(problem(cell), np.float32)
    with pytest.raises(TypeError):
        sm.unroll(cell, given.params, given.xs, given.state, LENGTHS)  # lengths by keyword only


def test_auto_says_what_it_takes_and_why():
    text = sm.engines.explain(sm.LSTM(8))
    assert "LSTM: auto takes 'chunked' from 1,024 steps on" in text
    assert "; 'fused' else, because" in text
    assert "It can also be run by 'scan', 'newton'." in text
    text = sm.engines.explain(sm.Bidirectional(sm.LSTM(8), sm.Stack([sm.GRU(4), sm.GRU(4)])))
    assert [line.split(":")[0] for line in text.splitlines()] == ["LSTM", "GRU"]
    text = sm.engines.explain(sm.Stack([sm.LSTM(8), sm.Residual(sm.GRU(8))]), (4, 50, 3))
    assert [line.split(":")[0] for line in text.splitlines()] == ["LSTM", "Residual"]


@pytest.mark.parametrize(
    ("cell", "shape", "backend", "engine"),
    [
        (sm.LSTM(256), (8, 64, 256), "cpu", "fused"),
        (sm.LSTM(256), (8, 2048, 256), "cpu", "fused"),
        (sm.LSTM(256), (8, 8192, 256), "cpu", "chunked"),
        (sm.LSTM(4), (2048, 4), "gpu", "fused"),
        (sm.MLSTM(64), (16, 1024, 64), "cpu", "chunked"),
        (sm.MinGRU(8), (4, 64, 8), "cpu", "scan"),
        (sm.MinGRU(8), (4, 64, 8), "tpu", "associative"),
    ],
    ids=repr,
)
def test_auto_looks_at_cell_sizes_and_backend(cell, shape, backend, engine):
    assert f"auto takes '{engine}', because" in sm.engines.explain(cell, shape, backend)


def test_auto_runs_what_it_says():
    cell = sm.GRU(64)
    params, xs = cell.init(jax.random.key(0), 2), jnp.ones((256, 2048, 2))
    kept = {
        method: jax.jit(jax.grad(lambda p: sm.unroll(cell, p, xs, method=method)[1].sum()))  # noqa: B023 (called at once)
        .lower(params)
        .compile()
        .memory_analysis()
        .temp_size_in_bytes
        for method in ("auto", "chunked", "fused")
    }
    assert kept["auto"] == kept["chunked"] < kept["fused"]
