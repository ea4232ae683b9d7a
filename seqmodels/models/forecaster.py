"""A recurrent forecaster of time series."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, PyTree
from seqmodels.cells.draws import keys, normal, split_key
from seqmodels.cells.masks import check_rate
from seqmodels.engines import unroll
from seqmodels.layers import Linear, LinearParams, dropout
from seqmodels.models.distribution_heads import NegativeBinomial
from seqmodels.models.forecast_heads import Head, Quantiles

NORMALISATIONS = ("none", "last", "mean", "window")
DECODINGS = ("direct", "parallel", "recursive")
_LEAST_SPREAD = 1e-2  # of scaled values: a window that stands still must not become noise


class ForecasterParams(NamedTuple):
    """The parameters.

    Attributes:
      input: from a segment to the cell's input.
      cell: the cell's.
      position: [M, E], for each segment to come, or None with direct decoding.
      target: [C, E], for each target, or None unless decoding is parallel and targets are independent.
      output: from the cell's output to the numbers of the head.
      future: from the covariates of a step to come to its numbers, or None without covariates.
      head: the head's, or None.
    """

    input: LinearParams
    cell: PyTree
    position: Array | None
    target: Array | None
    output: LinearParams
    future: LinearParams | None
    head: Array | None


@dataclasses.dataclass(frozen=True)
class Forecaster:
    """Reads the last L steps and forecasts the next H: segments, embedding, cell, head.

        x₁ … x_n = the window, normalised, in segments of w steps          n = L / w
        y_n      = the cell's output after relu(x₁ W + b) … relu(x_n W + b)

        direct     forecast = y_n V + c, for all steps to come
        parallel   forecast of segment m = y⁽ᵐ⁾ V + c, y⁽ᵐ⁾ the cell's output one step further, its input the learnt
                   vector of place m (of all M = ⌈H / w⌉ segments side by side)
        recursive  forecast of segment m = y_{n+m-1} V + c, for which the cell reads the segments to come before m as
                   well: in training those that came, afterwards those that it forecasts or draws itself

    Covariates are read with the values; those of the steps to come are mapped linearly and added.

    Args:
      context: L.
      horizon: H.
      targets: C.
      head: what is said of each value to come.
      cell: reads the segments; usually a `Stack`.
      covariates: K.
      embedding_size: E, of the cell's inputs.
      segment: w; L must be a multiple.
      normalise: what is done to each window and undone to its forecast: "last" subtracts its last value, "window" its
        mean and divides by its standard deviation, "mean" divides by 1 + its mean, for what is never negative.
      independent: every target is forecast from its own past, with the same weights.
      decoding: "direct", "parallel" or "recursive".
      output_dropout: rate of dropping features of the cell's outputs.
      method: the engine that runs the cell.
      compute_dtype: of products and activations, "float32" or "bfloat16"; parameters stay as they are.

    Raises:
      ValueError: if L is no multiple of w, a name is unknown, or parts do not go together.

    Example:
      >>> import seqmodels as sm
      >>> from seqmodels.models.forecast_heads import Point
      >>> model = Forecaster(context=12, horizon=6, targets=2, head=Point(), cell=sm.GRU(hidden_size=8), segment=3)
      >>> forecast = model.apply(model.init(jax.random.key(0)), jnp.ones((4, 12, 2)), jnp.ones((4, 18, 0)))
      >>> forecast.shape
      (4, 6, 2)

    References:
      Lin et al. (2023), SegRNN: segment recurrent neural network for long-term time series forecasting (segments and
      parallel decoding); Zeng et al. (2023), Are transformers effective for time series forecasting? (the last value);
      Kim et al. (2022), Reversible instance normalization (the window); Salinas et al. (2020), DeepAR: probabilistic
      forecasting with autoregressive recurrent networks (the mean, recursive decoding by drawing).
    """

    context: int
    horizon: int
    targets: int
    head: Head
    cell: Cell
    covariates: int = 0
    embedding_size: int = 64
    segment: int = 1
    normalise: str = "none"
    independent: bool = False
    decoding: str = "direct"
    output_dropout: float = 0.0
    method: str = "auto"
    compute_dtype: str = "float32"

    def __post_init__(self) -> None:
        """Checks names and sizes."""
        check_rate("output_dropout", self.output_dropout)
        for name, value, known in (
            ("normalise", self.normalise, NORMALISATIONS),
            ("decoding", self.decoding, DECODINGS),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)} (got {value!r})")
        if self.context % self.segment:
            raise ValueError(
                f"the context must be a multiple of the segment (got context {self.context}, segment {self.segment})"
            )
        if isinstance(self.head, NegativeBinomial) and self.normalise not in ("none", "mean"):
            raise ValueError(f'counts need normalise = "none" or "mean" (got {self.normalise!r})')
        if isinstance(self.head, Quantiles) and self.decoding == "recursive":
            raise ValueError("recursive decoding reads what it forecasts: a number or a distribution, not quantiles")

    @property
    def _channels(self) -> int:
        """Targets that are read together."""
        return 1 if self.independent else self.targets

    @property
    def _segments(self) -> int:
        """Segments to come, M."""
        return math.ceil(self.horizon / self.segment)

    @property
    def _output(self) -> Linear:
        steps = self.horizon if self.decoding == "direct" else self.segment
        return Linear(steps * self._channels * self.head.numbers)

    @property
    def _future(self) -> Linear:
        return Linear(self._channels * self.head.numbers)

    def init(self, key: Array) -> ForecasterParams:
        """Draws all parameters."""
        key_input, key_cell, key_position, key_target, key_output, key_future = keys(key, 6)
        size = self.embedding_size
        parallel = self.decoding == "parallel"
        return ForecasterParams(
            input=Linear(size).init(key_input, self.segment * (self._channels + self.covariates)),
            cell=self.cell.init(key_cell, size),
            position=normal(key_position, (self._segments, size)) if parallel else None,
            target=normal(key_target, (self.targets, size)) if parallel and self.independent else None,
            output=self._output.init(key_output, self.cell.output_size),
            future=self._future.init(key_future, self.covariates) if self.covariates else None,
            head=self.head.init(),
        )

    def apply(
        self,
        params: ForecasterParams,
        past: Array,
        covariates: Array,
        future: Array | None = None,
        *,
        key: Array | None = None,
    ) -> PyTree:
        """Forecasts; with recursive decoding each segment from what came before it.

        Args:
          params: as made by `init`.
          past: [batch, L, C].
          covariates: [batch, L + H, K].
          future: [batch, H, C], what came; recursive decoding needs it, others do not look at it.
          key: for dropout and the cell's noise; None runs without.

        Returns:
          The head's forecast of arrays [batch, H, C] or [batch, H, C, Q], in float32.
        """
        key_cell, key_step, key_output = split_key(key, 3)
        xs = self.inputs(params, past, covariates, future)
        state, ys = unroll(self.cell, params.cell, xs, method=self.method, key=key_cell)
        return self.forecast(params, state, ys, past, covariates, keys=(key_step, key_output))

    def inputs(self, params: ForecasterParams, past: Array, covariates: Array, future: Array | None = None) -> Array:
        """What the cell reads, [rows, n, E], a row for each window or for each target of each window.

        The arguments are those of `apply`.
        """
        moments = self.moments(past)
        if self.decoding == "recursive":
            assert future is not None
            past = jnp.concatenate([past, future[:, : (self._segments - 1) * self.segment]], axis=1)
        return self._embed(params, past, covariates[:, : past.shape[1]], moments)

    def forecast(
        self,
        params: ForecasterParams,
        state: PyTree,
        ys: Array,
        past: Array,
        covariates: Array,
        *,
        keys: tuple[Array | None, Array | None] = (None, None),
    ) -> PyTree:
        """The head's forecast, from what the cell makes of `inputs`.

        Args:
          params: as made by `init`.
          state: the cell's last one.
          ys: its outputs [rows, n, F].
          past: [batch, L, C].
          covariates: [batch, L + H, K].
          keys: for the noise of the steps to come, and for dropout of the outputs; None runs without.
        """
        key_step, key_output = keys
        ys = ys[:, self.context // self.segment - 1 :]
        if self.decoding == "parallel":
            ys = self._decode(params, state, key_step)
        ys = dropout(key_output, ys, self.output_dropout)
        return self._forecast(params, ys, covariates[:, self.context :], self.moments(past))

    def sample(self, params: ForecasterParams, past: Array, covariates: Array, keys: Array, *, paths: int) -> Array:
        """Draws what may come, one segment after the other, with recursive decoding.

        A head that is a number draws that number, so that one path is all there is to know.

        Args:
          params: as made by `init`.
          past: [batch, L, C].
          covariates: [batch, L + H, K].
          keys: [batch], one for each window: decides its draws, whatever windows stand beside it.
          paths: N.

        Returns:
          [N, batch, H, C].
        """
        batch, number, steps = past.shape[0], self._segments, self._segments * self.segment
        to_come = jnp.pad(covariates[:, self.context :], ((0, 0), (0, steps - self.horizon), (0, 0)))
        to_come = jnp.moveaxis(to_come.reshape(batch, number, self.segment, -1), 1, 0)
        moments = self.moments(past)
        state, ys = self._read(params, past, covariates[:, : self.context], moments)
        # The paths of all windows side by side.
        state, y, moments = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * paths), (state, ys[:, -1:], moments))

        def draw(carry: PyTree, at: tuple[Array, Array]) -> tuple[PyTree, Array]:
            known, keys_m = jnp.concatenate([at[0]] * paths), jax.vmap(jax.random.fold_in, (0, None))(keys, at[1])
            drawn = self._drawn(self._forecast(params, carry[1], known, moments), keys_m)
            return self._read(params, drawn, known, moments, carry[0]), drawn

        _, drawn = jax.lax.scan(draw, (state, y), (to_come, jnp.arange(number)))
        return jnp.moveaxis(drawn, 0, 1).reshape(paths, batch, steps, self.targets)[:, :, : self.horizon]

    def _drawn(self, forecast: PyTree, keys: Array) -> Array:
        """Values [N · batch, w, C] drawn from forecasts of so many, with a key for the N paths of each window."""
        batch = keys.shape[0]
        apart = jax.tree.map(lambda leaf: leaf.reshape(-1, batch, *leaf.shape[1:]) if leaf.ndim else leaf, forecast)
        axes = jax.tree.map(lambda leaf: 1 if leaf.ndim else None, apart)
        drawn = jax.vmap(self.head.sample, in_axes=(axes, 0), out_axes=1)(apart, keys)
        return drawn.reshape(-1, *drawn.shape[2:])

    def moments(self, past: Array) -> tuple[Array, Array]:
        """What is subtracted from a window and what it is divided by, [batch, 1, C] each."""
        last, mean = past[:, -1:], past.mean(axis=1, keepdims=True)
        if self.normalise == "window":
            return mean, past.std(axis=1, keepdims=True) + _LEAST_SPREAD
        if self.normalise == "mean":
            return jnp.zeros_like(mean), 1.0 + jnp.abs(mean)
        return (last if self.normalise == "last" else jnp.zeros_like(last)), jnp.ones_like(last)

    def _read(
        self,
        params: ForecasterParams,
        values: Array,
        covariates: Array,
        moments: tuple[Array, Array],
        state: PyTree = None,
    ) -> tuple[PyTree, Array]:
        """Reads n segments of values [batch, n · w, C] and covariates [batch, n · w, K].

        Returns:
          `(state, ys)`, ys [rows, n, F] with a row for each window, or for each target of each window.
        """
        xs = self._embed(params, values, covariates, moments)
        return unroll(self.cell, params.cell, xs, state, method=self.method)

    def _embed(self, params: ForecasterParams, values: Array, covariates: Array, moments: tuple[Array, Array]) -> Array:
        """What the cell reads of n segments, [rows, n, E]."""
        values = (values - moments[0]) / moments[1]
        if self.independent:
            values = jnp.moveaxis(values, 2, 1).reshape(-1, values.shape[1], 1)
            covariates = jnp.repeat(covariates, self.targets, axis=0)
        xs = jnp.concatenate([values, covariates], axis=-1)
        xs = xs.reshape(xs.shape[0], xs.shape[1] // self.segment, -1)
        xs = jax.nn.relu(Linear(self.embedding_size).apply(params.input, xs.astype(self.compute_dtype)))
        return xs.astype(self.compute_dtype)

    def _forecast(self, params: ForecasterParams, ys: Array, covariates: Array, moments: tuple[Array, Array]) -> PyTree:
        """The head's forecast from outputs [rows, m, F], for as many steps as there are covariates [batch, h, K]."""
        batch, steps, _ = covariates.shape
        raw = self._output.apply(params.output, ys)
        raw = raw.reshape(ys.shape[0], -1, self._channels, self.head.numbers)[:, :steps]
        if params.future is not None:
            effects = self._future.apply(params.future, covariates.astype(self.compute_dtype))
            effects = effects.reshape(batch, steps, self._channels, self.head.numbers)
            raw = raw + jnp.repeat(effects, ys.shape[0] // batch, axis=0)
        raw = jnp.moveaxis(raw.reshape(batch, -1, *raw.shape[1:]), 1, 2)
        shape = (batch, steps, self.targets)
        offset, spread = (jnp.broadcast_to(moment, shape) for moment in moments)
        return self.head.place(params.head, raw.reshape(*shape, self.head.numbers), offset, spread)

    def _decode(self, params: ForecasterParams, state: PyTree, key: Array | None) -> Array:
        """The outputs [rows, M, F] one step on from the last state, once for each segment to come."""
        rows, number = jax.tree.leaves(state)[0].shape[0], self._segments
        assert params.position is not None
        xs = params.position
        if params.target is not None:
            xs = (params.target[:, None] + xs).reshape(-1, self.embedding_size)
        xs = jnp.tile(xs, (rows * number // xs.shape[0], 1))[:, None].astype(self.compute_dtype)
        states = jax.tree.map(lambda leaf: jnp.repeat(leaf, number, axis=0), state)
        _, ys = unroll(self.cell, params.cell, xs, states, method=self.method, key=key)
        return ys.reshape(rows, number, -1)
