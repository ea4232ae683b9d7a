"""A recurrent classifier of sequences."""

import dataclasses
from typing import NamedTuple

from seqmodels.cells.base import Array, Cell, Composite, PyTree
from seqmodels.cells.draws import keys, split_key
from seqmodels.cells.stack import Stack
from seqmodels.layers import AttentionParams, Bidirectional, Linear, LinearParams, Pooling, dropout
from seqmodels.models.encoder import Encoder


class ClassifierParams(NamedTuple):
    """`embedding` [V, E], the cell's parameters, those of the pooling (None but for attention), and `output`."""

    embedding: Array
    cell: PyTree
    pooling: AttentionParams | None
    output: LinearParams


@dataclasses.dataclass(frozen=True)
class Classifier(Encoder):
    """Tells the class of a whole sequence: embedding, recurrent cell, one vector of all outputs, one score a class.

        p(class | x₁ … x_n) = softmax(pool(y₁ … y_n) W + b)

    Args:
      vocabulary_size: V.
      embedding_size: E.
      cell: reads the embeddings; usually a `Stack`, or two of them in a `Bidirectional`.
      classes: how many there are, K.
      pooling: "last", "mean", "max" or "attention", see `seqmodels.layers.pooling.Pooling`.
      embedding_dropout: rate of dropping whole symbols from the embedding.
      input_dropout: rate of dropping features of the embedded inputs.
      output_dropout: rate of dropping features of the pooled vector.
      variational: input dropout uses one mask for all time steps.
      method: the engine that runs the cell.
      compute_dtype: of products and activations, "float32" or "bfloat16"; parameters stay as they are.

    Example:
      >>> import jax, jax.numpy as jnp, seqmodels as sm
      >>> cell = sm.Bidirectional(sm.LSTM(hidden_size=8), sm.LSTM(hidden_size=8))
      >>> model = Classifier(vocabulary_size=10, embedding_size=4, cell=cell, classes=3, pooling="max")
      >>> params = model.init(jax.random.key(0))
      >>> state, logits = model.apply(params, jnp.zeros((2, 5), int), lengths=jnp.array([5, 2]))
      >>> logits.shape
      (2, 3)

    References:
      Hochreiter & Schmidhuber (1997), Long short-term memory; Conneau et al. (2017), Supervised learning of universal
      sentence representations (a comparison of poolings).
    """

    pooling: str = "last"

    def __post_init__(self) -> None:
        """Checks rates, sizes and the pooling."""
        super().__post_init__()
        Pooling(self.pooling)

    @property
    def _pooling(self) -> Pooling:
        return Pooling(self.pooling, _read_backwards(self.cell))

    def init(self, key: Array) -> ClassifierParams:
        """Draws all parameters."""
        key_embedding, key_cell, key_pooling, key_output = keys(key, 4)
        return ClassifierParams(
            embedding=self.embedding.init(key_embedding),
            cell=self.cell.init(key_cell, self.embedding_size),
            pooling=self._pooling.init(key_pooling, self.cell.output_size),
            output=Linear(self.classes).init(key_output, self.cell.output_size),
        )

    def initial_state(self, params: ClassifierParams, batch_shape: tuple[int, ...] = ()) -> PyTree:
        """The cell's initial state."""
        return self.cell.initial_state(params.cell, batch_shape)

    def apply(
        self,
        params: ClassifierParams,
        inputs: Array,
        state: PyTree = None,
        *,
        lengths: Array | None = None,
        key: Array | None = None,
    ) -> tuple[PyTree, Array]:
        """Reads whole sequences.

        Args:
          params: as made by `init`.
          inputs: symbols, integers [batch, time].
          state: the state to begin with; None: the initial one.
          lengths: [batch], see `seqmodels.unroll`; a row of length 0 gets the scores of no evidence, b.
          key: for dropout and the cell's noise; None runs without.

        Returns:
          `(state, logits)`: logits [batch, K] in float32.
        """
        key_embedding, key_input, key_cell, key_output = split_key(key, 4)
        xs = self.embed(params.embedding, inputs, key=key_embedding)
        state, ys = self.read(params.cell, xs, state, lengths=lengths, key_input=key_input, key_cell=key_cell)
        return state, self.scores(params, ys, lengths, key=key_output)

    def scores(
        self, params: ClassifierParams, ys: Array, lengths: Array | None = None, *, key: Array | None = None
    ) -> Array:
        """One score a class, float32 [batch, K], from the cell's outputs [batch, time, F]; `key` is for dropout."""
        pooled = dropout(key, self._pooling.apply(params.pooling, ys, lengths), self.output_dropout)
        return Linear(self.classes).apply(params.output, pooled)


def _read_backwards(cell: Cell | Composite) -> int:
    """How many of a cell's features, the last ones, were read backwards."""
    if isinstance(cell, Bidirectional):
        return cell.bwd.output_size
    return _read_backwards(cell.cells[-1]) if isinstance(cell, Stack) else 0
