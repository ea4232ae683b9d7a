"""Applications, one a file. `TASKS` maps the name in `[task]` to the class."""

from seqmodels.tasks.classification import Classification
from seqmodels.tasks.forecasting import Forecasting
from seqmodels.tasks.language_modelling import LanguageModelling
from seqmodels.tasks.long_term import LongTerm
from seqmodels.tasks.music import Playing
from seqmodels.tasks.tagging import Tagging
from seqmodels.training.task import Task

TASKS: dict[str, type[Task]] = {
    LanguageModelling.name: LanguageModelling,
    Classification.name: Classification,
    Tagging.name: Tagging,
    Forecasting.name: Forecasting,
    LongTerm.name: LongTerm,
    Playing.name: Playing,
}

__all__ = ["TASKS", "Classification", "Forecasting", "LanguageModelling", "LongTerm", "Playing", "Tagging"]
