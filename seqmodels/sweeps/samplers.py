"""How the values of a trial are drawn: a function of the sweep's seed, the trial's number and the trials before it.

Optuna's samplers hold a generator which begins anew with the process. Here each trial has one of its own, so that a
sweep that is gone on with draws what it would have drawn, and two workers never draw the same.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from seqmodels.sweeps.ranges import Range
from seqmodels.sweeps.tables import Sweep


def distribution(range_: Range) -> BaseDistribution:
    """A range in Optuna's words."""
    if range_.choices is not None:
        return CategoricalDistribution(range_.choices)
    if range_.whole:
        return IntDistribution(range_.low, range_.high, log=range_.log, step=range_.step or 1)  # type: ignore[arg-type]  # whole numbers, as `whole` says
    return FloatDistribution(range_.low, range_.high, log=range_.log, step=range_.step)  # type: ignore[arg-type]  # `Range` has both ends


def make_sampler(sweep: Sweep) -> optuna.samplers.BaseSampler:
    """The sampler that a sweep asks for."""
    makers: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
        "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=sweep.table.startup_trials),
        "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    }
    if sweep.table.sampler == "grid":
        return Grid({key: range_.values or () for key, range_ in sweep.space.items()})
    return Seeded(makers[sweep.table.sampler], sweep.table.seed)


class Seeded(optuna.samplers.BaseSampler):
    """A sampler made anew for each trial.

    Args:
      make: makes one from a seed.
      seed: the sweep's.
    """

    def __init__(self, make: Callable[[int], optuna.samplers.BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._sampler = make(seed)

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        """Makes the trial's sampler."""
        (seed,) = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)
        self._sampler = self._make(int(seed))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As the trial's sampler."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the trial's sampler."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """As the trial's sampler."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)


class Grid(optuna.samplers.BaseSampler):
    """All combinations in order, the last key's values first; the trial's number says which.

    Args:
      values: of each key.
    """

    def __init__(self, values: Mapping[str, Sequence[Any]]) -> None:
        self._points = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing: each key by itself."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The value in the combination of the trial's number."""
        return self._points[trial.number % len(self._points)][param_name]
