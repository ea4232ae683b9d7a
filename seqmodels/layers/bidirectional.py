"""Two directions side by side."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, Composite, PyTree, Run
from seqmodels.cells.draws import keys, split_key


class BidirectionalParams(NamedTuple):
    """The parameters of the two cells."""

    fwd: PyTree
    bwd: PyTree


@dataclasses.dataclass(frozen=True)
class Bidirectional(Composite):
    """One cell reads each row forwards, another one backwards; their outputs are concatenated.

    A sequence layer: `unroll` takes it, but it has no `step`, since the second cell needs the whole sequence. Its
    state is the pair of states after the last step that each cell read.

    Args:
      fwd: reads from the first step to the last.
      bwd: reads from the last valid step to the first.

    Example:
      >>> import jax, seqmodels as sm
      >>> layer = sm.Bidirectional(sm.LSTM(hidden_size=4), sm.GRU(hidden_size=3))
      >>> params = layer.init(jax.random.key(0), 2)
      >>> (fwd, bwd), ys = sm.unroll(layer, params, jnp.ones((1, 5, 2)))
      >>> ys.shape, bool((ys[0, 0, 4:] == bwd.h[0]).all())
      ((1, 5, 7), True)

    References:
      Schuster & Paliwal (1997), Bidirectional recurrent neural networks.
    """

    fwd: Cell | Composite
    bwd: Cell | Composite

    @property
    def parts(self) -> tuple[Cell | Composite, Cell | Composite]:
        """Both cells."""
        return self.fwd, self.bwd

    @property
    def output_size(self) -> int:
        """The sum of both."""
        return self.fwd.output_size + self.bwd.output_size

    def init(self, key: Array, input_size: int) -> BidirectionalParams:
        """Both cells' parameters."""
        key_fwd, key_bwd = keys(key, 2)
        return BidirectionalParams(self.fwd.init(key_fwd, input_size), self.bwd.init(key_bwd, input_size))

    def initial_state(self, params: BidirectionalParams, batch_shape: tuple[int, ...] = ()) -> tuple[PyTree, PyTree]:
        """Both cells' initial states."""
        return self.fwd.initial_state(params.fwd, batch_shape), self.bwd.initial_state(params.bwd, batch_shape)

    def compose(
        self, run: Run, params: BidirectionalParams, xs: Array, state: tuple[PyTree, PyTree], key: Array | None
    ) -> tuple[tuple[PyTree, PyTree], Array]:
        """Runs both over the same inputs, in one loop if they are equal cells."""
        key_fwd, key_bwd = split_key(key, 2)
        if self.fwd == self.bwd:
            found = run.both(self.fwd, tuple(params), xs, state, (key_fwd, key_bwd))
            (state_fwd, ys_fwd), (state_bwd, ys_bwd) = found
            return (state_fwd, state_bwd), jnp.concatenate([ys_fwd, ys_bwd], axis=-1)
        state_fwd, ys_fwd = run(self.fwd, params.fwd, xs, state[0], key_fwd)
        state_bwd, ys_bwd = run(self.bwd, params.bwd, xs, state[1], key_bwd, turn=True)
        return (state_fwd, state_bwd), jnp.concatenate([ys_fwd, ys_bwd], axis=-1)
