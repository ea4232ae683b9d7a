"""A recurrent tagger of words."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, PyTree
from seqmodels.cells.draws import keys, split_key
from seqmodels.cells.masks import check_rate
from seqmodels.layers import Linear, LinearParams, dropout
from seqmodels.models.encoder import Encoder
from seqmodels.models.spelling import Speller, SpellerParams


class TaggerParams(NamedTuple):
    """`embedding` [V, E], those of the speller (None without one), the cell's, and `output`."""

    embedding: Array
    speller: SpellerParams | None
    cell: PyTree
    output: LinearParams


@dataclasses.dataclass(frozen=True)
class Tagger(Encoder):
    """Tells the class of each word of a sequence: embedding, recurrent cell, one score a word and class.

        p(class of word t | x₁ … x_n) = softmax(yₜ W + b)        y₁ … y_n = cell(v(x₁) … v(x_n))

    The vector v of a word is its row of the embedding, and beside it, with a speller, what its characters say.

    Args:
      vocabulary_size: V.
      embedding_size: E.
      cell: reads the vectors; usually a `Bidirectional` of two `Stack`s, since what decides may come later.
      classes: how many there are, K.
      speller: makes vectors of characters, or None.
      unknown_rate: of reading a word as symbol 0, the unknown word, which is learnt so; its characters are still read.
      embedding_dropout: rate of dropping whole words from the embedding; the speller still sees their characters.
      input_dropout: rate of dropping features of the vectors.
      output_dropout: rate of dropping features of the cell's outputs.
      variational: input and output dropout use one mask for all time steps.
      method: the engine that runs the cell.
      compute_dtype: of products and activations, "float32" or "bfloat16"; parameters stay as they are.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.Bidirectional(sm.LSTM(hidden_size=8), sm.LSTM(hidden_size=8))
      >>> model = Tagger(vocabulary_size=10, embedding_size=4, cell=cell, classes=3)
      >>> params = model.init(jax.random.key(0))
      >>> state, logits = model.apply(params, jnp.zeros((2, 5), int), lengths=jnp.array([5, 2]))
      >>> logits.shape
      (2, 5, 3)

    References:
      Graves & Schmidhuber (2005), Framewise phoneme classification with bidirectional LSTM; Ling et al. (2015), Finding
      function in form (characters); Lample et al. (2016), Neural architectures for named entity recognition (words
      read as unknown).
    """

    speller: Speller | None = None
    unknown_rate: float = 0.0

    def __post_init__(self) -> None:
        """Checks rates and sizes."""
        super().__post_init__()
        check_rate("unknown_rate", self.unknown_rate)

    def init(self, key: Array) -> TaggerParams:
        """Draws all parameters."""
        key_embedding, key_speller, key_cell, key_output = keys(key, 4)
        spelt = 0 if self.speller is None else self.speller.output_size
        return TaggerParams(
            embedding=self.embedding.init(key_embedding),
            speller=None if self.speller is None else self.speller.init(key_speller),
            cell=self.cell.init(key_cell, self.embedding_size + spelt),
            output=Linear(self.classes).init(key_output, self.cell.output_size),
        )

    def initial_state(self, params: TaggerParams, batch_shape: tuple[int, ...] = ()) -> PyTree:
        """The cell's initial state."""
        return self.cell.initial_state(params.cell, batch_shape)

    def apply(
        self,
        params: TaggerParams,
        inputs: Array,
        state: PyTree = None,
        *,
        characters: tuple[Array, Array] | None = None,
        lengths: Array | None = None,
        key: Array | None = None,
    ) -> tuple[PyTree, Array]:
        """Reads whole sequences.

        Args:
          params: as made by `init`.
          inputs: words, integers [batch, time].
          state: the state to begin with; None: the initial one.
          characters: those of each word, integers [batch, time, C], and how many, [batch, time]; for the speller.
          lengths: [batch], see `seqmodels.unroll`; the scores beyond them mean nothing.
          key: for dropout and the cell's noise; None runs without.

        Returns:
          `(state, logits)`: logits [batch, time, K] in float32.

        Raises:
          ValueError: if there are characters without a speller, or a speller without characters.
        """
        if (self.speller is None) != (characters is None):
            raise ValueError("characters are for a tagger with a speller, which needs them")
        key_unknown, key_embedding, key_speller, key_input, key_cell, key_output = split_key(key, 6)
        if key_unknown is not None and self.unknown_rate > 0.0:
            inputs = jnp.where(jax.random.bernoulli(key_unknown, self.unknown_rate, inputs.shape), 0, inputs)
        xs = self.vectors(params, inputs, characters, keys=(key_embedding, key_speller))
        state, ys = self.read(params.cell, xs, state, lengths=lengths, key_input=key_input, key_cell=key_cell)
        ys = dropout(key_output, ys, self.output_dropout, variational=self.variational)
        return state, self.scores(params, ys)

    def vectors(
        self,
        params: TaggerParams,
        inputs: Array,
        characters: tuple[Array, Array] | None = None,
        *,
        keys: tuple[Array | None, Array | None] = (None, None),
    ) -> Array:
        """What the cell reads, a vector a word, [batch, time, E].

        Args:
          params: as made by `init`.
          inputs: words, integers [batch, time].
          characters: as for `apply`.
          keys: for dropout of the embedding, and within the speller; None runs without.
        """
        xs = self.embed(params.embedding, inputs, key=keys[0])
        if self.speller is None or characters is None or params.speller is None:
            return xs
        spelt = self.speller.apply(params.speller, *characters, key=keys[1], dtype=xs.dtype)
        return jnp.concatenate([xs, spelt], axis=-1)

    def scores(self, params: TaggerParams, ys: Array) -> Array:
        """One score a class, float32 [..., K], from the cell's outputs [..., F]."""
        return Linear(self.classes).apply(params.output, ys)
