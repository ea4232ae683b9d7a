"""The folder `bad_step` of a run: all that is needed to look at a step that was not finite."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.cells.base import PyTree
from seqmodels.errors import UserError
from seqmodels.training.bad_steps import not_finite
from seqmodels.training.checkpoint import Checkpoints
from seqmodels.training.processes import leads, on_host, together
from seqmodels.training.run_folder import RunFolder
from seqmodels.training.step import Attempt, Step, TrainState

BAD_STEP: Final = "bad_step"
_SHOWN: Final = 3


class BadStep(NamedTuple):
    """A step that was not finite.

    Attributes:
      number: of the step, from 1.
      state: the one before it.
      batch: what it read.
      origins: where its batches come from, as the task says.
      attempt: what came of it.
    """

    number: int
    state: TrainState
    batch: PyTree
    origins: Sequence[Mapping[str, Any]]
    attempt: Attempt

    @classmethod
    def of(cls, step: Step, state: TrainState, batch: PyTree, origins: Sequence[Mapping[str, Any]]) -> Self:
        """The step that `step.update` stood still before, done again to see where."""
        state = state.replace(sums=jax.tree.map(jnp.zeros_like, state.sums))
        return cls(int(state.step) + 1, state, batch, origins, jax.jit(step.attempt)(state, batch))

    @property
    def faults(self) -> list[str]:
        """The names of the arrays that are not finite, in the order in which one follows from the other."""
        loss, gradient, state = self.attempt
        parts = {"batch": self.batch, "loss": loss, "gradient": gradient, "state": state}
        return [name for part, tree in parts.items() for name in not_finite({part: tree})]

    def describe(self) -> str:
        """What is not finite, in a few words."""
        faults = self.faults or ["sums since the last row"]  # which were emptied to do the step again
        more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        return f"{', '.join(faults[:_SHOWN])}{more}: no longer finite at step {self.number:,}"

    def write(self, folder: RunFolder) -> str:
        """Writes it into the folder of its run, in place of an earlier one.

        `step.json` says what it is, `batch.npz` has what it read, and beside them lies a checkpoint of the state before
        it. No number that is not finite is in that.

        Returns:
          Where it is, or else why it could not be written.
        """
        path = folder.path / BAD_STEP
        arrays: dict[str, Any] = {
            jax.tree_util.keystr(place, simple=True, separator=".") or "batch": leaf
            for place, leaf in jax.tree_util.tree_leaves_with_path(on_host(self.batch))
        }
        about = {"step": self.number, "not_finite": self.faults, "batches": self.origins}
        try:
            with together():
                if leads():
                    _write(path, arrays, about)
            Checkpoints(path).save(self.number - 1, self.state.saved, {})
        except UserError as error:
            return str(error)
        return f"its batch and the state before it are in {path}"


def _write(path: Path, arrays: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Writes a new folder; raises UserError if the disk refuses."""
    try:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        np.savez(path / "batch.npz", **arrays)
        (path / "step.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
