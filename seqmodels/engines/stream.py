"""A cell or model that reads a sequence as it comes in."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from seqmodels.cells.base import Array, Cell, PyTree, cast, check_state_types, state_dtype, without_step
from seqmodels.engines.engine import select
from seqmodels.engines.unroll import unroll


class Stream:
    """Reads a sequence step by step or in chunks, and keeps the state in between.

    The one thing here that has a memory of its own: who streams has a state that must live somewhere, and a
    compiled step that takes the old state's buffers for the new one. What it computes is `cell.step` and `unroll`.

    Args:
      model: a cell, or a model with `initial_state(params, batch_shape)`, `step(params, state, inputs)` and
        `apply(params, inputs, state)`, such as `LanguageModel`.
      params: its parameters.
      batch_shape: of the rows that are read side by side; () for a single one.
      state: the state to begin with, as `state` gave it; None: the initial one.

    Raises:
      TypeError: for a layer that needs the whole sequence, such as `Bidirectional`, or what holds one.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.LSTM(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> stream = Stream(cell, params)
      >>> stream.step(jnp.ones(3)).shape, stream.chunk(jnp.ones((7, 3))).shape
      ((4,), (7, 4))
    """

    def __init__(self, model: Any, params: PyTree, *, batch_shape: tuple[int, ...] = (), state: PyTree = None) -> None:
        part = without_step(getattr(model, "cell", model)) if hasattr(model, "step") else model
        if part is not None:
            raise TypeError(f"{type(part).__name__} has no step: it needs the whole sequence and cannot be streamed")
        self._model = model
        self._params = params
        self._batch_shape = tuple(batch_shape)
        self._fresh = jax.jit(lambda params: model.initial_state(params, self._batch_shape))(params)
        self._state = _copy(self._fresh)
        self._steps: dict[tuple[Any, ...], Any] = {}
        self._apply = jax.jit(model.apply) if not isinstance(model, Cell) else None
        if state is not None:
            self.load(state)

    @property
    def state(self) -> PyTree:
        """A copy of the state after the last step read."""
        return _copy(self._state)

    def load(self, state: PyTree) -> None:
        """Goes on from a state, as `state` gave it.

        Raises:
          ValueError: if it is not of the shapes that this stream has.
          AssertionError: if it is not of float types.
        """
        shapes = [jax.tree.map(jnp.shape, tree) for tree in (state, self._fresh)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"the state must have the shapes {shapes[1]} (got {shapes[0]})")
        check_state_types(state, self._fresh)
        self._state = _copy(jax.tree.map(lambda leaf: cast(leaf, state_dtype(leaf.dtype)), state))

    def step(self, x_t: ArrayLike) -> Array:
        """Reads one step of every row, compiled once for each type of input.

        Args:
          x_t: vectors [*batch_shape, D], or symbols, integers [*batch_shape], whichever the model's step reads.

        Returns:
          The outputs of the step.
        """
        x_t = jnp.asarray(x_t)
        self._check(x_t, 0)
        kind = (x_t.shape, x_t.dtype, *(leaf.dtype for leaf in jax.tree.leaves(self._state)))
        if kind not in self._steps:
            step = jax.jit(self._model.step, donate_argnums=1)
            self._steps[kind] = step.lower(self._params, self._state, x_t).compile()
        self._state, y_t = self._steps[kind](self._params, self._state, x_t)
        return y_t  # type: ignore[no-any-return]  # compiled functions have no types

    def chunk(self, xs: ArrayLike) -> Array:
        """Reads several steps at once.

        Args:
          xs: vectors [*batch_shape, time, D], or symbols [*batch_shape, time].

        Returns:
          The outputs, [*batch_shape, time, ...].
        """
        xs = jnp.asarray(xs)
        self._check(xs, 1)
        if self._apply is None:
            self._state, ys = unroll(self._model, self._params, xs, self._state)
        else:
            self._state, ys = self._apply(self._params, xs, self._state)
        return ys

    def reset(self, rows: ArrayLike | None = None) -> None:
        """Puts the state back to the initial one, in the rows where `rows` [*batch_shape] is True; None: in all."""
        if rows is None:
            self._state = _copy(self._fresh)
            return
        where = jnp.asarray(rows)
        if where.shape != self._batch_shape or where.dtype != bool:
            raise ValueError(f"rows must be bool{list(self._batch_shape)} (got {where.dtype}{list(where.shape)})")
        self._state = _copy(select(where, self._fresh, self._state))

    def _check(self, x: Array, axes: int) -> None:
        """Raises ValueError unless the inputs have the rows of this stream, and `axes` of time."""
        features = int(isinstance(self._model, Cell) or jnp.issubdtype(x.dtype, jnp.floating))
        if x.shape[: len(self._batch_shape)] != self._batch_shape or x.ndim != len(self._batch_shape) + axes + features:
            wanted = [*map(str, self._batch_shape), *["time"] * axes, *["features"] * features]
            raise ValueError(f"the inputs must be [{', '.join(wanted)}] (got {list(x.shape)})")


def _copy(tree: PyTree) -> PyTree:
    """Buffers of its own for every leaf: a step gives its state's buffers away."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), tree)
