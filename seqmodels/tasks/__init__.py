"""Applications, one a file. `TASKS` maps the name in `[task]` to the class."""

from seqmodels.tasks.classification import Classification
from seqmodels.tasks.language_modelling import LanguageModelling
from seqmodels.training.task import Task

TASKS: dict[str, type[Task]] = {
    LanguageModelling.name: LanguageModelling,
    Classification.name: Classification,
}

__all__ = ["TASKS", "Classification", "LanguageModelling"]
