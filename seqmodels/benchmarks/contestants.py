"""Who is measured: one LSTM layer's training step, the same work in each library.

Each takes inputs [B, T, D] and gives the gradients of Σ weights ⊙ outputs for all parameters and the inputs. The
parameters are those of `Data`, brought into the library's own layout; torch has a second bias, which is zero.
"""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.benchmarks.cases import Data
from seqmodels.benchmarks.engine_options import engine_of
from seqmodels.cells import LSTM, LSTMParams
from seqmodels.cells.base import cast
from seqmodels.cells.products import product
from seqmodels.engines import unroll
from seqmodels.engines.loop import zero_after

Gradients = dict[str, np.ndarray]
"""In our layout: `w_ih`, `w_hh`, `b`, `xs`."""


class Contestant(NamedTuple):
    """A training step that is ready to run.

    Attributes:
      run: does the step and waits for it.
      gradients: does it and brings the result into our layout, in float64.
      compiled: what XLA made of it; None where it is not XLA's.
      compile_for: compiles it for the device of a sharding, which need not be there; None likewise.
    """

    run: Callable[[], object]
    gradients: Callable[[], Gradients]
    compiled: Any
    compile_for: Callable[[jax.sharding.Sharding], Any] | None = None


def jax_step(loss: Callable[[Any, jax.Array], jax.Array], params: Any, xs: jax.Array, to_ours: Any) -> Contestant:
    """A contestant from a loss of parameters and inputs; `to_ours` brings gradients into the layout of ours."""
    step = jax.grad(loss, argnums=(0, 1))
    compiled = jax.jit(step).lower(params, xs).compile()

    def gradients() -> Gradients:
        slopes, xs_slopes = compiled(params, xs)
        found = {**to_ours(slopes), "xs": xs_slopes}
        return {key: np.asarray(jnp.asarray(value, jnp.float32), np.float64) for key, value in found.items()}

    def compile_for(place: jax.sharding.Sharding) -> Any:
        shapes = jax.eval_shape(lambda *given: given, params, xs)
        return jax.jit(step, in_shardings=place, out_shardings=place).lower(*shapes).compile()

    return Contestant(lambda: jax.block_until_ready(compiled(params, xs)), gradients, compiled, compile_for)  # type: ignore[no-untyped-call]  # JAX leaves it untyped


def _weighted(ys: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.sum(ys.astype(weights.dtype) * weights)


def fields(params: LSTMParams) -> dict[str, Any]:
    """Gradients of parameters, by name."""
    return {"w_ih": params.w_ih, "w_hh": params.w_hh, "b": params.b}


def ours(data: Data, dtype: str, name: str) -> Contestant:
    """This library, with one of its engines; see `engine_of` for the names."""
    cell, method = LSTM(data.weights.shape[-1]), engine_of(name)

    def loss(params: LSTMParams, xs: jax.Array) -> jax.Array:
        return _weighted(unroll(cell, params, xs, method=method)[1], data.weights)

    return jax_step(loss, data.params, data.xs.astype(dtype), fields)


def flax_linen(data: Data, dtype: str) -> Contestant:
    """`nn.RNN(nn.OptimizedLSTMCell)`."""
    nn = importlib.import_module("flax.linen")
    module = nn.RNN(nn.OptimizedLSTMCell(data.weights.shape[-1], dtype=jnp.dtype(dtype)))
    blocks = {key: jnp.split(value, 4, axis=-1) for key, value in fields(data.params).items()}
    weights = {}
    for n, gate in enumerate("ifgo"):
        weights[f"i{gate}"] = {"kernel": blocks["w_ih"][n]}
        weights[f"h{gate}"] = {"kernel": blocks["w_hh"][n], "bias": blocks["b"][n]}

    def loss(weights: Any, xs: jax.Array) -> jax.Array:
        return _weighted(module.apply({"params": {"cell": weights}}, xs), data.weights)

    def to_ours(slopes: Any) -> dict[str, Any]:
        def join(side: str, name: str) -> jax.Array:
            return jnp.concatenate([slopes[side + gate][name] for gate in "ifgo"], axis=-1)

        return {"w_ih": join("i", "kernel"), "w_hh": join("h", "kernel"), "b": join("h", "bias")}

    return jax_step(loss, weights, data.xs.astype(dtype), to_ours)


def flax_nnx(data: Data, dtype: str) -> Contestant:
    """`nnx.RNN(nnx.OptimizedLSTMCell)`."""
    nnx = importlib.import_module("flax.nnx")
    size, hidden = data.xs.shape[-1], data.weights.shape[-1]
    layer = nnx.RNN(nnx.OptimizedLSTMCell(size, hidden, dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0)))
    cell = layer.cell
    cell.dense_i.kernel[...], cell.dense_h.kernel[...], cell.dense_h.bias[...] = fields(data.params).values()
    graph, weights, rest = nnx.split(layer, nnx.Param, ...)

    def loss(weights: Any, xs: jax.Array) -> jax.Array:
        zeros = jnp.zeros((xs.shape[0], hidden), dtype)
        return _weighted(nnx.merge(graph, weights, rest)(xs, initial_carry=(zeros, zeros)), data.weights)

    def to_ours(slopes: Any) -> dict[str, Any]:
        cell = nnx.merge(graph, slopes, rest).cell
        return {"w_ih": cell.dense_i.kernel[...], "w_hh": cell.dense_h.kernel[...], "b": cell.dense_h.bias[...]}

    return jax_step(loss, weights, data.xs.astype(dtype), to_ours)


def haiku(data: Data, dtype: str) -> Contestant:
    """`hk.dynamic_unroll(hk.LSTM)`: time first, gates in the order i, g, f, o, and 1 added to f."""
    hk = importlib.import_module("haiku")
    hidden = data.weights.shape[-1]

    def run(xs: jax.Array) -> jax.Array:
        core = hk.LSTM(hidden)
        state = jax.tree.map(lambda leaf: leaf.astype(dtype), core.initial_state(xs.shape[0]))
        ys, _ = hk.dynamic_unroll(core, jnp.swapaxes(xs, 0, 1), state)
        return jnp.swapaxes(ys, 0, 1)

    net = hk.without_apply_rng(hk.transform(run))

    def turned(w: jax.Array) -> jax.Array:
        i, f, g, o = jnp.split(w, 4, axis=-1)
        return jnp.concatenate([i, g, f, o], axis=-1)

    b = turned(data.params.b) - turned(jnp.repeat(jnp.array([0.0, 1.0, 0.0, 0.0], jnp.float32), hidden))
    w = jnp.concatenate([turned(data.params.w_ih), turned(data.params.w_hh)])
    weights = {"lstm/linear": {"w": w.astype(dtype), "b": b.astype(dtype)}}

    def loss(weights: Any, xs: jax.Array) -> jax.Array:
        return _weighted(net.apply(weights, xs), data.weights)

    def to_ours(slopes: Any) -> dict[str, Any]:
        w, b = (turned(slopes["lstm/linear"][key]) for key in "wb")
        return {"w_ih": w[:-hidden], "w_hh": w[-hidden:], "b": b}

    return jax_step(loss, weights, data.xs.astype(dtype), to_ours)


def equinox(data: Data, dtype: str) -> Contestant:
    """`eqx.nn.LSTMCell` in a scan under vmap, as its documentation has it; weights are [4H, D]."""
    eqx = importlib.import_module("equinox")
    size, hidden = data.xs.shape[-1], data.weights.shape[-1]
    cell = eqx.nn.LSTMCell(size, hidden, key=jax.random.key(0), dtype=jnp.dtype(dtype))
    ours_now = cast(data.params, jnp.dtype(dtype))
    cell = eqx.tree_at(
        lambda cell: (cell.weight_ih, cell.weight_hh, cell.bias), cell, (ours_now.w_ih.T, ours_now.w_hh.T, ours_now.b)
    )

    def row(cell: Any, xs: jax.Array) -> jax.Array:
        def body(state: Any, x_t: jax.Array) -> Any:
            state = cell(x_t, state)
            return state, state[0]

        zeros = jnp.zeros(hidden, xs.dtype)
        ys: jax.Array = jax.lax.scan(body, (zeros, zeros), xs)[1]
        return ys

    def loss(cell: Any, xs: jax.Array) -> jax.Array:
        return _weighted(jax.vmap(row, in_axes=(None, 0))(cell, xs), data.weights)

    def to_ours(slopes: Any) -> dict[str, Any]:
        return {"w_ih": slopes.weight_ih.T, "w_hh": slopes.weight_hh.T, "b": slopes.bias}

    return jax_step(loss, cell, data.xs.astype(dtype), to_ours)


def torch_eager(data: Data, dtype: str) -> Contestant:
    """`torch.nn.LSTM`, on a GPU if it has one."""
    torch = importlib.import_module("torch")
    module, xs, weights = torch_layer(data, dtype)

    def run() -> None:
        module.zero_grad()
        xs.grad = None
        (module(xs)[0] * weights).sum().backward()
        if xs.is_cuda:
            torch.cuda.synchronize()

    def gradients() -> Gradients:
        run()
        return torch_gradients(module, xs)

    return Contestant(run, gradients, None)


def torch_layer(data: Data, dtype: str) -> tuple[Any, Any, Any]:
    """The layer, whose weights are [4H, D], the inputs, and the weights of the outputs, on torch's device."""
    torch = importlib.import_module("torch")
    device, kind = "cuda" if torch.cuda.is_available() else "cpu", getattr(torch, dtype)
    module = torch.nn.LSTM(data.xs.shape[-1], data.weights.shape[-1], batch_first=True)
    with torch.no_grad():
        for key, value in {
            "weight_ih_l0": data.params.w_ih.T,
            "weight_hh_l0": data.params.w_hh.T,
            "bias_ih_l0": data.params.b,
            "bias_hh_l0": jnp.zeros_like(data.params.b),
        }.items():
            getattr(module, key).copy_(torch.tensor(np.asarray(value)))
    xs = torch.tensor(np.asarray(data.xs)).to(device, kind).requires_grad_()
    return module.to(device, kind), xs, torch.tensor(np.asarray(data.weights)).to(device)


def torch_gradients(module: Any, xs: Any) -> Gradients:
    """What torch has found."""
    found = {
        "w_ih": module.weight_ih_l0.grad.T,
        "w_hh": module.weight_hh_l0.grad.T,
        "b": module.bias_ih_l0.grad,
        "xs": xs.grad,
    }
    return {key: value.double().cpu().numpy() for key, value in found.items()}


def floor(data: Data, dtype: str) -> Callable[[], object]:
    """The products of a training step that have to come one after the other, h R forwards and z̄ Rᵀ backwards, alone."""
    w = data.params.w_hh.astype(dtype)
    rows, steps, _ = data.xs.shape

    def chain(x: jax.Array, w: jax.Array) -> jax.Array:
        def step(x: jax.Array, _: None) -> tuple[jax.Array, None]:
            y: jax.Array = jax.lax.optimization_barrier(product(x, w))  # type: ignore[no-untyped-call]  # JAX leaves it untyped
            return x + zero_after(y).astype(x.dtype), None

        last: jax.Array = jax.lax.scan(step, x, None, length=steps)[0]
        return last

    @jax.jit
    def both(w: jax.Array, w_t: jax.Array, h: jax.Array, z_bar: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = chain(h, w)
        return h, chain(z_bar + zero_after(h), w_t)  # not beside the other: a loss would stand between them

    given = (w, w.T, *(jnp.ones((rows, size), dtype) for size in w.shape))
    compiled: Any = both.lower(*given).compile()
    return lambda: jax.block_until_ready(compiled(*given))  # type: ignore[no-untyped-call]  # JAX leaves it untyped


def reference(data: Data) -> Gradients:
    """The gradients in float64, by a plain scan."""
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), data)
        cell = LSTM(data.weights.shape[-1])

        def loss(params: LSTMParams, xs: jax.Array) -> jax.Array:
            return _weighted(unroll(cell, params, xs, method="scan")[1], wide.weights)

        slopes, xs_slopes = jax.jit(jax.grad(loss, argnums=(0, 1)))(wide.params, wide.xs)
        return {key: np.asarray(value) for key, value in {**fields(slopes), "xs": xs_slopes}.items()}


def error(found: Gradients, expected: Gradients) -> float:
    """The largest max|a - b| / max|b| of all gradients."""
    return max(float(np.abs(found[key] - b).max() / np.abs(b).max()) for key, b in expected.items())
