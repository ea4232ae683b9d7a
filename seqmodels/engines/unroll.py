"""The one entry: runs a cell over whole sequences."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax.sharding import AxisType
from jax.typing import ArrayLike

from seqmodels.cells.base import (
    Array,
    Cell,
    Composite,
    GatedCell,
    PyTree,
    cast,
    check_state_types,
    state_dtype,
)
from seqmodels.engines.engine import Engine, Inputs, select
from seqmodels.engines.registry import Call, check, choose


def unroll(
    cell: Cell | Composite,
    params: PyTree,
    xs: Array,
    state: PyTree = None,
    *,
    lengths: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    reverse: bool = False,
    method: str | Engine = "auto",
    key: Array | None = None,
) -> tuple[PyTree, Array]:
    """Runs `cell` over sequences and returns the last state and all outputs, carry first as in `lax.scan`.

    It is jitted inside: an eager call compiles once for each cell, method, direction and shape.

    Args:
      cell: a cell, a `Stack`, or a `Bidirectional` layer.
      params: its parameters, as made by `cell.init`.
      xs: inputs [batch, time, D], or [time, D] for a single sequence; the type is the compute type.
      state: the state to begin with, leaves [batch, ...]; None: `cell.initial_state(params, batch_shape)`.
      lengths: valid steps of each row, integers [batch] (a scalar for a single sequence). Beyond its length a row's
        state stands still and its outputs are 0; whatever the padding holds, NaN included, reaches neither values
        nor gradients.
      resets: booleans [batch, time] ([time]): a new sequence starts at t, so no state crosses the border between
        t-1 and t, in either direction.
      reverse: reads each row from its last valid step to its first; outputs stay at their input positions.
      method: "auto", the name of one of `seqmodels.engines.ENGINES`, or an engine with options of your own, such as
        `seqmodels.engines.Scan(unroll=4)`.
      key: for noise (dropout, zoneout, ...); None runs without.

    Returns:
      `(state, ys)`: the state after the last step read, at least float32; ys [batch, time, F] of the type of `xs`.

    Raises:
      ValueError: for an unknown engine or one that cannot run this cell; for arrays shared along an Explicit axis.
      AssertionError: for shapes or types other than the above.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.LSTM(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, ys = unroll(cell, params, jnp.ones((2, 5, 3)), lengths=jnp.array([5, 2]))
      >>> ys.shape, float(abs(ys[1, 2:]).max())
      ((2, 5, 4), 0.0)
    """
    lengths, resets = _as_arrays(lengths, resets)
    _check(cell, params, xs, state, lengths, resets, method)
    last, ys = _compose(cell, params, xs, state, lengths, resets, key, reverse=reverse, method=method, observe=None)
    return last, ys


def trajectory(
    cell: Cell | Composite,
    params: PyTree,
    xs: Array,
    state: PyTree = None,
    *,
    lengths: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    reverse: bool = False,
    method: str | Engine = "auto",
    key: Array | None = None,
) -> PyTree:
    """All states, at their input positions: leaves [batch, time, ...]; the arguments are those of `unroll`.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.LSTM(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> trajectory(cell, params, jnp.ones((2, 5, 3))).c.shape
      (2, 5, 4)
    """
    lengths, resets = _as_arrays(lengths, resets)
    _check(cell, params, xs, state, lengths, resets, method)
    states, _ = _compose(cell, params, xs, state, lengths, resets, key, reverse=reverse, method=method, observe=_itself)
    return states


def _itself(state: PyTree) -> PyTree:
    return state


def _as_arrays(lengths: ArrayLike | None, resets: ArrayLike | None) -> tuple[Array | None, Array | None]:
    """Python numbers and lists are as welcome as arrays."""
    return None if lengths is None else jnp.asarray(lengths), None if resets is None else jnp.asarray(resets)


def _nothing(state: PyTree) -> None:
    del state


def _check(
    cell: Cell | Composite,
    params: PyTree,
    xs: Array,
    state: PyTree,
    lengths: Array | None,
    resets: Array | None,
    method: str | Engine,
) -> None:
    """Shapes and types of the arguments."""
    if xs.ndim < 2 or not jnp.issubdtype(xs.dtype, jnp.floating):
        raise AssertionError(f"xs must be [batch, time, features] of a float type (got {xs.dtype}{list(xs.shape)})")
    batch_shape = xs.shape[:-2]
    if lengths is not None and (lengths.shape != batch_shape or not jnp.issubdtype(lengths.dtype, jnp.integer)):
        raise AssertionError(f"lengths must be integers {list(batch_shape)} (got {lengths.dtype}{list(lengths.shape)})")
    if resets is not None and (resets.shape != xs.shape[:-1] or resets.dtype != bool):
        raise AssertionError(f"resets must be bool{list(xs.shape[:-1])} (got {resets.dtype}{list(resets.shape)})")
    if state is not None:
        expected = jax.eval_shape(lambda p: cell.initial_state(p, batch_shape), params)
        chex.assert_trees_all_equal_shapes(
            state, expected, custom_message="the state must be as cell.initial_state makes it"
        )
        check_state_types(state, expected)
    _check_axes((params, xs, state))
    check(cell, method)


def _check_axes(arrays: PyTree) -> None:
    """Raises ValueError for arrays that devices share along Explicit axes of a mesh, as `jax.make_mesh` makes them.

    The engines leave to XLA how what lies between inputs and outputs is shared.
    """
    for leaf in jax.tree.leaves(arrays):
        sharding = jax.typeof(leaf).sharding
        kinds = dict(zip(sharding.mesh.axis_names, sharding.mesh.axis_types, strict=True))
        axes = [axis for axis in jax.tree.leaves(tuple(sharding.spec)) if kinds[axis] is AxisType.Explicit]
        if axes:
            raise ValueError(
                f"devices share the arrays along the Explicit axis {axes[0]!r}; make the mesh with Auto axes: "
                "jax.make_mesh(..., axis_types=(jax.sharding.AxisType.Auto,) * number_of_axes)"
            )


@functools.partial(jax.jit, static_argnames=("cell", "reverse", "method", "observe"))
def _compose(
    cell: Cell | Composite,
    params: PyTree,
    xs: Array,
    state: PyTree,
    lengths: Array | None,
    resets: Array | None,
    key: Array | None,
    *,
    reverse: bool,
    method: str | Engine,
    observe: Callable[[PyTree], PyTree] | None,
) -> tuple[PyTree, Array]:
    """Runs a cell, or a composite part by part; returns last states, or what `observe` makes of all of them."""
    if state is None:
        state = cell.initial_state(params, xs.shape[:-2])
    state = cast(state, state_dtype(xs.dtype))

    lengths = None if lengths is None else lengths.astype(jnp.int32)
    return _Runner(_Reading(lengths, resets, method, observe), reverse)(cell, params, xs, state, key)


class _Runner(NamedTuple):
    """Runs the parts of a composite in one direction: the `Run` that they are handed."""

    reading: "_Reading"
    reverse: bool

    def __call__(
        self, part: Any, params: PyTree, xs: Array, state: PyTree, key: Array | None, *, turn: bool = False
    ) -> tuple[PyTree, Array]:
        """The state and the outputs of one part."""
        reverse = self.reverse != turn
        if isinstance(part, Composite):
            return part.compose(_Runner(self.reading, reverse), params, xs, state, key)
        return self.reading.run(part, params, xs, state, key, reverse=reverse)

    def both(
        self, part: Any, params: tuple[PyTree, ...], xs: Array, states: tuple[PyTree, ...], keys: tuple[Any, ...]
    ) -> list[tuple[PyTree, Array]]:
        """The state and the outputs of one cell in either direction, in a single loop where its engine can."""
        each = list(zip(params, states, keys, (False, True), strict=True))
        if isinstance(part, GatedCell) and self.reading.engine(part, xs, states[0]).side_by_side:
            return self.reading.run_both(part, xs, [(p, s, key, self.reverse != turn) for p, s, key, turn in each])
        return [self(part, p, xs, s, key, turn=turn) for p, s, key, turn in each]


class _Reading(NamedTuple):
    """How every cell of one call is run."""

    lengths: Array | None
    resets: Array | None
    method: str | Engine
    observe: Callable[[PyTree], PyTree] | None

    def engine(self, cell: Cell, xs: Array, state: PyTree) -> Engine:
        """The one that is asked for, or that suits."""
        return choose(cell, self.method, Call.of(state, xs.shape[-2]))

    def run(
        self, cell: Cell, params: PyTree, xs: Array, state: PyTree, key: Array | None, *, reverse: bool
    ) -> tuple[PyTree, Array]:
        """Makes the inputs ready, calls the engine, and puts its outputs back to where they belong."""
        params, inputs = self._ready(cell, params, xs, state, key, reverse)
        found = self.engine(cell, xs, state).run(cell, params, inputs, self.observe or _nothing)
        return self._back(reverse, xs.ndim - 2, *found)

    def run_both(
        self, cell: Cell, xs: Array, runs: list[tuple[PyTree, PyTree, Array | None, bool]]
    ) -> list[tuple[PyTree, Array]]:
        """The same for runs of one cell with parameters, state, key and direction of their own, side by side."""
        engine = self.engine(cell, xs, runs[0][1])
        ready = [self._ready(cell, params, xs, state, key, reverse) for params, state, key, reverse in runs]
        params, inputs = jax.tree.map(lambda *leaves: jnp.stack(leaves), *ready)
        found = jax.vmap(lambda params, inputs: engine.run(cell, params, inputs, self.observe or _nothing))(
            params, inputs
        )
        return [
            self._back(reverse, xs.ndim - 2, *jax.tree.map(lambda leaf: leaf[n], found))  # noqa: B023 (called at once)
            for n, (*_, reverse) in enumerate(runs)
        ]

    def _ready(
        self, cell: Cell, params: PyTree, xs: Array, state: PyTree, key: Array | None, reverse: bool
    ) -> tuple[PyTree, Inputs]:
        """What the engine takes: parameters with the masks of this run, and the sequence, time first."""
        axis, batch_shape, steps = xs.ndim - 2, xs.shape[:-2], xs.shape[-2]
        xs = jnp.moveaxis(xs, axis, 0)
        valid = None if self.lengths is None else _valid(self.lengths, steps)
        if valid is not None:
            xs = select(valid, xs, jnp.zeros_like(xs))
        resets = None if self.resets is None else _starts(jnp.moveaxis(self.resets, -1, 0), valid, reverse)
        fresh = None if resets is None else cast(cell.initial_state(params, batch_shape), state_dtype(xs.dtype))
        noise_ts = None
        if key is not None and isinstance(cell, GatedCell):
            params, noise_ts = cell.noise(params, key, steps, batch_shape)
        xs, resets = self._turn((xs, resets), reverse)
        return params, Inputs(xs, state, valid, resets, fresh, noise_ts)

    def _back(self, reverse: bool, axis: int, last: PyTree, observed: PyTree, ys: Array) -> tuple[PyTree, Array]:
        """What the engine gave, at its input positions, with time in its place."""
        ys = self._turn(ys, reverse)
        if self.lengths is not None:
            ys = select(_valid(self.lengths, ys.shape[0]), ys, jnp.zeros_like(ys))
        if self.observe is not None:
            last = jax.tree.map(lambda x: jnp.moveaxis(x, 0, axis), self._turn(observed, reverse))
        return last, jnp.moveaxis(ys, 0, axis)

    def _turn(self, tree: PyTree, reverse: bool) -> PyTree:
        """The valid part of each row, leaves [T, *batch, ...], turned round where the run goes backwards."""
        return _flip(tree, self.lengths) if reverse else tree


def _valid(lengths: Array, steps: int) -> Array:
    """[T, *batch]: whether step t lies within the row's length."""
    t = jnp.arange(steps, dtype=jnp.int32).reshape((steps,) + (1,) * lengths.ndim)
    return t < lengths


def _starts(resets: Array, valid: Array | None, reverse: bool) -> Array:
    """[T, *batch]: where the state starts anew *before* step t is read, in input order.

    Reading backwards, the border between t-1 and t is crossed on the way into t-1. Starts on padding are none.
    """
    if valid is not None:
        resets = resets & valid
    if reverse:
        resets = jnp.concatenate([resets[1:], jnp.zeros_like(resets[:1])])
    return resets


def _flip(tree: PyTree, lengths: Array | None) -> PyTree:
    """Reverses the valid part of each row along the time axis 0; padding stays where it is. Its own inverse."""
    if lengths is None:
        return jax.tree.map(lambda x: jnp.flip(x, 0), tree)

    def leaf(x: Array) -> Array:
        t = jnp.arange(x.shape[0], dtype=jnp.int32).reshape((-1,) + (1,) * lengths.ndim)
        source = jnp.where(t < lengths, jnp.minimum(lengths, x.shape[0]) - 1 - t, t)
        return jnp.take_along_axis(x, source.reshape(source.shape + (1,) * (x.ndim - source.ndim)), axis=0)

    return jax.tree.map(leaf, tree)
