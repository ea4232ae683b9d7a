"""Models: layers put together."""

from seqmodels.models.language_model import LanguageModel, LanguageModelParams
from seqmodels.models.sampling import Sampling, generate

__all__ = ["LanguageModel", "LanguageModelParams", "Sampling", "generate"]
