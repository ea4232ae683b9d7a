"""The Jacobians of a cell's state from step to step: singular values of their products, and Lyapunov exponents."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from seqmodels.analysis.graded import Floats, identity, log_singular_values, multiply, rough_log_singular_values
from seqmodels.cells.base import Array, Cell, PyTree, cast, state_dtype


class Spectrum(NamedTuple):
    """Singular values of ∂s_T/∂s_{T-k} for some spans k.

    Attributes:
      spans: k, the numbers of steps.
      log_values: the natural logarithms of the singular values [spans, n], descending; -inf for 0.
    """

    spans: tuple[int, ...]
    log_values: Floats


def state_jacobians(cell: Cell, params: PyTree, xs: Array, state: PyTree = None) -> Array:
    """The Jacobians Jₜ = ∂sₜ/∂sₜ₋₁ along one sequence.

    The state is flattened, leaf after leaf: n numbers.

    Args:
      cell: anything with a `step`.
      params: as made by `cell.init`.
      xs: inputs of one sequence [time, D].
      state: the state to begin with; None: the cell's own.

    Returns:
      [time, n, n], rows for the state after a step, columns for the one before it.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.LSTM(hidden_size=4)
      >>> state_jacobians(cell, cell.init(jax.random.key(0), 3), jnp.ones((5, 3))).shape
      (5, 8, 8)
    """
    jacobians: Array = _state_jacobians(cell, params, xs, _flat(cell, params, xs, state))
    return jacobians


def jacobian_spectrum(
    cell: Cell,
    params: PyTree,
    xs: Array,
    state: PyTree = None,
    *,
    spans: Sequence[int] | None = None,
    rough: bool = False,
) -> Spectrum:
    """The singular values of the product of the last k Jacobians, for growing spans k.

        ∂s_T/∂s_{T-k} = J_T J_{T-1} ⋯ J_{T-k+1}

    By as much a gradient at the end is stretched or shrunk, direction by direction, on its way k steps back. The
    product is taken in float64, in a form in which it neither overflows nor underflows, and in which a small singular
    value is not lost beside a large one.

    Args:
      cell: anything with a `step`.
      params: as made by `cell.init`.
      xs: inputs of one sequence [time, D].
      state: the state to begin with; None: the cell's own.
      spans: k, ascending, each from 1 to the number of steps; None: 1, 2, 4, ... and all steps.
      rough: for a state of hundreds of numbers: singular values below 1e-12 of the largest are -inf.

    Raises:
      ValueError: for other spans.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.GRU(hidden_size=4)
      >>> spectrum = jacobian_spectrum(cell, cell.init(jax.random.key(0), 3), jnp.ones((5, 3)))
      >>> spectrum.spans, spectrum.log_values.shape
      ((1, 2, 4, 5), (4, 4))
    """
    steps = xs.shape[0]
    asked = tuple(sorted({steps} | {2**n for n in range(steps.bit_length())}) if spans is None else spans)
    if list(asked) != sorted(set(asked)) or not all(1 <= span <= steps for span in asked):
        raise ValueError(f"spans must ascend and lie from 1 to {steps} (got {asked})")
    jacobians = np.asarray(state_jacobians(cell, params, xs, state), np.float64)
    product, found = identity(jacobians.shape[-1]), []
    for span in range(1, asked[-1] + 1):
        # Transposed, as in back-propagation, so that what is multiplied in comes from the left.
        product = multiply(jacobians[-span].T, product)
        if span in asked:
            found.append((rough_log_singular_values if rough else log_singular_values)(product))
    return Spectrum(asked, np.stack(found))


def lyapunov_exponents(
    cell: Cell, params: PyTree, xs: Array, state: PyTree = None, *, count: int | None = None, warm_up: int = 0
) -> Array:
    """The Lyapunov exponents along one sequence: mean rates at which small differences of the state grow.

        Jₜ Qₜ₋₁ = Qₜ Rₜ,      λᵢ = 1/T Σₜ log |(Rₜ)ᵢᵢ|

    They are what log singular values of the product, divided by the number of steps, come to in the long run. Above 0:
    chaos, and gradients explode; below: what was is forgotten at this rate, and gradients vanish with it.

    Args:
      cell: anything with a `step` that has a forward derivative: inputs of at least float32.
      params: as made by `cell.init`.
      xs: inputs of one sequence [time, D]; the longer, the closer to the limit.
      state: the state to begin with; None: the cell's own.
      count: how many, the largest first; None: all n.
      warm_up: steps at the beginning that are not counted, in which state and directions settle.

    Returns:
      [count] in nats per step, descending.

    Raises:
      ValueError: if no step is left, or for a count out of range.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.RNN(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> params = params._replace(w_hh=0.5 * params.w_hh)  # half an orthogonal matrix, and tanh'(0) = 1: ln ½
      >>> [round(float(rate), 4) for rate in lyapunov_exponents(cell, params, jnp.zeros((50, 3)), count=2)]
      [-0.6931, -0.6931]

    References:
      Benettin, Galgani, Giorgilli & Strelcyn (1980), Lyapunov characteristic exponents for smooth dynamical systems.
      Vogt, Puelma Touzel, Shlizerman & Lajoie (2022), On Lyapunov exponents for RNNs.
    """
    flat = _flat(cell, params, xs, state)
    count = flat.size if count is None else count
    if not 1 <= count <= flat.size:
        raise ValueError(f"count must be from 1 to {flat.size}, the size of the state (got {count})")
    if not 0 <= warm_up < xs.shape[0]:
        raise ValueError(f"warm_up must be from 0 to {xs.shape[0] - 1} (got {warm_up})")
    logs = _log_growth(cell, params, xs, flat, count)
    return jnp.sort(jnp.mean(logs[warm_up:], axis=0), descending=True)


def _flat(cell: Cell, params: PyTree, xs: Array, state: PyTree) -> Array:
    """The state to begin with as one vector."""
    if xs.ndim != 2:
        raise ValueError(f"xs must be one sequence [time, features] (got {list(xs.shape)})")
    state = cell.initial_state(params) if state is None else state
    return ravel_pytree(cast(state, state_dtype(xs.dtype)))[0]


def _mover(cell: Cell, params: PyTree, dtype: jnp.dtype) -> Callable[[Array, Array], Array]:
    """The step from one flat state to the next, for states of a type."""
    _, unravel = ravel_pytree(cast(cell.initial_state(params), dtype))
    return lambda flat, x_t: ravel_pytree(cell.step(params, unravel(flat), x_t)[0])[0]


@functools.partial(jax.jit, static_argnames=("cell",))
def _state_jacobians(cell: Cell, params: PyTree, xs: Array, flat: Array) -> Array:
    move = _mover(cell, params, flat.dtype)

    def body(flat: Array, x_t: Array) -> tuple[Array, Array]:
        return move(flat, x_t), jax.jacrev(move)(flat, x_t)

    return jax.lax.scan(body, flat, xs)[1]


@functools.partial(jax.jit, static_argnames=("cell", "count"))
def _log_growth(cell: Cell, params: PyTree, xs: Array, flat: Array, count: int) -> Array:
    """The logarithms of the diagonals of all Rₜ, [time, count]."""
    move = _mover(cell, params, flat.dtype)

    def body(carry: tuple[Array, Array], x_t: Array) -> tuple[tuple[Array, Array], Array]:
        flat, directions = carry
        flat, push = jax.linearize(lambda flat: move(flat, x_t), flat)
        directions, r = jnp.linalg.qr(jax.vmap(push, in_axes=1, out_axes=1)(directions))
        return (flat, directions), jnp.log(jnp.abs(jnp.diagonal(r)))

    # Directions of no unit: along those of some units, the others would never be met where units do not mix.
    directions, _ = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (flat.size, count), flat.dtype))
    return jax.lax.scan(body, (flat, directions), xs)[1]
