"""Recurrent cells, and what changes them. `CELLS` maps the name that a config uses to the class."""

from seqmodels.cells.base import Cell, Composite, GatedCell, LinearCell, product
from seqmodels.cells.gru import GRU, GRUParams, GRUState
from seqmodels.cells.learned_state import LearnedState, LearnedStateParams
from seqmodels.cells.lstm import LSTM, LSTMParams, LSTMState
from seqmodels.cells.mingru import MinGRU, MinGRUParams, MinGRUState
from seqmodels.cells.residual import Residual
from seqmodels.cells.rnn import RNN, RNNParams, RNNState
from seqmodels.cells.stack import Stack
from seqmodels.cells.variational_dropout import VariationalDropout
from seqmodels.cells.weight_drop import WeightDrop
from seqmodels.cells.zoneout import Zoneout

CELLS: dict[str, type[GatedCell] | type[LinearCell]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU, "mingru": MinGRU}

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "RNN",
    "Cell",
    "Composite",
    "GRUParams",
    "GRUState",
    "GatedCell",
    "LSTMParams",
    "LSTMState",
    "LearnedState",
    "LearnedStateParams",
    "LinearCell",
    "MinGRU",
    "MinGRUParams",
    "MinGRUState",
    "RNNParams",
    "RNNState",
    "Residual",
    "Stack",
    "VariationalDropout",
    "WeightDrop",
    "Zoneout",
    "product",
]
