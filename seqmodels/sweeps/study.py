"""The trials of a sweep in their storage, shared by all its workers; needs optuna, an extra."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from seqmodels.config import changes
from seqmodels.errors import UserError
from seqmodels.sweeps.samplers import distribution, make_sampler
from seqmodels.sweeps.storage import open_storage
from seqmodels.sweeps.tables import Sweep
from seqmodels.sweeps.trials import State, Trial, name
from seqmodels.training.folder_lock import FolderInUseError, FolderLock, alone

CLAIM = ".claim"
"""The lock that a worker holds on the folder of the trial that it runs."""

_MAY_CHANGE = ("sweep.config", "sweep.dir", "sweep.trials")
_STATES: Mapping[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.WAITING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class Study:
    """A sweep's trials; each is given to one worker at a time.

    A worker holds a lock on the folder of its trial, which ends with its process. So a trial that runs by the storage
    and whose lock is free was interrupted, and is given out again before any new one.

    Args:
      sweep: what is searched.
      config_text: the config of all trials, as TOML.

    Raises:
      UserError: if the folder cannot be made, or the storage cannot be opened, or holds another sweep of that name.
    """

    def __init__(self, sweep: Sweep, config_text: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._sweep = sweep
        self._distributions = {key: distribution(range_) for key, range_ in sweep.space.items()}
        try:
            sweep.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{sweep.folder}: cannot be created: {error.strerror}; choose another sweep.dir") from error
        with alone(sweep.folder):
            self._storage = open_storage(sweep)
            self._study = optuna.create_study(
                study_name=sweep.name,
                storage=self._storage,
                sampler=make_sampler(sweep),
                pruner=_pruner(sweep),
                direction=sweep.table.direction,
                load_if_exists=True,
            )
            self._keep("sweep", sweep.text, _MAY_CHANGE)
            self._keep("config", config_text, ())

    def trials(self) -> list[Trial]:
        """All that were begun, by any worker."""
        return [_shown(trial) for trial in self._study.get_trials(deepcopy=False)]

    def claim(self) -> "Claim | None":
        """A trial to run: one that was interrupted, else a new one; None if there are as many as there shall be."""
        with alone(self._sweep.folder):
            trials = self._study.get_trials(deepcopy=False)
            for trial in trials:
                if trial.state == TrialState.RUNNING and (claim := self._take(trial.number)) is not None:
                    return claim
            if len(trials) >= self._sweep.trials:
                return None
            return self._take(self._study.ask().number, new=True)

    def _take(self, number: int, *, new: bool = False) -> "Claim | None":
        """Takes a trial, unless another worker has it."""
        folder = self._sweep.folder / name(number)
        if not new and self._sweep.table.storage is not None and not (folder / CLAIM).exists():
            return None  # of a worker elsewhere, whose locks are not seen here
        folder.mkdir(exist_ok=True)
        try:
            lock = FolderLock(folder, CLAIM)
        except FolderInUseError:
            return None
        study_id = self._storage.get_study_id_from_name(self._sweep.name)
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        return Claim(self._study, optuna.Trial(self._study, trial_id), self._distributions, lock)

    def _keep(self, key: str, text: str, but: tuple[str, ...]) -> None:
        """Puts a text into the storage, or compares it with the one that is there."""
        before = self._study.user_attrs.get(key)
        if before is None:
            self._study.set_user_attr(key, text)
        elif changed := changes(before, text, but=but):
            where = f"{self._sweep.path}: the sweep {self._sweep.name!r} was begun with another {key}"
            remedy = "give back the old one, or choose another sweep.name"
            raise UserError(*(f"{where}: {change}; {remedy}" for change in changed))


class Claim:
    """One trial, which nobody else runs; a context manager that gives it back.

    Attributes:
      number: the trial's.
      params: the values that it shall be run with, by the keys' paths.
    """

    def __init__(
        self, study: optuna.Study, trial: optuna.Trial, distributions: Mapping[str, BaseDistribution], lock: FolderLock
    ) -> None:
        self._study = study
        self._trial = trial
        self._lock = lock
        self.number = trial.number
        # What was drawn before stays as it is: only what is missing is drawn.
        self.params = {key: _suggest(trial, key, kind) for key, kind in distributions.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def report(self, values: Mapping[int, float]) -> bool:
        """Takes in the objective by step, as far as it is new; returns whether the trial should be ended."""
        seen = self._study.get_trials(deepcopy=False)[self.number].intermediate_values
        for step in sorted(values.keys() - seen.keys()):
            self._trial.report(values[step], step)
        return self._trial.should_prune()

    def complete(self, objective: str, value: float, steps: int, seconds: float) -> None:
        """The run is finished, and this is the metric that was searched for."""
        self._trial.set_user_attr("objective", objective)
        self._trial.set_user_attr("steps", steps)
        self._trial.set_user_attr("seconds", seconds)
        self._study.tell(self.number, value)

    def prune(self) -> None:
        """The run was ended since it is worse than others."""
        self._study.tell(self.number, state=TrialState.PRUNED)

    def diverge(self, reason: str) -> None:
        """What was computed is no longer a number: for the sampler as bad as can be, where a failure says nothing."""
        self._trial.set_user_attr("reason", reason)
        self._study.tell(self.number, state=TrialState.PRUNED)

    def fail(self, reason: str) -> None:
        """The run could not be begun, does not fit into memory, or ended in a defect."""
        self._trial.set_user_attr("reason", reason)
        self._study.tell(self.number, state=TrialState.FAIL)


def _pruner(sweep: Sweep) -> optuna.pruners.BasePruner:
    """What ends trials that are worse than others."""
    if sweep.table.pruner == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(sweep.table.startup_trials, sweep.table.warmup_steps)


def _suggest(trial: optuna.Trial, key: str, kind: BaseDistribution) -> Any:
    """The value of a key: drawn at the first time, the same ever after."""
    match kind:
        case CategoricalDistribution():
            return trial.suggest_categorical(key, kind.choices)
        case IntDistribution():
            return trial.suggest_int(key, kind.low, kind.high, step=kind.step, log=kind.log)
        case FloatDistribution():
            return trial.suggest_float(key, kind.low, kind.high, step=kind.step, log=kind.log)
    raise TypeError(kind)


def _shown(trial: FrozenTrial) -> Trial:
    """A trial as the storage has it."""
    own = trial.user_attrs
    diverged = trial.state == TrialState.PRUNED and "reason" in own
    return Trial(
        trial.number,
        "diverged" if diverged else _STATES[trial.state],
        trial.params,
        trial.value,
        own.get("objective"),
        own.get("reason"),
        own.get("steps"),
        own.get("seconds"),
    )
