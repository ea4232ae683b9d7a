"""Models: layers put together."""

from seqmodels.models.classifier import Classifier, ClassifierParams
from seqmodels.models.language_model import LanguageModel, LanguageModelParams
from seqmodels.models.sampling import Sampling, generate

__all__ = [
    "Classifier",
    "ClassifierParams",
    "LanguageModel",
    "LanguageModelParams",
    "Sampling",
    "generate",
]
