"""Watchers of validation scores: when to stop, and when to lower the learning rate.

A watcher is a frozen table; what it remembers is a NamedTuple of plain numbers that goes into the checkpoint as
JSON. `update(state, score)` returns the next state and changes nothing. Lower scores are better; NaN is no gain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field

from seqmodels.config import config
from seqmodels.training.schedules import Plateau, ScheduleConfig


class StoppingState(NamedTuple):
    """What early stopping remembers.

    Attributes:
      best: the lowest score so far; None before the first gain.
      waited: validations in a row without a gain.
      stop: whether training should end.
    """

    best: float | None = None
    waited: int = 0
    stop: bool = False

    def to_json(self) -> dict[str, Any]:
        """Returns the state as a JSON object."""
        return self._asdict()

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """Returns the state that `to_json` wrote.

        Raises:
          ValueError: if the keys are others.
        """
        return cls(**_checked(saved, cls._fields))


class PlateauState(NamedTuple):
    """What the plateau schedule remembers.

    Attributes:
      best: the lowest score so far; None before the first gain.
      waited: validations in a row without a gain since the last gain or multiplication.
      scale: what the scheduled learning rate is multiplied by, in (0, 1].
    """

    best: float | None = None
    waited: int = 0
    scale: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """Returns the state as a JSON object."""
        return self._asdict()

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """Returns the state that `to_json` wrote.

        Raises:
          ValueError: if the keys are others.
        """
        return cls(**_checked(saved, cls._fields))


class AveragingState(NamedTuple):
    """What remembers when averaging should begin.

    Attributes:
      recent: the scores of the last validations that are not looked at yet, oldest first.
      best: the lowest score before those; None as long as there is none.
      start: the step after which a score was worse than `best` for the first time; None before.
    """

    recent: tuple[float, ...] = ()
    best: float | None = None
    start: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the state as a JSON object."""
        return {**self._asdict(), "recent": list(self.recent)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """Returns the state that `to_json` wrote.

        Raises:
          ValueError: if the keys are others.
        """
        checked = _checked(saved, cls._fields)
        return cls(tuple(checked["recent"]), checked["best"], checked["start"])


@config
class EarlyStopping:
    """Ends training after `patience` validations in a row without a gain; without `patience`, never.

    Example:
      >>> stopping = EarlyStopping(patience=2)
      >>> state = stopping.start()
      >>> for score in (2.0, 1.5, 1.6, 1.5):
      ...     state = stopping.update(state, score)
      >>> state
      StoppingState(best=1.5, waited=2, stop=True)
    """

    patience: Annotated[int | None, Field(ge=1, description="validations in a row without a gain")] = None
    least_gain: Annotated[float, Field(ge=0, description="a gain must be more than this, in the score's unit")] = 0.0

    def start(self) -> StoppingState:
        """Returns the state before the first validation."""
        return StoppingState()

    def update(self, state: StoppingState, score: float) -> StoppingState:
        """Returns the state after one more validation; once `stop` is set it stays.

        Args:
          state: the state before it.
          score: the validation's score, lower is better.
        """
        if _gains(state.best, score, self.least_gain):
            return StoppingState(best=float(score), stop=state.stop)
        waited = state.waited + 1
        stop = self.patience is not None and waited >= self.patience
        return StoppingState(state.best, waited, state.stop or stop)


@dataclass(frozen=True)
class PlateauWatcher:
    """Keeps the scale of the learning rate; with any other schedule than `plateau` it stays 1.

    Args:
      schedule: the table `[optimizer.schedule]`.

    Example:
      >>> watcher = PlateauWatcher(Plateau(factor=0.5, patience=1))
      >>> state = watcher.start()
      >>> for score in (2.0, 1.5, 1.6, 1.4):
      ...     state = watcher.update(state, score)
      >>> state
      PlateauState(best=1.4, waited=0, scale=0.5)
    """

    schedule: ScheduleConfig

    def start(self) -> PlateauState:
        """Returns the state before the first validation."""
        return PlateauState()

    def update(self, state: PlateauState, score: float) -> PlateauState:
        """Returns the state after one more validation.

        Args:
          state: the state before it.
          score: the validation's score, lower is better.
        """
        if not isinstance(self.schedule, Plateau):
            return state
        if _gains(state.best, score, self.schedule.least_gain):
            return PlateauState(best=float(score), scale=state.scale)
        waited = state.waited + 1
        if waited < self.schedule.patience:
            return state._replace(waited=waited)
        return PlateauState(state.best, scale=max(state.scale * self.schedule.factor, self.schedule.least))


@dataclass(frozen=True)
class AveragingWatcher:
    """Says when averaging begins: at the first score that is worse than the best of those long before it.

    Args:
      patience: so many scores right before the last one are not looked at; None: it never begins.

    Example:
      >>> watcher = AveragingWatcher(patience=1)
      >>> state = watcher.start()
      >>> for step, score in ((10, 2.0), (20, 1.5), (30, 1.6), (40, 1.7)):
      ...     state = watcher.update(state, score, step)
      >>> state  # 1.6 is not worse than 2.0; 1.7 is worse than 1.5
      AveragingState(recent=(1.7,), best=1.5, start=40)

    References:
      Merity, Keskar & Socher (2018), Regularizing and optimizing LSTM language models (NT-ASGD).
    """

    patience: int | None

    def start(self) -> AveragingState:
        """Returns the state before the first validation."""
        return AveragingState()

    def update(self, state: AveragingState, score: float, step: int) -> AveragingState:
        """Returns the state after one more validation; once `start` is set all stays as it is.

        Args:
          state: the state before it.
          score: the validation's score, lower is better.
          step: optimizer steps done.
        """
        if self.patience is None or state.start is not None:
            return state
        worse = state.best is not None and score > state.best
        scores = (*state.recent, float(score))
        cut = max(len(scores) - self.patience, 0)
        old = scores[:cut] if state.best is None else (state.best, *scores[:cut])
        return AveragingState(scores[cut:], min(old, default=None), step if worse else None)


def _gains(best: float | None, score: float, least_gain: float) -> bool:
    """Whether a score is lower than the best by more than the least gain; NaN compares false with everything."""
    return bool(score < (float("inf") if best is None else best - least_gain))


def _checked(saved: Mapping[str, Any], fields: tuple[str, ...]) -> Mapping[str, Any]:
    if set(saved) != set(fields):
        raise ValueError(f"a watcher's saved state must have the keys {sorted(fields)} (got {sorted(saved)})")
    return saved
