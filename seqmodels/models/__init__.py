"""Models: layers put together."""

from seqmodels.models.beam import Beam, beam_search
from seqmodels.models.classifier import Classifier, ClassifierParams
from seqmodels.models.forecaster import Forecaster, ForecasterParams
from seqmodels.models.language_model import LanguageModel, LanguageModelParams
from seqmodels.models.sampling import Sampling, generate
from seqmodels.models.scoring import log_probabilities
from seqmodels.models.sequence_model import SequenceModel, SequenceModelParams
from seqmodels.models.spelling import Speller, SpellerParams
from seqmodels.models.tagger import Tagger, TaggerParams

__all__ = [
    "Beam",
    "Classifier",
    "ClassifierParams",
    "Forecaster",
    "ForecasterParams",
    "LanguageModel",
    "LanguageModelParams",
    "Sampling",
    "SequenceModel",
    "SequenceModelParams",
    "Speller",
    "SpellerParams",
    "Tagger",
    "TaggerParams",
    "beam_search",
    "generate",
    "log_probabilities",
]
