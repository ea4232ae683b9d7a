"""What the engine "fused" has beyond the contract of all engines: options, float noise, memory."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import HIDDEN, STEPS, cast, problem, run
from oracles import assert_close

import seqmodels as sm
from seqmodels.cells.wrapper import Wrapper
from seqmodels.engines import Fused

LENGTHS = np.array([STEPS, 4, 0])
RESETS = np.arange(3 * STEPS).reshape(3, STEPS) % 5 == 2


@pytest.mark.parametrize(
    "engine",
    [Fused(save="states"), Fused(unroll=3), Fused(cap=1e9), Fused(packed=True), Fused(packed=False)],
    ids=repr,
)
def test_options_do_not_change_the_numbers(engine, x64):
    for cell in (sm.LSTM(HIDDEN, peepholes=True), sm.Zoneout(sm.GRU(HIDDEN), 0.5), sm.SLSTM(HIDDEN, heads=2)):
        given = problem(cell)
        expected = run(cell, given, LENGTHS, RESETS, method="scan", reverse=True)
        assert_close(run(cell, given, LENGTHS, RESETS, method=engine, reverse=True), expected, np.float64)


@pytest.mark.parametrize(
    ("backend", "size", "writes"),
    [("cpu", 128, 1 + 1), ("cpu", 129, 6 + 4), ("gpu", 130, 1 + 1), ("tpu", 11, 6 + 4)],
)
def test_what_a_step_leaves_is_packed_on_gpus_and_where_it_is_little(backend, size, writes, monkeypatch):
    """An LSTM's c, h and four gates, and backwards the gates; sizes differ, as JAX remembers what it has traced."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert writes_of_a_step(sm.LSTM(size), rows=(2,)) == writes


def test_what_may_be_one_of_many_is_not_packed():
    assert writes_of_a_step(sm.LSTM(12), rows=()) == 6 + 4


def writes_of_a_step(cell, rows):
    """How many arrays the two loops of a gradient write to at a step."""
    params, xs = cell.init(jax.random.key(0), 3), jnp.ones((*rows, STEPS, 3))
    slope = jax.grad(lambda params: sm.unroll(cell, params, xs, method="fused")[1].sum())
    return jax.jit(slope).lower(params).compile().as_text().count(" dynamic-update-slice(")


def test_the_cap_by_hand(x64):
    # h₂ = h₁ = h₀ = 0 with tanh' = 1: h̄₁ = w ȳ, capped; h̄₀ = w h̄₁, capped. w = 3, ȳ = 1, cap 2: 2, then 2 (not 9).
    cell = sm.RNN(1)
    params = sm.RNNParams(w_ih=np.zeros((1, 1)), w_hh=np.array([[3.0]]), b=np.zeros(1))

    def slope(cap):
        def last(h):
            return sm.unroll(cell, params, jnp.zeros((2, 1)), sm.RNNState(h), method=Fused(cap=cap))[0].h[0]

        return float(jax.grad(last)(jnp.zeros(1))[0])

    assert slope(None) == 9.0
    assert slope(2.0) == 2.0
    assert slope(5.0) == 5.0


@pytest.mark.parametrize("options", [{"save": "gates"}, {"cap": 0.0}, {"cap": -1.0}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        Fused(**options)


@dataclasses.dataclass(frozen=True)
class Jitter(Wrapper):
    """Multiplies h by noise of a float type whose width is a parameter: gradients must flow through the noise."""

    def init(self, key, input_size):
        return {"cell": self.cell.init(key, input_size), "width": jnp.full((), 0.1)}

    def initial_state(self, params, batch_shape=()):
        return self.cell.initial_state(params["cell"], batch_shape)

    def project(self, params, xs):
        return self.cell.project(params["cell"], xs)

    def recur(self, params, h):
        return self.cell.recur(params["cell"], h)

    def gate_params(self, params):
        return self.cell.gate_params(params["cell"])

    def readout(self, params, hs, xs):
        return self.cell.readout(params["cell"], hs, xs)

    def noise(self, params, key, steps, batch_shape):
        shape = (steps, *batch_shape, self.output_size)
        return params, {"scale": 1.0 + params["width"] * jax.random.normal(key, shape), "skip": jnp.zeros(steps, bool)}

    def gates(self, gate_params, u_t, r_t, state, noise_t):
        new = self.cell.gates(gate_params, u_t, r_t, state, None)
        return new if noise_t is None else new._replace(h=new.h * jnp.where(noise_t["skip"], 1.0, noise_t["scale"]))


def test_gradients_flow_through_noise_of_a_float_type(x64):
    cell = Jitter(sm.LSTM(HIDDEN))
    given = problem(cell)
    expected = run(cell, given, LENGTHS, RESETS, jax.random.key(0), method="scan", reverse=False)
    assert abs(expected[1][0]["width"]) > 1e-3
    actual = run(cell, given, LENGTHS, RESETS, jax.random.key(0), method="fused", reverse=False)
    assert_close(actual, expected, np.float64)


def temporary(method, steps, layers=1):
    """Bytes of temporary memory of a training step of LSTMs."""
    cell = sm.Stack((sm.LSTM(16),) * layers)
    params = jax.eval_shape(lambda key: cell.init(key, 16), jax.random.key(0))
    xs = jax.ShapeDtypeStruct((2, steps, 16), np.float32)

    def loss(params, xs):
        return sm.unroll(cell, params, xs, method=method)[1].sum()

    return jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, xs).compile().memory_analysis().temp_size_in_bytes


def test_it_keeps_less_than_a_differentiated_scan():
    assert temporary("fused", 512) < 0.75 * temporary("scan", 512)


def test_layers_that_wait_keep_states_alone_if_asked():
    assert temporary(Fused(save="states"), 512, layers=4) < 0.7 * temporary(Fused(), 512, layers=4)


def test_chunks_keep_least():
    assert temporary("chunked", 4096) < 0.2 * temporary(Fused(span=0), 4096)


def test_forward_mode_needs_the_scan():
    cell = sm.RNN(4)
    params = cell.init(jax.random.key(0), 3)
    loss = functools.partial(sm.unroll, cell, xs=jnp.ones((5, 3)))
    jax.jvp(lambda p: loss(p, method="scan"), (params,), (params,))
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda p: loss(p, method="fused"), (params,), (params,))


def test_no_steps_at_all():
    cell = sm.LSTM(4)
    given = cast(problem(cell), np.float32)
    state, ys = sm.unroll(cell, given.params, given.xs[:, :0], given.state, method="fused")
    assert_close(state, given.state, np.float32)
    assert ys.shape == (3, 0, 4)
