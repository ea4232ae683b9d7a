"""What reads a sequence from step to step: the strands of a model, one for each direction, and their layers."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.analysis.gate_activity import gate_activity
from seqmodels.analysis.gradient_flow import GradientNorms, norm, state_gradients
from seqmodels.analysis.jacobians import Spectrum, jacobian_spectrum, lyapunov_exponents
from seqmodels.cells import Stack
from seqmodels.cells.base import Array, Cell, PyTree
from seqmodels.engines import trajectory, unroll
from seqmodels.layers import Bidirectional
from seqmodels.training.reading import Reading

EXACT = 64
"""Of a state of so many numbers at most, singular values that no float could hold beside the largest are found too."""


class Layer(NamedTuple):
    """One cell of a strand.

    Attributes:
      name: such as "layer 1", or "backwards, layer 1".
      cell: of the layer.
      params: the cell's.
      xs: what it reads [time, D], in the order of reading.
      reverse: whether that is from the end to the start.
    """

    name: str
    cell: Cell
    params: PyTree
    xs: Array
    reverse: bool

    def activity(self) -> Any:
        """The activations of its gates, leaves [time, H], as the sequence goes."""
        return self.in_place(gate_activity(self.cell, self.params, self.xs))

    def memory(self) -> tuple[str, Array]:
        """What the layer remembers, with its name; [time, H], as the sequence goes.

        It is tanh c, which the read gate of an LSTM lets through. Cells without such a memory have it in h, or in what
        stands first in their state.
        """
        states = self.in_place(trajectory(self.cell, self.params, self.xs))
        fields = getattr(states, "_fields", ())
        if "c" in fields and "n" not in fields:  # with a normaliser n the memory is c / n, and h shows it
            return "tanh c", jnp.tanh(states.c)
        first = jax.tree.leaves(states)[0]
        return fields[0] if fields else "state", first.reshape(len(first), -1)

    def in_place(self, of_steps: PyTree) -> PyTree:
        """Leaves [time, ...] in the order of reading as the sequence goes."""
        return jax.tree.map(lambda leaf: leaf[::-1], of_steps) if self.reverse else of_steps

    def size(self) -> int:
        """The numbers in its state."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.cell.initial_state(self.params)))

    def spectrum(self, spans: tuple[int, ...]) -> Spectrum:
        """The singular values of the product of its last Jacobians, its inputs as they are; see `jacobian_spectrum`.

        Of a state of more than `EXACT` numbers those below 1e-12 of the largest are left out.
        """
        last = spans[-1]
        before, after = self.xs[: len(self.xs) - last], self.xs[len(self.xs) - last :]
        state = unroll(self.cell, self.params, before)[0] if len(before) else None
        return jacobian_spectrum(self.cell, self.params, after, state, spans=spans, rough=self.size() > EXACT)


class Strand(NamedTuple):
    """What reads a sequence in one direction: a cell, or a stack of them.

    Attributes:
      name: "" of a model of one direction, else "forwards" or "backwards".
      cell: has a `step`.
      params: the cell's.
      xs: what it reads [time, D], in the order of reading.
      cost: from its last state and its outputs [time, F], in the order of reading, to a number.
    """

    name: str
    cell: Cell
    params: PyTree
    xs: Array
    cost: Callable[[PyTree, Array], Array]

    def flow(self) -> GradientNorms:
        """The norms of the gradients of the cost for the states that the steps read, [time] each.

        Those after the last step that the cost depends on are 0 and left out.
        """

        @jax.jit
        def norms(params: PyTree, xs: Array) -> GradientNorms:
            def step(state: PyTree, x_t: Array) -> tuple[PyTree, Any]:
                state, y_t = self.cell.step(params, state, x_t)
                return state, (state, y_t)

            def of_all(outputs: Any) -> Array:
                states, ys = outputs
                return self.cost(jax.tree.map(lambda leaf: leaf[-1], states), ys)

            gradients = state_gradients(step, self.cell.initial_state(params), xs, of_all)
            leaves = jax.tree.map(lambda leaf: norm(leaf, 1), gradients)
            return GradientNorms(leaves, norm(jnp.stack(jax.tree.leaves(leaves), axis=1), 1))

        found = jax.device_get(norms(self.params, self.xs))
        some = np.flatnonzero(found.total)
        end = some[-1] + 1 if some.size else 1
        kept: GradientNorms = jax.tree.map(lambda leaf: leaf[:end], found)
        return kept

    def exponent(self) -> float:
        """Its largest Lyapunov exponent, in nats per step."""
        return float(lyapunov_exponents(self.cell, self.params, self.xs, count=1)[0])

    def layers(self) -> Iterator[Layer]:
        """Its cells, from the bottom."""
        xs = self.xs
        for number, (cell, params) in enumerate(zip(cells(self.cell), by_cell(self.cell, self.params), strict=True), 1):
            yield Layer(self.label(f"layer {number}"), cell, params, xs, self.name == "backwards")
            xs = unroll(cell, params, xs)[1]

    def label(self, name: str) -> str:
        """A name with that of the strand before it."""
        return f"{self.name}, {name}" if self.name else name


def strands(reading: Reading) -> list[Strand]:
    """The strands of what reads a sequence: two of a `Bidirectional`, else one.

    In one direction the outputs of the other one are as they are: neither depends on the other.
    """
    cell, params, xs, cost = reading[:4]
    if not isinstance(cell, Bidirectional):
        return [Strand("", cell, params, xs, cost)]
    assert isinstance(cell.fwd, Cell)
    assert isinstance(cell.bwd, Cell)
    (fwd, bwd), ys = unroll(cell, params, xs)
    ahead, back = ys[:, : cell.fwd.output_size], ys[:, cell.fwd.output_size :]

    def of_forwards(last: PyTree, own: Array) -> Array:
        return cost((last, bwd), jnp.concatenate([own, back], axis=-1))

    def of_backwards(last: PyTree, own: Array) -> Array:
        return cost((fwd, last), jnp.concatenate([ahead, own[::-1]], axis=-1))

    return [
        Strand("forwards", cell.fwd, params.fwd, xs, of_forwards),
        Strand("backwards", cell.bwd, params.bwd, xs[::-1], of_backwards),
    ]


def cells(cell: Cell) -> list[Cell]:
    """The cells of a stack, from the bottom, those of stacks within it too; of another cell, itself."""
    return [inner for part in cell.cells for inner in cells(part)] if isinstance(cell, Stack) else [cell]


def by_cell(cell: Cell, of_cell: PyTree) -> list[PyTree]:
    """What belongs to each of the cells, such as parameters, from what belongs to the whole."""
    if not isinstance(cell, Stack):
        return [of_cell]
    return [inner for part, of_part in zip(cell.cells, of_cell, strict=True) for inner in by_cell(part, of_part)]
