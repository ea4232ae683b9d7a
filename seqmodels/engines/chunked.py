"""The engine for long sequences: computation twice, memory once in a while."""

import dataclasses
import functools
import math
from typing import ClassVar, Final, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, GatedCell, PyTree
from seqmodels.cells.spread import is_shared
from seqmodels.engines.engine import Engine, Inputs
from seqmodels.engines.fused import Fused
from seqmodels.engines.gated import Observe, Plan, add, floats, merge, others, take_apart, zeros
from seqmodels.engines.scan import Scan

SPANS: Final = (8, 4)
"""So many spans in a chunk come near to what spans are worth over all steps, and else so many (docs/benchmarks.md)."""


@dataclasses.dataclass(frozen=True)
class Chunked(Engine):
    """Keeps the state at the start of every chunk, and runs a chunk again when its gradient is wanted.

    Beside inputs, outputs and their gradients, memory holds T / chunk states and what one chunk needs, its input
    product included: least, of the order of √T, with chunks of √T steps. Where inputs and outputs are of one shape,
    their gradients are one array. A gated cell is run by the engine "fused" inside a chunk, any other one by "scan".
    Reverse mode only.

    Args:
      chunk: steps in a chunk; None: a divisor of T near √T, if there is one, or as many more as "fused" needs to cut it
        into eight spans, or four, if they are at most T / 8.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.LSTM(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> sm.unroll(cell, params, jnp.ones((2, 50, 3)), method=Chunked(chunk=8))[1].shape
      (2, 50, 4)

    References:
      Chen, Xu, Zhang & Guestrin (2016), Training deep nets with sublinear memory cost.
    """

    name: ClassVar[str] = "chunked"
    kinds: ClassVar[tuple[type[Cell], ...]] = (Cell,)

    chunk: int | None = None

    def __post_init__(self) -> None:
        """Checks the option."""
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"chunk must be at least 1 step (got {self.chunk})")

    def run(self, cell: Cell, params: PyTree, inputs: Inputs, observe: Observe) -> tuple[PyTree, PyTree, Array]:
        """Runs any cell: whole chunks in a loop, then the steps that are left."""
        engine: Engine = Fused() if isinstance(cell, GatedCell) else Scan()
        steps = inputs.xs.shape[0]
        if steps == 0:
            return engine.run(cell, params, inputs, observe)
        size = min(self.chunk or _usual_size(cell, params, inputs, observe), steps)
        plan = _Plan(engine, cell, observe, size, inputs.xs.ndim - 2)
        whole = steps // size * size
        state, outputs = _run(plan, params, jax.tree.map(lambda x: x[:whole], _of_time(inputs)), inputs)
        if whole < steps:
            rest = plan._replace(size=steps - whole)
            later = inputs._replace(state=state)
            state, more = _run(rest, params, jax.tree.map(lambda x: x[whole:], _of_time(inputs)), later)
            outputs = jax.tree.map(lambda *parts: jnp.concatenate(parts), outputs, more)
        observed, ys = outputs
        return state, observed, ys


def _usual_size(cell: Cell, params: PyTree, inputs: Inputs, observe: Observe) -> int:
    """Steps in a chunk: near √T, or so many more that products can be made beside its loop."""
    steps = inputs.xs.shape[0]
    root = _near_root(steps)
    if not isinstance(cell, GatedCell):
        return root
    engine = Fused()
    span = engine.steps_in_span(Plan(engine, cell, observe), take_apart(cell, params, inputs)[0])
    sizes = (number * span for number in SPANS)
    return next((size for size in sizes if root < size <= steps // 8 and steps % size == 0), root)


def _near_root(steps: int) -> int:
    """A divisor of T between ½√T and 2√T, the one nearest to √T; √T itself where there is none."""
    root = math.sqrt(steps)
    divisors = [size for size in range(math.ceil(root / 2), math.floor(2 * root) + 1) if steps % size == 0]
    return min(divisors, key=lambda size: abs(math.log(size / root)), default=math.isqrt(steps))


class _Plan(NamedTuple):
    """The static side of one run; `axes` is how many axes the batch has."""

    engine: Engine
    cell: Cell
    observe: Observe
    size: int
    axes: int

    def piece(self, given: "_Given", fixed: "_Fixed") -> tuple[PyTree, PyTree]:
        """One chunk, time first: the state after it, and its outputs."""
        noise_ts = merge(given.noise_ts, fixed.noise_ts)
        inputs = Inputs(given.xs, given.state, fixed.valid, fixed.resets, given.fresh, noise_ts)
        state, observed, ys = self.engine.run(self.cell, given.params, inputs, self.observe)
        return state, (observed, ys)

    def cut(self, long: PyTree, n: Array, axis: int) -> PyTree:
        """The n-th chunk, time first, of arrays with time at `axis`."""

        def leaf(x: Array) -> Array:
            return jnp.moveaxis(jax.lax.dynamic_slice_in_dim(x, n * self.size, self.size, axis), axis, 0)

        return jax.tree.map(leaf, long)

    def paste(self, long: PyTree, chunk: PyTree, n: Array, axis: int) -> PyTree:
        """The arrays with their n-th chunk put in."""

        def leaf(x: Array, new: Array) -> Array:
            return jax.lax.dynamic_update_slice_in_dim(x, jnp.moveaxis(new, 0, axis), n * self.size, axis)

        return jax.tree.map(leaf, long, chunk)

    def part(self, given: "_Given", fixed: "_Fixed", n: Array, state: PyTree) -> tuple["_Given", "_Fixed"]:
        """What the n-th chunk is run on."""
        xs, noise_ts = self.cut(given.xs, n, self.axes), self.cut(given.noise_ts, n, 0)
        return given._replace(xs=xs, state=state, noise_ts=noise_ts), self.cut(fixed, n, 0)


class _Given(NamedTuple):
    """What gradients flow to: xs [*batch, T, D], so that no turned copy of it is made; noise of a float type."""

    params: PyTree
    xs: Array
    state: PyTree
    fresh: PyTree
    noise_ts: PyTree


class _Fixed(NamedTuple):
    """What no gradient flows to, time first."""

    valid: Array | None
    resets: Array | None
    noise_ts: PyTree


def _of_time(inputs: Inputs) -> tuple[PyTree, ...]:
    return inputs.xs, inputs.valid, inputs.resets, inputs.noise_ts


def _run(plan: _Plan, params: PyTree, of_time: tuple[PyTree, ...], inputs: Inputs) -> tuple[PyTree, PyTree]:
    """The last state and the outputs, time first, of a whole number of chunks."""
    xs, valid, resets, noise_ts = of_time
    given = _Given(params, jnp.moveaxis(xs, 0, plan.axes), inputs.state, inputs.fresh, floats(noise_ts))
    state, outputs = _chunks(plan, given, _Fixed(valid, resets, others(noise_ts)))
    return state, jax.tree.map(lambda y: jnp.moveaxis(y, plan.axes, 0), outputs)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _chunks(plan: _Plan, given: _Given, fixed: _Fixed) -> tuple[PyTree, PyTree]:
    """The last state, and the outputs [*batch, T, ...]."""
    found, _ = _chunks_forward(plan, given, fixed)
    return found


def _chunks_forward(
    plan: _Plan, given: _Given, fixed: _Fixed
) -> tuple[tuple[PyTree, PyTree], tuple[_Given, _Fixed, PyTree]]:
    steps = given.xs.shape[plan.axes]
    number = steps // plan.size

    def turn(n: Array, carry: tuple[PyTree, PyTree, PyTree]) -> tuple[PyTree, PyTree, PyTree]:
        state, starts, outputs = carry
        starts = jax.tree.map(lambda long, new: jax.lax.dynamic_update_index_in_dim(long, new, n, 0), starts, state)
        state, made = plan.piece(*plan.part(given, fixed, n, state))
        return state, starts, plan.paste(outputs, made, n, plan.axes)

    starts = jax.tree.map(lambda leaf: jnp.zeros((number, *leaf.shape), leaf.dtype), given.state)
    made = jax.eval_shape(lambda: plan.piece(*plan.part(given, fixed, jnp.asarray(0), given.state))[1])
    lead = given.xs.shape[: plan.axes + 1]
    outputs = jax.tree.map(lambda y: jnp.zeros((*lead, *y.shape[plan.axes + 1 :]), y.dtype), made)
    state, starts, outputs = jax.lax.fori_loop(0, number, turn, (given.state, starts, outputs))
    return (state, outputs), (given, fixed, starts)


def _chunks_backward(
    plan: _Plan, residuals: tuple[_Given, _Fixed, PyTree], cotangents: tuple[PyTree, PyTree]
) -> tuple[_Given, None]:
    """Chunk by chunk from the end: each is run again from its start, with what its gradient needs.

    The gradient of a chunk's outputs is read before that of its inputs is made: where both are of one shape, the one is
    written over the other, and XLA needs no array of all steps for either.
    """
    given, fixed, starts = residuals
    state_bar, (observed_bar, ys_bar) = cotangents
    number = given.xs.shape[plan.axes] // plan.size
    # Devices that share a model may share the features of outputs otherwise than those of inputs.
    in_place = ys_bar.shape == given.xs.shape and ys_bar.dtype == given.xs.dtype and not is_shared()

    def turn(count: Array, bar: _Given) -> _Given:
        n = number - 1 - count
        part, fixed_part = plan.part(given, fixed, n, jax.tree.map(lambda leaf: leaf[n], starts))
        _, pull = jax.vjp(lambda part: plan.piece(part, fixed_part), part)
        outputs_bar = plan.cut((observed_bar, bar.xs if in_place else ys_bar), n, plan.axes)
        (part_bar,) = pull((bar.state, outputs_bar))
        return _Given(
            params=add(bar.params, part_bar.params),
            xs=plan.paste(bar.xs, part_bar.xs, n, plan.axes),
            state=part_bar.state,
            fresh=add(bar.fresh, part_bar.fresh),
            noise_ts=plan.paste(bar.noise_ts, part_bar.noise_ts, n, 0),
        )

    start = zeros(given)._replace(state=state_bar)
    return jax.lax.fori_loop(0, number, turn, start._replace(xs=ys_bar) if in_place else start), None


_chunks.defvjp(_chunks_forward, _chunks_backward)
