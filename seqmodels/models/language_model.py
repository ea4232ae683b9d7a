"""A recurrent language model."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, PyTree, without_step
from seqmodels.cells.draws import keys, split_key, uniform
from seqmodels.cells.masks import check_rate
from seqmodels.engines import unroll
from seqmodels.layers import Embedding, Linear, LinearParams, dropout


class LanguageModelParams(NamedTuple):
    """`embedding` [V, E], the cell's parameters, and `output`; with tied weights `output.w` is None."""

    embedding: Array
    cell: PyTree
    output: LinearParams


@dataclasses.dataclass(frozen=True)
class LanguageModel:
    """Predicts each symbol from those before it: embedding, recurrent cell, one score a symbol.

        p(xₜ₊₁ | x₁ … xₜ) = softmax(hₜ W + b)

    Args:
      vocabulary_size: V.
      embedding_size: E.
      cell: reads the embeddings; usually a `Stack`.
      tied: the output weights are the transposed embedding; the cell's output size must be E.
      embedding_dropout: rate of dropping whole symbols from the embedding.
      input_dropout: rate of dropping features of the embedded inputs.
      output_dropout: rate of dropping features of the cell's outputs.
      variational: input and output dropout use one mask for all time steps of a run.
      init_range: draws every parameter uniformly from ±init_range at the start; None: each layer as it prefers.
      method: the engine that runs the cell.
      compute_dtype: of products and activations, "float32" or "bfloat16"; parameters stay as they are.

    Raises:
      ValueError: if weights are tied and the sizes differ; if the cell reads what comes after a symbol.

    Example:
      >>> import seqmodels as sm
      >>> model = LanguageModel(vocabulary_size=10, embedding_size=4, cell=sm.LSTM(hidden_size=8))
      >>> params = model.init(jax.random.key(0))
      >>> state, logits = model.apply(params, jnp.zeros((2, 5), int))
      >>> logits.shape
      (2, 5, 10)

    References:
      Mikolov et al. (2010), Recurrent neural network based language model; Zaremba, Sutskever & Vinyals (2014),
      Recurrent neural network regularization; Press & Wolf (2017), Using the output embedding to improve language
      models (tied weights).
    """

    vocabulary_size: int
    embedding_size: int
    cell: Cell
    tied: bool = False
    embedding_dropout: float = 0.0
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    variational: bool = False
    init_range: float | None = None
    method: str = "auto"
    compute_dtype: str = "float32"

    def __post_init__(self) -> None:
        """Checks rates and sizes, and that no symbol is predicted from itself."""
        if (part := without_step(self.cell)) is not None:
            raise ValueError(f"a language model's cell must read forwards, and {type(part).__name__} does not")
        check_rate("embedding_dropout", self.embedding_dropout)
        check_rate("input_dropout", self.input_dropout)
        check_rate("output_dropout", self.output_dropout)
        if self.tied and self.cell.output_size != self.embedding_size:
            raise ValueError(
                f"tied weights need an embedding_size equal to the cell's output size "
                f"(got {self.embedding_size} and {self.cell.output_size})"
            )

    @property
    def _embedding(self) -> Embedding:
        return Embedding(self.vocabulary_size, self.embedding_size, self.embedding_dropout)

    def init(self, key: Array) -> LanguageModelParams:
        """Draws all parameters."""
        key_embedding, key_cell, key_output, key_range = keys(key, 4)
        output = Linear(self.vocabulary_size).init(key_output, self.cell.output_size)
        params = LanguageModelParams(
            embedding=self._embedding.init(key_embedding),
            cell=self.cell.init(key_cell, self.embedding_size),
            output=output._replace(w=None) if self.tied else output,
        )
        return params if self.init_range is None else _uniform(key_range, params, self.init_range)

    def initial_state(self, params: LanguageModelParams, batch_shape: tuple[int, ...] = ()) -> PyTree:
        """The cell's initial state."""
        return self.cell.initial_state(params.cell, batch_shape)

    def apply(
        self,
        params: LanguageModelParams,
        inputs: Array,
        state: PyTree = None,
        *,
        lengths: Array | None = None,
        resets: Array | None = None,
        key: Array | None = None,
    ) -> tuple[PyTree, Array]:
        """Reads whole sequences: `features`, then `drop`, then `scores`.

        Args:
          params: as made by `init`.
          inputs: symbols, integers [batch, time].
          state: the state to go on from; None: the initial one.
          lengths: [batch], see `seqmodels.unroll`.
          resets: [batch, time], see `seqmodels.unroll`.
          key: for dropout and the cell's noise; None runs without.

        Returns:
          `(state, logits)`: logits [batch, time, V] in float32 for the symbol after each input.
        """
        state, ys = self.features(params, inputs, state, lengths=lengths, resets=resets, key=key)
        return state, self.scores(params, self.drop(ys, key=key))

    def features(
        self,
        params: LanguageModelParams,
        inputs: Array,
        state: PyTree = None,
        *,
        lengths: Array | None = None,
        resets: Array | None = None,
        key: Array | None = None,
    ) -> tuple[PyTree, Array]:
        """The cell's outputs, whole; the arguments are those of `apply`.

        Returns:
          `(state, ys)`: ys [batch, time, F] of the compute type.
        """
        key_embedding, key_input, key_cell, _ = split_key(key, 4)
        xs = self._embed(params, inputs, key_embedding)
        xs = dropout(key_input, xs, self.input_dropout, variational=self.variational)
        return unroll(
            self.cell, params.cell, xs, state, lengths=lengths, resets=resets, method=self.method, key=key_cell
        )

    def drop(self, ys: Array, *, key: Array | None) -> Array:
        """Outputs [batch, time, F] after the output's dropout; `key` is the one that `features` was given."""
        *_, key_output = split_key(key, 4)
        return dropout(key_output, ys, self.output_dropout, variational=self.variational)

    def scores(self, params: LanguageModelParams, ys: Array) -> Array:
        """One score a symbol, float32 [..., V], from the cell's outputs [..., F]."""
        output = params.output._replace(w=params.embedding.T) if self.tied else params.output
        return Linear(self.vocabulary_size).apply(output, ys)

    def step(self, params: LanguageModelParams, state: PyTree, token: Array) -> tuple[PyTree, Array]:
        """Reads one symbol a row, integers [...]; returns `(state, logits)` with logits [..., V]."""
        state, y_t = self.cell.step(params.cell, state, self._embed(params, token, None))
        return state, self.scores(params, y_t)

    def _embed(self, params: LanguageModelParams, ids: Array, key: Array | None) -> Array:
        return self._embedding.apply(params.embedding, ids, key=key, dtype=jnp.dtype(self.compute_dtype))


def _uniform(key: Array, params: PyTree, bound: float) -> PyTree:
    """Every parameter anew, uniform within ±bound."""
    leaves, structure = jax.tree.flatten(params)
    each = zip(keys(key, len(leaves)), leaves, strict=True)
    return jax.tree.unflatten(structure, [uniform(k, leaf.shape, -bound, bound) for k, leaf in each])
