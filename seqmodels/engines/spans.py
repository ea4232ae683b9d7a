"""Loops over time in spans: the wide products of one span are made while the loop is in the next one."""

import math
import os
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, PyTree, state_dtype
from seqmodels.cells.spread import is_shared, platform
from seqmodels.engines.loop import Body, one_step, sweep, take, zero_after
from seqmodels.engines.packing import Joining, Packing, Packs, blank, put

ROWS: Final = 512
"""So many rows a span has at least, all its steps together: products of fewer are slow, and their sums cost more."""

LEAST: Final = 4
"""Fewer spans than this are not worth it: neither the first nor the last one has another beside it."""

WORTH_HANDING_OVER: Final = 30e6
"""Floating-point operations, in float32, that make it worth to hand a product to another core."""


class Spans(NamedTuple):
    """How a run is cut: `size` steps in a span, a divisor of all steps, and the options of `loop`."""

    size: int
    unroll: int
    packs: Packs

    def cut(self, tree: PyTree, n: Any) -> PyTree:
        """The n-th span of leaves [T, ...]."""

        def leaf(x: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(x, n * self.size, self.size, allow_negative_indices=False)

        return jax.tree.map(leaf, tree)

    def paste(self, tree: PyTree, span: PyTree, n: Any) -> PyTree:
        """Leaves [T, ...] with their n-th span put in."""

        def leaf(x: Array, new: Array) -> Array:
            return jax.lax.dynamic_update_slice_in_dim(x, new, n * self.size, 0, allow_negative_indices=False)

        return jax.tree.map(leaf, tree, span)


def usual_size(xs: Array, us_t: list[Array], h: Array) -> int:
    """How many steps a span should have, as it was found to be faster (docs/benchmarks.md); 0: no spans.

    Spans want a CPU with a second core, products that it is worth to hand to it, and several of them.

    Args:
      xs: [T, *batch, D].
      us_t: what the wide product makes of one step, leaves [*batch, ...].
      h: [*batch, H], what the recurrent product takes.

    Example:
      >>> usual_size(jnp.ones((6, 1, 8)), [jnp.ones((1, 8))], jnp.ones((1, 8)))
      0
    """
    known = all(isinstance(size, int) for x in (xs, h, *us_t) for size in x.shape)
    if not known or platform() != "cpu" or cores() < 2 or is_shared():
        return 0
    steps, rows, inputs = xs.shape[0], math.prod(xs.shape[1:-1]), xs.shape[-1]
    narrow = 4 if xs.dtype.itemsize < 4 else 1  # as much faster or more, and with transposes that do not run beside
    work = 2 * inputs * sum(math.prod(u.shape) for u in us_t) / narrow
    if inputs > 2 * h.shape[-1]:  # then the loop is soon done, and the products are not
        return 0
    sizes = (size for size in range(1, steps // LEAST + 1) if steps % size == 0)
    return next((size for size in sizes if size * rows >= ROWS and size * work >= WORTH_HANDING_OVER), 0)


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def after(tree: PyTree, *others: PyTree) -> PyTree:
    """The tree of floats, which XLA cannot make before `others` are there, and for which it has to keep them."""
    zero = sum(zero_after(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(others))
    return jax.tree.map(lambda leaf: leaf + jnp.asarray(zero).astype(leaf.dtype), tree)


def unknown(n: int, x: Array) -> Array:
    """The number n, which XLA does not know, as it does not know a loop's counter: what it compiles serves for both."""
    return n + zero_after(x).astype(jnp.int32)


def abreast(
    wide: Callable[[PyTree], PyTree], steps: Callable[[PyTree], PyTree], ahead: PyTree, state: PyTree
) -> tuple[PyTree, PyTree]:
    """What `wide(ahead)` and `steps(state)` give, made at the same time on a CPU of several cores.

    XLA runs at once what neither needs the other nor writes where the other reads. But it hands memory on in the order
    into which it has brought the program: where an array is read for the last time, the next one is put. So the steps
    are made to come behind the wide part in that order, and what this reads and makes is used once more behind the
    steps: then none of it lies where they write.

    Args:
      wide: a large piece of work, in products.
      steps: a loop of many small steps.
      ahead: carried by a loop: an array made in the same turn XLA would rather make twice than keep.
      state: floats.
    """
    made = wide(ahead)
    (first, *rest), structure = jax.tree.flatten(state)
    done = steps(jax.tree.unflatten(structure, [after(first, ahead), *rest]))
    return after(made, jax.tree.leaves(done)[0], ahead), done


def forwards(
    step: Body, state: PyTree, wide: Callable[[PyTree], PyTree], xs: PyTree, at: tuple[PyTree, ...], spans: Spans
) -> tuple[PyTree, PyTree]:
    """`loop(step, state, (wide(xs), *at))`, with `wide(xs)` made span by span beside the loop, and never whole.

    Args:
      step: `(state, (u_t, *at_t)) -> (state, y_t)`.
      state: before the first step.
      wide: what the steps need of `xs`, for every step the same.
      xs: leaves [T, ...].
      at: leaves [T, ...].
      spans: at least two.

    Example:
      >>> spans = Spans(size=3, unroll=1, packs=lambda leaf: False)
      >>> step = lambda total, at_t: (total + at_t[0], total)
      >>> forwards(step, jnp.array(0.0), lambda x: 2 * x, jnp.ones(6), (), spans)[1].tolist()
      [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    steps = jax.tree.leaves(xs)[0].shape[0]
    last = steps // spans.size - 1
    us = wide(spans.cut(xs, 0))
    y_like = jax.eval_shape(step, state, (one_step(us), *one_step(at)))[1]
    packing = Packing.of(y_like, spans.packs)
    arrays = blank(packing, y_like, steps, zero_after(jax.tree.leaves(xs)[0]))

    def through(n: Any, us: PyTree, carry: tuple[PyTree, list[Array]]) -> tuple[PyTree, list[Array]]:
        """The n-th span of the loop."""

        def one(i: Array, carry: tuple[PyTree, list[Array]]) -> tuple[PyTree, list[Array]]:
            state, arrays = carry
            t = n * spans.size + i
            state, y_t = step(state, (take(us, i), *take(at, t)))
            return state, put(packing, arrays, y_t, t)

        swept: tuple[PyTree, list[Array]] = sweep(one, carry, spans.size, unroll=spans.unroll)
        return swept

    def turn(n: Array, carried: PyTree) -> PyTree:
        state, arrays, us, ahead = carried
        us, (state, arrays) = abreast(wide, lambda state: through(n, us, (state, arrays)), ahead, state)
        ahead = after(spans.cut(xs, jnp.minimum(n + 2, last)), jax.tree.leaves(state)[0])
        return state, arrays, us, ahead

    state, arrays, us, _ = sweep(turn, (state, arrays, us, spans.cut(xs, 1)), last)
    state, arrays = through(unknown(last, jax.tree.leaves(state)[0]), us, (state, arrays))
    return state, packing.unpack(arrays)


class Pull(NamedTuple):
    """The transposes of the wide products of every span.

    Attributes:
      of: the one of a span by its number, as `jax.vjp` returns it, of `(sums, pieces)`.
      constants: what is the same in all of them.
    """

    of: Callable[[Any], PyTree]
    constants: PyTree

    def apart(self, n: Any) -> tuple[list[Array], Callable[[list[Array]], Any]]:
        """What the n-th holds that is its own, and what makes one of such arrays."""
        leaves, structure = jax.tree.flatten(self.of(n))
        same = [any(leaf is other for other in jax.tree.leaves(self.constants)) for leaf in leaves]

        def whole(own: list[Array]) -> Any:
            rest = iter(own)
            return jax.tree.unflatten(
                structure, [leaf if known else next(rest) for leaf, known in zip(leaves, same, strict=True)]
            )

        return [leaf for leaf, known in zip(leaves, same, strict=True) if not known], whole


def backwards(step: Body, carry: PyTree, at: PyTree, pull: Pull, spans: Spans) -> tuple[PyTree, PyTree, PyTree, PyTree]:
    """A loop from the last step to the first, and beside it, span by span, what the products make of what it leaves.

    Args:
      step: `(carry, at_t) -> (carry, (bars_t, y_t))`, with bars a tuple.
      carry: what the last step takes.
      at: leaves [T, ...].
      pull: what takes the bars of a span, and gives what is summed over spans, and leaves [size, ...] of `pieces`.
      spans: at least two.

    Returns:
      `(carry, sums, pieces, ys)`, with leaves of `pieces` and `ys` [T, ...]; sums in at least float32.
    """
    steps = jax.tree.leaves(at)[0].shape[0]
    last = steps // spans.size - 1
    seed = zero_after(jax.tree.leaves(at)[0])
    bars_like, y_like = jax.eval_shape(step, carry, one_step(at))[1]
    packing, joining = Packing.of(y_like, spans.packs), Joining(bars_like)
    own, whole = pull.apart(last)

    def through(n: Any, carry: PyTree, arrays: list[Array]) -> tuple[PyTree, list[Array], list[Array]]:
        """The n-th span of the loop, and its bars."""

        def one(i: Array, carried: PyTree) -> PyTree:
            carry, arrays, bars = carried
            t = n * spans.size + i
            carry, (bars_t, y_t) = step(carry, take(at, t))
            return carry, put(packing, arrays, y_t, t), put(joining, bars, bars_t, i)

        bars = blank(joining, bars_like, spans.size, zero_after(jax.tree.leaves(carry)[0]))
        carried: tuple[PyTree, list[Array], list[Array]] = sweep(
            one, (carry, arrays, bars), spans.size, reverse=True, unroll=spans.unroll
        )
        return carried

    def products(ahead: tuple[list[Array], list[Array]]) -> tuple[PyTree, PyTree]:
        bars, own = ahead
        made: tuple[PyTree, PyTree] = whole(own)(joining.unpack(bars))
        return made

    def gather(found: tuple[PyTree, PyTree], new: tuple[PyTree, PyTree], n: Any) -> tuple[PyTree, PyTree]:
        sums = jax.tree.map(lambda old, new: old + new.astype(old.dtype), found[0], new[0])
        return sums, spans.paste(found[1], new[1], n)

    def turn(count: Array, carried: PyTree) -> PyTree:
        carry, arrays, ahead, found = carried
        n = last - 1 - count
        made, (carry, arrays, bars) = abreast(products, lambda carry: through(n, carry, arrays), ahead, carry)
        ahead = bars, after(pull.apart(n)[0], jax.tree.leaves(carry)[0])
        return carry, arrays, ahead, gather(found, made, n + 1)

    carry, arrays, bars = through(unknown(last, jax.tree.leaves(at)[0]), carry, blank(packing, y_like, steps, seed))
    sums_like, pieces_like = jax.eval_shape(products, (bars, own))
    found = (
        jax.tree.map(lambda x: jnp.zeros(x.shape, state_dtype(x.dtype)), sums_like),
        jax.tree.map(lambda x: jnp.broadcast_to(seed.astype(x.dtype), (steps, *x.shape[1:])), pieces_like),
    )
    carry, arrays, ahead, found = sweep(turn, (carry, arrays, (bars, own), found), last)
    sums, pieces = gather(found, products(ahead), 0)
    return carry, sums, pieces, packing.unpack(arrays)
