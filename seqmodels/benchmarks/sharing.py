"""How much faster a training step is when devices share its batch."""

from collections.abc import Callable
from typing import Any

import jax

from seqmodels.benchmarks.report import table
from seqmodels.benchmarks.timing import Samples
from seqmodels.benchmarks.timing import measure as measure_times
from seqmodels.training.devices import Placement, make_mesh
from seqmodels.training.seeds import make_seeds
from seqmodels.training.step import make_step
from seqmodels.training.tables import Mesh
from seqmodels.training.task import Task


def measure(task: Task, config: Any, *, rounds: int) -> Samples:
    """Times the compiled step on one device, on two, on four and so on, in turns, in one process.

    Args:
      task: what is trained.
      config: a config of its kind; the batch is the same whoever shares it.
      rounds: measurements of each.

    Returns:
      The samples by number of devices.
    """
    numbers = [2**n for n in range(jax.device_count().bit_length()) if config.data.batch_size % 2**n == 0]
    return measure_times({str(number): _step(task, config, Mesh(data=number)) for number in numbers}, rounds=rounds)


def _step(task: Task, config: Any, mesh: Mesh) -> Callable[[], None]:
    """A function that does a step and waits for it."""
    placement = Placement(make_mesh(mesh), batch_axis=0)
    step = make_step(
        task, config.optimizer.build(config.run.steps), seed=config.run.seed, averaging=config.training.averaging
    )
    key = make_seeds(config.run.seed).init
    shardings = placement.state_shardings(jax.eval_shape(step.init, key))
    update = jax.jit(step.update, donate_argnums=0, out_shardings=shardings)
    batch = placement.put_batch(next(iter(task.batches(0))))
    with jax.set_mesh(placement.mesh):
        state = [jax.jit(step.init, out_shardings=shardings)(key)]

    def run() -> None:
        with jax.set_mesh(placement.mesh):
            state[0] = update(state[0], batch)
            jax.block_until_ready(state[0])  # type: ignore[no-untyped-call]  # JAX leaves it untyped

    return run


def report(found: Samples) -> list[str]:
    """A table of medians, with how many times faster than on one device, round by round."""
    rows = []
    for number in found.seconds:
        low, high = (1e3 * x for x in found.quartiles(number))
        milliseconds = f"{1e3 * found.median(number):.2f} ({low:.2f} to {high:.2f})"
        rows.append((number, milliseconds, f"{found.ratio(number, to='1'):.2f}"))
    return table(["Devices", "ms a step, median (quartiles)", "times faster"], rows)
