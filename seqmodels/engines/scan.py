"""The reference engine: one `jax.lax.scan`, differentiated by JAX, forwards and backwards."""

from collections.abc import Callable

import jax

from seqmodels.cells.base import Array, Cell, GatedCell, PyTree, cast, state_dtype
from seqmodels.engines.engine import Engine, Inputs, select


def _run(
    cell: Cell, params: PyTree, inputs: Inputs, observe: Callable[[PyTree], PyTree]
) -> tuple[PyTree, PyTree, Array]:
    """Runs any cell; of a gated one the input product and the readout stand outside the loop."""
    if isinstance(cell, GatedCell):
        return _run_gated(cell, params, inputs, observe)

    def step(state: PyTree, x_t: Array, noise_t: PyTree) -> tuple[PyTree, Array]:
        del noise_t
        return cell.step(params, state, x_t)

    return _scan(step, inputs.xs, inputs, observe)


def _run_gated(
    cell: GatedCell, params: PyTree, inputs: Inputs, observe: Callable[[PyTree], PyTree]
) -> tuple[PyTree, PyTree, Array]:
    """One product for all inputs, the loop over h alone, one readout."""
    compute = inputs.xs.dtype
    gate_params = cast(cell.gate_params(params), state_dtype(compute))
    params = cast(params, compute)

    def step(state: PyTree, u_t: PyTree, noise_t: PyTree) -> tuple[PyTree, Array]:
        state = cell.advance(params, gate_params, state, u_t, noise_t)
        return state, cell.hidden(state).astype(compute)

    state, observed, hs = _scan(step, cell.project(params, inputs.xs), inputs, observe)
    return state, observed, cell.readout(params, hs, inputs.xs).astype(compute)


def _scan(
    step: Callable[[PyTree, PyTree, PyTree], tuple[PyTree, Array]],
    us: PyTree,
    inputs: Inputs,
    observe: Callable[[PyTree], PyTree],
) -> tuple[PyTree, PyTree, Array]:
    """Scans `step` with resets before it and frozen states on padding."""

    def body(state: PyTree, at_t: tuple[PyTree, ...]) -> tuple[PyTree, tuple[PyTree, Array]]:
        u_t, noise_t, reset_t, valid_t = at_t
        state = select(reset_t, inputs.fresh, state)
        new, y_t = step(state, u_t, noise_t)
        if valid_t is not None:
            new = select(valid_t, new, state)
        return new, (observe(new), y_t)

    state, (observed, ys) = jax.lax.scan(body, inputs.state, (us, inputs.noise_ts, inputs.resets, inputs.valid))
    return state, observed, ys


SCAN = Engine(name="scan", kinds=(Cell,), run=_run)
