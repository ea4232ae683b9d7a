"""The data sets of files that the project knows."""

from collections.abc import Mapping
from typing import Final

from seqmodels.data.chorales import JSB_CHORALES
from seqmodels.data.corpora import PTB, TINYSHAKESPEARE
from seqmodels.data.ett import ETTH1, ETTM1
from seqmodels.data.imdb import IMDB
from seqmodels.data.lexicon import VADER
from seqmodels.data.m4 import M4_HOURLY
from seqmodels.data.mnist import MNIST
from seqmodels.data.sources import Source
from seqmodels.data.sst import SST
from seqmodels.data.ud_english import UD_ENGLISH_EWT

SOURCES: Final[Mapping[str, Source]] = {
    "ptb": PTB,
    "tinyshakespeare": TINYSHAKESPEARE,
    "sst": SST,
    "imdb": IMDB,
    "ud_english_ewt": UD_ENGLISH_EWT,
    "vader": VADER,
    "etth1": ETTH1,
    "ettm1": ETTM1,
    "m4_hourly": M4_HOURLY,
    "mnist": MNIST,
    "jsb_chorales": JSB_CHORALES,
}
"""Every data set of files, by name."""
