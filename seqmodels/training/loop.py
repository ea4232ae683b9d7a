"""The training loop: steps, rows of metrics, validation, checkpoints, interrupts."""

import dataclasses
import functools
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.errors import UserError
from seqmodels.training.bad_step_dump import BadStep
from seqmodels.training.bad_steps import REMEDY, DivergedRun, NotFinite, Skips
from seqmodels.training.devices import Placement
from seqmodels.training.evaluation import evaluate, means, measure
from seqmodels.training.groups import stacked
from seqmodels.training.interrupts import InterruptedRun, Interrupts
from seqmodels.training.memory import TOO_LARGE, TooLargeError, check_state, check_step
from seqmodels.training.optimizers import Optimizer, learning_rate, steps_taken
from seqmodels.training.processes import SharedSignal, together
from seqmodels.training.progress import Progress
from seqmodels.training.record import Record
from seqmodels.training.rows import training_row
from seqmodels.training.run_folder import RunFolder
from seqmodels.training.seeds import make_seeds
from seqmodels.training.step import Step, TrainState, leave_out, make_step
from seqmodels.training.tables import Run, Training
from seqmodels.training.task import Task
from seqmodels.training.watch import Watch, Watchers
from seqmodels.training.watchers import AveragingWatcher, PlateauWatcher


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
      after_validation: called with the loop after each validation but that at the end of a run, when all is written;
        what it raises ends the run.

    Attributes:
      interrupts: where signals are noted while the run lasts.
    """

    task: Task
    run: Run
    training: Training
    optimizer: Optimizer
    folder: RunFolder
    progress: Progress
    placement: Placement
    after_validation: Callable[["Loop"], None] | None = None

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
            bad_steps=self.training.bad_steps,
        )
        like = self._like()
        self.shardings = self.placement.state_shardings(like)
        self.update = jax.jit(self.step.update, donate_argnums=0, out_shardings=self.shardings)
        self.record = Record(self.task, self.run, self.folder, self.progress, self.placement.like(like))
        self.interrupts = Interrupts()
        self.shared_signal = SharedSignal(self.placement.mesh)
        self._began = time.perf_counter()
        self._compiled = self._unsaved = False
        self._watch_clock(0)

    def fit(self) -> Fitted:
        """Trains to the end and measures the best checkpoint.

        Raises:
          InterruptedRun: if a signal asked to stop; everything is saved.
          DivergedRun: if a step is not finite and nothing else is to be done about that.
          UserError: if the disk refuses.
        """
        with self.interrupts:
            state, watch = self.begin()
            state = self.train(state, watch)
            return self._finish(state)

    def begin(self) -> tuple[TrainState, Watch]:
        """The saved state, if there is one, with the files cut back to it; else a new one."""
        with together():
            check_state(self.record.like, jax.local_devices()[0])
        if not self.record.checkpoints.steps():
            return self._new()
        state, watch, seconds = self._restore()
        self.progress.note(f"resumed at step {int(state.step):,}")
        self.record.add_seconds(seconds)
        return state, watch

    def _like(self) -> TrainState:
        """The shapes and types of the state, without computing it; TooLargeError if they are beyond counting."""
        try:
            state: TrainState = jax.eval_shape(self.step.init, make_seeds(self.run.seed).init)
        except OverflowError as error:
            raise TooLargeError(f"the model is too large for any device ({error}); {TOO_LARGE}") from error
        return state

    def _new(self) -> tuple[TrainState, Watch]:
        """The state before the first step."""
        self.record.clear()
        state: TrainState = jax.jit(self.step.init, out_shardings=self.shardings)(make_seeds(self.run.seed).init)
        self.record.sample(state)
        return state, Watch.start(self.watchers)

    def _restore(self, step: int | None = None) -> tuple[TrainState, Watch, float]:
        """The state of the newest whole checkpoint, or of that of `step`, and the run's seconds until then."""
        restored = self.record.restore(step)
        extra, state = restored.extra, restored.tree
        if self.training.bad_steps.name == "skip":
            state = state.replace(skips=Skips.start(**extra.get("skips", {})))  # older checkpoints have none
        return self.placement.put_state(state), Watch.from_json(extra["watch"]), extra["seconds"]

    def train(self, state: TrainState, watch: Watch, until: int | None = None) -> TrainState:
        """Steps until the end (or until step `until`), an early stop or a signal, bad steps dealt with."""
        while True:
            try:
                return self._train(state, watch, until)
            except NotFinite as bad:
                state, watch = self._recover(bad.state, watch)

    def _train(self, state: TrainState, watch: Watch, until: int | None) -> TrainState:
        """As `train`, until the loop sees a bad step."""
        start = int(state.step)
        if watch.due:
            self._watch_clock(start)
            state = self._look(state, start, watch)
        batches = self.batches(start)
        for done in range(start + 1, (until or self.run.steps) + 1):
            if watch.stopping.stop:
                self.progress.note(f"stopped early: no gain in {self.watchers.stopping.patience} validations")
                if self._unsaved:
                    self._save(state, done - 1, watch, None, must=True)
                break
            batch = next(batches)
            if not self._compiled:
                with together():
                    need = check_step(self.update, state, batch)
                self.progress.note(f"memory: {need.describe()}")
            left_out = done in watch.rollbacks.left_out
            state = leave_out(state) if left_out else self.update(state, batch)
            if not self._compiled:
                jax.block_until_ready(state)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
                self._compiled = True
                waited = time.perf_counter() - self._began
                self.progress.note(f"first step done after {waited:.1f} s, compilation included")
                self._watch_clock(done)
            # Once: what comes later is for the next step, with a save of its own.
            stop, step = self.shared_signal.ask(self.interrupts.requested or 0, state.step)
            state = self._look(state.replace(step=step), done, watch, stop=stop > 0)
            if stop:
                raise InterruptedRun(signal.Signals(stop), done)
        return state

    def batches(self, start: int) -> Iterator[Any]:
        """What each step reads, from step `start` on, placed on the devices."""
        number = self.training.accumulate
        return map(self.placement.put_batch, stacked(self.task.batches(start * number), number))

    def _recover(self, state: TrainState, watch: Watch) -> tuple[TrainState, Watch]:
        """What goes on after a bad step: an earlier state, the steps that are left out, a lower rate.

        Raises:
          UserError: if the run ends in place of that; the step is in the run folder.
        """
        step, table, rollbacks = int(state.step) + 1, self.training.bad_steps, watch.rollbacks
        if table.name != "rollback" or len(rollbacks.left_out) >= table.limit:
            raise self._end_at(state, step)
        rollbacks = rollbacks.after(step, table.factor)
        last = self._due_before(step)
        self.progress.note(
            f"step {step:,} is not finite: back to step {last:,}, from where it is left out and the rate is multiplied "
            f"by {rollbacks.scale:g}"
        )
        self.record.checkpoints.drop_after(last)
        state, watch = self._restore(last)[:2] if last else self._new()
        watch.rollbacks = rollbacks
        self._watch_clock(last)
        return watch.steer(state), watch

    def _due_before(self, step: int) -> int:
        """The last step before `step` after which a checkpoint is due, whatever else was saved; 0: none is."""
        return (step - 1) // self.run.checkpoint_every * self.run.checkpoint_every

    def _end_at(self, state: TrainState, step: int) -> DivergedRun:
        """Puts a bad step into the run folder; the error that says so."""
        number = self.training.accumulate
        origins = [self.task.origin(place) for place in range((step - 1) * number, step * number)]
        bad = BadStep.of(self.step, state, next(self.batches(step - 1)), origins)
        return DivergedRun(f"{bad.describe()}; {bad.write(self.folder)}; {self.training.bad_steps.remedy}")

    def _look(self, state: TrainState, done: int, watch: Watch, *, stop: bool = False) -> TrainState:
        """Does what is due after step `done`: a row of metrics, a validation, a checkpoint, in this order.

        A run that shall stop does not wait for a validation, however long it takes: the checkpoint says that all is
        still due, and the resumed run begins with that.
        """
        last = done == self.run.steps
        every = (self.run.log_every, self.run.validate_every, self.run.checkpoint_every)
        logs, validates, saves = (last or done % steps == 0 for steps in every)
        row: dict[str, float] = {}
        score, gained = None, False
        if (logs or validates or saves or stop) and not math.isfinite(state.sums["grad_norm"][0]):
            raise NotFinite(state)
        watch.due = stop and validates
        if watch.due:
            self._save(state, done, watch, None, must=True)
            return state
        before = state
        if logs:
            state, row = self._measure(state, done, watch)
        if validates:
            validation = self._validate(state, done, lambda: self._look(before, done, watch, stop=True))
            score = validation[f"valid/{self.task.objective}"]
            gained = self._take_in(score, done, watch)
            state = watch.steer(state)
            row |= validation
        if row:
            self.record.write(state, row)
        if score is not None:
            self.record.sample(state)
        if stop or saves or gained:
            self._save(state, done, watch, score, must=stop or last)
        elif score is None:
            return state
        if self.after_validation is not None and score is not None and not last:
            self.after_validation(self)
        self._watch_clock(done)
        return state

    def _measure(self, state: TrainState, done: int, watch: Watch) -> tuple[TrainState, dict[str, float]]:
        """The row of the steps since the last one, and the state with its sums emptied."""
        sums = jax.device_get(state.sums)
        since, seconds = done - self._clock[0], time.perf_counter() - self._clock[1]
        row = training_row(self.task, sums, steps_per_s=since / seconds if since > 0 else None)
        row["learning_rate"] = float(self.rate(max(steps_taken(state.opt_state) - 1, 0))) * float(state.scale)
        if self.training.bad_steps.name == "rollback":
            before = (done - 1) // self.run.log_every * self.run.log_every
            row["bad_steps"] = sum(before < step <= done for step in watch.rollbacks.left_out)
        if state.skips is not None:
            row["bad_steps"] = int(state.skips.left_out)
            state = state.replace(skips=state.skips._replace(left_out=jnp.zeros_like(state.skips.left_out)))
        self.progress.train(done, row)
        self._watch_clock(done)
        return state.replace(sums=jax.tree.map(jnp.zeros_like, state.sums)), row

    def _watch_clock(self, done: int) -> None:
        """Starts to measure speed anew, so that compilation, validation and checkpoints do not count."""
        self._clock = (done, time.perf_counter())

    def _validate(self, state: TrainState, done: int, put_off: Callable[[], object]) -> dict[str, float]:
        """The metrics of the validation split, unless a signal comes; then it is put off."""
        heed = functools.partial(self._heed, state, done)
        try:
            found = evaluate(self.task, state.result, "valid", self.placement.put_rows, heed)
        except InterruptedRun:
            put_off()
            raise
        row = {f"valid/{name}": value for name, value in found.items()}
        for name, value in row.items():
            if not math.isfinite(value):
                raise DivergedRun(f"{name} is no longer finite at step {done:,}; {REMEDY}")
        self.progress.validation(done, row)
        return row

    def _take_in(self, score: float, done: int, watch: Watch) -> bool:
        """Shows a score to the watchers; returns whether it is the lowest so far."""
        gained = watch.update(self.watchers, score, done)
        if watch.averaging.start == done:
            self.progress.note(f"averaging begins after step {done:,}")
        return gained

    def _heed(self, state: TrainState, saved: int) -> None:
        """Raises InterruptedRun, as of step `saved`, if a signal asked to stop in the middle of an evaluation."""
        stop, step = self.shared_signal.ask(self.interrupts.requested or 0, state.step)
        jax.block_until_ready(step)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
        if stop:
            raise InterruptedRun(signal.Signals(stop), saved)

    def _save(self, state: TrainState, done: int, watch: Watch, score: float | None, *, must: bool) -> None:
        """A checkpoint of all that the run needs to go on; `_look` has seen that it is finite.

        Raises:
          UserError: if the disk refuses, and if it must be or `run.on_failed_save` says so.
        """
        skips = Skips.start() if state.skips is None else state.skips
        due = self._due_before(done + 1) if self.training.bad_steps.name == "rollback" else None
        try:
            self.record.save(state, {"watch": watch.to_json(), "skips": skips.to_json()}, score=score, keep=due)
            self._unsaved = False
        except UserError as error:
            if must or self.run.on_failed_save == "stop":
                raise
            self._unsaved = True
            self.progress.note(f"training goes on without a checkpoint (run.on_failed_save): {error}")

    def _finish(self, state: TrainState) -> Fitted:
        """Validation and test of the best checkpoint."""
        steps = int(state.step)
        heed = functools.partial(self._heed, state, max(self.record.checkpoints.steps(), default=steps))
        state = self.record.best(state)
        self.progress.note(f"evaluating the best checkpoint, of step {int(state.step):,}")
        put = self.placement.put_rows
        sums = {split: measure(self.task, state.result, split, put, heed) for split in ("valid", "test")}
        metrics = {f"{split}/{name}": x for split in sums for name, x in self.task.metrics(means(sums[split])).items()}
        pictures = self.task.pictures(sums["test"])
        heed()
        return Fitted(steps, int(state.step), metrics, pictures)
