"""Applications, one a file. `TASKS` maps the name in `[task]` to the class."""

from seqmodels.tasks.language_modelling import LanguageModelling

TASKS: dict[str, type[LanguageModelling]] = {LanguageModelling.name: LanguageModelling}

__all__ = ["TASKS", "LanguageModelling"]
