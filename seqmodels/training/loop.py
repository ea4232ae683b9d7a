"""The training loop: steps, rows of metrics, validation, checkpoints, interrupts."""

import dataclasses
import itertools
import math
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.cells.base import Array, PyTree
from seqmodels.errors import UserError
from seqmodels.training.checkpoint import CheckpointError, Checkpoints
from seqmodels.training.devices import Placement
from seqmodels.training.evaluation import evaluate, means, measure
from seqmodels.training.interrupts import Interrupts
from seqmodels.training.optimizers import Optimizer, learning_rate
from seqmodels.training.processes import SharedSignal, leads, on_host
from seqmodels.training.progress import Progress, TensorBoard
from seqmodels.training.run_folder import RunFolder
from seqmodels.training.samples import add_sample, drop_samples_after
from seqmodels.training.seeds import make_seeds
from seqmodels.training.step import Step, TrainState, make_step
from seqmodels.training.tables import Run, Training
from seqmodels.training.task import Task
from seqmodels.training.watch import Watch, Watchers
from seqmodels.training.watchers import AveragingWatcher, PlateauWatcher

T = TypeVar("T")

_REMEDY: Final = (
    "the last checkpoint is unharmed. Lower optimizer.learning_rate or optimizer.clip_norm, or look at the data"
)


class InterruptedRun(Exception):  # noqa: N818 (not an error: the run was stopped, and saved)
    """The run was stopped by a signal after everything was saved.

    Attributes:
      signal: which one.
      step: the step that was saved.
    """

    def __init__(self, signal: signal.Signals, step: int) -> None:
        super().__init__(f"stopped by {signal.name} at step {step}")
        self.signal = signal
        self.step = step


class Fitted(NamedTuple):
    """What a run came to.

    Attributes:
      steps: optimizer steps done.
      best_step: the step of the best checkpoint.
      metrics: what that one reaches, as "valid/..." and "test/...".
      pictures: what the task has to show of its test, by name.
    """

    steps: int
    best_step: int
    metrics: dict[str, float]
    pictures: Mapping[str, Any]


@dataclasses.dataclass
class Loop:
    """One run from its first or its last saved step to its end.

    Args:
      task: what is trained.
      run: the table `[run]`.
      training: the table `[training]`.
      optimizer: the table `[optimizer]`.
      folder: where the run writes, locked.
      progress: what a person sees.
      placement: where batches and state lie.
    """

    task: Task
    run: Run
    training: Training
    optimizer: Optimizer
    folder: RunFolder
    progress: Progress
    placement: Placement

    def __post_init__(self) -> None:
        """Builds the step; nothing is compiled or written yet."""
        self.rate = learning_rate(self.optimizer, self.run.steps)
        averaging = self.training.averaging
        self.watchers = Watchers(
            self.training.early_stopping,
            PlateauWatcher(self.optimizer.schedule),
            AveragingWatcher(averaging.patience if averaging.name == "nt_asgd" else None),
        )
        self.step: Step = make_step(
            self.task,
            self.optimizer.build(self.run.steps),
            seed=self.run.seed,
            accumulate=self.training.accumulate,
            averaging=averaging,
        )
        self.update = jax.jit(
            self.step.update, donate_argnums=0, out_shardings=self.placement.state_shardings(self.like())
        )
        self.checkpoints = Checkpoints(self.folder.checkpoints, keep_last=self.run.keep_last)
        self.shared_signal = SharedSignal(self.placement.mesh)
        self.tensorboard: TensorBoard | None = None
        self._began = self._started = time.perf_counter()
        self._watch_clock(0)

    def fit(self) -> Fitted:
        """Trains to the end and measures the best checkpoint.

        Raises:
          InterruptedRun: if a signal asked to stop; everything is saved.
          UserError: if the loss is no longer a number, or the disk refuses.
        """
        with Interrupts() as interrupts:
            state, watch = self.begin()
            state = self.train(state, watch, interrupts)
            return self._finish(state)

    @property
    def seconds(self) -> float:
        """How long the run has taken, the parts before a resume included."""
        return time.perf_counter() - self._began

    def like(self) -> TrainState:
        """The shapes and types of the state, without computing it."""
        state: TrainState = jax.eval_shape(self.step.init, make_seeds(self.run.seed).init)
        return state

    def begin(self) -> tuple[TrainState, Watch]:
        """The saved state, if there is one, with the files cut back to it; else a new one."""
        state, watch = self._restore() if self.checkpoints.steps() else self._new()
        if self.run.tensorboard and leads():
            self.tensorboard = TensorBoard(self.folder.path / "tensorboard", first_step=int(state.step) + 1)
        return state, watch

    def _new(self) -> tuple[TrainState, Watch]:
        """The state before the first step."""
        self.folder.metrics.truncate_after(0)
        drop_samples_after(self.folder, -1)
        init = jax.jit(self.step.init, out_shardings=self.placement.state_shardings(self.like()))
        state: TrainState = init(make_seeds(self.run.seed).init)
        self._sample(state, 0)
        return state, Watch.start(self.watchers)

    def _restore(self) -> tuple[TrainState, Watch]:
        """The state of the newest whole checkpoint; the files are cut back to it."""
        restored = self.checkpoints.restore(self.placement.like(self.like()))
        for line in restored.skipped:
            self.progress.note(line)
        self.progress.note(f"resumed at step {restored.step:,}")
        self.folder.metrics.truncate_after(restored.step)
        drop_samples_after(self.folder, restored.step)
        self._began -= restored.extra["seconds"]
        return restored.tree, Watch.from_json(restored.extra["watch"])

    def train(self, state: TrainState, watch: Watch, interrupts: Interrupts, until: int | None = None) -> TrainState:
        """Steps until the end (or until step `until`), an early stop or a signal."""
        start = int(state.step)
        batches = self.batches(start)
        for done in range(start + 1, (until or self.run.steps) + 1):
            if watch.stopping.stop:
                self.progress.note(f"stopped early: no gain in {self.watchers.stopping.patience} validations")
                break
            state = self.update(state, next(batches))
            if done == start + 1:
                jax.block_until_ready(state)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
                waited = time.perf_counter() - self._started
                self.progress.note(f"first step done after {waited:.1f} s, compilation included")
                self._watch_clock(done)
            # Once: what comes later is for the next step, with a save of its own.
            stop, step = self.shared_signal.ask(interrupts.requested or 0, state.step)
            state = state.replace(step=step)
            state = self._look(state, done, watch, save=stop > 0)
            if stop and done < self.run.steps:
                raise InterruptedRun(signal.Signals(stop), done)
        return state

    def batches(self, start: int) -> Iterator[Any]:
        """What each step reads, from step `start` on, placed on the devices."""
        number = self.training.accumulate
        batches = self.task.batches(start * number)
        if number > 1:
            batches = (jax.tree.map(lambda *leaves: np.stack(leaves), *group) for group in batched(batches, number))
        return map(self.placement.put_batch, batches)

    def _look(self, state: TrainState, done: int, watch: Watch, *, save: bool) -> TrainState:
        """Does what is due after step `done`: a row of metrics, a validation, a checkpoint, in this order.

        A row is on the disk before the checkpoint that includes its step, so that a run killed in between writes it
        again in place of losing it.
        """
        last = done == self.run.steps
        row: dict[str, float] = {}
        score, gained = None, False
        if last or done % self.run.log_every == 0:
            state, row = self._measure(state, done)
        if last or done % self.run.validate_every == 0:
            validation = self._validate(state, done)
            score = validation[f"valid/{self.task.objective}"]
            gained = watch.update(self.watchers, score, done)
            state = watch.steer(state)
            if watch.averaging.start == done:
                self.progress.note(f"averaging begins after step {done:,}")
            row |= validation
        if row:
            self._write(done, row)
        if score is not None:
            self._sample(state, done)
        if save or last or gained or done % self.run.checkpoint_every == 0:
            self._save(state, done, watch, score)
        elif score is None:
            return state
        self._watch_clock(done)
        return state

    def _measure(self, state: TrainState, done: int) -> tuple[TrainState, dict[str, float]]:
        """The row of the steps since the last one, and the state with its sums emptied."""
        sums = self._finite_sums(state, done)
        steps = sums["grad_norm"][1]
        since, seconds = done - self._clock[0], time.perf_counter() - self._clock[1]
        weight = sums[next(iter(self.task.measures))][1]
        found = means(sums)
        row = {f"train/{name}": value for name, value in self.task.metrics(found).items()}
        row["grad_norm"] = found["grad_norm"]
        row["learning_rate"] = float(self.rate(done - 1)) * float(state.scale)
        if since > 0:
            row[f"train/{self.task.weight_unit}_per_s"] = weight / steps * since / seconds
        self.progress.train(done, row)
        self._watch_clock(done)
        return state.replace(sums=jax.tree.map(jnp.zeros_like, state.sums)), row

    def _watch_clock(self, done: int) -> None:
        """Starts to measure speed anew, so that compilation, validation and checkpoints do not count."""
        self._clock = (done, time.perf_counter())

    def _finite_sums(self, state: TrainState, done: int) -> dict[str, tuple[Any, float]]:
        """The sums on the host; refuses what is no longer a number."""
        sums = {name: (total, float(weight)) for name, (total, weight) in jax.device_get(state.sums).items()}
        for name, (total, _) in sums.items():
            if not np.isfinite(total).all():
                raise UserError(f"{name} is no longer finite at step {done:,}; {_REMEDY}")
        return sums

    def _validate(self, state: TrainState, done: int) -> dict[str, float]:
        """The metrics of the validation split."""
        row = {
            f"valid/{name}": value
            for name, value in evaluate(self.task, state.result, "valid", self.placement.put_rows).items()
        }
        for name, value in row.items():
            if not math.isfinite(value):
                raise UserError(f"{name} is no longer finite at step {done:,}; {_REMEDY}")
        self.progress.validation(done, row)
        return row

    def _write(self, done: int, row: dict[str, float]) -> None:
        """One row of metrics, on the disk and for TensorBoard."""
        self.folder.metrics.append({"step": done, **row})
        if self.tensorboard is not None:
            self.tensorboard.write(done, row)

    def _sample(self, state: TrainState, done: int) -> None:
        """A text written by the model as it is now."""
        # One process writes: the parameters go to it whole, since the others do not take part.
        params = state.result if jax.process_count() == 1 else on_host(state.result)
        text = self.task.sample(params) if leads() else None
        if text is not None:
            add_sample(self.folder, done, text)
            self.progress.text(f"sample after step {done:,}", text)

    def _save(self, state: TrainState, done: int, watch: Watch, score: float | None) -> None:
        """A checkpoint of all that the run needs to go on, never one that is not finite."""
        self._finite_sums(state, done)
        if not all_finite(state.params):
            raise UserError(f"parameters are no longer finite at step {done:,}; {_REMEDY}")
        extra = {**self.task.extra(), "watch": watch.to_json(), "seconds": self.seconds}
        self.checkpoints.save(done, state, extra, score=score)

    def _finish(self, state: TrainState) -> Fitted:
        """Validation and test of the best checkpoint."""
        steps = int(state.step)
        best = self.checkpoints.best_step()
        if best is not None and best != steps:
            try:
                state = self.checkpoints.restore(self.placement.like(self.like()), best).tree
            except CheckpointError as error:
                self.progress.note(f"{error}; measuring the last state in its place")
        self.progress.note(f"evaluating the best checkpoint, of step {int(state.step):,}")
        put = self.placement.put_rows
        sums = {split: measure(self.task, state.result, split, put) for split in ("valid", "test")}
        metrics = {f"{split}/{name}": x for split in sums for name, x in self.task.metrics(means(sums[split])).items()}
        return Fitted(steps, int(state.step), metrics, self.task.pictures(sums["test"]))


@jax.jit
def all_finite(tree: PyTree) -> Array:
    """Whether every number in every array is finite."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def batched(items: Iterable[T], number: int) -> Iterator[tuple[T, ...]]:
    """Groups of `number` items; `itertools.batched` came with Python 3.12.

    Example:
      >>> list(batched("abcd", 2))
      [('a', 'b'), ('c', 'd')]
    """
    items = iter(items)
    while group := tuple(itertools.islice(items, number)):
        yield group
