"""The reference engine: one `jax.lax.scan`, differentiated by JAX, forwards and backwards."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import jax

from seqmodels.cells.base import Array, Cell, GatedCell, LinearCell, PyTree, cast, state_dtype
from seqmodels.engines.engine import Engine, Inputs, over_time, select

Observe = Callable[[PyTree], PyTree]


@dataclasses.dataclass(frozen=True)
class Scan(Engine):
    """One step after the other; input products and readouts stand outside the loop where the kind of cell allows.

    Args:
      unroll: steps in one turn of the compiled loop.

    Example:
      >>> import jax.numpy as jnp, seqmodels as sm
      >>> cell = sm.LSTM(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> sm.unroll(cell, params, jnp.ones((2, 5, 3)), method=Scan(unroll=5))[1].shape
      (2, 5, 4)
    """

    name: ClassVar[str] = "scan"
    kinds: ClassVar[tuple[type[Cell], ...]] = (Cell,)

    unroll: int = 1

    def run(self, cell: Cell, params: PyTree, inputs: Inputs, observe: Observe) -> tuple[PyTree, PyTree, Array]:
        """Runs any cell."""
        if isinstance(cell, GatedCell):
            return self._gated(cell, params, inputs, observe)
        if isinstance(cell, LinearCell):
            return self._linear(cell, params, inputs, observe)

        def step(state: PyTree, x_t: Array, noise_t: PyTree) -> tuple[PyTree, Array]:
            del noise_t
            state, y_t = cell.step(params, state, x_t)
            return state, y_t.astype(x_t.dtype)  # a cell of the user's own may leave it as wide as its weights

        return self._scan(step, inputs.xs, inputs, observe)

    def _gated(self, cell: GatedCell, params: PyTree, inputs: Inputs, observe: Observe) -> tuple[PyTree, PyTree, Array]:
        """One product for all inputs, the loop over h alone, one readout."""
        compute = inputs.xs.dtype
        gate_params = cast(cell.gate_params(params), state_dtype(compute))
        params = cast(params, compute)

        def step(state: PyTree, u_t: PyTree, noise_t: PyTree) -> tuple[PyTree, Array]:
            state = cell.advance(params, gate_params, state, u_t, noise_t)
            return state, cell.hidden(state).astype(compute)

        state, observed, hs = self._scan(step, cell.project(params, inputs.xs), inputs, observe)
        return state, observed, cell.readout(params, hs, inputs.xs).astype(compute)

    def _linear(
        self, cell: LinearCell, params: PyTree, inputs: Inputs, observe: Observe
    ) -> tuple[PyTree, PyTree, Array]:
        """All coefficients at once, the loop over h alone, one readout."""
        compute = inputs.xs.dtype
        decay_params = cast(cell.decay_params(params), state_dtype(compute))
        params = cast(params, compute)

        def step(state: PyTree, coefficients: tuple[Array, Array], noise_t: PyTree) -> tuple[PyTree, PyTree]:
            del noise_t
            a_t, b_t = coefficients
            new = cell.as_state(a_t * cell.hidden(state) + b_t)
            new = jax.tree.map(lambda new, old: new.astype(old.dtype), new, state)
            return new, cast(new, compute)

        a, b = cell.coefficients(params, decay_params, inputs.xs)
        state, observed, states = self._scan(step, (over_time(a, b), b), inputs, observe)
        return state, observed, cell.readout(params, states, inputs.xs).astype(compute)

    def _scan(
        self,
        step: Callable[[PyTree, PyTree, PyTree], tuple[PyTree, PyTree]],
        us: PyTree,
        inputs: Inputs,
        observe: Observe,
    ) -> tuple[PyTree, PyTree, PyTree]:
        """Scans `step` with resets before it and frozen states on padding."""

        def body(state: PyTree, at_t: tuple[PyTree, ...]) -> tuple[PyTree, tuple[PyTree, PyTree]]:
            u_t, noise_t, reset_t, valid_t = at_t
            state = select(reset_t, inputs.fresh, state)
            new, y_t = step(state, u_t, noise_t)
            if valid_t is not None:
                new = select(valid_t, new, state)
            return new, (observe(new), y_t)

        state, (observed, ys) = jax.lax.scan(
            body, inputs.state, (us, inputs.noise_ts, inputs.resets, inputs.valid), unroll=self.unroll
        )
        return state, observed, ys
