"""The engine for long sequences: computation twice, memory once in a while."""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, GatedCell, PyTree
from seqmodels.engines.engine import Engine, Inputs
from seqmodels.engines.fused import Fused
from seqmodels.engines.scan import Scan

Observe = Callable[[PyTree], PyTree]


@dataclasses.dataclass(frozen=True)
class Chunked(Engine):
    """Keeps the state at the start of every chunk, and runs a chunk again when its gradient is wanted.

    Beside inputs and outputs, memory holds T / chunk states and what one chunk needs, its input product included:
    least, of the order of √T, with chunks of √T steps. A gated cell is run by the engine "fused" inside a chunk, any
    other one by "scan".

    Args:
      chunk: steps in a chunk; None: √T.

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
        size = min(self.chunk or max(1, math.isqrt(steps)), max(1, steps))
        whole = steps // size * size
        of_time = (inputs.xs, inputs.valid, inputs.resets, inputs.noise_ts)

        def piece(state: PyTree, part: tuple[PyTree, ...]) -> tuple[PyTree, tuple[PyTree, Array]]:
            xs, valid, resets, noise_ts = part
            part_inputs = Inputs(xs, state, valid, resets, inputs.fresh, noise_ts)
            state, observed, ys = engine.run(cell, params, part_inputs, observe)
            return state, (observed, ys)

        chunks = jax.tree.map(lambda x: x[:whole].reshape(-1, size, *x.shape[1:]), of_time)
        state, outputs = jax.lax.scan(jax.checkpoint(piece, prevent_cse=False), inputs.state, chunks)
        outputs = jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), outputs)
        if whole < steps:
            state, rest = jax.checkpoint(piece)(state, jax.tree.map(lambda x: x[whole:], of_time))
            outputs = jax.tree.map(lambda *parts: jnp.concatenate(parts), outputs, rest)
        observed, ys = outputs
        return state, observed, ys
