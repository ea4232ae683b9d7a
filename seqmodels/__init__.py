"""Recurrent sequence models in JAX: write a cell once, as the equations in the paper; run it every way."""

from seqmodels import engines
from seqmodels.cells import (
    GRU,
    LSTM,
    RNN,
    Cell,
    Composite,
    GatedCell,
    GRUParams,
    GRUState,
    LearnedState,
    LinearCell,
    LSTMParams,
    LSTMState,
    MinGRU,
    MinGRUParams,
    MinGRUState,
    Residual,
    RNNParams,
    RNNState,
    Stack,
    VariationalDropout,
    WeightDrop,
    Zoneout,
)
from seqmodels.engines import Stream, trajectory, unroll
from seqmodels.layers import Bidirectional

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "Cell",
    "Composite",
    "GRUParams",
    "GRUState",
    "GatedCell",
    "LSTMParams",
    "LSTMState",
    "LearnedState",
    "LinearCell",
    "MinGRU",
    "MinGRUParams",
    "MinGRUState",
    "RNNParams",
    "RNNState",
    "Residual",
    "Stack",
    "Stream",
    "VariationalDropout",
    "WeightDrop",
    "Zoneout",
    "engines",
    "trajectory",
    "unroll",
]
