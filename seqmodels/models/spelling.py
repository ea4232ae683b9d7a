"""Vectors of words from their characters."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp

from seqmodels.cells import LSTM
from seqmodels.cells.base import Array, PyTree
from seqmodels.cells.draws import keys
from seqmodels.cells.masks import check_rate
from seqmodels.engines import unroll
from seqmodels.layers import Bidirectional, Embedding, Pooling, dropout


class SpellerParams(NamedTuple):
    """`embedding` [A, E] and the parameters of the two LSTMs."""

    embedding: Array
    cell: PyTree


@dataclasses.dataclass(frozen=True)
class Speller:
    """Reads each word by its characters, with one LSTM forwards and another one backwards; the vector is both ends.

        w = [→h_n ; ←h₁]        →h, ←h read the characters c₁ … c_n

    So a word that was not met in training has a vector too, and its ending, its capitals and its digits say something.

    Args:
      alphabet_size: different characters, A.
      embedding_size: of a character, E.
      hidden_size: of each LSTM, H.
      dropout: rate of dropping features of the embedded characters.
      method: the engine that runs the cells.

    Example:
      >>> import jax
      >>> layer = Speller(alphabet_size=10, embedding_size=4, hidden_size=3)
      >>> layer.apply(layer.init(jax.random.key(0)), jnp.ones((2, 5, 7), int), jnp.full((2, 5), 7)).shape
      (2, 5, 6)

    References:
      Ling et al. (2015), Finding function in form: compositional character models for open vocabulary word
      representation.
    """

    alphabet_size: int
    embedding_size: int
    hidden_size: int
    dropout: float = 0.0
    method: str = "auto"

    def __post_init__(self) -> None:
        """Checks the rate."""
        check_rate("the dropout of Speller", self.dropout)

    @property
    def output_size(self) -> int:
        """2H."""
        return 2 * self.hidden_size

    @property
    def _embedding(self) -> Embedding:
        return Embedding(self.alphabet_size, self.embedding_size)

    @property
    def _cell(self) -> Bidirectional:
        return Bidirectional(LSTM(self.hidden_size), LSTM(self.hidden_size))

    def init(self, key: Array) -> SpellerParams:
        """Draws all parameters."""
        key_embedding, key_cell = keys(key, 2)
        return SpellerParams(self._embedding.init(key_embedding), self._cell.init(key_cell, self.embedding_size))

    def apply(
        self,
        params: SpellerParams,
        characters: Array,
        lengths: Array,
        *,
        key: Array | None = None,
        dtype: jnp.dtype | None = None,
    ) -> Array:
        """Reads the words.

        Args:
          params: as made by `init`.
          characters: integers [..., C]; what is beyond a word's length is padding.
          lengths: [...]; a word of length 0 gets zeros.
          key: for dropout, or None.
          dtype: the type of the result; None: that of the parameters.

        Returns:
          [..., 2H].
        """
        shape = lengths.shape
        characters, lengths = characters.reshape(-1, characters.shape[-1]), lengths.reshape(-1)
        xs = dropout(key, self._embedding.apply(params.embedding, characters, dtype=dtype), self.dropout)
        _, ys = unroll(self._cell, params.cell, xs, lengths=lengths, method=self.method)
        return Pooling("last", self.hidden_size).apply(None, ys, lengths).reshape(*shape, self.output_size)
