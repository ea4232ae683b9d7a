"""What models of whole sequences have in common: an embedding, and a recurrent cell that reads it."""

import dataclasses

import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, PyTree
from seqmodels.cells.masks import check_rate
from seqmodels.engines import unroll
from seqmodels.layers import Bidirectional, Embedding, dropout


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Embedding and recurrent cell; what is made of the outputs is the subclass's.

    Args:
      vocabulary_size: V.
      embedding_size: E.
      cell: reads the embeddings; usually a `Stack`, or two of them in a `Bidirectional`.
      classes: how many there are, K.
      embedding_dropout: rate of dropping whole symbols from the embedding.
      input_dropout: rate of dropping features of the embedded inputs.
      output_dropout: rate of dropping features of what the scores are made of.
      variational: input dropout uses one mask for all time steps.
      method: the engine that runs the cell.
      compute_dtype: of products and activations, "float32" or "bfloat16"; parameters stay as they are.
    """

    vocabulary_size: int
    embedding_size: int
    cell: Cell | Bidirectional
    classes: int
    _: dataclasses.KW_ONLY
    embedding_dropout: float = 0.0
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    variational: bool = False
    method: str = "auto"
    compute_dtype: str = "float32"

    def __post_init__(self) -> None:
        """Checks rates and sizes."""
        check_rate("embedding_dropout", self.embedding_dropout)
        check_rate("input_dropout", self.input_dropout)
        check_rate("output_dropout", self.output_dropout)
        if self.classes < 2:
            raise ValueError(f"a classifier needs two classes at least (got {self.classes})")

    @property
    def embedding(self) -> Embedding:
        """The layer that gives each symbol its vector."""
        return Embedding(self.vocabulary_size, self.embedding_size, self.embedding_dropout)

    def embed(self, table: Array, inputs: Array, *, key: Array | None) -> Array:
        """The vectors [..., E] of symbols [...], in the type that is computed in."""
        return self.embedding.apply(table, inputs, key=key, dtype=jnp.dtype(self.compute_dtype))

    def read(
        self,
        params: PyTree,
        xs: Array,
        state: PyTree,
        *,
        lengths: Array | None,
        key_input: Array | None,
        key_cell: Array | None,
    ) -> tuple[PyTree, Array]:
        """Runs the cell over vectors [batch, time, D], dropout before it; `(state, outputs [batch, time, F])`."""
        xs = dropout(key_input, xs, self.input_dropout, variational=self.variational)
        return unroll(self.cell, params, xs, state, lengths=lengths, method=self.method, key=key_cell)
