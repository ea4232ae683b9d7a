"""What a run leaves on the disk as it goes: rows of metrics, texts, checkpoints."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import jax

from seqmodels.training.checkpoint import CheckpointError, Checkpoints, Restored
from seqmodels.training.processes import leads, on_host, together
from seqmodels.training.progress import Progress, TensorBoard
from seqmodels.training.run_folder import METRICS, RunFolder
from seqmodels.training.samples import SAMPLES, add_sample, drop_samples_after
from seqmodels.training.step import TrainState
from seqmodels.training.tables import Run
from seqmodels.training.task import Task


@dataclasses.dataclass
class Record:
    """The record of a run, from which it can go on.

    A row is on the disk before the checkpoint that includes its step, so that a run killed in between, or by a power
    cut, writes it again in place of losing it: whatever is of later steps than the checkpoint from which a run goes on
    is taken back.

    Args:
      task: what is trained.
      run: the table `[run]`.
      folder: where the run writes, locked.
      progress: what a person sees.
      like: the state as it lies on the devices, as `jax.ShapeDtypeStruct`.

    Attributes:
      checkpoints: those of the run.
    """

    task: Task
    run: Run
    folder: RunFolder
    progress: Progress
    like: TrainState

    def __post_init__(self) -> None:
        """Nothing is written yet."""
        self.checkpoints = Checkpoints(self.folder.checkpoints, keep_last=self.run.keep_last)
        self._tensorboard: TensorBoard | None = None
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long the run has taken, the parts before a resume included."""
        return time.perf_counter() - self._began

    def clear(self) -> None:
        """Takes everything back but checkpoints, of which a new run has none."""
        self._cut_after(-1)

    def restore(self, step: int | None = None) -> Restored[TrainState]:
        """The newest whole checkpoint, or that of `step`; all that was written after it is taken back."""
        restored = self.checkpoints.restore(self.like.saved, step)
        for line in restored.skipped:
            self.progress.note(line)
        # Of a step whose row is still due there is one if a run that went on from here was killed.
        self._cut_after(restored.step - bool(restored.extra["watch"].get("due")))
        return restored

    def add_seconds(self, seconds: float) -> None:
        """Counts what a run took before it was stopped."""
        self._began -= seconds

    def write(self, state: TrainState, row: Mapping[str, float]) -> None:
        """One row of metrics, on the disk and for TensorBoard."""
        step = int(state.step)  # after which no program is under way that might meet the exchange of words crosswise
        with together():
            self.folder.metrics.append({"step": step, **row})
        if self._tensorboard is not None:
            self._tensorboard.write(step, row)

    def sample(self, state: TrainState) -> None:
        """A text written by the model as it is now."""
        # One process writes: the parameters go to it whole, since the others do not take part.
        params = state.result if jax.process_count() == 1 else on_host(state.result)
        step = int(state.step)
        with together():
            text = self.task.sample(params) if leads() else None
            if text is not None:
                add_sample(self.folder, step, text)
                self.progress.text(f"sample after step {step:,}", text)

    def save(
        self, state: TrainState, extra: Mapping[str, Any], *, score: float | None = None, keep: int | None = None
    ) -> None:
        """A checkpoint; see `Checkpoints.save`. Rows and texts are forced to the disk before it."""
        with together():
            self.folder.force(METRICS, SAMPLES)
        extra = {**self.task.extra(), **extra, "seconds": self.seconds}
        self.checkpoints.save(int(state.step), state.saved, extra, score=score, keep=keep)

    def best(self, state: TrainState) -> TrainState:
        """The state with the best score; `state`, which is the last one, where that cannot be read."""
        best = self.checkpoints.best_step()
        if best is None or best == int(state.step):
            return state
        try:
            return self.checkpoints.restore(self.like.saved, best).tree
        except CheckpointError as error:
            self.progress.note(f"{error}; measuring the last state in its place")
            return state

    def _cut_after(self, step: int) -> None:
        with together():
            self.folder.metrics.truncate_after(max(step, 0))
            drop_samples_after(self.folder, step)
        if self.run.tensorboard and leads():
            if self._tensorboard is not None:
                self._tensorboard.close()
            self._tensorboard = TensorBoard(self.folder.path / "tensorboard", first_step=max(step, 0) + 1)
