"""What the training loop costs beside its steps: data, rows of metrics, checkpoints."""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

from seqmodels.training.devices import Placement, make_mesh
from seqmodels.training.evaluation import evaluate, means
from seqmodels.training.loop import Loop
from seqmodels.training.progress import Progress
from seqmodels.training.run_folder import RunFolder
from seqmodels.training.task import Task


class Overhead(NamedTuple):
    """Seconds a step of both, one entry a round.

    Attributes:
      bare: the jitted update alone, always on the same batch, nothing else done.
      loop: the whole loop: batches read ahead, rows of metrics written, checkpoints saved.
      each: seconds of one row of metrics, one checkpoint and one validation, by name.
    """

    bare: list[float]
    loop: list[float]
    each: dict[str, list[float]]

    @property
    def throughput(self) -> list[float]:
        """Throughput of the loop as a share of the bare step's, round by round."""
        return [bare / loop for bare, loop in zip(self.bare, self.loop, strict=True)]


def measure(task: Task, config: Any, *, rounds: int, steps: int) -> Overhead:
    """Runs the same compiled step bare and inside the loop, in turns, in one process.

    Args:
      task: what is trained.
      config: a config of its kind; logging and checkpoints happen as often as it says, validation not at all.
      rounds: pairs of measurements; the order within a pair alternates.
      steps: optimizer steps in each measurement.
    """
    run = dataclasses.replace(config.run, steps=10**9, validate_every=10**9)
    with (
        tempfile.TemporaryDirectory() as folder,
        open(Path(folder) / "log", "w") as log,
        RunFolder.create(Path(folder) / "run", "", resume=False, overwrite=False) as run_folder,
    ):
        placement = Placement(make_mesh(config.devices.mesh), batch_axis=min(config.training.accumulate - 1, 1))
        progress = Progress(run.steps, console=Console(file=log))
        loop = Loop(task, run, config.training, config.optimizer, run_folder, progress, placement)
        with jax.set_mesh(placement.mesh):
            return _measure(loop, rounds, steps)


def _measure(loop: Loop, rounds: int, steps: int) -> Overhead:
    state, watch = loop.begin()
    batch = jax.device_put(next(loop.batches(0)))
    found = Overhead([], [], {"row of metrics": [], "checkpoint": [], "validation": []})
    with loop.interrupts:

        def bare(state: Any) -> Any:
            for _ in range(steps):
                state = loop.update(state, batch)
            return state

        def whole(state: Any) -> Any:
            return loop.train(state, watch, until=int(state.step) + steps)

        state = whole(bare(state))
        for number in range(rounds):
            pair = [(bare, found.bare), (whole, found.loop)]
            for run, seconds in pair if number % 2 == 0 else reversed(pair):
                began = time.perf_counter()
                state = jax.block_until_ready(run(state))  # type: ignore[no-untyped-call]  # JAX leaves it untyped
                seconds.append((time.perf_counter() - began) / steps)
    done = int(state.step)
    does: dict[str, Callable[[], object]] = {
        "row of metrics": lambda: loop.folder.metrics.append({"step": done, **means(jax.device_get(state.sums))}),
        "checkpoint": lambda: loop.record.save(state, {}),
        "validation": lambda: evaluate(loop.task, state.result, "valid", loop.placement.put_rows),
    }
    for name, do in does.items():
        do()  # compiles
        for _ in range(rounds):
            began = time.perf_counter()
            do()
            found.each[name].append(time.perf_counter() - began)
    return found


def report(found: Overhead) -> list[str]:
    """The measurement in words, medians with their range."""

    def milliseconds(values: list[float]) -> str:
        low, middle, high = (1e3 * x for x in (min(values), statistics.median(values), max(values)))
        return f"{middle:.2f} ms a step (from {low:.2f} to {high:.2f})"

    each = [f"a {name}   {1e3 * statistics.median(seconds):.1f} ms" for name, seconds in found.each.items()]
    share = [100 * x for x in found.throughput]
    return [
        f"bare step   {milliseconds(found.bare)}",
        f"whole loop  {milliseconds(found.loop)}",
        f"throughput of the loop: {statistics.median(share):.1f}% of the bare step's "
        f"(from {min(share):.1f}% to {max(share):.1f}%, {len(share)} pairs)",
        *each,
    ]
