"""A cell or model that reads a sequence as it comes in."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from seqmodels.cells.base import Array, Cell, PyTree, cast, check_state_types, state_dtype, without_step
from seqmodels.engines.engine import select
from seqmodels.engines.unroll import unroll


class _Program(NamedTuple):
    """A compiled step or chunk `(params, state, x) -> (state, y)`, and the state that it takes and gives, as shapes."""

    run: Callable[[PyTree, PyTree, Array], tuple[PyTree, Array]]
    like: PyTree


class Stream:
    """Reads a sequence step by step or in chunks, and keeps the state in between.

    The one thing here that has a memory of its own: who streams has a state that must live somewhere, and compiled
    steps and chunks that take the old state's buffers for the new one. What it computes is `cell.step` and `unroll`,
    in the types of `unroll`.

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
        self._programs: dict[tuple[Any, ...], _Program] = {}
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
        return self._read(self._model.step, x_t, jnp.expand_dims(x_t, len(self._batch_shape)))

    def chunk(self, xs: ArrayLike) -> Array:
        """Reads several steps at once, compiled once for each number of steps and type of input.

        Args:
          xs: vectors [*batch_shape, time, D], or symbols [*batch_shape, time].

        Returns:
          The outputs, [*batch_shape, time, ...].
        """
        xs = jnp.asarray(xs)
        self._check(xs, 1)
        return self._read(self._whole, xs, xs)

    def reset(self, rows: ArrayLike | None = None) -> None:
        """Puts the state back to the initial one, in the rows where `rows` [*batch_shape] is True; None: in all."""
        if rows is None:
            self._state = _copy(self._fresh)
            return
        where = jnp.asarray(rows)
        if where.shape != self._batch_shape or where.dtype != bool:
            raise ValueError(f"rows must be bool{list(self._batch_shape)} (got {where.dtype}{list(where.shape)})")
        self._state = _copy(select(where, _in_types_of(self._state, self._fresh), self._state))

    def _whole(self, params: PyTree, state: PyTree, xs: Array) -> tuple[PyTree, Array]:
        """The state and the outputs after several steps."""
        if isinstance(self._model, Cell):
            return unroll(self._model, params, xs, state)
        found: tuple[PyTree, Array] = self._model.apply(params, xs, state)
        return found

    def _read(self, reader: Callable[[PyTree, PyTree, Array], Any], x: Array, xs: Array) -> Array:
        """Goes on with a step or a chunk `x`, as which it is `xs`; its program is compiled if it is the first."""
        kind = (x.shape, x.dtype, x.ndim == xs.ndim, *(leaf.dtype for leaf in jax.tree.leaves(self._state)))
        if kind not in self._programs:
            like, _ = jax.eval_shape(self._whole, self._params, self._state, xs)
            step = jax.jit(reader, donate_argnums=1)
            self._programs[kind] = _Program(step.lower(self._params, like, x).compile(), like)
        program = self._programs[kind]
        self._state, y = program.run(self._params, _in_types_of(program.like, self._state), x)
        return y

    def _check(self, x: Array, axes: int) -> None:
        """Raises ValueError unless the inputs have the rows of this stream, and `axes` of time."""
        features = int(isinstance(self._model, Cell) or jnp.issubdtype(x.dtype, jnp.floating))
        if x.shape[: len(self._batch_shape)] != self._batch_shape or x.ndim != len(self._batch_shape) + axes + features:
            wanted = [*map(str, self._batch_shape), *["time"] * axes, *["features"] * features]
            raise ValueError(f"the inputs must be [{', '.join(wanted)}] (got {list(x.shape)})")


def _in_types_of(like: PyTree, state: PyTree) -> PyTree:
    """A state with leaves of the types of another one; those that are of them already are not copied."""
    return jax.tree.map(lambda leaf, wanted: leaf.astype(wanted.dtype), state, like)


def _copy(tree: PyTree) -> PyTree:
    """Buffers of its own for every leaf: a step gives its state's buffers away."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), tree)
