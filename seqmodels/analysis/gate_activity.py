"""What the gates of a cell do over a sequence, and how often they stand fully open or closed."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.cells.base import Array, Cell, Composite, GatedCell, PyTree, cast, state_dtype
from seqmodels.cells.wrapper import Wrapper
from seqmodels.engines import trajectory, unroll

CANDIDATES = frozenset({"g", "n"})
"""Activations that are no gates: what may be written, from -1 to 1."""

SATURATED = 0.1
"""A gate is closed below it, and open above 1 minus it."""


@runtime_checkable
class Gated(Protocol):
    """A gated cell that says what its gates do: a NamedTuple of arrays [..., units], which its `gates` uses."""

    def activations(self, gate_params: PyTree, u_t: PyTree, r_t: PyTree, state: PyTree) -> Any:
        """The activations at a step; the arguments are those of `GatedCell.gates`."""


class Saturation(NamedTuple):
    """How often each unit's gate was closed and open, shares of all steps and rows, [H]."""

    closed: Array
    open: Array


def gate_activity(cell: Cell | Composite, params: PyTree, xs: Array, state: PyTree = None) -> Any:
    """The activations of all gates at every step.

    Args:
      cell: a cell with `activations` (every LSTM, and GRU), something around such a cell, or such cells put together.
      params: as made by `cell.init`.
      xs: inputs [batch, time, D] or [time, D].
      state: the state to begin with; None: the cell's own.

    Returns:
      The cell's NamedTuple, such as `LSTMActivations(i, f, g, o)`, leaves [batch, time, H] ([time, H]); gates of a
      whole head have one unit for each. Of a composite one for each part, nested as the states are.

    Raises:
      ValueError: for a cell without gates, or one that does not show them.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.LSTM(hidden_size=4, forget_bias=2.0)
      >>> activity = gate_activity(cell, cell.init(jax.random.key(0), 3), jnp.zeros((5, 3)))
      >>> activity.f.shape, round(float(activity.f[0, 0]), 3)  # σ(2)
      ((5, 4), 0.881)
    """
    state = cell.initial_state(params, xs.shape[:-2]) if state is None else state
    return _Runner(False)(cell, params, xs, state, None)[0]


def saturation(activity: Any) -> Mapping[str, Saturation]:
    """How often each gate of each unit was closed (below 0.1) and open (above 0.9).

    Args:
      activity: a NamedTuple of activations of one cell, leaves [..., H], as `gate_activity` gives.

    Returns:
      By the gate's letter; candidates, which are no gates, are left out.

    Example:
      >>> import seqmodels as sm
      >>> gate = jnp.array([[0.05, 0.95], [0.5, 0.95]])
      >>> shares = saturation(sm.cells.lstm.LSTMActivations(i=gate, f=gate, g=gate, o=gate))
      >>> sorted(shares), shares["f"].closed.tolist(), shares["f"].open.tolist()
      (['f', 'i', 'o'], [0.5, 0.0], [0.0, 1.0])

    References:
      Karpathy, Johnson & Li (2015), Visualizing and understanding recurrent networks.
    """
    gates = {name: value for name, value in activity._asdict().items() if name not in CANDIDATES}
    return {name: Saturation(_share(gate < SATURATED), _share(gate > 1.0 - SATURATED)) for name, gate in gates.items()}


def slow_units(memory: Any, count: int) -> Any:
    """The units that hold a memory and change it seldom.

    Of the three times `count` units of most variance, those whose memory changes least from step to step beside it.

    Args:
      memory: [time, H].
      count: how many.

    Returns:
      Their numbers, the slowest first.

    Example:
      >>> slow_units(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.1], [0.0, 1.0, 0.2], [1.0, 1.0, 0.3]]), 2)
      array([2, 1])
    """
    variance = np.var(memory, axis=0)
    lively = np.argsort(-variance, kind="stable")[: 3 * count]
    change = np.mean(np.square(np.diff(memory, axis=0)), axis=0)
    unrest = np.divide(change, variance, out=np.full_like(variance, np.inf), where=variance > 0.0)
    return lively[np.argsort(unrest[lively], kind="stable")[:count]]


def _share(where: Array) -> Array:
    return jnp.mean(where, axis=range(where.ndim - 1), dtype=jnp.float32)


class _Runner(NamedTuple):
    """Runs the parts of a composite as `unroll` does, with activations where it has states."""

    reverse: bool

    def __call__(
        self, part: Any, params: PyTree, xs: Array, state: PyTree, key: Array | None, *, turn: bool = False
    ) -> tuple[Any, Array]:
        """The activations and the outputs of one part."""
        reverse = self.reverse != turn
        if isinstance(part, Composite):
            return part.compose(_Runner(reverse), params, xs, state, key)
        activity = _activations(part, params, xs, state, reverse)
        return activity, unroll(part, params, xs, state, reverse=reverse)[1]

    def both(
        self, part: Any, params: tuple[PyTree, ...], xs: Array, states: tuple[PyTree, ...], keys: tuple[Any, ...]
    ) -> list[tuple[Any, Array]]:
        """The same for one cell in either direction."""
        each = zip(params, states, keys, (False, True), strict=True)
        return [self(part, p, xs, s, key, turn=turn) for p, s, key, turn in each]


def _activations(cell: Cell, params: PyTree, xs: Array, state: PyTree, reverse: bool) -> Any:
    """The activations of one cell, from its states, all steps at once."""
    gated = bare(cell)
    if not isinstance(cell, GatedCell) or not isinstance(gated, Gated):
        raise ValueError(f"{type(gated).__name__} shows no gates: it has no method `activations`")
    dtype = state_dtype(xs.dtype)
    before = _before(cast(state, dtype), trajectory(cell, params, xs, state, reverse=reverse), xs.ndim - 2, reverse)
    gate_params, params = cast(cell.gate_params(params), dtype), cast(params, xs.dtype)
    us, rs = cell.project(params, xs), cell.recur(params, cell.hidden(before).astype(xs.dtype))
    return gated.activations(gate_params, cast(us, dtype), cast(rs, dtype), before)


def bare(cell: Any) -> Any:
    """The cell within all that is around it."""
    while isinstance(cell, Wrapper):
        cell = cell.cell
    return cell


def _before(first: PyTree, states: PyTree, axis: int, reverse: bool) -> PyTree:
    """The state that each step reads, from the state after it."""

    def leaf(first: Array, after: Array) -> Array:
        first = jnp.expand_dims(first, axis)
        steps = after.shape[axis]
        if reverse:
            return jnp.concatenate([jax.lax.slice_in_dim(after, 1, steps, axis=axis), first], axis)
        return jnp.concatenate([first, jax.lax.slice_in_dim(after, 0, steps - 1, axis=axis)], axis)

    return jax.tree.map(leaf, first, states)
