"""Runs cells with and without a mesh of 2 x 2 devices; prints how far they are apart, and what loops exchange.

A process of its own: how many devices a machine has is decided when JAX starts.
"""

import json

import jax
import jax.numpy as jnp
from oracles import relative_difference

import seqmodels as sm
from seqmodels.benchmarks.exchanges import exchanges
from seqmodels.cells.base import PyTree
from seqmodels.training.devices import Placement, make_mesh
from seqmodels.training.tables import Mesh

CASES = {
    "lstm, fused": (sm.LSTM(hidden_size=8), "fused"),
    "lstm, fused and apart": (sm.LSTM(hidden_size=8), sm.engines.Fused(packed=False)),
    "lstm, fused and packed": (sm.LSTM(hidden_size=8), sm.engines.Fused(packed=True)),
    "lstm, fused from states": (sm.LSTM(hidden_size=8), sm.engines.Fused(save="states")),
    "lstm, scan": (sm.LSTM(hidden_size=8), "scan"),
    "lstm, chunked": (sm.LSTM(hidden_size=8), "chunked"),
    "lstm, newton": (sm.LSTM(hidden_size=8), "newton"),
    "peepholes, fused": (sm.LSTM(hidden_size=8, peepholes=True), "fused"),
    "zoneout, fused": (sm.Zoneout(sm.LSTM(hidden_size=8), 0.5), "fused"),
    "weight drop, fused": (sm.WeightDrop(sm.LSTM(hidden_size=8), 0.5), "fused"),
    "stack, fused": (sm.Stack([sm.LSTM(hidden_size=8), sm.LSTM(hidden_size=8)]), "fused"),
    "two directions, fused": (sm.Bidirectional(sm.LSTM(hidden_size=8), sm.LSTM(hidden_size=8)), "fused"),
    "rnn, fused": (sm.RNN(hidden_size=8), "fused"),
    "gru, fused": (sm.GRU(hidden_size=8), "fused"),
    "lstmp, fused": (sm.LSTMP(hidden_size=8, projection_size=4), "fused"),
    "layer_norm_lstm, fused": (sm.LayerNormLSTM(hidden_size=8), "fused"),
    "indrnn, fused": (sm.IndRNN(hidden_size=8), "fused"),
    "slstm, fused": (sm.SLSTM(hidden_size=8, heads=2), "fused"),
    "mlstm, scan": (sm.MLSTM(hidden_size=8, heads=2), "scan"),
    "mingru, associative": (sm.MinGRU(hidden_size=8), "associative"),
    "minlstm, scan": (sm.MinLSTM(hidden_size=8), "scan"),
    "lru, associative": (sm.LRU(hidden_size=8), "associative"),
    "rglru, associative": (sm.RGLRU(hidden_size=8), "associative"),
}
"""Every engine, every cell and every way to put cells together."""


def compare(cell: PyTree, method: PyTree) -> dict[str, PyTree]:
    """The relative difference of outputs and all gradients, and what loops exchange."""
    xs = jax.random.normal(jax.random.key(1), (4, 9, 4))
    params = cell.init(jax.random.key(0), 4)
    lengths = jnp.array([9, 3, 0, 7])

    def loss(params: PyTree, xs: jax.Array) -> tuple[jax.Array, PyTree]:
        last, ys = sm.unroll(cell, params, xs, lengths=lengths, key=jax.random.key(2), method=method)
        weights = jnp.sin(jnp.arange(ys.size, dtype=ys.dtype)).reshape(ys.shape)
        return (ys * weights).sum() + sum(leaf.sum() for leaf in jax.tree.leaves(last)), ys

    gradient = jax.value_and_grad(loss, (0, 1), has_aux=True)
    alone = jax.jit(gradient)(params, xs)
    placement = Placement(make_mesh(Mesh(data=2, model=2)), batch_axis=0)
    with jax.set_mesh(placement.mesh):
        given = jax.device_put(params, placement.parameter_shardings(params)), placement.put_batch(xs)
        program = jax.jit(gradient).lower(*given).compile()
        shared = program(*given)
    apart = jax.tree.map(relative_difference, jax.device_get(shared), jax.device_get(alone))
    found = exchanges(program.as_text(), placement.mesh.size)
    innermost = max([1, *(exchange.loops for exchange in found)])
    loops = sorted(exchange.kind for exchange in found if exchange.loops == innermost)
    return {"apart": max(jax.tree.leaves(apart)), "loops": loops}


if __name__ == "__main__":
    print(json.dumps({name: compare(*case) for name, case in CASES.items()}))
