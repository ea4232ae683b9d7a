"""What a recurrent cell is: hyperparameters as a value, and pure functions over parameters and state.

A cell says nothing about *how* it is run over time; that is an engine's business (`seqmodels.engines`). There are
four kinds, and an engine asks only for the kind:

* `Cell`: anything with a `step`. A plain scan can run it.
* `GatedCell`: the input and the recurrent product are linear, the rest is elementwise. Every engine for
  nonlinear recurrences can run it, because the linear parts can be taken out of the loop.
* `LinearCell`: linear in its state, with coefficients from the input alone. An associative scan can run it.
* `Composite`: cells put together (stacked, in two directions), run part by part.
"""

import abc
from typing import Any, ClassVar, Protocol, final

import jax
import jax.numpy as jnp

Array = jax.Array
PyTree = Any
"""Any nesting of tuples, NamedTuples, lists and dicts of arrays."""


def cast(tree: PyTree, dtype: jnp.dtype) -> PyTree:
    """Casts the floating-point leaves of `tree` to `dtype`; integers, booleans and keys stay as they are."""

    def leaf(x: Array) -> Array:
        return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(leaf, tree)


def check_size(name: str, size: int) -> None:
    """Raises ValueError unless `size` is at least 1."""
    if size < 1:
        raise ValueError(f"{name} must be at least 1 (got {size})")


def check_float(name: str, x: Array) -> None:
    """Raises AssertionError unless `x` is of a float type: in integers weights, gates and states would be cut to 0."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise AssertionError(f"{name} must be of a float type (got {x.dtype}{list(x.shape)})")


def check_state_types(state: PyTree, like: PyTree) -> None:
    """Raises AssertionError where a state has other than floats and `like`, of the same structure, has floats."""
    for leaf, wanted in zip(jax.tree.leaves(state), jax.tree.leaves(like), strict=True):
        if jnp.issubdtype(wanted.dtype, jnp.floating):
            check_float("the state", leaf)


def compute_dtype(params: PyTree) -> jnp.dtype:
    """The floating type of parameters that were cast to one."""
    return next(leaf.dtype for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.floating))


def state_dtype(dtype: jnp.dtype) -> jnp.dtype:
    """The type of states and gate arithmetic for inputs of type `dtype`: at least float32.

    Example:
      >>> state_dtype(jnp.bfloat16), state_dtype(jnp.float32)
      (dtype('float32'), dtype('float32'))
    """
    dtype = jnp.dtype(dtype)
    return dtype if dtype.itemsize >= 4 else jnp.dtype(jnp.float32)


class Recurrence(abc.ABC):
    """A frozen dataclass of hyperparameters with pure functions: no arrays, hashable, printable.

    Every subclass is registered with JAX as a static value, so it may be closed over, passed through `jit` or
    kept in a pytree; equal values share one compilation.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        jax.tree_util.register_static(cls)

    @property
    @abc.abstractmethod
    def output_size(self) -> int:
        """F, the last dimension of the outputs."""

    @abc.abstractmethod
    def init(self, key: Array, input_size: int) -> PyTree:
        """Draws parameters for inputs of `input_size` features: a NamedTuple of arrays of the default float type."""

    @abc.abstractmethod
    def initial_state(self, params: PyTree, batch_shape: tuple[int, ...] = ()) -> PyTree:
        """The state before the first step, leaves [*batch_shape, H], of at least float32."""


class Cell(Recurrence):
    """A recurrent cell; `functools.partial(cell.step, params)` is the body of a `jax.lax.scan`."""

    @abc.abstractmethod
    def step(self, params: PyTree, state: PyTree, x_t: Array) -> tuple[PyTree, Array]:
        """Advances by one time step without noise.

        Args:
          params: as made by `init`.
          state: state at t-1, leaves [..., H].
          x_t: input at t, [..., D]; its type is the compute type.

        Returns:
          `(state at t, y_t)`; the state keeps its types, y_t is [..., output_size] of the type of `x_t`.
        """


class GatedCell(Cell):
    """A cell whose products with weight matrices are linear in x and in h; all else is elementwise.

        uₜ = project(xₜ)        rₜ = recur(hidden(sₜ₋₁))
        sₜ = gates(uₜ, rₜ, sₜ₋₁)        yₜ = readout(hidden(sₜ), xₜ)

    `project` and `readout` are called once for all time steps, with any leading dimensions; `recur` and `gates`
    once a step. An engine calls them with parameters already cast: products in the type of the inputs, gates and
    state in at least float32. A subclass therefore contains no casts. Leading dimensions are [time, *batch] or
    [*batch]: arrays that do not vary over time broadcast from the right.
    """

    mixes_units: ClassVar[bool] = False
    """True where `gates` looks across units (as layer normalisation does) and its Jacobian is not diagonal."""

    @abc.abstractmethod
    def hidden(self, state: PyTree) -> Array:
        """The part h [..., H] of the state, linear in it: what `recur` reads and what is kept over time."""

    @abc.abstractmethod
    def project(self, params: PyTree, xs: Array) -> PyTree:
        """u: all that depends on the input alone, as one product for all steps; a pytree, one array a gate."""

    @abc.abstractmethod
    def recur(self, params: PyTree, h: Array) -> PyTree:
        """r: linear in h [..., H]; a pytree like that of `project`."""

    def gate_params(self, params: PyTree) -> PyTree:
        """The small rest of the parameters that `gates` reads: peepholes, norm scales, recurrent biases."""
        del params
        return None

    @abc.abstractmethod
    def gates(self, gate_params: PyTree, u_t: PyTree, r_t: PyTree, state: PyTree, noise_t: PyTree) -> PyTree:
        """The next state; no product with a weight matrix in here. `noise_t` is None in a deterministic run."""

    def readout(self, params: PyTree, hs: Array, xs: Array) -> Array:
        """Outputs [..., output_size] from h and the inputs, once, after the loop; by default h itself."""
        del params, xs
        return hs

    def noise(self, params: PyTree, key: Array, steps: int, batch_shape: tuple[int, ...]) -> tuple[PyTree, PyTree]:
        """Draws all noise of one run: masks fixed over time go into the parameters, the others come time first.

        Returns:
          `(params, noise_ts)`; leaves of `noise_ts` are [steps, *batch_shape, ...]. None where there is none.
        """
        del key, steps, batch_shape
        return params, None

    @final
    def advance(self, params: PyTree, gate_params: PyTree, state: PyTree, u_t: PyTree, noise_t: PyTree) -> PyTree:
        """One step from the projected input.

        Args:
          params: parameters in the compute type.
          gate_params: what `gates` reads, in the type of the state.
          state: state at t-1, at least float32.
          u_t: one step of `project`.
          noise_t: one step of the noise, or None.

        Returns:
          The state at t, in the types of the state at t-1.
        """
        h = self.hidden(state)
        r_t = self.recur(params, h.astype(compute_dtype(params)))
        new = self.gates(gate_params, cast(u_t, h.dtype), cast(r_t, h.dtype), state, noise_t)
        return jax.tree.map(lambda new, old: new.astype(old.dtype), new, state)

    @final
    def step(self, params: PyTree, state: PyTree, x_t: Array) -> tuple[PyTree, Array]:
        """Advances by one time step without noise; derived from the parts above."""
        check_float("x_t", x_t)
        gate_params = cast(self.gate_params(params), self.hidden(state).dtype)
        params = cast(params, x_t.dtype)
        state = self.advance(params, gate_params, state, self.project(params, x_t), None)
        y_t = self.readout(params, self.hidden(state).astype(x_t.dtype), x_t)
        return state, y_t.astype(x_t.dtype)


class LinearCell(Cell):
    """A cell that is linear in its state, unit by unit, with coefficients that depend on the input alone.

        hₜ = aₜ ⊙ hₜ₋₁ + bₜ        yₜ = readout(hₜ, xₜ)

    Such maps are closed under composition, so a scan over them need not go one step after the other. h may be
    complex; a state holds real arrays only, so `hidden` and `as_state` lead from one to the other. `coefficients`
    and `readout` are called once for all time steps, with any leading dimensions, and with parameters already cast:
    all to the type of the inputs, `decay_params` to at least float32. A subclass contains no casts.
    """

    def decay_params(self, params: PyTree) -> PyTree:
        """The parameters that must not be narrow: those of a decay near 1, which acts many times over."""
        del params
        return None

    @abc.abstractmethod
    def coefficients(self, params: PyTree, decay_params: PyTree, xs: Array) -> tuple[Array, Array]:
        """(a, b) of at least float32 or complex64, from inputs [..., D] of the compute type.

        b is [..., H]; a is [..., H], or [H] where it is the same at every step.
        """

    @abc.abstractmethod
    def hidden(self, state: PyTree) -> Array:
        """H [..., H], real or complex, from the state; linear in it."""

    @abc.abstractmethod
    def as_state(self, h: Array) -> PyTree:
        """The state whose h this is."""

    @abc.abstractmethod
    def readout(self, params: PyTree, states: PyTree, xs: Array) -> Array:
        """Outputs [..., output_size] from states and inputs, both of the compute type, once after the recurrence."""

    @final
    def step(self, params: PyTree, state: PyTree, x_t: Array) -> tuple[PyTree, Array]:
        """Advances by one time step; derived from the parts above."""
        check_float("x_t", x_t)
        decay_params = cast(self.decay_params(params), state_dtype(x_t.dtype))
        params = cast(params, x_t.dtype)
        a, b = self.coefficients(params, decay_params, x_t)
        new = jax.tree.map(lambda new, old: new.astype(old.dtype), self.as_state(a * self.hidden(state) + b), state)
        return new, self.readout(params, cast(new, x_t.dtype), x_t).astype(x_t.dtype)


class Run(Protocol):
    """Runs one part of a composite over a sequence: what `unroll` hands to `Composite.compose`."""

    def __call__(
        self, part: Any, params: PyTree, xs: Array, state: PyTree, key: Array | None, *, turn: bool = False
    ) -> tuple[PyTree, Array]:
        """Returns `(state, ys)` of `part`, with the lengths, resets and engine of the whole run.

        With `turn` the part reads in the direction opposite to the whole run's.
        """

    def both(
        self, part: Any, params: tuple[PyTree, ...], xs: Array, states: tuple[PyTree, ...], keys: tuple[Any, ...]
    ) -> list[tuple[PyTree, Array]]:
        """The same for one cell with two sets of parameters, the first in the run's direction, the second against it.

        Where its engine can, both are done in one loop.
        """


class Composite(Recurrence):
    """Cells put together; says in which order its parts are run over a sequence."""

    @property
    @abc.abstractmethod
    def parts(self) -> tuple["Cell | Composite", ...]:
        """What it is put together from."""

    @abc.abstractmethod
    def compose(self, run: Run, params: PyTree, xs: Array, state: PyTree, key: Array | None) -> tuple[PyTree, Array]:
        """Runs the parts over the sequence.

        Args:
          run: runs one part; the state it returns may be the last one or all of them, and is only passed on.
          params: as made by `init`.
          xs: inputs [*batch, time, D].
          state: as made by `initial_state`.
          key: for noise, or None.

        Returns:
          `(states of the parts, ys)` with ys [*batch, time, output_size].
        """


def without_step(cell: Cell | Composite) -> Cell | Composite | None:
    """What of a cell has no step, since it needs the whole sequence; None: all can be read step by step."""
    if not hasattr(cell, "step"):
        return cell
    parts = cell.parts if isinstance(cell, Composite) else ()
    return next((part for part in map(without_step, parts) if part is not None), None)
