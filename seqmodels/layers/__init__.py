"""Layers: sequence in, sequence out."""

from seqmodels.cells.masks import dropout
from seqmodels.layers.bidirectional import Bidirectional, BidirectionalParams
from seqmodels.layers.embedding import Embedding
from seqmodels.layers.linear import Linear, LinearParams
from seqmodels.layers.pooling import POOLINGS, AttentionParams, Pooling

__all__ = [
    "POOLINGS",
    "AttentionParams",
    "Bidirectional",
    "BidirectionalParams",
    "Embedding",
    "Linear",
    "LinearParams",
    "Pooling",
    "dropout",
]
