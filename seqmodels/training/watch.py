"""What a run has met so far in its scores and bad steps, and what follows from it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import jax.numpy as jnp

from seqmodels.training.bad_steps import NO_ROLLBACKS, Rollbacks
from seqmodels.training.step import TrainState
from seqmodels.training.watchers import (
    AveragingState,
    AveragingWatcher,
    EarlyStopping,
    PlateauState,
    PlateauWatcher,
    StoppingState,
)


class Watchers(NamedTuple):
    """Those that look at every score.

    Attributes:
      stopping: for early stopping, which may ask for more than any gain.
      plateau: for the learning rate.
      averaging: for the beginning of an average.
    """

    stopping: EarlyStopping
    plateau: PlateauWatcher
    averaging: AveragingWatcher


@dataclasses.dataclass
class Watch:
    """What the watchers remember; part of every checkpoint.

    Attributes:
      stopping: of early stopping.
      plateau: of the learning rate.
      averaging: of the average.
      best: the lowest score.
      rollbacks: the bad steps that are left out.
      due: whether the last step has been done alone: its row of metrics and its validation wait for a resumed run.
    """

    stopping: StoppingState
    plateau: PlateauState
    averaging: AveragingState
    best: float | None = None
    rollbacks: Rollbacks = NO_ROLLBACKS
    due: bool = False

    @classmethod
    def start(cls, watchers: Watchers) -> Self:
        """Before the first validation."""
        return cls(watchers.stopping.start(), watchers.plateau.start(), watchers.averaging.start())

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "stopping": self.stopping.to_json(),
            "plateau": self.plateau.to_json(),
            "averaging": self.averaging.to_json(),
            "best": self.best,
            "rollbacks": self.rollbacks.to_json(),
            "due": self.due,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(
            StoppingState.from_json(saved["stopping"]),
            PlateauState.from_json(saved["plateau"]),
            AveragingState.from_json(saved["averaging"]),
            saved["best"],
            Rollbacks.from_json(saved.get("rollbacks", {})),  # older checkpoints have none
            saved.get("due", False),  # nor this
        )

    def update(self, watchers: Watchers, score: float, step: int) -> bool:
        """Takes in the score of one more validation; returns whether it is the lowest so far."""
        gained = self.best is None or score < self.best
        self.best = score if gained else self.best
        self.stopping = watchers.stopping.update(self.stopping, score)
        self.plateau = watchers.plateau.update(self.plateau, score)
        self.averaging = watchers.averaging.update(self.averaging, score, step)
        return gained

    def steer(self, state: TrainState) -> TrainState:
        """The state with what follows: the scale of the rate, and where the average begins."""
        state = state.replace(scale=jnp.full_like(state.scale, self.plateau.scale * self.rollbacks.scale))
        if state.average_start is None or self.averaging.start is None:
            return state
        return state.replace(average_start=jnp.full_like(state.average_start, self.averaging.start))
