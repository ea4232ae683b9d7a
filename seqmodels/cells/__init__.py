"""Recurrent cells, and what changes them. `CELLS` maps the name that a config uses to the class."""

from seqmodels.cells.base import Cell, Composite, GatedCell, LinearCell
from seqmodels.cells.gru import GRU, GRUParams, GRUState
from seqmodels.cells.indrnn import IndRNN, IndRNNParams, IndRNNState
from seqmodels.cells.layer_norm_lstm import LayerNormLSTM, LayerNormLSTMParams, LayerNormLSTMState
from seqmodels.cells.learned_state import LearnedState, LearnedStateParams
from seqmodels.cells.lru import LRU, LRUParams, LRUState
from seqmodels.cells.lstm import LSTM, LSTMParams, LSTMState
from seqmodels.cells.lstmp import LSTMP, LSTMPParams, LSTMPState
from seqmodels.cells.mingru import MinGRU, MinGRUParams, MinGRUState
from seqmodels.cells.minlstm import MinLSTM, MinLSTMParams, MinLSTMState
from seqmodels.cells.mlstm import MLSTM, MLSTMParams, MLSTMState
from seqmodels.cells.products import gate_products, product
from seqmodels.cells.residual import Residual
from seqmodels.cells.rglru import RGLRU, RGLRUParams, RGLRUState
from seqmodels.cells.rnn import RNN, RNNParams, RNNState
from seqmodels.cells.slstm import SLSTM, SLSTMParams, SLSTMState
from seqmodels.cells.stack import Stack
from seqmodels.cells.variational_dropout import VariationalDropout
from seqmodels.cells.weight_drop import WeightDrop
from seqmodels.cells.zoneout import Zoneout

CELLS: dict[str, type[GatedCell] | type[LinearCell]] = {
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "mingru": MinGRU,
    "minlstm": MinLSTM,
    "lru": LRU,
    "rglru": RGLRU,
    "layer_norm_lstm": LayerNormLSTM,
    "lstmp": LSTMP,
    "indrnn": IndRNN,
    "slstm": SLSTM,
    "mlstm": MLSTM,
}

__all__ = [
    "CELLS",
    "GRU",
    "LRU",
    "LSTM",
    "LSTMP",
    "MLSTM",
    "RGLRU",
    "RNN",
    "SLSTM",
    "Cell",
    "Composite",
    "GRUParams",
    "GRUState",
    "GatedCell",
    "IndRNN",
    "IndRNNParams",
    "IndRNNState",
    "LRUParams",
    "LRUState",
    "LSTMPParams",
    "LSTMPState",
    "LSTMParams",
    "LSTMState",
    "LayerNormLSTM",
    "LayerNormLSTMParams",
    "LayerNormLSTMState",
    "LearnedState",
    "LearnedStateParams",
    "LinearCell",
    "MLSTMParams",
    "MLSTMState",
    "MinGRU",
    "MinGRUParams",
    "MinGRUState",
    "MinLSTM",
    "MinLSTMParams",
    "MinLSTMState",
    "RGLRUParams",
    "RGLRUState",
    "RNNParams",
    "RNNState",
    "Residual",
    "SLSTMParams",
    "SLSTMState",
    "Stack",
    "VariationalDropout",
    "WeightDrop",
    "Zoneout",
    "gate_products",
    "product",
]
