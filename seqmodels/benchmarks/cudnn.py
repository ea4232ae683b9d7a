"""Who is measured on an NVIDIA GPU alone: cuDNN's own LSTM, called from JAX, and torch's as a CUDA graph.

Elsewhere they raise ImportError, as a library does that is not installed.
"""

import importlib
from typing import Any

import jax
import jax.numpy as jnp

from seqmodels.benchmarks.cases import Data
from seqmodels.benchmarks.contestants import Contestant, Gradients, fields, jax_step, torch_gradients, torch_layer
from seqmodels.cells import LSTMParams


def jax_cudnn(data: Data, dtype: str) -> Contestant:
    """`jax.experimental.rnn.lstm`, which knows float32 alone."""
    if jax.default_backend() != "gpu" or dtype != "float32":
        raise ImportError("jax.experimental.rnn runs on a GPU in float32")
    rnn = importlib.import_module("jax.experimental.rnn")
    rows, steps, size = data.xs.shape
    hidden = data.weights.shape[-1]
    zeros = jnp.zeros((1, rows, hidden))
    lengths = jnp.full(rows, steps, jnp.int32)

    def loss(params: LSTMParams, xs: jax.Array) -> jax.Array:
        ys, _, _ = rnn.lstm(xs, zeros, zeros, flat(params), lengths, size, hidden, 1, 0.0, False)
        return jnp.sum(ys * data.weights)

    return jax_step(loss, data.params, data.xs, fields)


def flat(params: LSTMParams) -> jax.Array:
    """One vector, as cuDNN wants it: both matrices [4H, D] and [4H, H], then both biases, of which one is zero."""
    parts = (params.w_ih.T, params.w_hh.T, params.b, jnp.zeros_like(params.b))
    return jnp.concatenate([part.reshape(-1) for part in parts])


def torch_graph(data: Data, dtype: str) -> Contestant:
    """`torch.nn.LSTM`, its whole step recorded once as a CUDA graph and replayed: no work for the host."""
    torch = importlib.import_module("torch")
    if not torch.cuda.is_available():
        raise ImportError("CUDA graphs need a GPU that torch sees")
    module, xs, weights = torch_layer(data, dtype)

    def step() -> None:
        (module(xs)[0] * weights).sum().backward()

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # what is allocated on first use must not be recorded
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    module.zero_grad()  # no gradients yet: the graph will make them, and write them anew each time
    xs.grad = None
    graph: Any = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def run() -> None:
        graph.replay()
        torch.cuda.synchronize()

    def gradients() -> Gradients:
        run()
        return torch_gradients(module, xs)

    return Contestant(run, gradients, None)
